"""Strategies: the editor, versions in words, the way back, and who may."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from django.http import QueryDict
from django.test import Client

from catalog.models import AuditEntry, Member, Store
from recommender.console.strategy_form import (
    StrategyFormRefused,
    form_of_document,
    strategy_document_from_form,
)
from recommender.models import Placement, Strategy, StrategyVersion
from recommender.services.recipes import MORE_RECIPES, RECIPES
from recommender.serving.strategy import strategy_parse
from tests.conftest import MemberClient
from tests.console.pages import words_of

BASE = "/console/corner/strategies/"
KEY = "product-bought-together"
PAGE = f"{BASE}{KEY}/"
EDIT = f"{PAGE}edit/"


@pytest.fixture
def client(store: Store, member_client: MemberClient) -> Client:
    return member_client(store)


def form(**changes: Any) -> dict[str, Any]:
    """The fields of the editor as a browser sends them."""
    return {
        "base": "1",
        "source-bought_together": "50",
        "source-also_viewed": "50",
        "diversity": "20",
        "category": "other",
        "max_per_category": "2",
        "exclude_in_cart": "on",
        "fallback": ["similar_content", "bestsellers", "", ""],
        "placements": [KEY],
        **changes,
    }


def query(**fields: str | list[str]) -> QueryDict:
    made = QueryDict(mutable=True)
    for name, value in fields.items():
        made.setlist(name, value if isinstance(value, list) else [value])
    return made


def placement(store: Store) -> Placement:
    return Placement.objects.select_related("strategy_version").get(store=store, slug=KEY)


# ------------------------------------------------------------------ the form


def test_shares_that_do_not_sum_to_a_hundred_are_brought_to_it() -> None:
    document = strategy_document_from_form(
        query(**{"source-trending": "30", "source-for_you": "10 %", "source-bestsellers": "0"})
    )
    assert document["sources"] == [
        {"source": "for_you", "weight": 0.25},
        {"source": "trending", "weight": 0.75},
    ]


@pytest.mark.parametrize("recipe", [*RECIPES, *MORE_RECIPES], ids=lambda recipe: recipe.slug)
def test_every_recipe_comes_back_from_the_editor_as_it_went_in(recipe: Any) -> None:
    shown = form_of_document(recipe.document)
    sent = query(fallback=shown.fallback, **shown.values)
    for source in shown.sources:
        sent[source.field] = source.text
    before, after = recipe.document, strategy_parse(strategy_document_from_form(sent))
    assert {each.source: each.weight for each in after.sources} == pytest.approx(
        {each.source: each.weight for each in before.sources}
    )
    for name in before.__struct_fields__[1:]:
        assert getattr(after, name) == getattr(before, name), name


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({}, "sources"),
        ({"source-trending": "0"}, "sources"),
        ({"source-trending": "many"}, "source-trending"),
        ({"source-trending": "101"}, "source-trending"),
        ({"source-trending": "nan"}, "source-trending"),
        ({"source-trending": "1", "diversity": "101"}, "diversity"),
        ({"source-trending": "1", "exploration": "31"}, "exploration"),
        ({"source-trending": "1", "max_per_brand": "1.5"}, "max_per_brand"),
        ({"source-trending": "1", "category": "none"}, "category"),
        ({"source-trending": "1", "fallback": "for_you"}, "fallback"),
        (
            {"source-trending": "1", "price_band": "down", "price_percent": "101"},
            "price_percent",
        ),
        ({"source-handpicked": "1"}, "handpicked"),
        ({"source-trending": "1", "handpicked": "x" * 129}, "handpicked"),
        ({"source-trending": "1", "handpicked": ",".join(map(str, range(101)))}, "handpicked"),
    ],
)
def test_what_can_not_be_is_named_by_its_field(fields: dict[str, str], named: str) -> None:
    with pytest.raises(StrategyFormRefused) as refused:
        strategy_document_from_form(query(**fields))
    assert list(refused.value.fields) == [named]


def test_handpicked_ids_may_be_pasted_by_lines_or_commas() -> None:
    document = strategy_document_from_form(
        query(**{"source-handpicked": "1", "handpicked": "b\r\na, b;c\n\n"})
    )
    assert document["handpicked"] == ["b", "a", "c"]


# ------------------------------------------------------------------ pages


def test_the_list_says_where_each_strategy_is_used_and_when_it_changed(client: Client) -> None:
    text = words_of(client, BASE)
    assert "Product: bought together Version 1" in text
    assert "Shown in Product: bought together Last change" in text


def test_a_store_without_strategies_is_told_what_to_do_next(store: Store, client: Client) -> None:
    Placement.objects.filter(store=store).delete()
    Strategy.objects.filter(store=store).delete()
    assert "There is no strategy yet" in words_of(client, BASE)
    assert "Choose a recipe" in words_of(client, BASE)


def test_the_gallery_offers_every_recipe_and_each_opens_an_editor(client: Client) -> None:
    text = words_of(client, f"{BASE}new/")
    for recipe in (*RECIPES, *MORE_RECIPES):
        assert recipe.name in text
        page = client.get(f"{BASE}new/{recipe.slug}/").content.decode()
        assert f'value="{html.escape(recipe.name)}"' in page
    assert client.get(f"{BASE}new/blank/").status_code == 200
    assert client.get(f"{BASE}new/nowhere/").status_code == 404


def test_a_recipe_is_tried_on_a_placement_of_its_pages(store: Store, client: Client) -> None:
    of_carts = Placement.objects.filter(store=store, page_type="cart").order_by("name")
    first = of_carts[0].slug
    page = client.get(f"{BASE}new/automatic-cart/").content.decode()
    assert set(re.findall(r"placement=([\w-]*)\"", page)) == {first}
    of_carts.delete()
    page = client.get(f"{BASE}new/automatic-cart/").content.decode()
    assert set(re.findall(r"placement=([\w-]*)\"", page)) == {""}


def test_a_recipe_becomes_a_strategy_with_its_first_version(store: Store, client: Client) -> None:
    sent = form(name="More for less", description="Autumn")
    answer = client.post(f"{BASE}new/product-up-sell/", sent)
    made = Strategy.objects.get(store=store, key="more-for-less")
    assert answer.headers["Location"] == f"{BASE}more-for-less/"
    version = made.versions.get()
    assert (version.number, version.note) == (1, "Started from “Product: up-sell”")
    assert version.author is not None
    entry = AuditEntry.objects.get(store=store, action="strategy.create")
    assert (entry.subject, entry.subject_key) == ("More for less", "more-for-less")


@pytest.mark.parametrize("name", ["", "x" * 121, "PRODUCT: bought together"])
def test_a_name_that_is_missing_or_taken_is_refused_and_nothing_is_lost(
    store: Store, client: Client, name: str
) -> None:
    sent = form(name=name, description="Keep me", note="and me")
    answer = client.post(f"{BASE}new/blank/", sent)
    assert answer.status_code == 422
    page = answer.content.decode()
    assert 'value="Keep me"' in page
    assert 'value="and me"' in page
    assert 'id="error-name"' in page
    assert Strategy.objects.filter(store=store).count() == len(RECIPES)


def test_a_strategy_called_new_does_not_take_the_gallerys_address(
    store: Store, client: Client
) -> None:
    client.post(f"{BASE}new/blank/", form(name="New"))
    assert Strategy.objects.get(store=store, name="New").key == "new-2"


def test_saving_makes_a_version_and_the_placement_shows_it(store: Store, client: Client) -> None:
    before = StrategyVersion.objects.get(strategy__key=KEY, store=store)
    settings_version = store.settings_version
    answer = client.post(EDIT, form(note="More looks"), follow=True)
    text = html.unescape(answer.content.decode())
    assert "Version 2 is saved. Product: bought together shows it within a second." in text
    version = placement(store).strategy_version
    assert (version.number, version.note) == (2, "More looks")
    before.refresh_from_db()
    assert before.document["sources"][0]["weight"] == 0.8
    store.refresh_from_db()
    assert store.settings_version > settings_version
    entry = AuditEntry.objects.get(store=store, action="strategy.edit")
    assert entry.after is not None
    assert entry.after["changes"] == [
        "Bought together 80 % → 50 %",
        "Also viewed 20 % → 50 %",
    ]
    assert entry.after["placements"] == [KEY]


def test_a_version_can_be_saved_without_showing_it(store: Store, client: Client) -> None:
    answer = client.post(EDIT, form(placements=[]), follow=True)
    assert "No placement shows it yet." in answer.content.decode()
    assert placement(store).strategy_version.number == 1
    assert "not the newest" in words_of(client, PAGE)


def test_a_placement_of_another_strategy_is_not_moved(store: Store, client: Client) -> None:
    client.post(EDIT, form(placements=["home-trending", KEY]))
    other = Placement.objects.get(store=store, slug="home-trending")
    assert other.strategy_version.strategy.key == "home-trending"


def test_saving_the_same_again_makes_no_version(store: Store, client: Client) -> None:
    same = form(**{"source-bought_together": "80", "source-also_viewed": "20"})
    answer = client.post(EDIT, same, follow=True)
    assert "no new version" in answer.content.decode()
    assert StrategyVersion.objects.filter(strategy__key=KEY, store=store).count() == 1
    assert not AuditEntry.objects.filter(store=store, action__startswith="strategy").exists()


def test_wrong_numbers_are_refused_with_everything_that_was_typed(
    store: Store, client: Client
) -> None:
    answer = client.post(EDIT, form(diversity="1000", note="keep me"))
    assert answer.status_code == 422
    page = answer.content.decode()
    assert 'value="1000"' in page
    assert 'value="keep me"' in page
    assert "A number from 0 to 100." in page
    assert StrategyVersion.objects.filter(strategy__key=KEY, store=store).count() == 1


def test_a_stale_editor_is_told_what_changed_and_overwrites_nothing(
    store: Store, client: Client
) -> None:
    client.post(EDIT, form(note="First"))
    late = form(**{"source-bought_together": "10", "source-also_viewed": "90"})
    answer = client.post(EDIT, late)
    assert answer.status_code == 409
    text = html.unescape(answer.content.decode())
    assert "version 2 was saved meanwhile" in text
    assert "Bought together 80 % → 50 %" in text
    assert 'value="90"' in text
    assert placement(store).strategy_version.number == 2
    # The page's own form now says that its member has seen version 2.
    assert '<input type="hidden" name="base" value="2">' in text
    client.post(EDIT, {**late, "base": "2"})
    assert placement(store).strategy_version.number == 3


def test_two_versions_are_compared_in_words(client: Client) -> None:
    client.post(EDIT, form(prefer="fresh", exploration="5"))
    text = words_of(client, f"{PAGE}?from=1&to=2")
    assert "Version 1 → version 2 Close Bought together 80 % → 50 %" in text
    assert "Preference: none → new products, strength 30 %" in text
    assert "Places given to chance: 0 % → 5 %" in text
    assert "Also viewed 50 % → 20 %" in words_of(client, f"{PAGE}?from=2&to=1")
    assert "Close" not in words_of(client, f"{PAGE}?from=1&to=x")


def test_going_back_makes_a_new_version_of_the_old_document(store: Store, client: Client) -> None:
    client.post(EDIT, form())
    client.post(f"{PAGE}restore/", {"number": "1"})
    version = placement(store).strategy_version
    first = StrategyVersion.objects.get(store=store, strategy__key=KEY, number=1)
    assert (version.number, version.note) == (3, "Back to version 1")
    assert (version.document, version.digest) == (first.document, first.digest)
    entry = AuditEntry.objects.get(store=store, action="strategy.restore")
    assert entry.after is not None
    assert entry.after["changes"] == ["Bought together 50 % → 80 %", "Also viewed 50 % → 20 %"]


def test_a_version_that_never_was_can_not_be_restored(store: Store, client: Client) -> None:
    for number in ("9", "", "-1", "x"):
        assert client.post(f"{PAGE}restore/", {"number": number}).status_code == 404
    assert placement(store).strategy_version.number == 1


def test_a_name_changes_and_the_key_stays(store: Store, client: Client) -> None:
    client.post(f"{PAGE}name/", {"name": "Goes with it", "description": "x"})
    assert Strategy.objects.get(store=store, key=KEY).name == "Goes with it"
    client.post(f"{PAGE}name/", {"name": "Home: trending"})
    assert Strategy.objects.get(store=store, key=KEY).name == "Goes with it"
    assert AuditEntry.objects.filter(store=store, action="strategy.rename").count() == 1


def test_a_document_that_nobody_can_read_any_more_breaks_no_page(
    store: Store, client: Client
) -> None:
    client.post(EDIT, form())
    StrategyVersion.objects.filter(store=store, strategy__key=KEY, number=2).update(
        document={"sources": [], "written_by": "a version of long ago"}
    )
    for address in (BASE, PAGE, EDIT, f"{PAGE}?from=1&to=2"):
        assert "can't be read" in words_of(client, address)
    client.post(f"{PAGE}restore/", {"number": "1"})
    assert placement(store).strategy_version.number == 3


# ------------------------------------------------------------------ who may


@pytest.mark.parametrize("role", [Member.Role.MARKETER, Member.Role.VIEWER])
def test_who_may_only_look_reads_everything_and_changes_nothing(
    store: Store, member_client: MemberClient, role: str
) -> None:
    looking = member_client(store, role)
    for address in (BASE, f"{BASE}new/", PAGE, f"{PAGE}?from=1&to=1"):
        assert looking.get(address).status_code == 200
    assert "Edit with preview" not in words_of(looking, PAGE)
    for address in (EDIT, f"{BASE}new/blank/"):
        assert looking.get(address).status_code == 403
        assert looking.post(address, form(name="Mine")).status_code == 403
    for address in (f"{PAGE}restore/", f"{PAGE}name/"):
        assert looking.post(address, {"number": "1", "name": "Mine"}).status_code == 403
    assert StrategyVersion.objects.filter(store=store).count() == len(RECIPES)
    assert not AuditEntry.objects.filter(store=store, action__startswith="strategy").exists()


def test_a_merchant_may_edit(store: Store, member_client: MemberClient) -> None:
    member_client(store, Member.Role.MERCHANT).post(EDIT, form())
    assert placement(store).strategy_version.number == 2


def test_the_neighbours_strategies_are_not_found(
    store: Store, other_store: Store, member_client: MemberClient
) -> None:
    made = Strategy.objects.create(store=other_store, key="secret", name="Secret")
    StrategyVersion.objects.create(
        strategy=made, store=other_store, number=1, document={}, digest="x"
    )
    own = member_client(store)
    assert "Secret" not in words_of(own, BASE)
    for path in ("", "edit/"):
        assert own.get(f"{BASE}secret/{path}").status_code == 404
        assert own.get(f"/console/other/strategies/secret/{path}").status_code == 404
    assert own.post(f"{BASE}secret/edit/", form()).status_code == 404
    assert own.post(f"{BASE}secret/restore/", {"number": "1"}).status_code == 404
    assert own.post(f"{BASE}secret/name/", {"name": "Mine"}).status_code == 404
    assert made.versions.count() == 1
    # Placements of the same slug in both stores: only one's own moves.
    own.post(EDIT, form())
    assert placement(other_store).strategy_version.number == 1
