"""A new store has placements that serve."""

from __future__ import annotations

import pytest
from pytest_django import DjangoAssertNumQueries

from catalog.models import Store
from recommender.models import Placement, StrategyVersion
from recommender.services.recipes import RECIPES
from recommender.services.strategies import store_recipes_install, strategy_version_create
from recommender.serving.strategy import InvalidStrategyError, strategy_parse


def test_a_new_store_gets_every_recipe_once(store: Store) -> None:
    assert store_recipes_install(store=store) == []
    slugs = set(Placement.objects.filter(store=store).values_list("slug", flat=True))
    assert slugs == {recipe.slug for recipe in RECIPES}


def test_the_same_document_makes_no_second_version(store: Store) -> None:
    placement = Placement.objects.select_related("strategy_version__strategy").get(
        store=store, slug="home-for-you"
    )
    version = placement.strategy_version
    again = strategy_version_create(strategy=version.strategy, document=version.document)
    assert again == version
    assert StrategyVersion.objects.filter(strategy=version.strategy).count() == 1


def test_a_changed_document_is_the_next_version_and_leaves_the_first_alone(store: Store) -> None:
    first = Placement.objects.get(store=store, slug="home-for-you").strategy_version
    before = dict(first.document)
    second = strategy_version_create(
        strategy=first.strategy, document={**first.document, "diversity": 0.9}
    )
    first.refresh_from_db()
    assert (second.number, first.document) == (2, before)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({}, "sources"),
        ({"sources": []}, "length"),
        ({"sources": [{"source": "astrology", "weight": 1}]}, "astrology"),
        ({"sources": [{"source": "for_you", "weight": 0}]}, "> 0"),
        ({"sources": [{"source": "for_you", "weight": 1}], "diversity": 2}, "<= 1"),
        ({"sources": [{"source": "for_you", "weight": 1}], "fallback": ["for_you"]}, "fallback"),
        ({"sources": [{"source": "for_you", "weight": 1}], "colour": "red"}, "colour"),
    ],
)
def test_a_wrong_document_is_refused_with_the_reason(
    document: dict[str, object], words: str
) -> None:
    with pytest.raises(InvalidStrategyError, match=words):
        strategy_parse(document)


def test_a_store_gets_them_in_seven_queries_and_the_second_time_nothing_new(
    db: None, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    store = Store.objects.create(name="Fresh", slug="fresh")
    with django_assert_max_num_queries(7 + 2):  # and the savepoint of the test's transaction
        placements = store_recipes_install(store=store)
    assert [each.slug for each in placements] == [recipe.slug for recipe in RECIPES]
    assert store_recipes_install(store=store) == []
    # A strategy that lost its placement is used again.
    version = placements[0].strategy_version
    placements[0].delete()
    (again,) = store_recipes_install(store=store)
    assert again.strategy_version == version
