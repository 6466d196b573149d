"""What a strategy says beside its sources, from a stored document to the answer."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from catalog.models import Store
from recommender.models import Impression, Placement
from recommender.services.impression_log import IMPRESSIONS
from recommender.services.recommend import recommend
from recommender.services.strategies import settings_touch, strategy_version_create
from recommender.serving.pipeline import recommend_placement
from recommender.serving.request import PlacementRequest, Recommendation, RecommendationRequest
from recommender.serving.runtime import RUNTIMES
from recommender.stores.session_state import NO_STATE
from tests.factories import make_product
from tests.worlds import BREAKFAST, TwoTastes, train_all, two_tastes

SLUG = "product-similar"
NEWEST = datetime(2026, 3, 1, tzinfo=UTC)
NEW_ARRIVALS = {"sources": [{"source": "new_arrivals", "weight": 1}]}


@pytest.fixture
def shelf(store: Store) -> Store:
    """Forty mugs, a day apart, mug-00 the newest; mug-05 costs 1.05, and so on."""
    for number in range(40):
        make_product(
            store,
            f"mug-{number:02}",
            price_minor=100 + number,
            brand=f"Maker {number % 4}",
            category_path=f"Mugs > {number % 10}",
            published_at=NEWEST - timedelta(days=number),
        )
    return store


def use(store: Store, **document: Any) -> None:
    placement = Placement.objects.select_related("strategy_version__strategy").get(
        store=store, slug=SLUG
    )
    placement.strategy_version = strategy_version_create(
        strategy=placement.strategy_version.strategy,
        document={"fallback": [], "diversity": 0, **document},
    )
    placement.save()
    settings_touch(store_id=store.pk)
    RUNTIMES.refresh()


def ask(store: Store, *, limit: int | None = None, **context: Any) -> Recommendation:
    page = recommend(
        store_id=store.pk,
        request=RecommendationRequest(**context),
        placements=[PlacementRequest(slug=SLUG, limit=limit)],
        log_impressions=False,
    )
    return page.recommendations[0]


def shown(store: Store, **context: Any) -> list[str]:
    runtime = RUNTIMES.get(store.pk)
    assert runtime is not None
    return [runtime.snapshot.external_ids[row] for row in ask(store, **context).rows]


def step(recommendation: Recommendation, name: str) -> dict[str, Any]:
    assert recommendation.trace is not None
    return next(each for each in recommendation.trace.steps if each["step"] == name)


# ------------------------------------------------------------------ price band


@pytest.mark.parametrize(
    ("band", "expected"),
    [
        ({"kind": "same", "percent": 2}, {"mug-18", "mug-19", "mug-21", "mug-22"}),
        ({"kind": "up", "percent": 2}, {"mug-21", "mug-22"}),
        ({"kind": "down", "percent": 2}, {"mug-18", "mug-19"}),
    ],
)
def test_a_price_band_is_measured_from_the_product_in_view(
    shelf: Store, band: dict[str, Any], expected: set[str]
) -> None:
    use(shelf, **NEW_ARRIVALS, price_band=band)
    assert set(shown(shelf, product_ids=("mug-20",))) == expected


def test_a_price_band_holds_for_the_fallback_too_and_asks_nothing_without_a_price(
    shelf: Store,
) -> None:
    use(
        shelf,
        sources=[{"source": "similar_content", "weight": 1}],
        price_band={"kind": "up", "percent": 2},
        fallback=["new_arrivals"],
    )
    assert set(shown(shelf, product_ids=("mug-20",))) == {"mug-21", "mug-22"}
    assert len(shown(shelf)) == 10
    make_product(shelf, "gift", price_minor=None)
    RUNTIMES.clear()
    assert len(shown(shelf, product_ids=("gift",))) == 10
    # The first in view may have no price; the next one has.
    assert set(shown(shelf, product_ids=("gift", "mug-20"))) == {"mug-21", "mug-22"}


def test_the_trace_counts_what_the_band_took_out_and_says_why_not(shelf: Store) -> None:
    use(shelf, **NEW_ARRIVALS, price_band={"kind": "up", "percent": 2})
    answer = ask(shelf, product_ids=("mug-20",), explain=True, why_not=("mug-19",))
    assert step(answer, "price_band") | {"step": ""} == {
        "step": "",
        "lowest": 121,
        "highest": 122,
        "outside": answer_outside(answer),
    }
    assert answer.trace is not None
    assert answer.trace.dropped["mug-19"]["step"] == "price_band"
    assert "$1.19" in answer.trace.dropped["mug-19"]["why"]
    assert "$1.21 to $1.22" in answer.trace.dropped["mug-19"]["why"]


def answer_outside(answer: Recommendation) -> int:
    """What the sources found in all, without what was shown."""
    assert answer.trace is not None
    found = sum(each["found"] for each in answer.trace.steps if each["step"] == "candidates")
    return int(found) - len(answer.rows)


def test_a_price_that_changes_moves_the_band_of_an_answer_asked_before(shelf: Store) -> None:
    use(
        shelf,
        sources=[{"source": "similar_content", "weight": 1}],
        price_band={"kind": "up", "percent": 2},
    )
    train_all(shelf)
    RUNTIMES.refresh()
    assert set(shown(shelf, product_ids=("mug-20",))) <= {"mug-21", "mug-22"}
    product = shelf.products.get(external_id="mug-20")
    product.price_minor, product.updated_at = 90, product.updated_at + timedelta(seconds=1)
    product.save()
    Store.objects.filter(pk=shelf.pk).update(catalog_version=shelf.catalog_version + 1)
    RUNTIMES.refresh()
    # Nothing costs 0.91: neither what was found before nor anything else may be shown.
    assert shown(shelf, product_ids=("mug-20",)) == []


# ------------------------------------------------------------------ relevance and preference


def test_minimum_relevance_leaves_out_what_scores_less_than_a_share_of_the_best(
    shelf: Store,
) -> None:
    # New arrivals score 40, 39, …, 1, scaled by the largest.
    use(shelf, **NEW_ARRIVALS, minimum_relevance=0.9)
    assert shown(shelf) == ["mug-00", "mug-01", "mug-02", "mug-03", "mug-04"]
    answer = ask(shelf, explain=True, why_not=("mug-05",))
    assert step(answer, "relevance") == {"step": "relevance", "minimum": 0.9, "left_out": 35}
    assert answer.trace is not None
    assert answer.trace.dropped["mug-05"]["step"] == "relevance"
    # What is too little relevant is no reason to be silent: the fallback knows nothing of scores.
    assert answer.reason is None


def test_fresh_products_move_up_by_as_much_as_is_asked(store: Store) -> None:
    for number in range(10):
        make_product(store, f"p{number}", published_at=NEWEST + timedelta(days=number))
    picks: dict[str, Any] = {
        "sources": [{"source": "handpicked", "weight": 1}],
        "handpicked": [f"p{number}" for number in range(10)],
    }
    use(store, **picks)
    assert shown(store) == [f"p{number}" for number in range(10)]
    use(store, **picks, prefer={"kind": "fresh", "strength": 0})
    assert shown(store)[0] == "p0"
    use(store, **picks, prefer={"kind": "fresh", "strength": 1})
    assert shown(store) == [f"p{number}" for number in reversed(range(10))]
    answer = ask(store, explain=True)
    assert answer.trace is not None
    assert answer.trace.products["p4"]["preference"] == 0.5


def test_popular_products_move_up_by_their_sales(store: Store) -> None:
    world = two_tastes(store)
    picks: dict[str, Any] = {
        "sources": [{"source": "handpicked", "weight": 1}],
        "handpicked": ["tofu", "honey", "milk"],
        "prefer": {"kind": "popular", "strength": 0.9},
    }
    use(store, **picks)
    # Without sales there is nothing to prefer, and the trace says so.
    assert shown(store) == ["tofu", "honey", "milk"]
    assert step(ask(store, explain=True), "preference")["reason"] == "not_trained"
    train_all(world.store)
    RUNTIMES.refresh()
    assert shown(store) == ["milk", "honey", "tofu"]
    use(store, **{**picks, "prefer": {"kind": "popular", "strength": 0.05}})
    # 1 · (.95 + .05 · 1/3), 21/22 · (.95 + .05 · 2/3) and 21/23 · 1 of what each scores.
    assert shown(store) == ["tofu", "honey", "milk"]


# ------------------------------------------------------------------ sources


def test_on_sale_is_what_costs_less_than_it_did_most_first(shelf: Store) -> None:
    for name, before in (("mug-07", 200), ("mug-08", 400), ("mug-09", 100), ("mug-10", 110)):
        shelf.products.filter(external_id=name).update(list_price_minor=before)
    use(shelf, sources=[{"source": "on_sale", "weight": 1}])
    assert shown(shelf) == ["mug-08", "mug-07"]
    assert shown(shelf, category="Mugs > 7") == ["mug-07"]
    # A category without a bargain is answered by its parent.
    assert shown(shelf, category="Mugs > 3") == ["mug-08", "mug-07"]


def test_handpicked_products_stand_in_their_order_if_they_may_be_shown(shelf: Store) -> None:
    shelf.products.filter(external_id="mug-03").update(hidden=True)
    use(
        shelf,
        sources=[{"source": "handpicked", "weight": 1}],
        handpicked=["mug-09", "mug-03", "no-such-mug", "mug-01"],
    )
    assert shown(shelf) == ["mug-09", "mug-01"]
    assert shown(shelf, product_ids=("mug-09",)) == ["mug-01"]


# ------------------------------------------------------------------ exploration


def test_places_given_to_chance_differ_between_requests_even_where_answers_are_kept(
    store: Store,
) -> None:
    world = two_tastes(store)
    train_all(world.store)
    sources = [{"source": "similar_content", "weight": 1}]
    use(store, sources=sources)
    kept = {tuple(shown(store, product_ids=("milk",), limit=3)) for _ in range(10)}
    assert len(kept) == 1
    use(store, sources=sources, exploration=0.3)
    assert len({tuple(shown(store, product_ids=("milk",), limit=3)) for _ in range(40)}) > 2


def test_propensities_are_the_frequencies_of_20_000_answers_and_reach_the_log(
    shelf: Store,
) -> None:
    use(shelf, **NEW_ARRIVALS, exploration=0.25, max_per_category=2)
    runtime = RUNTIMES.get(shelf.pk)
    assert runtime is not None
    placement = runtime.placements[SLUG]
    request = RecommendationRequest()
    n_answers, k = 20_000, 6
    counts: Counter[tuple[int, int]] = Counter()
    stated: dict[tuple[int, int], float] = {}
    for seed in range(n_answers):
        answer = recommend_placement(
            runtime, placement, request, NO_STATE, limit=k, shown=set(), now_s=1.0, seed=seed
        )
        categories = Counter(runtime.snapshot.category_codes[answer.rows].tolist())
        assert max(categories.values()) <= 2
        for place, (row, chance) in enumerate(zip(answer.rows, answer.propensities, strict=True)):
            counts[place, row] += 1
            assert stated.setdefault((place, row), chance) == chance
    for cell, chance in stated.items():
        error = abs(counts[cell] / n_answers - chance)
        assert error <= 5 * np.sqrt(chance * (1 - chance) / n_answers), cell
    for place in range(k):
        at_place = [chance for cell, chance in stated.items() if cell[0] == place]
        assert sum(at_place) == pytest.approx(1)
        assert max(at_place) == pytest.approx(0.75)
    recommend(store_id=shelf.pk, request=request, placements=[PlacementRequest(slug=SLUG, limit=k)])
    IMPRESSIONS.flush()
    logged = Impression.objects.get(store=shelf).propensities
    assert set(np.round(logged, 5)) <= set(np.round(list(stated.values()), 5))


def test_an_answer_can_be_repeated_by_its_seed_and_says_which_places_were_random(
    shelf: Store,
) -> None:
    use(shelf, **NEW_ARRIVALS, exploration=0.3)
    runtime = RUNTIMES.get(shelf.pk)
    assert runtime is not None

    def answer(seed: int | None, **context: Any) -> Recommendation:
        return recommend_placement(
            runtime,
            runtime.placements[SLUG],
            RecommendationRequest(**context),
            NO_STATE,
            limit=10,
            shown=set(),
            now_s=1.0,
            seed=seed,
        )

    first = answer(None)
    again = answer(first.recommendation_id.int)
    assert (again.rows, again.propensities) == (first.rows, first.propensities)
    told = answer(3, explain=True, why_not=tuple(f"mug-{n:02}" for n in range(10)))
    places = step(told, "exploration")["places"]
    assert len(places) == 3
    assert [place + 1 for place, row in enumerate(told.rows) if row >= 10] == places
    assert told.trace is not None
    assert set(told.trace.dropped) == {f"mug-{place - 1:02}" for place in places}
    assert {each["step"] for each in told.trace.dropped.values()} == {"exploration"}


def test_without_anything_further_down_nothing_is_random(store: Store) -> None:
    for number in range(3):
        make_product(store, f"p{number}", published_at=NEWEST)
    use(store, **NEW_ARRIVALS, exploration=0.3)
    assert {tuple(shown(store)) for _ in range(20)} == {("p0", "p1", "p2")}
    assert ask(store).propensities == [1.0] * 3


# ------------------------------------------------------------------ placements


def test_a_placement_may_leave_out_otherwise_than_its_strategy_says(store: Store) -> None:
    world: TwoTastes = two_tastes(store)
    train_all(world.store)
    use(store, sources=[{"source": "for_you", "weight": 1}])
    assert {"muesli", "milk"} <= set(shown(store, shopper_id="breakfast-1"))
    Placement.objects.filter(store=store, slug=SLUG).update(exclude={"purchased": True})
    settings_touch(store_id=store.pk)
    RUNTIMES.refresh()
    assert not {"muesli", "milk"} & set(shown(store, shopper_id="breakfast-1"))
    assert set(shown(store, shopper_id="breakfast-1")) <= set(BREAKFAST) | {"tofu"}
    cart = {"cart": ("honey",), "shopper_id": "tools-1"}
    assert "honey" not in shown(store, **cart)
