"""Learned blends in the console: the editor, the recipes, what counts, the models page."""

from __future__ import annotations

import pytest
from django.test import Client
from django.utils import timezone

from catalog.models import Member, Store
from recommender.models import Run, Strategy
from recommender.services.recipes import MORE_RECIPES, recipe_find
from recommender.services.training.runs import run_request
from tests.blend_worlds import hand_made_blend, learned_document, show_strategy
from tests.conftest import MemberClient
from tests.console.pages import words_of
from tests.factories import make_product

KEY = "product-similar"
PAGE = f"/console/corner/strategies/{KEY}/"
SOURCES = ("new_arrivals", "on_sale")


@pytest.fixture
def client(store: Store, member_client: MemberClient) -> Client:
    return member_client(store)


def test_a_recipe_for_every_kind_of_page_learns_by_itself() -> None:
    automatic = [each for each in MORE_RECIPES if each.document.blend == "learned"]

    assert {each.page_type.value for each in automatic} == {
        "home",
        "category",
        "search",
        "product",
        "cart",
    }
    assert {each.document.exploration for each in automatic} == {0.05}


def test_the_gallery_says_what_automatic_does(client: Client) -> None:
    words = words_of(client, "/console/corner/strategies/new/")

    assert "Home: automatic" in words
    assert "learned from what your shoppers want and click" in words
    assert "The shares count until enough is learned." in words


def test_an_automatic_strategy_is_made_of_its_recipe(store: Store, client: Client) -> None:
    recipe = recipe_find("automatic-product")
    assert recipe is not None
    address = "/console/corner/strategies/new/automatic-product/"
    editor = client.get(address).content.decode()
    assert '<option value="learned" selected>' in editor

    answer = client.post(
        address,
        {
            "name": "Automatic",
            "source-next_click": "60",
            "source-also_viewed": "40",
            "diversity": "20",
            "exploration": "5",
            "blend": "learned",
        },
    )

    assert answer.status_code == 302
    document = Strategy.objects.get(store=store, name="Automatic").versions.get().document
    assert document["blend"] == "learned"


def test_a_blend_that_there_is_not_is_refused(store: Store, client: Client) -> None:
    before = Strategy.objects.filter(store=store).count()

    answer = client.post(
        "/console/corner/strategies/new/blank/",
        {"name": "Odd", "source-trending": "100", "blend": "magic"},
    )

    assert answer.status_code == 422
    assert "Choose one of the list." in answer.content.decode()
    assert Strategy.objects.filter(store=store).count() == before


def test_the_strategy_page_says_that_nothing_is_learned_yet_and_why(
    store: Store, client: Client
) -> None:
    show_strategy(store, KEY, learned_document(*SOURCES))
    assert (
        "Nothing is learned yet: the shares decide. Once a placement shows it, it is learned within"
        " minutes." in words_of(client, PAGE)
    )

    run = run_request(store=store, family=Run.Family.BLEND, trigger=Run.Trigger.COMMAND)
    assert "the shares decide. It is being learned now." in words_of(client, PAGE)
    Run.objects.filter(pk=run.pk).update(
        state=Run.State.REJECTED, message="The latest events hold 3 choices."
    )

    assert "the shares decide. The latest events hold 3 choices." in words_of(client, PAGE)


def test_the_strategy_page_shows_what_counts_and_what_it_gains(
    store: Store, client: Client
) -> None:
    make_product(store, "mug")
    show_strategy(store, KEY, learned_document(*SOURCES))
    hand_made_blend(store, SOURCES, scaled={"new_arrivals": 0.5, "on_sale": -1.25})

    words = words_of(client, PAGE)

    assert "What counts here" in words
    assert (
        "Of 200 later page views that it hadn't learned from, something that was wanted was among"
        " the first ten in 40.0%; with equal weights in 30.0%, with the shares of this strategy in"
        " 35.0%." in words
    )
    assert "On sale what its first product gains −1.25" in words
    assert "New arrivals what its first product gains +0.50" in words
    assert "Learned from 100 choices." in words


def test_what_the_neighbour_learned_is_not_shown(
    store: Store, other_store: Store, client: Client
) -> None:
    make_product(other_store, "mug")
    show_strategy(store, KEY, learned_document(*SOURCES))
    show_strategy(other_store, KEY, learned_document(*SOURCES))
    hand_made_blend(other_store, SOURCES, scaled={"on_sale": 1.0})

    assert "Nothing is learned yet" in words_of(client, PAGE)


def test_a_strategy_of_shares_has_nothing_learned(client: Client) -> None:
    assert "What counts here" not in words_of(client, PAGE)


def test_the_change_of_the_blend_is_a_change_in_words(store: Store, client: Client) -> None:
    show_strategy(store, KEY, learned_document(*SOURCES))
    show_strategy(store, KEY, learned_document(*SOURCES, blend="reciprocal_rank"))

    assert "Blend: learned → by places" in words_of(client, f"{PAGE}?from=2&to=3")


def test_the_models_page_shows_the_family_and_its_run_without_raw_lists(
    store: Store, client: Client
) -> None:
    make_product(store, "mug")
    run = hand_made_blend(store, SOURCES, scaled={"on_sale": 1.0})

    assert "How much each source counts." in words_of(client, "/console/corner/models/")
    words = words_of(client, f"/console/corner/models/{run.pk}/")
    assert "Blend weights" in words
    assert "{" not in words


def test_the_preview_says_whether_the_order_was_learned(store: Store, client: Client) -> None:
    make_product(store, "mug", published_at=timezone.now())
    show_strategy(store, KEY, learned_document(*SOURCES))
    address = f"/console/corner/preview/?preview_placement={KEY}"
    assert "Nothing is learned for these sources yet" in words_of(client, address)

    hand_made_blend(store, SOURCES, scaled={"on_sale": 1.0})

    assert "In the order that was learned: version 3 of the weights." in words_of(client, address)


def test_viewers_see_what_counts(store: Store, member_client: MemberClient) -> None:
    make_product(store, "mug")
    show_strategy(store, KEY, learned_document(*SOURCES))
    hand_made_blend(store, SOURCES, scaled={"on_sale": 1.0})

    assert "What counts here" in words_of(member_client(store, Member.Role.VIEWER), PAGE)
