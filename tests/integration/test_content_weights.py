"""Similar products by text, attributes and own vectors: weights, training, increments, preview."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from catalog.models import AuditEntry, Product, Store, User
from recommender.artifacts.reader import LoadedArtifact, artifact_open
from recommender.artifacts.writer import artifact_folder
from recommender.engine.offline.content_neighbours import fit_content_neighbours
from recommender.engine.online.content_fusion import fused
from recommender.models import Artifact, ContentWeights, Run
from recommender.selectors.content_preview import content_model_facts, content_preview
from recommender.selectors.content_weights import PARTS, Weights
from recommender.selectors.own_vectors import own_vector_lengths, own_vectors
from recommender.services import content_weights as service
from recommender.services.content_weights import (
    ContentWeightsRefused,
    content_weights_restore,
    content_weights_save,
)
from recommender.services.training import content
from recommender.services.training.execution import run_execute
from recommender.services.training.increments import Learned, increments_learn
from recommender.services.training.runs import run_request
from tests.factories import make_product

TEXT_ALONE = {"text": 100, "attributes": 0, "own_vectors": 0}
OWN_ALONE = {"text": 0, "attributes": 0, "own_vectors": 100}
BOTH = {"text": 100, "attributes": 20, "own_vectors": 60}
KINDS = ("mug", "shoe", "lamp")
N = 12
PLAIN = [1.0] * 80


def vector_of(kind: int, number: int) -> list[float]:
    """A picture of its kind: 80 numbers, more than are kept."""
    rng = np.random.default_rng(100 + number)
    found = np.array(PLAIN) * 3 + rng.normal(0, 0.1, 80)
    found[kind] += 4
    numbers: list[float] = found.tolist()
    return numbers


@pytest.fixture
def shop(store: Store) -> Store:
    """Titles of three kinds in a row; pictures of three kinds by turns."""
    for number in range(N):
        kind = KINDS[number // 4]
        make_product(
            store,
            f"p{number}",
            title=f"{kind} {'red' if number % 2 else 'blue'} {number} of {kind}s",
            category_path=f"Things > {kind} > All",
            brand=f"Maker {number % 2}",
            vector=vector_of(number % 3, number),
        )
    return store


def train(store: Store) -> Run:
    run = run_execute(run=run_request(store=store, family="content", trigger=Run.Trigger.COMMAND))
    # Long enough ago for an increment.
    Artifact.objects.update(created_at=timezone.now() - timedelta(hours=1))
    return run


def choose(store: Store, weights: Weights) -> None:
    ContentWeights.objects.update_or_create(
        store=store, defaults={**weights, "updated_at": timezone.now()}
    )


def serving(store: Store) -> LoadedArtifact:
    artifact = Artifact.objects.get(store=store, family="content", serving=True)
    folder = artifact_folder(
        Path(settings.ARTIFACT_DIR), store_id=store.pk, family="content", version=artifact.version
    )
    return artifact_open(folder, training=True)


def similar(store: Store, external_id: str, limit: int = 3) -> list[str]:
    opened = serving(store)
    names = dict(Product.objects.filter(store=store).values_list("pk", "external_id"))
    ids = opened["item_ids"].tolist()
    row = next(row for row, pk in enumerate(ids) if names[pk] == external_id)
    return [names[ids[other]] for other in opened["neighbour_rows"][row][:limit] if other >= 0]


def change(store: Store, external_id: str, **fields: Any) -> None:
    """As the API writes it: the catalog's number rises."""
    Product.objects.filter(store=store, external_id=external_id).update(
        updated_at=timezone.now(), **fields
    )
    touch(store)


def touch(store: Store) -> None:
    Store.objects.filter(pk=store.pk).update(
        catalog_version=Store.objects.get(pk=store.pk).catalog_version + 1
    )


def learn(store: Store) -> Learned:
    return increments_learn(families=("content",), store=store, at_once=True)


# --------------------------------------------------------------------------------------- training


def test_weights_decide_what_is_similar(shop: Store) -> None:
    choose(shop, TEXT_ALONE)
    train(shop)
    assert {int(name[1:]) // 4 for name in similar(shop, "p0")} == {0}
    assert serving(shop)["vectors"].shape == (N, 64)
    choose(shop, OWN_ALONE)
    # Pictures go across categories, by which a training is judged: that was asked for.
    assert train(shop).state == Run.State.PUBLISHED
    assert {int(name[1:]) % 3 for name in similar(shop, "p0")} == {0}
    assert serving(shop).manifest.parameters["weights"] == OWN_ALONE


def test_unless_somebody_has_chosen_own_vectors_count_once_half_of_the_products_have_one(
    shop: Store,
) -> None:
    few = [f"p{number}" for number in range(5)]
    Product.objects.filter(store=shop).exclude(external_id__in=few).update(vector=None)
    assert train(shop).parameters["weights"] == TEXT_ALONE
    make_vector = vector_of(2, 5)
    Product.objects.filter(store=shop, external_id="p5").update(vector=make_vector)
    run = train(shop)
    assert run.parameters["weights"] == {"text": 100, "attributes": 0, "own_vectors": 50}
    assert run.counts["products_with_own_vector"] == 6


def test_vectors_of_another_length_than_most_are_left_out_and_counted(shop: Store) -> None:
    choose(shop, BOTH)
    Product.objects.filter(store=shop, external_id__in=("p0", "p1")).update(vector=[1.0, 2.0])
    run = train(shop)
    assert (run.counts["products_with_own_vector"], run.counts["own_vectors_left_out"]) == (10, 2)
    assert own_vector_lengths(store_id=shop.pk) == {80: 10, 2: 2}
    opened = serving(shop)
    assert not opened["part_own_vectors"][:2].any()
    assert opened["part_own_vectors"][2:].any(axis=1).all()
    # By their texts they are compared all the same.
    assert similar(shop, "p0")


def test_vectors_are_read_as_they_were_sent_in_blocks_and_of_the_store_alone(
    shop: Store, other_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recommender.selectors.own_vectors.NUMBERS_PER_BLOCK", 5 * 80)
    make_product(other_store, "theirs", vector=PLAIN)
    change(shop, "p3", vector=[1e300] + [0.0] * 79)
    change(shop, "p4", vector=[0.0] * 80)
    change(shop, "p5", deleted_at=timezone.now())
    blocks = list(own_vectors(store_id=shop.pk, length=80))
    assert [len(block.product_ids) for block in blocks] == [5, 5, 1]
    ids = np.concatenate([block.product_ids for block in blocks])
    vectors = np.concatenate([block.vectors for block in blocks])
    sent = dict(Product.objects.filter(store=shop, deleted_at=None).values_list("pk", "vector"))
    assert sorted(sent) == ids.tolist()
    for pk, found in zip(ids.tolist(), vectors, strict=True):
        expected = np.array(sent[pk])
        largest = np.abs(expected).max() or 1.0
        np.testing.assert_allclose(found, expected / largest, rtol=1e-6)
    sample = sum(len(b.product_ids) for b in own_vectors(store_id=shop.pk, length=80, one_in=3))
    assert 0 < sample < 11


def test_where_nothing_of_a_catalog_counts_a_training_says_so(shop: Store) -> None:
    train(shop)
    choose(shop, OWN_ALONE)
    Product.objects.filter(store=shop).update(vector=None)
    run = train(shop)
    assert run.state == Run.State.REJECTED
    assert "Give more weight to their text" in run.message
    assert serving(shop).manifest.parameters["weights"]["text"] == 100


# ------------------------------------------------------------------------------------- increments


def test_increments_are_equal_to_all_vectors_at_once_whatever_the_weights(shop: Store) -> None:
    choose(shop, BOTH)
    train(shop)
    twin = Product.objects.get(store=shop, external_id="p7")
    # A twin of p7, one with another picture, one without any.
    for name, fields in (
        ("twin", {}),
        ("other-picture", {"vector": vector_of(0, 77)}),
        ("no-picture", {"vector": None}),
        ("wrong-picture", {"vector": [1.0, 2.0]}),
    ):
        made = {
            "title": twin.title,
            "category_path": twin.category_path,
            "brand": twin.brand,
            "vector": twin.vector,
            **fields,
        }
        make_product(shop, name, updated_at=timezone.now(), **made)
        touch(shop)
        assert len(learn(shop).published) == 1
    change(shop, "p2", vector=vector_of(1, 99))
    assert len(learn(shop).published) == 1
    grown = serving(shop)
    parts = [(float(BOTH[name]), grown[f"part_{name}"]) for name in PARTS]
    assert (grown["vectors"] == fused(parts)).all()
    whole = fit_content_neighbours(
        grown["vectors"], k=content.NEIGHBOURS, priority=grown["priority"], max_per_variation=1
    )
    np.testing.assert_array_equal(grown["neighbour_rows"], whole.indices)
    np.testing.assert_allclose(grown["neighbour_scores"], whole.scores, atol=1e-5)
    names = dict(Product.objects.filter(store=shop).values_list("pk", "external_id"))
    row = {names[pk]: row for row, pk in enumerate(grown["item_ids"].tolist())}
    assert (grown["vectors"][row["twin"]] == grown["vectors"][row["p7"]]).all()
    text, own = grown["part_text"], grown["part_own_vectors"]
    assert (text[row["other-picture"]] == text[row["p7"]]).all()
    assert (own[row["other-picture"]] != own[row["p7"]]).any()
    assert not own[row["no-picture"]].any()
    assert not own[row["wrong-picture"]].any()
    # In the space of the full training p2 looks like what its new picture shows.
    assert float(own[row["p2"]] @ own[row["p1"]]) > float(own[row["p2"]] @ own[row["p0"]])
    assert grown.manifest.counts["products_with_own_vector"] == N + 2


def test_a_new_picture_alone_is_news(shop: Store) -> None:
    train(shop)
    before = serving(shop)["part_own_vectors"][0].copy()
    touch(shop)
    assert learn(shop) == Learned([], [])
    change(shop, "p0", vector=vector_of(1, 50))
    assert len(learn(shop).published) == 1
    assert (serving(shop)["part_own_vectors"][0] != before).any()


def test_other_weights_ask_for_a_full_training(shop: Store) -> None:
    train(shop)
    Run.objects.update(queued_at=timezone.now() - timedelta(hours=1))
    choose(shop, BOTH)
    # Nothing of the catalog has changed: the weights alone are news.
    rebuilds = learn(shop).rebuilds
    assert [run.family for run in rebuilds] == ["content"]
    # Whatever becomes of that training, new products are added meanwhile.
    change(shop, "p0", vector=vector_of(1, 50))
    assert len(learn(shop).published) == 1
    assert run_execute(run=rebuilds[0]).parameters["weights"] == BOTH
    assert learn(shop) == Learned([], [])


def test_a_model_of_an_earlier_version_is_trained_anew(shop: Store) -> None:
    choose(shop, TEXT_ALONE)
    run = train(shop)
    artifact = Artifact.objects.get(run=run)
    marks = {key: mark for key, mark in artifact.manifest["marks"].items() if key != "weights_us"}
    Artifact.objects.filter(pk=artifact.pk).update(manifest={**artifact.manifest, "marks": marks})
    Run.objects.update(queued_at=timezone.now() - timedelta(hours=1))
    touch(shop)
    assert [run.family for run in learn(shop).rebuilds] == ["content"]


# ---------------------------------------------------------------------------------------- preview


@pytest.mark.parametrize("weights", [BOTH, OWN_ALONE, {**TEXT_ALONE, "attributes": 30}])
def test_the_preview_shows_what_a_training_with_these_weights_makes(
    shop: Store, weights: Weights
) -> None:
    choose(shop, TEXT_ALONE)
    # Two that are the same: one of them is shown.
    first = Product.objects.get(store=shop, external_id="p8")
    change(shop, "p9", title=first.title, brand=first.brand, vector=first.vector)
    train(shop)
    names = ("p0", "p5", "p8")
    ids = {name: Product.objects.get(store=shop, external_id=name).pk for name in names}
    previews = {
        name: content_preview(store=shop, product_id=pk, weights=weights)
        for name, pk in ids.items()
    }
    now = {name: similar(shop, name, limit=8) for name in names}
    choose(shop, weights)
    train(shop)
    for name, found in previews.items():
        assert found is not None
        assert [product.external_id for product, _ in found.now] == now[name]
        then = [product.external_id for product, _ in found.then]
        assert then == similar(shop, name, limit=8)


def test_the_preview_says_what_a_product_lacks_and_is_silent_about_other_stores(
    shop: Store, other_store: Store
) -> None:
    Product.objects.filter(store=shop, external_id="p0").update(vector=None)
    assert content_model_facts(store=shop) is None
    train(shop)
    pk = Product.objects.get(store=shop, external_id="p0").pk
    found = content_preview(store=shop, product_id=pk, weights=BOTH)
    assert found is not None
    assert found.lacks == ["own_vectors"]
    theirs = make_product(other_store, "theirs")
    assert content_preview(store=shop, product_id=theirs.pk, weights=BOTH) is None
    assert content_preview(store=other_store, product_id=pk, weights=BOTH) is None
    facts = content_model_facts(store=shop)
    assert facts is not None
    assert (facts.n_products, facts.n_with_own_vector) == (N, N - 1)


# ------------------------------------------------------------------------------------------ saving


def test_saving_is_recorded_and_trains(
    shop: Store,
    owner: User,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: Any,
) -> None:
    handed: list[int] = []
    monkeypatch.setattr(service, "run_hand_over", lambda *, run: handed.append(run.pk))
    with django_capture_on_commit_callbacks(execute=True):
        run = content_weights_save(store=shop, weights=BOTH, member=owner)
    assert run is not None
    assert handed == [run.pk]
    entry = AuditEntry.objects.get(store=shop, action="content_weights.save")
    assert entry.before == dict.fromkeys(PARTS, "automatic")
    assert entry.after == BOTH
    # A run waits already, and will read what is newest.
    assert content_weights_save(store=shop, weights=TEXT_ALONE, member=owner) is None
    assert ContentWeights.objects.get(store=shop).text == 100
    run_execute(run=run)
    assert run.parameters["weights"] == TEXT_ALONE
    with django_capture_on_commit_callbacks(execute=True):
        assert content_weights_restore(store=shop, member=owner) is not None
    assert not ContentWeights.objects.filter(store=shop).exists()
    assert content_weights_restore(store=shop, member=owner) is None


@pytest.mark.parametrize(
    ("weights", "field"),
    [
        ({**BOTH, "text": 101}, "text"),
        ({**BOTH, "attributes": -1}, "attributes"),
        (dict.fromkeys(PARTS, 0), "text"),
        ({"text": 50}, "own_vectors"),
    ],
)
def test_weights_that_cannot_be_are_refused_and_nothing_is_changed(
    shop: Store, owner: User, weights: Weights, field: str
) -> None:
    with pytest.raises(ContentWeightsRefused) as refused:
        content_weights_save(store=shop, weights=weights, member=owner)
    assert field in refused.value.fields
    assert not ContentWeights.objects.exists()
    assert not Run.objects.exists()
    assert not AuditEntry.objects.filter(store=shop, action__startswith="content").exists()


def test_the_database_refuses_weights_that_count_nothing(shop: Store) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        ContentWeights.objects.create(store=shop, text=0, attributes=0, own_vectors=0)
    with pytest.raises(IntegrityError), transaction.atomic():
        ContentWeights.objects.create(store=shop, text=101, attributes=0, own_vectors=0)
