"""The catalog in memory: rows that stay, cards that are ready, masks that are right."""

from __future__ import annotations

import numpy as np
import orjson
import pytest

from catalog.money import price_text
from recommender.engine.types import BoolArray
from recommender.selectors.catalog_rows import ProductRow
from recommender.serving.snapshot import CatalogSnapshot, snapshot_apply

NOON_S = 1_772_452_800
DAY_S = 86_400


def row(product_id: int, **fields: object) -> ProductRow:
    values: dict[str, object] = {
        "product_id": product_id,
        "external_id": f"e{product_id}",
        "title": f"T{product_id}",
        "url": "",
        "image_url": "",
        "price_minor": 250,
        "list_price_minor": None,
        "currency": "USD",
        "available": True,
        "shown": True,
        "brand": "",
        "category_path": "",
        "published_at_s": None,
        "updated_at_us": NOON_S * 1_000_000,
    }
    return ProductRow(**{**values, **fields})  # type: ignore[arg-type]


def snapshot(*rows: ProductRow) -> CatalogSnapshot:
    return snapshot_apply(CatalogSnapshot.empty(), list(rows))


def test_rows_are_found_by_id_in_any_order_and_unknown_ids_are_minus_one() -> None:
    shot = snapshot(row(30), row(10), row(20))
    assert shot.rows_of([10, 20, 30, 99]).tolist() == [1, 2, 0, -1]
    assert CatalogSnapshot.empty().rows_of([1]).tolist() == [-1]
    assert shot.rows_of_external(["e20", "nobody", "e10"]) == [2, 1]


def test_a_change_keeps_rows_and_leaves_the_old_snapshot_alone() -> None:
    before = snapshot(row(10), row(20))
    after = snapshot_apply(before, [row(20, title="New", shown=False), row(15)])
    assert after.product_ids.tolist() == [10, 20, 15]
    assert after.rows_of([15, 20]).tolist() == [2, 1]
    assert (before.card(1)["title"], after.card(1)["title"]) == ("T20", "New")
    assert (before.eligible.tolist(), after.eligible.tolist()) == (
        [True, True],
        [True, False, True],
    )
    assert "e15" not in before.row_of_external


def inside(shot: CatalogSnapshot, path: str) -> BoolArray:
    return shot.categories_inside(path)[shot.category_codes]


@pytest.mark.parametrize(
    "change", [{"available": False}, {"shown": False}, {"price_minor": None}, {"price_minor": 0}]
)
def test_what_may_not_be_shown_is_not_eligible(change: dict[str, object]) -> None:
    assert snapshot(row(1, **change)).eligible.tolist() == [False]


def test_a_category_holds_its_levels_below_but_not_its_namesakes() -> None:
    shot = snapshot(
        row(1, category_path="Tea"),
        row(2, category_path="Tea > Green"),
        row(3, category_path="Tea towels"),
        row(4),
    )
    assert inside(shot, "Tea").tolist() == [True, True, False, False]
    assert inside(shot, "Tea > Green").tolist() == [False, True, False, False]
    assert not inside(shot, "Nowhere").any()


def test_a_category_that_appears_later_is_found_in_the_new_snapshot() -> None:
    before = snapshot(row(1, category_path="Tea"))
    assert not inside(before, "Coffee").any()
    after = snapshot_apply(before, [row(2, category_path="Coffee")])
    assert inside(after, "Coffee").tolist() == [False, True]


def test_new_arrivals_are_newest_first_and_only_what_may_be_shown() -> None:
    shot = snapshot(
        row(1, published_at_s=NOON_S - 2 * DAY_S),
        row(2, published_at_s=NOON_S),
        row(3, published_at_s=NOON_S + DAY_S, shown=False),
        row(4),
    )
    assert shot.newest_first().tolist() == [1, 0]


def test_cards_are_json_without_their_last_brace() -> None:
    shot = snapshot(row(1, title='Say "hi" <b>', price_minor=1250, list_price_minor=1500))
    card = orjson.loads(shot.cards[0] + b"}")
    assert (card["title"], card["price"], card["list_price"]) == ('Say "hi" <b>', "12.50", "15.00")


def test_a_list_price_below_the_price_is_no_list_price() -> None:
    assert snapshot(row(1, price_minor=500, list_price_minor=400)).card(0)["list_price"] == "5.00"


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (1250, "USD", "12.50"),
        (5, "EUR", "0.05"),
        (1250, "JPY", "1250"),
        (1250, "KWD", "1.250"),
        (-5, "GBP", "-0.05"),
        (10**15, "USD", "10000000000000.00"),
    ],
)
def test_money_is_exact_in_every_currency(minor: int, currency: str, text: str) -> None:
    assert price_text(minor, currency) == text


def test_the_newest_update_never_goes_back() -> None:
    before = snapshot(row(1, updated_at_us=NOON_S * 1_000_000))
    after = snapshot_apply(before, [row(2, updated_at_us=1)])
    assert after.newest_update_us == NOON_S * 1_000_000
    np.testing.assert_array_equal(after.product_ids, [1, 2])
