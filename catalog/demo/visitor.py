"""As whom the demo shop is visited: a household of the data, or somebody new."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from django.contrib.sessions.backends.base import SessionBase

from catalog.demo.cart import cart_clear
from catalog.models import Store
from catalog.selectors.shoppers import ShopperHabits, shopper_habits

SHOPPER = "shop_shopper"
NEWCOMER_PREFIX = "visitor-"


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who shops, and what the shop knows about them."""

    habits: ShopperHabits

    @property
    def shopper_id(self) -> str:
        return self.habits.external_id

    @property
    def is_new(self) -> bool:
        return self.shopper_id.startswith(NEWCOMER_PREFIX)


def visitor_read(*, session: SessionBase, store: Store) -> Visitor:
    """The visitor of this session; the first visit is somebody new's."""
    shopper_id = session.get(SHOPPER)
    if shopper_id is None:
        shopper_id = session[SHOPPER] = _newcomer()
    return Visitor(shopper_habits(store=store, external_id=shopper_id))


def visitor_switch(*, session: SessionBase, shopper_id: str | None) -> None:
    """Become this shopper, or somebody new; a cart belongs to who filled it."""
    session[SHOPPER] = shopper_id or _newcomer()
    cart_clear(session)


def _newcomer() -> str:
    return NEWCOMER_PREFIX + secrets.token_hex(6)
