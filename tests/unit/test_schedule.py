"""When a family is trained in full."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from recommender.models import Artifact, Run
from recommender.services.training.schedule import full_due_at

BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def due_at(
    family: str = "popularity",
    *,
    state: str = Run.State.PUBLISHED,
    news_at: datetime | None = NOON + HOUR,
    added: int = 0,
    serves: bool = True,
    last: bool = True,
) -> datetime | None:
    run = Run(family=family, state=state, queued_at=NOON, counts={"products": 100})
    serving = Artifact(run=run, family=family, manifest={"marks": {"added": added}})
    return full_due_at(
        family=family,
        last=run if last else None,
        serving=serving if serves else None,
        news_at=news_at,
        zone=BERLIN,
    )


def test_what_increments_add_to_is_trained_at_the_shops_own_night() -> None:
    assert due_at() == datetime(2026, 3, 3, 3, tzinfo=BERLIN)


def test_what_nothing_is_added_to_is_trained_by_day() -> None:
    assert due_at("profiles") == NOON + 6 * HOUR


def test_a_store_that_never_had_anything_is_not_trained() -> None:
    assert due_at(news_at=None, last=False) is None
    assert due_at(last=False) == NOON + HOUR


def test_without_news_a_store_is_trained_once_in_a_week_for_the_sake_of_erasures() -> None:
    assert due_at(news_at=NOON - HOUR) == NOON + timedelta(days=7)
    assert due_at("profiles", news_at=NOON - HOUR) == NOON + timedelta(days=7)


@pytest.mark.parametrize("state", [Run.State.REJECTED, Run.State.FAILED])
def test_a_store_without_a_model_tries_again_soon(state: str) -> None:
    assert due_at(state=state, serves=False) == NOON + timedelta(minutes=5)


def test_a_failed_training_is_tried_again_after_an_hour_while_the_old_one_serves() -> None:
    assert due_at(state=Run.State.FAILED) == NOON + HOUR


def test_a_catalog_that_has_outgrown_its_words_does_not_wait_for_the_night() -> None:
    assert due_at("content", added=25) == datetime(2026, 3, 3, 3, tzinfo=BERLIN)
    assert due_at("content", added=26) == NOON + timedelta(minutes=10)
