"""A placement as HTML, and the order in which the placements of a page choose."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client

from catalog.models import Store
from recommender.models import Impression, Placement
from recommender.services.impression_log import IMPRESSIONS
from recommender.services.strategies import settings_touch, strategy_version_create
from recommender.serving.runtime import RUNTIMES
from tests.factories import make_product

PATH = "/v1/placements/home-trending/fragment"
NEWEST = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def headers(store: Store, publishable_key: str) -> dict[str, str]:
    """Two placements of new arrivals: mug-0 is the newest."""
    for number in range(6):
        make_product(
            store,
            f"mug-{number}",
            title=f"Mug {number}",
            url=f"https://shop.example/mugs/{number}?a=1&b=2",
            published_at=NEWEST - timedelta(days=number),
        )
    for slug in ("home-trending", "home-for-you"):
        placement = Placement.objects.get(store=store, slug=slug)
        placement.strategy_version = strategy_version_create(
            strategy=placement.strategy_version.strategy,
            document={
                "sources": [{"source": "new_arrivals", "weight": 1}],
                "diversity": 0,
                "fallback": [],
            },
        )
        placement.save()
    settings_touch(store_id=store.pk)
    RUNTIMES.refresh()
    return {"Authorization": f"Bearer {publishable_key}"}


def change(store: Store, slug: str, **fields: object) -> None:
    Placement.objects.filter(store=store, slug=slug).update(**fields)
    settings_touch(store_id=store.pk)
    RUNTIMES.refresh()


def test_a_fragment_is_a_heading_and_a_list_of_links(
    client: Client, headers: dict[str, str]
) -> None:
    answer = client.get(f"{PATH}?limit=2", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-store"
    page = answer.content.decode()
    assert 'aria-labelledby="vitrine-home-trending"' in page
    assert '<h2 class="vitrine__title" id="vitrine-home-trending">Trending now</h2>' in page
    assert page.count("<li") == 2
    assert 'href="https://shop.example/mugs/0?a=1&amp;b=2"' in page
    assert "$2.50" in page
    assert "<script" not in page
    assert "style=" not in page


def test_what_a_catalog_says_can_not_become_markup_or_a_script(
    client: Client, store: Store, headers: dict[str, str]
) -> None:
    for number, url in enumerate(
        ("javascript:alert(1)", " JaVa\tScript:alert(1)", "data:text/html,x", "//[x", "/own")
    ):
        make_product(
            store,
            f"bad-{number}",
            title='<img src=x onerror="alert(1)">',
            url=url,
            image_url=url,
            published_at=NEWEST + timedelta(days=1),
        )
    RUNTIMES.clear()
    page = client.get(f"{PATH}?limit=50", headers=headers).content.decode()
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror=&quot;alert(1)&quot;&gt;" in page
    assert "javascript" not in page.lower().replace("\t", "")
    assert "data:text" not in page
    assert 'href="/own"' in page
    assert page.count("<li") == 11


def test_a_reduced_price_says_what_it_was(
    client: Client, store: Store, headers: dict[str, str]
) -> None:
    make_product(store, "sale", list_price_minor=500, published_at=NEWEST + timedelta(days=1))
    RUNTIMES.clear()
    page = client.get(f"{PATH}?limit=1", headers=headers).content.decode()
    assert '<ins>$2.50</ins> <del><span class="vitrine__was">before</span> $5.00</del>' in page


def test_nothing_to_show_is_no_empty_box(
    client: Client, store: Store, headers: dict[str, str]
) -> None:
    change(store, "home-trending", paused=True)
    answer = client.get(PATH, headers=headers)
    assert (answer.status_code, answer.content) == (200, b"")


def test_a_fragment_needs_a_key_in_the_header_and_a_placement_of_its_store(
    client: Client, headers: dict[str, str], publishable_key: str, other_store: Store
) -> None:
    assert client.get(PATH).status_code == 401
    assert client.get(f"{PATH}?key={publishable_key}").status_code == 400
    assert client.post(PATH, headers=headers).status_code == 405
    Placement.objects.filter(store=other_store, slug="home-trending").update(slug="theirs")
    RUNTIMES.clear()
    theirs = client.get("/v1/placements/theirs/fragment", headers=headers)
    assert theirs.status_code == 404
    assert theirs.json()["error"]["code"] == "not_found"


def test_a_fragment_is_an_impression_like_any_other(
    client: Client, store: Store, headers: dict[str, str]
) -> None:
    client.get(f"{PATH}?limit=3", headers=headers)
    IMPRESSIONS.flush()
    assert len(Impression.objects.get(store=store).product_ids) == 3


def test_the_title_follows_the_language_then_its_family_then_the_default(
    client: Client, store: Store, headers: dict[str, str]
) -> None:
    change(store, "home-trending", title_by_locale={"de": "Beliebt", "de_AT": "Leiwand"})
    for locale, title in (
        ("de-AT", "Leiwand"),
        ("de_at", "Leiwand"),
        ("de-CH", "Beliebt"),
        ("DE", "Beliebt"),
        ("fr", "Trending now"),
        ("", "Trending now"),
    ):
        page = client.get(f"{PATH}?locale={locale}", headers=headers).content.decode()
        assert f">{title}</h2>" in page, locale


def page_of(client: Client, headers: dict[str, str], **body: object) -> list[list[str]]:
    answer = client.post(
        "/v1/recommendations",
        {
            "placements": [
                {"slug": "home-trending", "limit": 2},
                {"slug": "home-for-you", "limit": 2},
            ],
            **body,
        },
        content_type="application/json",
        headers=headers,
    )
    assert answer.status_code == 200, answer.content
    found = answer.json()["recommendations"]
    assert [each["placement"] for each in found] == ["home-trending", "home-for-you"]
    return [[item["product_id"] for item in each["items"]] for each in found]


def test_placements_choose_in_the_order_given_unless_asked_otherwise(
    client: Client, store: Store, headers: dict[str, str]
) -> None:
    change(store, "home-trending", position=2)
    change(store, "home-for-you", position=1)
    given = [["mug-0", "mug-1"], ["mug-2", "mug-3"]]
    assert page_of(client, headers) == given
    assert page_of(client, headers, order="given") == given
    assert page_of(client, headers, order="position") == given[::-1]
    change(store, "home-for-you", position=2)
    assert page_of(client, headers, order="position") == given


def test_an_order_that_does_not_exist_is_refused(client: Client, headers: dict[str, str]) -> None:
    answer = client.post(
        "/v1/recommendations",
        {"placements": [{"slug": "home-trending"}], "order": "random"},
        content_type="application/json",
        headers=headers,
    )
    assert answer.status_code == 400
    assert list(answer.json()["error"]["fields"]) == ["order"]


def test_below_the_minimum_a_placement_may_show_nothing(
    client: Client, store: Store, headers: dict[str, str]
) -> None:
    path = "/v1/placements/home-trending/recommendations?limit=10"
    change(store, "home-trending", n_minimum=7)
    assert len(client.get(path, headers=headers).json()["items"]) == 6
    change(store, "home-trending", below_minimum="empty")
    answer = client.get(path, headers=headers).json()
    assert (answer["items"], answer["fallback"]) == ([], None)
    assert answer["reason"] == "too_few_candidates"
    change(store, "home-trending", n_minimum=6)
    assert len(client.get(path, headers=headers).json()["items"]) == 6
