"""Which conditions can hold on a page, told from a page's kind instead of from each page.

All products that the conditions of a store answer alike are one set, and all categories that the same
lists of them hold are one, too. So what rules can tell of a page is (placement, kind of page,
lists of categories, set of the product in view), and a store has few different ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from recommender.engine.online.rule_sets import pack, product_sets
from recommender.serving.rule_compile import static_target
from recommender.serving.rules import Condition, Target, Viewed
from recommender.serving.snapshot import CATEGORY_SEPARATOR, CatalogSnapshot


class Page(NamedTuple):
    """What the conditions of a store's rules can tell of a page.

    Attributes
    ----------
    lists
        Numbers of the lists of categories that hold the one in view, ascending.
    product_set
        -1 without a product in view.
    """

    slug: str
    page_type: str
    lists: tuple[int, ...]
    product_set: int


class PageConditions:
    """Conditions, by number, on one catalog. What they ask of the request alone isn't looked at."""

    def __init__(
        self, conditions: Sequence[Condition], snapshot: CatalogSnapshot, *, now_s: int
    ) -> None:
        self._conditions = conditions
        numbers: dict[tuple[str, ...], int] = {}
        self._list_of = [
            numbers.setdefault(each.viewed.categories, len(numbers))
            if each.viewed.categories
            else None
            for each in conditions
        ]
        self._naming: dict[str, set[int]] = {}
        for paths, number in numbers.items():
            for path in paths:
                self._naming.setdefault(path, set()).add(number)
        columns = snapshot.columns()
        self._sets = product_sets(
            [
                pack(static_target(_asked_of(each.viewed), snapshot).mask(columns, now_s=now_s))
                if each.viewed.asks_product
                else None
                for each in conditions
            ],
            n_items=len(snapshot),
        )

    def page(self, slug: str, page_type: str, row: int, category: str | None) -> Page:
        """The page with a product (a snapshot row, or -1) and a category in view."""
        product_set = int(self._sets.codes[row]) if row >= 0 else -1
        lists = self._lists(category) if category and self._naming else ()
        return Page(slug, page_type, lists, product_set)

    def holds(self, number: int, page: Page) -> bool:
        """Whether a condition can hold on a page."""
        condition = self._conditions[number]
        if condition.placements and page.slug not in condition.placements:
            return False
        if condition.page_types and page.page_type not in condition.page_types:
            return False
        own = self._list_of[number]
        if own is not None and own not in page.lists:
            return False
        if not condition.viewed.asks_product:
            return True
        return page.product_set >= 0 and bool(self._sets.holds[number, page.product_set])

    def _lists(self, category: str) -> tuple[int, ...]:
        """The lists that name the category, or a level above it."""
        found = self._naming.get(category, _NONE)
        end = category.find(CATEGORY_SEPARATOR)
        while end >= 0:
            found = found | self._naming.get(category[:end], _NONE)
            end = category.find(CATEGORY_SEPARATOR, end + 1)
        return tuple(sorted(found))


def _asked_of(viewed: Viewed) -> Target:
    """What is asked of the product in view itself; its category is that of the page."""
    return Target(
        brands=viewed.brands,
        tags=viewed.tags,
        attributes=viewed.attributes,
        price_from_minor=viewed.price_from_minor,
        price_until_minor=viewed.price_until_minor,
    )


_NONE: set[int] = set()
