"""What makes products similar: the page, its look ahead, saving."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from catalog.models import Member, Product, Store
from recommender.models import ContentWeights, Run
from recommender.services import content_weights as service
from recommender.services.training.execution import run_execute
from recommender.services.training.runs import run_request
from tests.conftest import MemberClient
from tests.factories import make_product

PAGE = "/console/corner/models/similarity/"
SAVE = f"{PAGE}save/"
LOOK = f"{PAGE}look/"
WEIGHTS = {"text": "0", "attributes": "0", "own_vectors": "100"}


@pytest.fixture
def merchant(store: Store, member_client: MemberClient) -> Client:
    return member_client(store, Member.Role.MERCHANT)


@pytest.fixture
def viewer(store: Store, member_client: MemberClient) -> Client:
    return member_client(store, Member.Role.VIEWER)


@pytest.fixture
def trained(store: Store) -> Store:
    """Two mugs and two shoes by title, by their vectors the other way round; a fifth has none."""
    for name, title, vector in (
        ("m1", "Blue mug of clay", [3.0, 1.0, 0.0]),
        ("m2", "Red mug of clay", [3.0, 0.0, 1.0]),
        ("s1", "Blue shoe for running", [3.0, 1.0, 0.1]),
        ("s2", "Red shoe for running", [3.0, 0.1, 1.0]),
        ("s3", "Green shoe for running", None),
    ):
        make_product(store, name, title=title, brand="", vector=vector)
    ContentWeights.objects.create(store=store, text=100, attributes=0, own_vectors=0)
    run_execute(run=run_request(store=store, family="content", trigger=Run.Trigger.COMMAND))
    return store


def test_the_page_shows_the_weights_and_how_many_products_have_a_vector(
    trained: Store, merchant: Client
) -> None:
    Product.objects.filter(external_id="s2").update(vector=[1.0])
    run_execute(run=run_request(store=trained, family="content", trigger=Run.Trigger.COMMAND))
    page = merchant.get(PAGE)
    assert page.status_code == 200
    assert [row.typed for row in page.context["rows"]] == ["100", "0", "0"]
    words = page.content.decode()
    assert "3 of 5 products have one that can be compared. 1 more has one of another" in words
    assert "Choose a product to see its similar products" in words
    assert "Leave it to Vitrine" in words
    assert PAGE in merchant.get("/console/corner/models/").content.decode()


def test_without_a_model_the_page_says_so(store: Store, merchant: Client) -> None:
    page = merchant.get(PAGE)
    assert "No content model serves yet" in page.content.decode()
    assert [row.typed for row in page.context["rows"]] == ["100", "0", "0"]
    assert "Vitrine decides" in page.content.decode()
    make_product(store, "m1")
    look = merchant.get(LOOK, {**WEIGHTS, "product": "m1"}).content.decode()
    assert "Retrain content embeddings" in look


def test_a_look_ahead_shows_both_lists_and_changes_nothing(trained: Store, viewer: Client) -> None:
    look = viewer.get(LOOK, {**WEIGHTS, "product": "m1"}, headers={"HX-Request": "true"})
    assert "<html" not in look.content.decode()
    (_, now), (_, then) = look.context["lists"]
    assert now[0][0].external_id == "m2"
    assert [product.external_id for product, _, _ in then] == ["s1"]
    assert then[0][2] is False or then[0][0].external_id not in {p.external_id for p, _, _ in now}
    assert ContentWeights.objects.get(store=trained).text == 100
    lacking = viewer.get(LOOK, {**WEIGHTS, "text": "50", "product": "s3"}).content.decode()
    assert "It has no own vectors: compared without." in lacking


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"product": ""}, "Choose a product"),
        ({"product": "nobody"}, "No product has this id."),
        ({"product": "theirs"}, "No product has this id."),
        ({"text": "abc"}, "A weight is a whole number from 0 to 100."),
        ({"own_vectors": "0"}, "At least one of the three has to count."),
    ],
)
def test_a_look_that_cannot_be_says_why(
    trained: Store, other_store: Store, viewer: Client, changed: dict[str, str], words: str
) -> None:
    make_product(other_store, "theirs")
    look = viewer.get(LOOK, {**WEIGHTS, "product": "m1", **changed})
    assert look.status_code == 200
    assert words in look.content.decode()


def test_without_script_the_page_looks_ahead_too_and_the_address_can_be_sent(
    trained: Store, merchant: Client, viewer: Client
) -> None:
    page = merchant.post(SAVE, {**WEIGHTS, "product": "m1", "look": "1"})
    assert page.context["product"].external_id == "m1"
    assert [row.typed for row in page.context["rows"]] == ["0", "0", "100"]
    assert ContentWeights.objects.get(store=trained).text == 100
    sent = viewer.get(PAGE, {**WEIGHTS, "product": "m1"})
    assert sent.context["product"].external_id == "m1"
    assert [row.typed for row in sent.context["rows"]] == ["0", "0", "100"]


def test_saving_trains_and_goes_to_the_training(
    trained: Store, merchant: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "run_hand_over", lambda *, run: None)
    saved = merchant.post(SAVE, WEIGHTS)
    run = Run.objects.get(state=Run.State.QUEUED)
    assert saved.headers["Location"] == f"/console/corner/models/{run.pk}/"
    row = ContentWeights.objects.get(store=trained)
    assert (row.text, row.own_vectors) == (0, 100)
    assert merchant.get(saved.headers["Location"]).status_code == 200
    again = merchant.post(SAVE, {"restore": "1"})
    assert again.headers["Location"] == PAGE
    assert not ContentWeights.objects.exists()


def test_own_vectors_alone_are_refused_while_no_product_has_one(
    store: Store, merchant: Client
) -> None:
    make_product(store, "plain")
    page = merchant.post(SAVE, WEIGHTS)
    assert page.status_code == 422
    assert "No product has a vector" in page.content.decode()
    assert not ContentWeights.objects.exists()


@pytest.mark.parametrize("typed", ["", "101", "-1", "1.5", "１００", "nan"])
def test_what_is_no_weight_is_refused_and_what_was_typed_stays(
    trained: Store, merchant: Client, typed: str
) -> None:
    page = merchant.post(SAVE, {**WEIGHTS, "attributes": typed})
    assert page.status_code == 422
    assert "A weight is a whole number from 0 to 100." in page.content.decode()
    assert page.context["rows"][1].typed == typed
    assert ContentWeights.objects.get(store=trained).text == 100


def test_whoever_only_looks_cannot_save_and_strangers_see_nothing(
    trained: Store, viewer: Client, other_store: Store, member_client: MemberClient
) -> None:
    assert "Save and train" not in viewer.get(PAGE).content.decode()
    assert viewer.post(SAVE, WEIGHTS).status_code == 403
    stranger = member_client(other_store, Member.Role.OWNER)
    for answer in (stranger.get(PAGE), stranger.get(LOOK), stranger.post(SAVE, WEIGHTS)):
        assert answer.status_code == 404
    assert ContentWeights.objects.get(store=trained).text == 100


def test_a_page_with_both_lists_takes_few_queries(
    trained: Store, viewer: Client, django_assert_max_num_queries: Any
) -> None:
    viewer.get(PAGE)
    with django_assert_max_num_queries(14):
        viewer.get(PAGE, {**WEIGHTS, "product": "m1"})
