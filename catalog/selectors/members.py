"""Who may look into which store."""

from __future__ import annotations

from catalog.models import Member, Store, User


def member_find(*, user: User, store_slug: str) -> Member | None:
    """The user's membership of a store, with store and user; None if there is no such thing."""
    return (
        Member.objects.select_related("store", "user")
        .filter(user=user, store__slug=store_slug)
        .first()
    )


def memberships_of(*, user: User) -> list[Member]:
    """All stores of a user by name, as memberships."""
    return list(Member.objects.select_related("store").filter(user=user).order_by("store__name"))


def members_of(*, store: Store) -> list[Member]:
    """The people of a store by role and name."""
    members = Member.objects.select_related("user").filter(store=store)
    order = list(Member.Role)
    return sorted(members, key=lambda m: (order.index(Member.Role(m.role)), m.user.email))
