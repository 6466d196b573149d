"""Models that are trained only where a strategy asks for them: how fresh they are, in words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from catalog.models import Store
from recommender.models import Artifact, Run
from recommender.services.training.execution import run_execute
from recommender.services.training.runs import run_request
from tests.bandit_worlds import bandit_document
from tests.blend_worlds import hand_made_blend, learned_document, show_strategy
from tests.conftest import MemberClient
from tests.console.pages import words_of
from tests.factories import make_event, make_product, make_shopper

KEY = "product-similar"
MODELS = "/console/corner/models/"
SOURCES = ("new_arrivals", "on_sale")
NOT_ASKED_FOR = "Full training when a strategy that is shown asks for it again"


@pytest.fixture
def client(store: Store, member_client: MemberClient) -> Client:
    return member_client(store)


@pytest.fixture
def learned(store: Store) -> Run:
    show_strategy(store, KEY, bandit_document(*SOURCES))
    run = run_request(store=store, family=Run.Family.SOURCE_BANDIT, trigger=Run.Trigger.COMMAND)
    return run_execute(run=run)


def published(run: Run, *, at: Any, marks: Mapping[str, Any]) -> None:
    artifact = Artifact.objects.get(run=run)
    Artifact.objects.filter(pk=artifact.pk).update(
        created_at=at, manifest={**artifact.manifest, "marks": marks}
    )


def test_places_given_to_chance_are_known_until_when_their_answers_were_delivered(
    learned: Run, client: Client
) -> None:
    words = words_of(client, MODELS)
    assert "answers up to" in words
    assert "; places given to chance are counted every 5 minutes" in words
    assert "Events are places" not in words


def test_clicks_are_what_a_learned_blend_knows(store: Store, client: Client) -> None:
    make_product(store, "mug")
    show_strategy(store, KEY, learned_document(*SOURCES))
    run = hand_made_blend(store, SOURCES, scaled={"on_sale": 1.0})
    now = timezone.now()
    published(run, at=now, marks={"clicks_us": int(now.timestamp() * 1_000_000)})
    words = words_of(client, MODELS)
    assert "clicks up to" in words
    assert "; clicks are added every 20 minutes" in words


def test_what_no_strategy_needs_any_more_is_not_ageing(
    store: Store, learned: Run, client: Client
) -> None:
    published(learned, at=timezone.now() - timedelta(days=9), marks={})
    make_event(store, make_shopper(store, "anna"), make_product(store, "mug"))
    words = words_of(client, MODELS)
    assert "Ageing" in words
    assert NOT_ASKED_FOR not in words

    show_strategy(store, KEY, bandit_document(*SOURCES, explore_by="score"))

    words = words_of(client, MODELS)
    assert "Ageing" not in words
    assert NOT_ASKED_FOR in words
    assert "places given to chance are counted every 5 minutes" not in words
    assert "Ageing" not in words_of(client, "/console/corner/overview/")


def test_a_run_that_measures_nothing_does_not_blame_the_events(
    learned: Run, client: Client
) -> None:
    words = words_of(client, f"{MODELS}{learned.pk}/")
    assert "Nothing is held back here." in words
    assert "too few events" not in words


def test_the_preview_says_that_there_is_nothing_to_draw_from(store: Store, client: Client) -> None:
    for number in range(2):
        make_product(store, f"mug-{number}", published_at=timezone.now())
    show_strategy(store, KEY, bandit_document(*SOURCES))
    words = words_of(client, f"/console/corner/preview/?preview_placement={KEY}")
    assert "Too few products were found to give a place to chance." in words
    assert "Nothing is learned for this placement" not in words
