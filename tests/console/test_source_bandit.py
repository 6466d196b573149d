"""Places given to chance whose source is learned, in the console: editor, card, preview, models."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from catalog.models import AuditEntry, Member, Store
from recommender.engine.online.source_bandit import situation_number
from recommender.models import Placement, Run, Strategy
from recommender.services.configuration import (
    configuration_export,
    configuration_import,
    configuration_plan,
    configuration_read,
)
from recommender.services.training.execution import run_execute
from recommender.services.training.runs import run_request
from tests.bandit_worlds import bandit_document, hand_made_table, random_places
from tests.blend_worlds import show_strategy
from tests.conftest import MemberClient
from tests.console.pages import words_of
from tests.factories import make_experiment, make_product, make_shopper

KEY = "product-similar"
PAGE = f"/console/corner/strategies/{KEY}/"
SOURCES = ("new_arrivals", "on_sale")


@pytest.fixture
def client(store: Store, member_client: MemberClient) -> Client:
    return member_client(store)


def learn(store: Store, placement: Placement) -> Run:
    """120 places went to new arrivals, half of them in the evening, and 40 to what is on sale."""
    mug, anna = make_product(store, "mug"), make_shopper(store, "anna")
    at = timezone.now() - timedelta(hours=2)
    evening = situation_number({"hours": "evening"})
    for source, n, n_clicked, situation in (
        ("new_arrivals", 60, 9, 0),
        ("new_arrivals", 60, 3, evening),
        ("on_sale", 40, 2, evening),
    ):
        random_places(
            placement,
            anna,
            mug,
            source=source,
            n=n,
            n_clicked=n_clicked,
            at=at,
            situation=situation,
        )
    run = run_request(store=store, family=Run.Family.SOURCE_BANDIT, trigger=Run.Trigger.COMMAND)
    return run_execute(run=run)


# ------------------------------------------------------------------ the editor


def test_the_choice_is_saved_said_in_words_and_in_the_audit_log(
    store: Store, client: Client
) -> None:
    fields: dict[str, Any] = {
        "base": "1",
        "source-new_arrivals": "100",
        "diversity": "20",
        "exploration": "5",
        "explore_by": "bandit",
        "placements": [KEY],
    }
    assert client.post(f"{PAGE}edit/", fields).status_code == 302

    document = Strategy.objects.get(store=store, key=KEY).versions.order_by("-number")[0].document
    assert document["explore_by"] == "bandit"
    editor = client.get(f"{PAGE}edit/").content.decode()
    assert '<option value="bandit" selected>Learn which source deserves the places' in editor
    words = words_of(client, f"{PAGE}?from=1&to=2")
    assert "Chance draws: by score → the source that it learned deserves the place" in words
    assert "by chance; it learns which source deserves them." in words
    entry = AuditEntry.objects.filter(store=store, action__startswith="strategy.").latest("at")
    assert "bandit" in str(entry.after)


def test_a_choice_that_there_is_not_is_refused(store: Store, client: Client) -> None:
    fields = {"name": "Odd", "source-trending": "100", "explore_by": "magic"}
    answer = client.post("/console/corner/strategies/new/blank/", fields)
    assert answer.status_code == 422
    assert "Choose one of the list." in answer.content.decode()


def test_the_choice_goes_with_the_configuration_into_another_store(
    store: Store, other_store: Store
) -> None:
    show_strategy(store, KEY, bandit_document(*SOURCES))
    raw = configuration_export(store=store)
    read = configuration_read(store=other_store, raw=raw)
    digest = configuration_plan(store=other_store, configuration=read).digest
    configuration_import(store=other_store, configuration=read, digest=digest, member=None)

    placement = Placement.objects.get(store=other_store, slug=KEY)
    assert placement.strategy_version.document["explore_by"] == "bandit"


# ------------------------------------------------------------------ the card


def test_a_strategy_that_draws_by_score_has_no_card(store: Store, client: Client) -> None:
    show_strategy(store, KEY, bandit_document(*SOURCES, explore_by="score"))
    assert "What exploration has learned" not in words_of(client, PAGE)


def test_the_card_says_what_is_missing_and_what_to_do(store: Store, client: Client) -> None:
    show_strategy(store, KEY, bandit_document(*SOURCES, exploration=0.0))
    words = words_of(client, PAGE)
    assert "No place is given to chance. Give it 5 to 10 % of the places" in words

    placement = show_strategy(store, KEY, bandit_document(*SOURCES))
    words = words_of(client, PAGE)
    assert "No place given to chance has been counted here yet, so chance draws by score." in words
    assert "Until a source has had 100 places" in words

    other = Placement.objects.filter(store=store).exclude(pk=placement.pk)[0]
    Placement.objects.filter(pk=placement.pk).update(strategy_version=other.strategy_version)
    assert "No placement shows a version that learns." in words_of(client, PAGE)


def test_the_card_shows_chances_places_and_click_rates_with_intervals(
    store: Store, client: Client
) -> None:
    placement = show_strategy(store, KEY, bandit_document(*SOURCES))
    learn(store, placement)

    words = words_of(client, PAGE)

    assert "42 days to" in words
    # The only source that is known well enough has the half that isn't shared out evenly.
    assert "New arrivals 50.0 % 12 of 120 10.0 % 5.8 % to 16.7 %" in words
    assert "On sale 40 of 100 places 2 of 40 5.0 % 1.4 % to 16.5 %" in words
    assert "60 more places are needed." in words
    assert "By situation" in words
    assert "18 to midnight 50 % 50 % 100" in words
    assert "Midnight to 6 50 % 50 % 60" in words
    # All answers were of one kind of page: nothing to compare.
    assert "Nothing in view" not in words


def test_placements_of_running_experiments_are_shown_and_the_neighbour_s_are_not(
    store: Store, other_store: Store, client: Client
) -> None:
    placement = show_strategy(store, KEY, bandit_document(*SOURCES))
    elsewhere = Placement.objects.get(store=store, slug="home-for-you")
    make_experiment(store, [elsewhere], [None, placement.strategy_version])
    neighbours = show_strategy(other_store, KEY, bandit_document(*SOURCES))
    make_product(other_store, "mug")
    hand_made_table(other_store, neighbours, {"on_sale": 1.0})

    page = client.get(PAGE).content.decode()
    card = page[page.index('id="exploration"') :].split("</section>")[0]

    assert elsewhere.name in card
    assert card.count("has been counted here yet") == 2


def test_viewers_see_what_was_learned_but_aren_t_sent_to_the_editor(
    store: Store, member_client: MemberClient
) -> None:
    viewer = member_client(store, Member.Role.VIEWER)
    placement = show_strategy(store, KEY, bandit_document(*SOURCES))
    hand_made_table(store, placement, {"on_sale": 1.0})
    assert "On sale 100.0 % 10 of 200 5.0 %" in words_of(viewer, PAGE)
    show_strategy(store, KEY, bandit_document(*SOURCES, exploration=0.0))
    assert "Somebody who may edit can give it 5 to 10 %" in words_of(viewer, PAGE)


# ------------------------------------------------------------------ preview and models


def test_the_preview_says_by_what_chance_drew(store: Store, client: Client) -> None:
    for number in range(30):
        make_product(store, f"mug-{number}", published_at=timezone.now())
    placement = show_strategy(store, KEY, bandit_document(*SOURCES))
    address = f"/console/corner/preview/?preview_placement={KEY}"
    assert "Nothing is learned for this placement yet, so chance draws by score." in words_of(
        client, address
    )

    hand_made_table(store, placement, {"new_arrivals": 0.4, "on_sale": 0.6})

    assert "Places given to chance in this situation: New arrivals 100%." in words_of(
        client, address
    )


def test_the_models_page_shows_the_family_and_its_run_without_raw_lists(
    store: Store, client: Client
) -> None:
    placement = show_strategy(store, KEY, bandit_document(*SOURCES))
    run = learn(store, placement)

    words = words_of(client, "/console/corner/models/")
    assert "Which source deserves the places given to chance." in words
    assert "places given to chance are counted every 5 minutes" in words
    words = words_of(client, f"/console/corner/models/{run.pk}/")
    assert "Random places 160" in words
    assert "{" not in words
