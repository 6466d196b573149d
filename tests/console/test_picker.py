"""Pickers: what is suggested, what chips say of what was chosen, and nothing of another store."""

from __future__ import annotations

from html import unescape

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from catalog.models import Member, Product, Store
from recommender.serving.runtime import RUNTIMES
from tests.conftest import MemberClient
from tests.factories import make_product

BASE = "/console/corner/pick"


@pytest.fixture
def client(store: Store, member_client: MemberClient) -> Client:
    make_product(store, "tea-1", title="Green tea", brand="Uji", category_path="Drinks > Tea",
                 tags=["New"], attributes={"colour": "green", "gtin": "123"})  # fmt: skip
    make_product(store, "tea-2", title="Tea of the house", brand="House", price_minor=1250,
                 category_path="Drinks > Tea", member_tags=["gift"],
                 attributes={"colour": ["black", "red"]})  # fmt: skip
    make_product(store, "mug", title="Blue mug", brand="House", category_path="Kitchen > Mugs")
    make_product(store, "pot", title="Teapot", brand="Oldware", category_path="Kitchen",
                 hidden=True, tags=["old"])  # fmt: skip
    return member_client(store, Member.Role.VIEWER)


def options(client: Client, kind: str, typed: str = "") -> list[str]:
    """Values in order, with a question mark behind what stands there as typed."""
    answer = client.get(f"{BASE}/{kind}/", {"q": typed})
    assert answer.status_code == 200
    assert "<html" not in answer.content.decode()
    return [each.value + "?" * each.is_typed for each in answer.context["options"]]


def chips(client: Client, kind: str, text: str) -> dict[str, str]:
    """The problem of each value."""
    answer = client.post(f"{BASE}/{kind}/chosen/?field=chosen", {"chosen": text, "other": "x"})
    assert answer.status_code == 200
    return {each.value: each.problem for each in answer.context["chips"]}


def test_products_are_found_by_words_of_their_title_and_by_their_id(client: Client) -> None:
    assert options(client, "product", "tea") == ["tea-2", "pot", "tea-1", "tea?"]
    assert options(client, "product", "gre te") == ["tea-1", "gre te?"]
    assert options(client, "product", "mug") == ["mug"]
    assert options(client, "product", "house mu") == ["mug", "house mu?"]
    page = client.get(f"{BASE}/product/", {"q": "tea"}).content.decode()
    assert "tea-2 · House · $12.50" in page
    assert "pot · Oldware · $2.50 · hidden" in page
    assert "No product has this id" in page


def test_nothing_typed_offers_the_newest_and_the_most_frequent(client: Client) -> None:
    Product.objects.filter(external_id="mug").update(updated_at=timezone.now())
    assert options(client, "product")[0] == "mug"
    assert options(client, "brand") == ["House", "Uji"]
    assert options(client, "category")[:2] == ["Drinks", "Drinks > Tea"]


def test_brands_categories_tags_and_attributes_are_found_inside_and_in_any_case(
    client: Client,
) -> None:
    assert options(client, "brand", "JI") == ["Uji", "JI?"]
    assert options(client, "brand", "House") == ["House"]
    # What can't be recommended isn't offered, but may be typed.
    assert options(client, "brand", "Oldware") == ["Oldware?"]
    assert options(client, "category", "tea drinks") == ["Drinks > Tea", "tea drinks?"]
    assert options(client, "category", "drinks") == ["Drinks", "Drinks > Tea", "drinks?"]
    assert options(client, "tag", "gi") == ["gift", "gi?"]
    assert options(client, "tag") == ["gift", "new"]
    assert options(client, "attribute", "colour") == [
        "colour: black",
        "colour: green",
        "colour: red",
    ]
    # An attribute that isn't written as one can't be taken; identifiers are none.
    assert options(client, "attribute", "gtin") == []
    assert options(client, "attribute", "gtin: 1") == ["gtin: 1?"]


def test_what_the_catalog_does_not_have_is_pointed_out(client: Client) -> None:
    Product.objects.filter(external_id="mug").update(deleted_at=timezone.now())
    assert chips(client, "product", "tea-1, gone\nmug; tea-1") == {
        "tea-1": "",
        "gone": "No product has this id",
        "mug": "Deleted from the catalog",
    }
    assert chips(client, "brand", "Uji\nuji\nOldware") == {
        "Uji": "",
        "uji": "No product is of this brand",
        "Oldware": "None of its products can be recommended now",
    }
    # A name may hold a comma.
    assert chips(client, "category", "Drinks\nDrinks, Tea") == {
        "Drinks": "",
        "Drinks, Tea": "No product is in this category",
    }
    assert chips(client, "tag", "NEW\ngift\nlost") == {
        "NEW": "",
        "gift": "",
        "lost": "No product has this tag",
    }
    assert chips(client, "attribute", "Colour: red, pink\ncolour: pink\ncolour") == {
        "Colour: red, pink": "",
        "colour: pink": "No product has this attribute",
        "colour": "Written as colour: red",
    }


def test_what_is_typed_is_never_markup(client: Client) -> None:
    sent = "<b>\"&'x"
    page = client.get(f"{BASE}/brand/", {"q": sent}).content.decode()
    assert "<b>" not in page
    assert sent in unescape(page)
    page = client.post(f"{BASE}/tag/chosen/?field=f", {"f": sent}).content.decode()
    assert "<b>" not in page
    assert sent in unescape(page)
    assert options(client, "product", "a\x00b\x00 \x00") == ["ab?"]


def test_there_is_nothing_of_another_store(
    client: Client, other_store: Store, member_client: MemberClient
) -> None:
    make_product(other_store, "secret", title="Secret tea", brand="Secret", tags=["secret"],
                 category_path="Secret", attributes={"colour": "secret"})  # fmt: skip
    for kind in ("product", "brand", "category", "tag", "attribute"):
        assert not [each for each in options(client, kind, "secret") if not each.endswith("?")]
        for address in (f"{kind}/", f"{kind}/chosen/"):
            theirs = f"/console/other/pick/{address}"
            assert client.get(theirs).status_code in (404, 405)
            assert client.post(theirs, {"f": "secret"}).status_code in (404, 405)
    assert chips(client, "product", "secret") == {"secret": "No product has this id"}
    assert client.get(f"{BASE}/shopper/").status_code == 404
    assert client.post(f"{BASE}/shopper/chosen/").status_code == 404


def test_suggestions_are_few_and_cost_two_queries(
    store: Store, client: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(40):
        make_product(store, f"cup-{number}", title=f"Cup {number}", brand=f"Brand {number}",
                     tags=[f"tag {number}"])  # fmt: skip
    RUNTIMES.refresh()
    signed_in = 3
    for kind, typed in (("product", "cup"), ("brand", "brand"), ("tag", "tag")):
        with django_assert_max_num_queries(signed_in + 2 * (kind == "product")):
            assert len(options(client, kind, typed)) == 13
    with django_assert_max_num_queries(signed_in + 1):
        assert len(chips(client, "product", "\n".join(f"cup-{n}" for n in range(40)))) == 40
