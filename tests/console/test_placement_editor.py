"""Making, changing and pausing placements."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from django.test import Client

from catalog.models import AuditEntry, Member, Store
from recommender.models import Placement, StrategyVersion
from recommender.services.recipes import RECIPES
from recommender.services.recommend import recommend
from recommender.serving.request import PlacementRequest, RecommendationRequest
from recommender.serving.runtime import RUNTIMES
from tests.conftest import MemberClient
from tests.factories import make_product

BASE = "/console/corner/placements/"
SLUG = "product-similar"
EDIT = f"{BASE}{SLUG}/edit/"


@pytest.fixture
def client(store: Store, member_client: MemberClient) -> Client:
    return member_client(store)


def version_of(store: Store, key: str = SLUG) -> StrategyVersion:
    return StrategyVersion.objects.get(store=store, strategy__key=key)


def form(store: Store, **changes: Any) -> dict[str, Any]:
    """The fields as a browser sends them for the installed placement, unchanged."""
    return {
        "name": "Product: similar",
        "title": "Similar products",
        "page_type": "product",
        "strategy": str(version_of(store).pk),
        "n_products": "10",
        "n_minimum": "4",
        "below_minimum": "fill",
        "position": "0",
        "locale": ["", ""],
        "locale_title": ["", ""],
        "exclude_in_cart": "",
        "exclude_purchased": "",
        "exclude_viewed": "",
        **changes,
    }


def test_a_placement_is_made_live_with_everything_that_was_said(
    store: Store, client: Client
) -> None:
    answer = client.post(
        f"{BASE}new/",
        form(
            store,
            slug="home-hero",
            name="Home: hero",
            page_type="home",
            n_products="6",
            n_minimum="6",
            below_minimum="empty",
            position="2",
            locale=["de", "", "fr-CA"],
            locale_title=["Für dich", "", "Pour vous"],
            exclude_purchased="yes",
            exclude_in_cart="no",
        ),
        follow=True,
    )
    assert "“Home: hero” is live" in html.unescape(answer.content.decode())
    made = Placement.objects.get(store=store, slug="home-hero")
    assert (made.n_products, made.n_minimum, made.below_minimum, made.position) == (
        6,
        6,
        "empty",
        2,
    )
    assert made.title_by_locale == {"de": "Für dich", "fr-CA": "Pour vous"}
    assert made.exclude == {"purchased": True, "in_cart": False}
    assert not made.paused
    entry = AuditEntry.objects.get(store=store, action="placement.create")
    assert entry.after is not None
    assert (entry.subject_key, entry.after["name"]) == ("home-hero", "Home: hero")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("slug", ""),
        ("slug", "Home hero"),
        ("slug", "new"),
        ("slug", "-x"),
        ("slug", SLUG),
        ("slug", "x" * 81),
        ("name", ""),
        ("page_type", "moon"),
        ("n_products", "0"),
        ("n_products", "51"),
        ("n_products", "ten"),
        ("n_minimum", "11"),
        ("n_minimum", "-1"),
        ("below_minimum", "perhaps"),
        ("position", ""),
        ("position", "1001"),
        ("strategy", ""),
        ("strategy", "999999"),
    ],
)
def test_what_can_not_be_is_refused_and_what_was_typed_stays(
    store: Store, client: Client, field: str, value: str
) -> None:
    sent = form(store, **{"slug": "home-hero", "title": "Typed with care", field: value})
    answer = client.post(f"{BASE}new/", sent)
    assert answer.status_code == 422
    page = answer.content.decode()
    assert 'value="Typed with care"' in page
    assert 'aria-invalid="true"' in page or field == "below_minimum"
    assert Placement.objects.filter(store=store).count() == len(RECIPES)


@pytest.mark.parametrize(
    ("locale", "title"), [("german", "x"), ("de", ""), ("", "Ohne Sprache"), ("d/e", "x")]
)
def test_a_language_needs_a_code_and_a_title(
    store: Store, client: Client, locale: str, title: str
) -> None:
    answer = client.post(EDIT, form(store, locale=[locale], locale_title=[title]))
    assert answer.status_code == 422
    assert Placement.objects.get(store=store, slug=SLUG).title_by_locale == {}


def test_an_edit_is_written_down_with_before_and_after_and_serves_at_once(
    store: Store, client: Client
) -> None:
    make_product(store, "mug")
    RUNTIMES.refresh()
    client.post(EDIT, form(store, title="More like this", n_minimum="2"))
    entry = AuditEntry.objects.get(store=store, action="placement.edit")
    assert entry.before == {"title": "Similar products", "n_minimum": 4}
    assert entry.after == {"title": "More like this", "n_minimum": 2}
    RUNTIMES.refresh()
    page = recommend(
        store_id=store.pk,
        request=RecommendationRequest(),
        placements=[PlacementRequest(slug=SLUG)],
    )
    assert page.recommendations[0].title == "More like this"


def test_saving_what_is_there_changes_nothing(store: Store, client: Client) -> None:
    shown = client.get(EDIT).content.decode()
    assert 'name="slug"' not in shown
    answer = client.post(EDIT, form(store, slug="another"), follow=True)
    assert "Nothing was different." in answer.content.decode()
    assert not AuditEntry.objects.filter(store=store, action="placement.edit").exists()
    assert Placement.objects.filter(store=store, slug=SLUG).exists()


def test_another_strategy_can_be_chosen_but_only_one_of_the_store(
    store: Store, other_store: Store, client: Client
) -> None:
    other = version_of(store, "home-trending")
    client.post(EDIT, form(store, strategy=str(other.pk)))
    assert Placement.objects.get(store=store, slug=SLUG).strategy_version == other
    theirs = version_of(other_store)
    assert client.post(EDIT, form(store, strategy=str(theirs.pk))).status_code == 422
    assert Placement.objects.get(store=store, slug=SLUG).strategy_version == other


def test_an_older_version_that_is_shown_can_be_kept(store: Store, client: Client) -> None:
    shown = version_of(store)
    newer = StrategyVersion.objects.create(
        strategy=shown.strategy, store=store, number=2, document=shown.document, digest="x"
    )
    page = client.get(EDIT).content.decode()
    assert f'<option value="{shown.pk}" selected>Product: similar, version 1 (shown now)' in page
    assert f'<option value="{newer.pk}">Product: similar, version 2' in page


def test_the_page_says_what_the_placement_leaves_out_not_only_its_strategy(
    store: Store, client: Client
) -> None:
    assert "what the shopper bought before" not in client.get(f"{BASE}{SLUG}/").content.decode()
    client.post(EDIT, form(store, exclude_purchased="yes"))
    assert "what the shopper bought before" in client.get(f"{BASE}{SLUG}/").content.decode()


def test_a_paused_placement_can_be_resumed_and_both_are_written_down(
    store: Store, client: Client
) -> None:
    for verb, paused in (("pause", True), ("pause", True), ("resume", False)):
        client.post(f"{BASE}{SLUG}/{verb}/")
        assert Placement.objects.get(store=store, slug=SLUG).paused == paused
    actions = AuditEntry.objects.filter(store=store, action__startswith="placement")
    assert list(actions.order_by("pk").values_list("action", flat=True)) == [
        "placement.pause",
        "placement.resume",
    ]


def test_every_way_to_call_it_can_be_copied(
    store: Store, client: Client, publishable_key: str
) -> None:
    page = html.unescape(client.get(f"{BASE}{SLUG}/").content.decode())
    for code in (
        f'<vitrine-recommendations placement="{SLUG}" limit="10" product-id="1029743">',
        f"/v1/placements/{SLUG}/fragment?shopper_id=shopper-1&product_id=1029743&limit=10'",
        f"/v1/placements/{SLUG}/recommendations?shopper_id=shopper-1",
        f'"placements": [{{"slug": "{SLUG}", "limit": 10}}]',
    ):
        assert code in page
    assert page.count(f"Authorization: Bearer {publishable_key}") == 3
    assert not re.search(r"[?&]key=pk_", page)


@pytest.mark.parametrize("role", [Member.Role.MARKETER, Member.Role.VIEWER])
def test_who_may_only_look_changes_nothing(
    store: Store, member_client: MemberClient, role: str
) -> None:
    looking = member_client(store, role)
    page = looking.get(f"{BASE}{SLUG}/").content.decode()
    assert "Pause" not in page
    assert "/edit/" not in page
    assert looking.get(EDIT).status_code == 403
    assert looking.post(EDIT, form(store, title="Mine")).status_code == 403
    assert looking.get(f"{BASE}new/").status_code == 403
    assert looking.post(f"{BASE}new/", form(store, slug="mine")).status_code == 403
    assert looking.post(f"{BASE}{SLUG}/pause/").status_code == 403
    found = Placement.objects.get(store=store, slug=SLUG)
    assert (found.title, found.paused) == ("Similar products", False)


def test_the_neighbours_placement_is_not_found(
    store: Store, other_store: Store, client: Client
) -> None:
    Placement.objects.filter(store=other_store, slug=SLUG).update(slug="theirs")
    for path in ("", "edit/"):
        assert client.get(f"{BASE}theirs/{path}").status_code == 404
        assert client.get(f"/console/other/placements/theirs/{path}").status_code == 404
    assert client.post(f"{BASE}theirs/edit/", form(store)).status_code == 404
    assert client.post(f"{BASE}theirs/pause/").status_code == 404
    assert not Placement.objects.get(store=other_store, slug="theirs").paused
