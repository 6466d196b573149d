"""The rules of a shop with many departments, as its merchants might have written them over a year.

Of 200, in the order of the list:

* a tenth always count: a brand boosted or buried, a category left out, what is new moved up;
* a third are about a department or a category in view: boosts of a brand there, burying, leaving out
  what doesn't belong beside it, some reserved slots and pins;
* a sixth are about the brand in view: the same brand up, a rival down;
* an eighth are a placement's or a kind of page's;
* the others ask for a device, a language, the shopper's segment, a weekday or a time of day, or
  compare with the product in view (dearer of the same category, price within 20 %).

Brands and categories are taken by size, the large ones first, because merchants write rules for what
is looked at. So of 200 rules nearly 60 count for a request, more than most shops have: the report says how many.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

Document: TypeAlias = dict[str, Any]

# Keys and documents of the segments that rules ask for.
SEGMENTS: tuple[tuple[str, Document], ...] = (
    ("new", {"type": "new", "days": 1}),
    ("returning", {"type": "returning", "days": 7}),
    ("good-customers", {"type": "high_value", "days": 90, "orders": 3}),
    ("lapsed", {"type": "lapsed", "days": 30}),
)
DEVICES = ("mobile", "desktop", "tablet")
# Shares of 40.
_KINDS = (
    ("always", 4),
    ("category", 14),
    ("brand", 6),
    ("place", 5),
    ("device", 3),
    ("segment", 4),
    ("compare", 2),
    ("clock", 2),
)


@dataclass(frozen=True, slots=True)
class Shop:
    """What rules are written about: the largest first, products that sell best first."""

    brands: Sequence[str]
    departments: Sequence[str]
    categories: Sequence[str]
    products: Sequence[str]


def rule_documents(shop: Shop, n: int, chance: np.random.Generator) -> list[Document]:
    """n rules."""
    writer = _Writer(shop, chance)
    kinds = [kind for kind, share in _KINDS for _ in range(share)]
    write: dict[str, Callable[[int], Document]] = {
        "always": writer.always,
        "category": writer.category,
        "brand": writer.brand,
        "place": writer.place,
        "device": writer.device,
        "segment": writer.segment,
        "compare": writer.compare,
        "clock": writer.clock,
    }
    return [write[kinds[k * len(kinds) // n]](k) for k in range(n)]


class _Writer:
    """Writes a rule of each kind; `k` picks what it does, chance what it is about."""

    def __init__(self, shop: Shop, chance: np.random.Generator) -> None:
        self._shop = shop
        self._chance = chance

    def always(self, k: int) -> Document:
        choices: list[tuple[Document, Document]] = [
            (_scaled(k), {"brands": [self._brand()]}),
            ({"type": "exclude"}, {"categories": [self._category()]}),
            (_scaled(0), {"age_until_days": 1_000}),
            (_scaled(1), {"categories": [self._department()], "price_until_minor": 500}),
        ]
        action, target = choices[k % len(choices)]
        return {"action": action, "target": target}

    def category(self, k: int) -> Document:
        in_view = self._department() if k % 2 else self._category()
        condition = {"viewed": {"categories": [in_view]}}
        brand = {"brands": [self._brand()]}
        if k % 10 == 9:
            action: Document = {"type": "pin", "product_ids": [self._product()], "position": 2}
            return {"action": action, "condition": condition}
        if k % 10 == 8:
            action = {"type": "reserve", "slots": 1, "position": 3}
            return {"action": action, "target": brand, "condition": condition}
        if k % 5 == 2:
            target = {"categories": [self._category()]}
            return {"action": {"type": "exclude"}, "target": target, "condition": condition}
        return {"action": _scaled(k), "target": brand, "condition": condition}

    def brand(self, k: int) -> Document:
        target: Document = {"same_brand": True} if k % 6 == 0 else {"brands": [self._brand()]}
        condition = {"viewed": {"brands": [self._brand()]}}
        return {"action": _scaled(k), "target": target, "condition": condition}

    def place(self, k: int) -> Document:
        condition = [
            {"page_types": ["product"]},
            {"placements": ["product-similar"]},
            {"page_types": ["cart"]},
            {"page_types": ["home"]},
        ][k % 4]
        target = {"categories": [self._department()], "price_from_minor": 200 + 100 * (k % 7)}
        return {"action": _scaled(k), "target": target, "condition": condition}

    def device(self, k: int) -> Document:
        condition = {"locales": ["en"]} if k % 5 == 0 else {"devices": [DEVICES[k % 3]]}
        target = {"categories": [self._department()], "price_until_minor": 1_000}
        return {"action": _scaled(k), "target": target, "condition": condition}

    def segment(self, k: int) -> Document:
        condition = {"segments": [SEGMENTS[k % len(SEGMENTS)][0]]}
        target = {"brands": [self._brand(), self._brand()]}
        return {"action": _scaled(k), "target": target, "condition": condition}

    def compare(self, k: int) -> Document:
        target: Document = {"same_category": True, "compared": "dearer"}
        if k % 2:
            target = {"price_within_percent": 20, "categories": [self._department()]}
        condition: Document = {"page_types": ["product"]}
        if k % 5:
            condition["viewed"] = {"categories": [self._department()]}
        return {"action": _scaled(k // 2), "target": target, "condition": condition}

    def clock(self, k: int) -> Document:
        condition: Document = {"from_time": "18:00", "until_time": "09:00"}
        if k % 2:
            condition = {"weekdays": [1 + k % 7, 1 + (k + 3) % 7, 7]}
        target = {"brands": [self._brand()], "price_until_minor": 5_000}
        return {"action": _scaled(k), "target": target, "condition": condition}

    def _brand(self) -> str:
        return self._of(self._shop.brands, 60)

    def _department(self) -> str:
        return self._of(self._shop.departments, 20)

    def _category(self) -> str:
        return self._of(self._shop.categories, 80)

    def _product(self) -> str:
        return self._of(self._shop.products, 100)

    def _of(self, names: Sequence[str], n_first: int) -> str:
        return names[int(self._chance.integers(min(n_first, len(names))))]


def _scaled(k: int) -> Document:
    """Two boosts for each burying."""
    return {"type": "bury", "factor": 2} if k % 3 == 1 else {"type": "boost", "factor": 1.5}
