"""What an experiment and a QA link change in the answers of the API."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client

from catalog.models import ApiKey, Store
from recommender.models import Experiment, Exposure, Impression, Placement
from recommender.services.impression_log import IMPRESSIONS
from recommender.services.strategies import strategy_version_create
from recommender.serving.runtime import RUNTIMES
from recommender.serving.signing import qa_token
from tests.factories import make_experiment, make_product

SLUG = "home-trending"
ONE = f"/v1/placements/{SLUG}/recommendations"
FRAGMENT = f"/v1/placements/{SLUG}/fragment"
PAGE = "/v1/recommendations"
NAMES = [f"cup-{n}" for n in range(12)]


@pytest.fixture
def placement(store: Store) -> Placement:
    for name in NAMES:
        make_product(store, name, published_at=datetime(2026, 3, 1, tzinfo=UTC))
    return Placement.objects.select_related("strategy_version__strategy").get(
        store=store, slug=SLUG
    )


@pytest.fixture
def draft(store: Store, placement: Placement) -> Experiment:
    handpicked = strategy_version_create(
        strategy=placement.strategy_version.strategy,
        document={
            "sources": [{"source": "handpicked", "weight": 1}],
            "handpicked": NAMES,
            "diversity": 0,
        },
    )
    return make_experiment(
        store, [placement], [None, handpicked], state=Experiment.State.DRAFT, key="cups"
    )


@pytest.fixture
def headers(publishable_key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {publishable_key}"}


@pytest.fixture(autouse=True)
def nothing_waits(db: None) -> Iterator[None]:
    yield
    IMPRESSIONS.clear()


def token_of(experiment: Experiment, key: str = "b") -> str:
    variant = experiment.variants.get(key=key)
    return qa_token(bytes(experiment.store.signing_secret), experiment.pk, variant.pk)


def asked(client: Client, headers: dict[str, str], **more: Any) -> dict[str, Any]:
    """One answer, asked for as a page."""
    RUNTIMES.refresh()
    body = {"placements": [{"slug": SLUG}], "shopper_id": "me", **more}
    response = client.post(PAGE, body, content_type="application/json", headers=headers)
    assert response.status_code == 200, response.content
    answer: dict[str, Any] = response.json()["recommendations"][0]
    return answer


def test_both_calls_and_the_fragment_take_a_qa_token_and_log_nothing(
    client: Client, headers: dict[str, str], draft: Experiment
) -> None:
    RUNTIMES.refresh()
    token = token_of(draft)
    one = client.get(f"{ONE}?shopper_id=me&qa={token}", headers=headers).json()
    page = asked(client, headers, qa=token)
    fragment = client.get(f"{FRAGMENT}?qa={token}", headers=headers).content.decode()
    for answer in (one, page):
        assert answer["experiment"] == {"key": "cups", "variant": "b", "qa": True}
        assert [item["product_id"] for item in answer["items"]][:3] == NAMES[:3]
    assert 'data-qa="cups/b"' in fragment
    assert IMPRESSIONS.flush() == 0
    assert (Impression.objects.count(), Exposure.objects.count()) == (0, 0)


@pytest.mark.parametrize("token", ["", "x", "a b&c", "0" * 400, "%00"])
def test_a_token_that_is_none_changes_nothing(
    client: Client, headers: dict[str, str], draft: Experiment, token: str
) -> None:
    RUNTIMES.refresh()
    response = client.get(ONE, {"qa": token, "shopper_id": "me"}, headers=headers)
    assert response.status_code == 200
    assert response.json()["experiment"] is None
    assert asked(client, headers, qa=token)["experiment"] is None
    assert b"data-qa" not in client.get(FRAGMENT, {"qa": token}, headers=headers).content
    assert IMPRESSIONS.flush() == 3


def test_another_stores_key_knows_nothing_of_the_link(
    client: Client, other_store: Store, draft: Experiment
) -> None:
    key = ApiKey.objects.get(store=other_store, kind=ApiKey.Kind.PUBLISHABLE).publishable
    make_product(other_store, "cup-0")
    RUNTIMES.refresh()
    answer = client.get(f"{ONE}?qa={token_of(draft)}", headers={"Authorization": f"Bearer {key}"})
    assert answer.json()["experiment"] is None


def test_an_interleaved_answer_names_no_variant(
    client: Client, headers: dict[str, str], store: Store, placement: Placement
) -> None:
    make_experiment(store, [placement], kind=Experiment.Kind.INTERLEAVING, key="turns")
    answer = asked(client, headers)
    assert answer["experiment"] == {"key": "turns", "variant": None}


def test_who_is_held_out_gets_an_empty_answer_with_its_reason(
    client: Client, headers: dict[str, str], store: Store, placement: Placement
) -> None:
    make_experiment(
        store,
        kind=Experiment.Kind.HOLDOUT,
        weights=[1, 0],
        control_shows_nothing=True,
        key="holdout",
    )
    answer = asked(client, headers)
    assert (answer["items"], answer["reason"]) == ([], "held_out")
    assert answer["experiment"] == {"key": "holdout", "variant": "a"}
    assert asked(client, headers, consent="denied")["reason"] != "held_out"
