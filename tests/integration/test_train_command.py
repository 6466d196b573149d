"""`manage.py train --family`: any family by its name, also those that only some stores have."""

from __future__ import annotations

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from catalog.models import Store
from recommender.models import Artifact, LabChoice, Run
from recommender.services.training import blend as blend_training
from tests.blend_worlds import learned_document, pairs, show_strategy
from tests.worlds import two_tastes

pytestmark = pytest.mark.django_db


def train(store: Store, *families: str) -> None:
    call_command("train", "--store", store.slug, *(f"--family={family}" for family in families))


def serving(store: Store) -> set[str]:
    return set(Artifact.objects.filter(store=store, serving=True).values_list("family", flat=True))


def test_the_lab_s_choice_is_trained_by_its_name(
    store: Store, other_store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    two_tastes(store)
    train(store, "chosen_method")
    assert "No method was chosen in the Lab yet." in capsys.readouterr().out

    LabChoice.objects.create(
        store=store,
        method="item_knn_cosine",
        title="Item kNN, cosine",
        protocol="basket-completion",
    )
    train(store, "chosen_method")

    assert "The Lab's choice         published" in capsys.readouterr().out
    assert serving(store) == {"chosen_method"}
    assert not Run.objects.filter(store=other_store).exists()


def test_learned_blends_are_trained_by_their_name(
    store: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blend_training, "MIN_LESSONS", 20)
    pairs(store)
    train(store, "blend")
    assert "No placement shows a strategy with a learned blend." in capsys.readouterr().out

    show_strategy(store, "product-similar", learned_document("new_arrivals", "next_click"))
    train(store, "blend", "popularity")

    said = capsys.readouterr().out
    assert f"{Run.Family.BLEND.label:<24} published" in said
    assert serving(store) == {"blend", "popularity"}


def test_a_family_that_does_not_exist_is_refused_with_all_that_do(store: Store) -> None:
    with pytest.raises(CommandError) as refused:
        train(store, "blends")
    for family in Run.Family:
        assert repr(family.value) in str(refused.value)
    assert not Run.objects.exists()
