"""The pages about shoppers: find one, see what is known, link and unlink."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from catalog.models import EventType, Member, Shopper, ShopperLink
from catalog.selectors.shopper_list import PER_PAGE
from recommender.models import Impression
from recommender.services.impression_log import IMPRESSIONS
from recommender.stores.session_state import session_read
from tests.conftest import MemberClient
from tests.console.conftest import Shop
from tests.factories import make_event, make_shopper


@pytest.fixture
def merchant(shop: Shop, member_client: MemberClient) -> Client:
    return member_client(shop.store, Member.Role.MERCHANT)


def base(shop: Shop) -> str:
    return f"/console/{shop.store.slug}/shoppers/"


def detail(shop: Shop, shopper: Shopper) -> str:
    return f"{base(shop)}{shopper.pk}/"


def test_the_list_has_who_was_seen_last_first_and_pages(shop: Shop, merchant: Client) -> None:
    now = timezone.now()
    for number in range(PER_PAGE):
        made = make_shopper(shop.store, f"visitor-{number:03}")
        Shopper.objects.filter(pk=made.pk).update(last_seen_at=now - timedelta(minutes=number))
    first = merchant.get(base(shop)).content.decode()
    assert first.index("visitor-000") < first.index("visitor-001") < first.index("visitor-049")
    assert "corner-shopper-0" not in first
    second = merchant.get(base(shop), {"page": 2}).content.decode()
    assert "corner-shopper-0" in second
    assert "visitor-049" not in second
    assert 'rel="next"' not in second


def test_the_list_says_who_is_whom(shop: Shop, merchant: Client) -> None:
    page = merchant.get(base(shop)).content.decode()
    assert "1 linked" in page
    assert f'href="{detail(shop, shop.shoppers[2])}"' in page


def test_a_search_finds_a_part_and_the_very_id_first(shop: Shop, merchant: Client) -> None:
    make_shopper(shop.store, "shopper-1")
    page = merchant.get(
        base(shop), {"q": "shopper-1"}, headers={"HX-Request": "true"}
    ).content.decode()
    assert "<html" not in page
    assert page.index(">shopper-1<") < page.index(">corner-shopper-1<")
    assert "corner-shopper-2<" not in page.replace(">corner-shopper-2</a></td>", "")
    assert "No shopper fits" in merchant.get(base(shop), {"q": "nobody"}).content.decode()


@pytest.mark.parametrize("page", ["0x1", "-1", "x", "9999999"])
def test_a_page_that_is_no_number_is_not_found(shop: Shop, merchant: Client, page: str) -> None:
    assert merchant.get(base(shop), {"page": page}).status_code == 404


def test_the_page_of_a_shopper_says_what_is_known_and_what_they_would_see(
    shop: Shop, merchant: Client
) -> None:
    shopper = shop.shoppers[0]
    make_event(shop.store, shopper, shop.products[4], type=EventType.ADD_TO_CART, at=timezone.now())
    make_event(shop.store, shopper, shop.products[5], type=EventType.HIDE_ITEM, at=timezone.now())
    delivered, logged = Impression.objects.count(), len(IMPRESSIONS)
    answer = merchant.get(detail(shop, shopper))
    page = answer.content.decode()
    shelves = {shelf.title: [p.pk for p in shelf.products] for shelf in answer.context["shelves"]}
    assert shelves["Looked at lately"] == [shop.products[0].pk]
    assert shelves["In the cart"] == [shop.products[4].pk]
    assert shelves["Hidden"] == [shop.products[5].pk]
    assert "4 orders of 3 products" in page
    assert "Searched for “teapot”" in page
    shown = {row.answer.slug: row for row in answer.context["rows"]}
    beside = shown["product-bought-together"]
    assert beside.answer.page == "product"
    assert shop.products[1].pk in beside.answer.product_ids
    assert all(shop.products[5].pk not in row.answer.product_ids for row in shown.values())
    assert (Impression.objects.count(), len(IMPRESSIONS)) == (delivered, logged)


def test_a_merchant_links_a_shopper_and_undoes_it(shop: Shop, merchant: Client) -> None:
    guest, anna = shop.shoppers[0], make_shopper(shop.store, "anna")
    page = merchant.post(
        f"{detail(shop, guest)}link/", {"customer_id": " anna "}, follow=True
    ).content.decode()
    assert "corner-shopper-0 is anna from now on" in page
    link = ShopperLink.objects.get(shopper=guest)
    assert (link.customer, link.linked_by, link.undone_at) == (anna, "member", None)
    assert link.member is not None
    read = session_read(shop.store.pk, "anna")
    assert (read.person, len(read.product_ids) > 0) == ("anna", True)
    back = merchant.post(f"{detail(shop, guest)}unlink/", {"back": str(anna.pk)})
    assert back.headers["Location"] == detail(shop, anna)
    link.refresh_from_db()
    assert link.undone_at is not None
    assert link.undone_by == link.member
    assert session_read(shop.store.pk, "anna").product_ids.tolist() == []
    assert "1 link undone" in merchant.get(detail(shop, anna)).content.decode()


def test_a_link_that_cannot_be_is_told_and_what_was_typed_stays(
    shop: Shop, merchant: Client
) -> None:
    guest = shop.shoppers[2]
    answer = merchant.post(f"{detail(shop, guest)}link/", {"customer_id": "corner-shopper-1"})
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "itself linked" in page
    assert 'value="corner-shopper-1"' in page
    assert ShopperLink.objects.filter(store=shop.store).count() == 1


def test_the_way_back_leads_to_no_shopper_of_another_store(
    shop: Shop, other_shop: Shop, merchant: Client
) -> None:
    guest = shop.shoppers[1]
    back = merchant.post(f"{detail(shop, guest)}unlink/", {"back": str(other_shop.shoppers[0].pk)})
    assert back.headers["Location"] == detail(shop, guest)


@pytest.mark.parametrize("role", [Member.Role.VIEWER, Member.Role.MARKETER])
def test_whoever_only_looks_sees_the_person_and_no_form(
    shop: Shop, member_client: MemberClient, role: str
) -> None:
    page = member_client(shop.store, role).get(detail(shop, shop.shoppers[1])).content.decode()
    assert "corner-shopper-2" in page
    assert "/unlink/" not in page
    assert 'name="customer_id"' not in page
