"""Till words become shop words."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator

import pytest

from catalog.demo.source import PACKAGE, SourceProduct, read_products
from catalog.demo.titles import (
    LEVEL_SEPARATOR,
    OWN_LABEL,
    Wording,
    category_levels,
    is_hidden,
    product_wording,
    size_title,
    type_title,
)
from catalog.demo.wording import CATEGORIES

needs_source = pytest.mark.skipif(
    importlib.util.find_spec(PACKAGE) is None, reason="the demo data isn't installed"
)

TYPES = {
    "WAFFLES/PANCAKES/FRENCH TOAST": "Waffles, pancakes & French toast",
    "SOAP - LIQUID & BAR": "Soap, liquid & bar",
    "CANDY BARS (SINGLES)(INCLUDING": "Candy bar",
    "PREMIUM COOKIES (EX: PEPPERIDG": "Premium cookies",
    "BEERALEMALT LIQUORS": "Beer, ale & malt liquor",
    "FRZN SS PREMIUM ENTREES/DNRS/N": "Premium frozen meal for one",
    "MEXICAN SAUCESSALSAPICANTEE": "Salsa & picante sauce",
    "APPLES GALA (BULK&BAG)": "Gala apples",
    "APPLES GRANNY SMITH (BULK&BAG)": "Granny Smith apples",
    "STEAK & WORCHESTER SAUCE": "Steak & Worcestershire sauce",
    "BBQ SAUCE": "BBQ sauce",
    "HOBBIES-MAGAZINE": "Hobby magazine",
    "CORN DOGS": "Corn dogs",
    "FLUID MILK WHITE ONLY": "Milk",
    # One that no table knows: rules alone.
    "REFRIGERATED BTR/JELLY (NEW IN": "Chilled butter & jelly",
}
SIZES = {
    "19.8 OZ": "19.8 oz",
    ".5 OZ": "0.5 oz",
    "1.50 OZ": "1.5 oz",
    "10 3/4 OZ": "10¾ oz",
    "1/2 GAL": "½ gal",
    "HALF GAL": "½ gal",
    "GAL": "1 gal",
    "2 L": "2 L",
    "24 CT": "24 ct",
    "6 PK/4 OZ": "6-pack, 4 oz",
    "12 OZ/4 PK": "4-pack, 12 oz",
    "10 CT/12 OZ": "10 ct, 12 oz",
    "30 OZ/12 CT": "12 ct, 30 oz",
    "4/187 ML": "4 × 187 ml",
    "12-12 OZ": "12 × 12 oz",
    "14-18 CT": "14–18 ct",
    "3 X4 IN": "3 × 4 in",
    "141.1 SQ FT": "141.1 sq ft",
    "64 OZ PET": "64 oz",
    "5 LB BAG": "5 lb",
    "P    16 OZ": "16 oz",
    "32 LOAD": "32 loads",
    "1 DZ": "1 dozen",
    "X-LARGE": "extra large",
    # Nothing that helps a shopper, or nothing readable.
    "1 CT": "",
    "CTN": "",
    "SCAN KPC": "",
    "2416.9 OZ": "",
    "972836  PK": "",
    "51129513 OZ": "",
    "": "",
}


@pytest.mark.parametrize(("product_type", "title"), TYPES.items())
def test_a_type_reads_as_a_person_would_write_it(product_type: str, title: str) -> None:
    assert type_title(product_type) == title


@pytest.mark.parametrize(("package_size", "title"), SIZES.items())
def test_a_size_reads_as_on_a_label(package_size: str, title: str) -> None:
    assert size_title(package_size) == title


def test_the_category_tells_one_premium_from_the_other() -> None:
    assert type_title("PREMIUM", category="BACON") == "Premium bacon"
    assert type_title("PREMIUM", category="ICE CREAM/MILK/SHERBTS") == "Premium ice cream"


@pytest.mark.parametrize(("size", "shown"), [("40 LB", ""), ("24 CT", ""), ("5 LB", "5 lb")])
def test_the_box_that_produce_came_in_isnt_its_size(size: str, shown: str) -> None:
    assert size_title(size, department="PRODUCE") == shown


def test_the_large_grocery_department_is_split_into_a_shops_departments() -> None:
    assert category_levels("GROCERY", "SOFT DRINKS") == ("Drinks", "Soft drinks")
    assert category_levels("GROCERY", "CAT LITTER") == ("Pets", "Cat litter")
    assert category_levels("DRUG GM", "CANDY - CHECKLANE")[0] == "Snacks & sweets"


def test_natural_foods_keep_shelves_of_their_own() -> None:
    assert category_levels("NUTRITION", "SOUP") == ("Natural & organic", "Soup")
    assert category_levels("GROCERY", "SOUP") == ("Pantry", "Soup")


@pytest.mark.parametrize(
    ("department", "category", "product_type"),
    [
        ("FUEL", "FUEL", "GASOLINE-REG UNLEADED"),
        ("COUPON", "COUPONS/STORE & MFG", "COUPONS/STORE & MFG"),
        ("MEAT", "BEEF", "MISC SALES TRANS"),
        ("DRUG GM", "CIGARETTES", "CIGARETTES"),
        ("GROCERY", "SOFT DRINKS", None),
    ],
)
def test_what_isnt_for_the_shelf_is_hidden(
    department: str, category: str, product_type: str | None
) -> None:
    assert is_hidden(department, category, product_type)
    assert not is_hidden("GROCERY", "SOFT DRINKS", "SFT DRNK 2 LITER BTL CARB INCL")


def test_the_brand_is_the_grocers_own_or_a_number() -> None:
    own, other = (
        product_wording(
            department="GROCERY",
            category="CHEESE",
            product_type="SHREDDED CHEESE",
            package_size="8 OZ",
            private_label=private_label,
            manufacturer_id=2468,
        )
        for private_label in (True, False)
    )
    assert (own.brand, other.brand) == (OWN_LABEL, "Brand 2468")
    assert own.title == other.title == "Shredded cheese, 8 oz"


# -------------------------------------------------------------------------- over all of the source


@pytest.fixture(scope="module")
def worded() -> list[tuple[SourceProduct, Wording]]:
    return [
        (
            product,
            product_wording(
                department=product.department,
                category=product.category,
                product_type=product.product_type,
                package_size=product.package_size,
                private_label=product.private_label,
                manufacturer_id=product.manufacturer_id,
            ),
        )
        for product in read_products()
    ]


# Abbreviations that people write in capitals.
SPOKEN_CAPITALS = frozenset({"BBQ", "CD", "DVD", "HD", "MLB", "NFL", "TV", "VHS"})
# What the till cuts off or shortens, and a word never ends in.
TILL_SPEECH = re.compile(
    r"\b(frzn|refrg\w*|misc|pkgd?|sngl|srv|btl|prprd|w|flvrd|chix|xtra|prepack|prpck|includi\w*"
    r"|othe|sandwic|juic|unde|liquo|cooki)\b",
    re.IGNORECASE,
)


def _texts(worded: list[tuple[SourceProduct, Wording]]) -> Iterator[str]:
    seen = {wording.title for _, wording in worded}
    for _, wording in worded:
        seen.update(wording.category_path.split(LEVEL_SEPARATOR))
    yield from sorted(seen)


@needs_source
def test_no_text_shouts_or_looks_cut_off(worded: list[tuple[SourceProduct, Wording]]) -> None:
    untidy = [
        text
        for text in _texts(worded)
        if any(word not in SPOKEN_CAPITALS for word in re.findall(r"\b[A-Z]{2,}\b", text))
        or "  " in text
        or text != text.strip(" ,.&-/:")
        or text.count("(") != text.count(")")
        or not (text[0].isupper() or text[0].isdigit())
        or TILL_SPEECH.search(text)
    ]
    assert untidy == []


@needs_source
def test_every_category_of_the_source_has_a_place_in_the_shop(
    worded: list[tuple[SourceProduct, Wording]],
) -> None:
    assert {product.category for product, _ in worded} - {None} == set(CATEGORIES)
    assert all(wording.category_path for _, wording in worded)
    assert max(len(wording.category_path) for _, wording in worded) <= 400


@needs_source
def test_a_few_departments_hold_everything_that_is_shown(
    worded: list[tuple[SourceProduct, Wording]],
) -> None:
    shown = {
        wording.category_path.split(LEVEL_SEPARATOR)[0]
        for _, wording in worded
        if not wording.hidden
    }
    assert len(shown) <= 24
    assert shown.isdisjoint({"Services", "Tobacco", "Other"})
