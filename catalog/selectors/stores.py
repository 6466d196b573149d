"""Stores, and who may look into them."""

from __future__ import annotations

from catalog.models import Member, Store, User


def stores_of(*, user: User) -> list[Store]:
    """The stores that a user is a member of, by name. One query."""
    return list(Store.objects.filter(members__user=user).order_by("name", "pk"))


def membership(*, user: User, slug: str) -> Member | None:
    """A user's role in a store, with the store; None if the store isn't theirs or doesn't exist.

    One query. The two cases look alike on purpose: a stranger doesn't learn which stores there are.
    """
    return (
        Member.objects.select_related("store").filter(user=user, store__slug=slug).first()
    )


def demo_store() -> Store | None:
    """The store behind the demo shop, None if there is none. One query."""
    return Store.objects.filter(is_demo=True).order_by("pk").first()
