"""From columns and rows to products, or to a reason."""

from __future__ import annotations

import io
from typing import Any

import pytest

from catalog.contract.products import ProductDraft
from catalog.feeds.google_merchant import rows_of_xml
from catalog.feeds.mapping import MappingRefused, mapping_check, mapping_suggest
from catalog.feeds.rows import FeedProblem, FeedRow
from catalog.feeds.validation import price_text, row_draft
from tests.feeds import google_feed
from tests.unit.feeds.test_readers import CHINESE


def draft(values: dict[str, Any], currency: str = "USD") -> ProductDraft | FeedProblem:
    row = FeedRow(7, {"id": "1", "title": "Tea", **values})
    return row_draft(row, mapping={name: name for name in row.values}, currency=currency)


def good(values: dict[str, Any], currency: str = "USD") -> ProductDraft:
    made = draft(values, currency)
    assert isinstance(made, ProductDraft), made
    return made


def bad(values: dict[str, Any]) -> FeedProblem:
    made = draft(values)
    assert isinstance(made, FeedProblem), made
    return made


def test_of_a_thousand_rows_the_thirty_broken_ones_are_named() -> None:
    broken = range(20, 1000, 33)
    assert len(broken) == 30
    rows = list(rows_of_xml(io.BytesIO(google_feed(1_000, broken=broken))))
    assert all(isinstance(row, FeedRow) for row in rows)
    mapping = mapping_suggest(list(rows[0].values))  # type: ignore[union-attr]
    judged = [row_draft(row, mapping=mapping, currency="USD") for row in rows]  # type: ignore[arg-type]
    problems = [each for each in judged if isinstance(each, FeedProblem)]
    assert [each.line - 1 for each in problems] == list(broken)
    assert {(each.column, each.reason) for each in problems} == {
        ("title", "Title: is missing."),
        ("price", "Price: 'a lot' isn't a price such as 12.50."),
        ("link", "Page: must start with https://, http:// or /."),
        ("price", "Price: the store sells in USD."),
        (
            "availability",
            "Availability: must be one of in_stock, out_of_stock, preorder, backorder.",
        ),
    }
    assert problems[0].external_id == "sku-20"


def test_googles_names_become_a_product_with_sale_price_and_labels() -> None:
    values = {
        "id": "1", "title": " Tea ", "price": "12.50 USD", "sale_price": "USD 9.99",
        "product_type": ["Drinks > Tea", "Gifts"], "custom_label_0": "gift", "color": "green",
        "google_product_category": "1604", "shelf": "A7", "availability": "preorder",
    }  # fmt: skip
    mapping = mapping_suggest(list(values)) | {"attributes.shelf": "shelf"}
    made = row_draft(FeedRow(1, values), mapping=mapping, currency="USD")
    assert isinstance(made, ProductDraft)
    assert (made.title, made.price_minor, made.list_price_minor) == ("Tea", 999, 1250)
    assert (made.category_path, made.tags) == ("Drinks > Tea", ["gift"])
    assert made.attributes == {"color": "green", "shelf": "A7"}
    assert made.availability == "preorder"


def test_a_chinese_catalog_is_mapped_by_its_own_names() -> None:
    mapping = mapping_suggest(list(CHINESE[0]))
    drafts = [row_draft(FeedRow(1, row), mapping=mapping, currency="CNY") for row in CHINESE]
    assert [
        (each.external_id, each.title, each.price_minor, each.category_path, each.tags)
        for each in drafts
        if isinstance(each, ProductDraft)
    ] == [
        ("茶-1", "龙井绿茶 100克", 12_800, "饮料 > 茶", ["新品", "热卖"]),
        ("茶-2", "普洱熟茶，七子饼", 128_000, "饮料 > 茶", []),
    ]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (
            ["Handle", "Title", "Body (HTML)", "Vendor", "Variant Price", "Image Src"],
            {
                "id": "Handle",
                "title": "Title",
                "description": "Body (HTML)",
                "brand": "Vendor",
                "price": "Variant Price",
                "image_url": "Image Src",
            },
        ),
        (
            ["sku", "name", "categories", "image_link"],
            {"id": "sku", "title": "name", "category": "categories", "image_url": "image_link"},
        ),
        (["id", "sku", "title"], {"id": "id", "title": "title"}),
        (["x", "y"], {}),
    ],
)
def test_columns_are_guessed_by_their_names(columns: list[str], expected: dict[str, str]) -> None:
    assert mapping_suggest(columns) == expected


@pytest.mark.parametrize(
    ("mapping", "field"),
    [
        ({"title": "t"}, "id"),
        ({"id": "i", "title": ""}, "title"),
        ({"id": "i", "title": "t", "hidden": "h"}, "hidden"),
        ({"id": "i", "title": "t", "brand": "gone"}, "brand"),
        ({"id": "i", "title": "t", **{f"attributes.{n}": "i" for n in range(51)}}, "attributes"),
    ],
)
def test_a_mapping_that_cannot_work_says_which_field(mapping: dict[str, str], field: str) -> None:
    with pytest.raises(MappingRefused) as refused:
        mapping_check(mapping, ["i", "t", "h"])
    assert list(refused.value.fields) == [field]


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("12.50", "USD", 1250),
        ("12,50", "EUR", 1250),
        ("1.234,50 €", "EUR", 123450),
        ("1,234.50", "USD", 123450),
        ("1,234", "USD", 123400),
        ("1 234,5 EUR", "EUR", 123450),
        ("1'234.00", "CHF", 123400),
        ("$12", "USD", 1200),
        ("¥1,280", "JPY", 1280),
        ("1.280", "JPY", 1280),
        ("12.345.678", "KRW", 12345678),
        (12.5, "USD", 1250),
    ],
)
def test_prices_are_read_as_people_write_them(text: Any, currency: str, minor: int) -> None:
    assert good({"price": text}, currency).price_minor == minor


@pytest.mark.parametrize("text", ["", "free", "12.50.3x", "-5", "€ 12", "12 CHF"])
def test_a_price_that_is_none_is_refused_or_left_open(text: str) -> None:
    made = draft({"price": text})
    if text:
        assert isinstance(made, FeedProblem)
        assert (made.column, made.value, made.line) == ("price", text, 7)
    else:
        assert isinstance(made, ProductDraft)
        assert made.price_minor is None


def test_what_is_not_understood_is_left_as_it_was() -> None:
    assert price_text("about 5", "USD") == "about 5"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("In Stock", "in_stock"),
        ("https://schema.org/OutOfStock", "out_of_stock"),
        ("yes", "in_stock"),
        ("false", "out_of_stock"),
        (True, "in_stock"),
        (False, "out_of_stock"),
        ("缺货", "out_of_stock"),
        ("pre-order", "preorder"),
        ("", "in_stock"),
    ],
)
def test_availability_is_read_as_shops_write_it(text: Any, expected: str) -> None:
    assert good({"availability": text}).availability == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("7", 7), ("7.0", 7), ("1,200", 1200), (-3, 0), ("-3", 0), (7.0, 7)]
)
def test_stock_is_a_whole_number_and_never_less_than_none(text: Any, expected: int) -> None:
    assert good({"stock_count": text}).stock_count == expected


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("Home / Kitchen / Mugs", "Home > Kitchen > Mugs"),
        ("Home » Kitchen", "Home > Kitchen"),
        ("TV/Audio", "TV/Audio"),
        (["Home", "Kitchen"], "Home > Kitchen"),
        (["Home > Kitchen", "Gifts > Mugs"], "Home > Kitchen"),
        ("1604", ""),
    ],
)
def test_category_paths_are_read_as_shops_write_them(text: Any, path: str) -> None:
    assert good({"category": text}).category_path == path


@pytest.mark.parametrize(
    ("values", "column"),
    [
        ({"title": "x" * 301}, "title"),
        ({"id": "x" * 129}, "id"),
        ({"title": "a\x00b"}, ""),
        ({"stock_count": "many"}, "stock_count"),
        ({"published_at": "soon"}, "published_at"),
        ({"image_url": "ftp://x"}, "image_url"),
        ({"description": "x" * 40_000}, "description"),
        ({"description": "x" * 140_000}, ""),
    ],
)
def test_a_row_that_cannot_be_stored_names_its_column(values: dict[str, Any], column: str) -> None:
    found = bad(values)
    assert (found.column, found.line) == (column, 7)
    assert found.reason.endswith(".")
    assert "\x00" not in found.value


@pytest.mark.parametrize(
    "written",
    ["0.5 -1 2e-3", " 0.5\t-1  0.002 ", "[0.5, -1, 0.002]", [0.5, -1, 0.002], ["0.5 -1", "0.002"]],
)
def test_own_vectors_are_numbers_with_spaces_or_a_json_list(written: Any) -> None:
    assert good({"vector": written}).vector == [0.5, -1.0, 0.002]


@pytest.mark.parametrize("written", ["0,5 1", "red", '[1, "x"]', "[1", "nan 1", [1, None], True, 7])
def test_what_is_no_vector_is_refused_with_what_one_looks_like(written: Any) -> None:
    found = bad({"vector": written})
    assert found.column == "vector"
    assert found.reason == (
        "Own vector: numbers with spaces between them, or a JSON list such as [0.1, -2]."
    )


@pytest.mark.parametrize("written", ["[]", " ".join(["1"] * 4097)])
def test_a_vector_of_no_or_too_many_numbers_is_refused(written: str) -> None:
    assert bad({"vector": written}).reason == "Own vector: must have 1 to 4,096 numbers."


def test_a_row_without_a_vector_is_a_product_without_one() -> None:
    assert good({"vector": ""}).vector is None
    assert mapping_suggest(["id", "name", "Image embedding"])["vector"] == "Image embedding"
