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


def member_of_store(*, store: Store, member_id: int) -> Member | None:
    """One of the store's people, with the user; None for anybody else's id."""
    return Member.objects.select_related("user").filter(store=store, pk=member_id).first()


def owner_count(*, store: Store) -> int:
    return Member.objects.filter(store=store, role=Member.Role.OWNER).count()


def owns_a_store(*, user: User) -> bool:
    """Whether the user may open another store."""
    return Member.objects.filter(user=user, role=Member.Role.OWNER).exists()
