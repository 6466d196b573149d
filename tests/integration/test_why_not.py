"""“Why not …?” is true: with the named step taken out, the product gets past it."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from django.utils import timezone

from catalog.models import Product, Store
from catalog.models.events import EventType
from catalog.services.products import catalog_changed
from recommender.engine.online.eligibility import without_rows
from recommender.engine.types import Candidates
from recommender.models import Run
from recommender.selectors.serving_settings import RuleSettings
from recommender.services.preview import (
    PREVIEW_SEED,
    PlacementEdit,
    RuleEdit,
    StrategyEdit,
    Who,
    edit_apply,
    preview_runtime,
)
from recommender.services.training.execution import run_execute
from recommender.services.training.runs import run_request
from recommender.serving import page_context, pipeline
from recommender.serving.explanation import CATEGORY
from recommender.serving.pipeline import recommend_placement
from recommender.serving.placement import ServingPlacement
from recommender.serving.request import Recommendation
from recommender.serving.runtime import StoreRuntime
from recommender.serving.sources import SOURCES, Found
from recommender.serving.trace import Step
from recommender.stores.session_state import SessionEntry, SessionState
from tests.factories import days, make_order, make_product, make_shopper

N_PRODUCTS = 90
N_ASKED = 20
COLOURS = ("red", "blue", "green", "black", "white")
THINGS = ("mug", "bowl", "plate", "spoon", "lamp", "chair")


@dataclass
class Ask:
    """One request that products are asked about, and what may be changed of it."""

    runtime: StoreRuntime
    placement: ServingPlacement
    who: Who
    state: SessionState = field(default_factory=SessionState)
    shown: set[int] = field(default_factory=set)
    limit: int | None = None

    def answer(self, asked: str) -> Recommendation:
        return recommend_placement(
            self.runtime,
            self.placement,
            replace(self.who, why_not=(asked,)).request(),
            self.state,
            limit=self.limit,
            shown=self.shown,
            now_s=timezone.now().timestamp(),
            seed=PREVIEW_SEED,
        )


@pytest.fixture
def wide_shop(store: Store) -> list[Product]:
    """Ninety products that are bought by six tastes; some are hidden, sold out or without a price."""
    dice = random.Random(4)
    products = [
        make_product(
            store,
            f"p{n:02}",
            title=f"{COLOURS[n % 5]} {THINGS[n % 6]} number {n}",
            category_path=f"Home > {THINGS[n % 6].title()}s",
            brand=f"Maker {n % 4}",
            price_minor=None if n % 29 == 28 else 500 + 37 * n,
            hidden=n % 31 == 30,
            availability="out_of_stock" if n % 23 == 22 else "in_stock",
        )
        for n in range(N_PRODUCTS)
    ]
    now = timezone.now()
    for number in range(36):
        shopper = make_shopper(store, f"shopper-{number}")
        liked = [each for n, each in enumerate(products) if n % 6 in (number % 6, (number + 1) % 6)]
        for order in range(3):
            make_order(store, shopper, dice.sample(liked, 4), at=now - days(1 + 5 * order))
    for family in (Run.Family.ITEM_SIMILARITY, Run.Family.POPULARITY, Run.Family.CONTENT):
        run = run_execute(run=run_request(store=store, family=family, trigger=Run.Trigger.COMMAND))
        assert run.state == Run.State.PUBLISHED, run.message
    return products


def ask_of(store: Store, slug: str, document: dict[str, Any], who: Who, **more: Any) -> Ask:
    runtime, placement = preview_runtime(store=store, placement=slug)
    runtime, placement = edit_apply(
        store=store,
        runtime=runtime,
        placement=placement.outside(),
        edit=StrategyEdit(document=document),
    )
    return Ask(runtime, placement, who, **more)


def with_document(ask: Ask, **changes: Any) -> Ask:
    document = {**ask.placement.settings.document, **changes}
    runtime, placement = edit_apply(
        store=Store.objects.get(pk=ask.runtime.settings.store_id),
        runtime=ask.runtime,
        placement=ask.placement,
        edit=StrategyEdit(document=document),
    )
    return replace(ask, runtime=runtime, placement=placement)


def with_rule(store: Store, ask: Ask, document: dict[str, Any]) -> Ask:
    """With one more rule, which the settings know as well, as if it were saved."""
    settings = ask.runtime.settings
    stored = RuleSettings(len(settings.rules) + 1, "a rule", document)
    edit = RuleEdit(rule_id=stored.rule_id, document=document)
    runtime, placement = edit_apply(
        store=store, runtime=ask.runtime, placement=ask.placement, edit=edit
    )
    settings = replace(settings, rules=(*settings.rules, stored))
    return replace(ask, runtime=replace(runtime, settings=settings), placement=placement)


def without_step(ask: Ask, asked: str, told: dict[str, Any], patch: pytest.MonkeyPatch) -> Ask:
    """The same request on a pipeline that hasn't got the step, or in a shop without its cause."""
    row = ask.runtime.snapshot.row_of_external[asked]
    match told["step"]:
        case Step.ELIGIBILITY | Step.PAGE:
            return _eligible(ask, row, told, patch)
        case Step.CANDIDATES:
            _propose(ask, row, patch)
            return ask
        case Step.CAPS:
            return with_document(ask, max_per_brand=None, max_per_category=None)
        case Step.DIVERSITY:
            return with_document(ask, diversity=0.0)
        case Step.RELEVANCE:
            return with_document(ask, minimum_relevance=0.0)
        case Step.PRICE_BAND:
            return with_document(ask, price_band={"kind": "none", "percent": 20})
        case Step.EXPLORATION:
            return with_document(ask, exploration=0.0)
        case Step.RULES | Step.PINS:
            return replace(ask, runtime=replace(ask.runtime, rules=None))
        case Step.PLACES:
            patch.setattr(pipeline, "MAX_LIMIT", N_PRODUCTS)
            patch.setattr(pipeline, "POOL", 10 * N_PRODUCTS)
            return replace(ask, limit=told["place"])
    raise AssertionError(f"nobody knows how to take out {told}")


def with_chain_reaching(
    ask: Ask, row: int, chain: dict[str, Any], patch: pytest.MonkeyPatch
) -> Ask:
    """The same request where the fallback chain goes on until it has shown the product."""
    patch.setattr(pipeline, "MAX_LIMIT", 10 * N_PRODUCTS)
    if "place" not in chain:
        _propose(ask, row, patch, name=chain["asked"][-1])
    return replace(ask, limit=10 * N_PRODUCTS)


def _eligible(ask: Ask, row: int, told: dict[str, Any], patch: pytest.MonkeyPatch) -> Ask:
    causes = told.get("causes", [])
    if "shown above on this page" in causes:
        ask = replace(ask, shown=ask.shown - {row})
    if CATEGORY in causes:
        ask = with_document(ask, category="any")
    if causes:
        patch.setattr(
            page_context,
            "without_rows",
            lambda mask, rows: without_rows(mask, [each for each in rows if each != row]),
        )
        return ask
    snapshot = ask.runtime.snapshot
    eligible = snapshot.eligible.copy()
    eligible[row] = True
    return replace(ask, runtime=replace(ask.runtime, snapshot=replace(snapshot, eligible=eligible)))


def _propose(ask: Ask, row: int, patch: pytest.MonkeyPatch, name: str | None = None) -> None:
    """A source, the strategy's first if none is named, finds the product, too, in the last place."""
    name = name or ask.placement.strategy.names[0]
    find = SOURCES[name].find

    def finds(context: Any) -> Found:
        found = find(context).candidates
        least = found.scores[-1:] if len(found) else np.ones(1, np.float32)
        return Found(
            Candidates(
                np.append(found.rows, np.int32(row)).astype(np.int32),
                np.append(found.scores, least).astype(np.float32),
                np.append(found.because, np.int32(-1)).astype(np.int32),
            )
        )

    patch.setitem(SOURCES, name, replace(SOURCES[name], find=finds))


ORDER = list(Step)
SOURCES_AND_CAPS = {
    "sources": [
        {"source": "bought_together", "weight": 0.6},
        {"source": "bestsellers", "weight": 0.4},
    ],
    "diversity": 0.3,
    "max_per_brand": 2,
    "fallback": [],
}
ASKS: dict[str, dict[str, Any]] = {
    "caps": {"document": SOURCES_AND_CAPS, "who": {"product_ids": ("p00",)}},
    "diversity": {
        "document": {
            "sources": [{"source": "similar_content", "weight": 1.0}],
            "diversity": 0.8,
            "fallback": [],
        },
        "who": {"product_ids": ("p07",), "cart": ("p09", "p13")},
        "n": N_PRODUCTS,
    },
    "scope and page": {
        "document": {**SOURCES_AND_CAPS, "max_per_brand": None, "category": "other"},
        "who": {"product_ids": ("p03",)},
        "shown": set(range(40, 60)),
    },
    "relevance": {
        "document": {**SOURCES_AND_CAPS, "max_per_brand": None, "minimum_relevance": 0.4},
        "who": {"product_ids": ("p12",)},
    },
    "price band": {
        "document": {
            **SOURCES_AND_CAPS,
            "max_per_brand": None,
            "price_band": {"kind": "same", "percent": 40},
        },
        "who": {"product_ids": ("p30",)},
    },
    "excluded by events": {
        "document": {
            "sources": [{"source": "bestsellers", "weight": 1.0}],
            "diversity": 0.0,
            "exclude": {"in_cart": True, "purchased": True, "viewed": True},
            "fallback": [],
        },
        "who": {},
        "state": [(EventType.VIEW_ITEM, 4), (EventType.PURCHASE, 4), (EventType.HIDE_ITEM, 5)],
    },
    "rules": {
        "document": {
            "sources": [{"source": "bestsellers", "weight": 1.0}],
            "diversity": 0.0,
            "exploration": 0.3,
            "fallback": [],
        },
        "who": {"product_ids": ("p08",)},
        "rules": [
            {"action": {"type": "exclude"}, "target": {"brands": ["Maker 1"]}},
            {"action": {"type": "bury", "factor": 4.0}, "target": {"brands": ["Maker 2"]}},
            {"action": {"type": "pin", "product_ids": ["p80", "p83"], "position": 1}},
        ],
        "n": N_PRODUCTS,
    },
}


def test_the_named_step_is_true_for_products_chosen_at_random(
    store: Store, wide_shop: list[Product]
) -> None:
    dice = random.Random(2026)
    named: Counter[str] = Counter()
    for name, given in ASKS.items():
        state = SessionState.of(_entries(wide_shop, given.get("state", ())))
        ask = ask_of(
            store,
            "product-bought-together",
            given["document"],
            Who(**given["who"]),
            state=state,
            shown=given.get("shown", set()),
        )
        for document in given.get("rules", ()):
            ask = with_rule(store, ask, document)
        for product in dice.sample(wide_shop, given.get("n", N_ASKED)):
            answer = ask.answer(product.external_id)
            assert answer.trace is not None
            if product.external_id in answer.trace.products:
                assert product.external_id not in answer.trace.dropped
                continue
            told = answer.trace.dropped[product.external_id]
            named[told["step"]] += 1
            with pytest.MonkeyPatch.context() as patch:
                after = without_step(ask, product.external_id, told, patch).answer(
                    product.external_id
                )
            _assert_got_past(name, product.external_id, told, after)
    # The sample means something only if it fell out at many steps.
    assert {Step.ELIGIBILITY, Step.CANDIDATES, Step.CAPS, Step.PLACES, Step.PRICE_BAND} <= set(
        named
    )
    assert {Step.PAGE, Step.RELEVANCE, Step.DIVERSITY, Step.RULES, Step.PINS} <= set(named)


CHAINS: dict[str, dict[str, Any]] = {
    # Hardly anything is bought together with the first product, and the chain fills up.
    "reaches nearly all": {"fallback": ["bestsellers"], "limit": 50},
    "is full soon": {"fallback": ["trending", "bestsellers"], "limit": 14},
    "is short itself": {"fallback": ["on_sale", "new_arrivals"], "limit": 40},
}


def test_what_is_said_of_the_fallback_chain_is_true(store: Store, wide_shop: list[Product]) -> None:
    reduced = [each.pk for each in wide_shop[:9]]
    Product.objects.filter(pk__in=reduced).update(list_price_minor=9_900)
    catalog_changed(store_id=store.pk)
    dice, told_of = random.Random(7), Counter[str]()
    for given in CHAINS.values():
        ask = short_ask(store, given["fallback"], given["limit"])
        for product in dice.sample(wide_shop, 2 * N_ASKED):
            told_of[_chain_is_true(ask, product.external_id)] += 1
    assert told_of.keys() == {"shown", "not on offer", "in the chain", "not in the chain"}


def short_ask(store: Store, fallback: list[str], limit: int) -> Ask:
    document = {
        "sources": [{"source": "bought_together", "weight": 1.0}],
        "diversity": 0.0,
        "max_per_brand": 1,
        "fallback": fallback,
    }
    who = Who(product_ids=("p04",))
    ask = ask_of(store, "product-bought-together", document, who, limit=limit)
    settings = replace(ask.placement.settings, n_minimum=limit)
    return replace(ask, placement=replace(ask.placement, settings=settings))


def _chain_is_true(ask: Ask, asked: str) -> str:
    """Look at what is said of one product, and let the chain go on until it shows it."""
    answer = ask.answer(asked)
    assert answer.trace is not None
    if asked in answer.trace.products:
        assert asked not in answer.trace.dropped
        return "shown"
    told = answer.trace.dropped[asked]
    if told["step"] == Step.ELIGIBILITY:
        # The chain can't show what may not be shown, and nothing is said of it.
        assert "chain" not in told
        return "not on offer"
    chain = told["chain"]
    assert chain["asked"] == [
        step["source"] for step in answer.trace.steps if step["step"] == "fallback"
    ]
    if "place" in chain:
        assert len(answer.rows) == ask.limit
    with pytest.MonkeyPatch.context() as patch:
        row = ask.runtime.snapshot.row_of_external[asked]
        after = with_chain_reaching(ask, row, chain, patch).answer(asked)
    assert after.trace is not None
    assert after.trace.products[asked]["source"] in chain["asked"]
    return "in the chain" if "place" in chain else "not in the chain"


def test_what_needs_no_fallback_says_so_and_what_shows_nothing_says_that(
    store: Store, wide_shop: list[Product]
) -> None:
    document = {**SOURCES_AND_CAPS, "fallback": ["bestsellers"]}
    document["sources"] = [{"source": "bought_together", "weight": 1.0}]
    ask = ask_of(store, "product-bought-together", document, Who(product_ids=("p00",)))

    def why(n_minimum: int, *, nothing: bool) -> str:
        settings = replace(
            ask.placement.settings, n_minimum=n_minimum, shows_nothing_below_minimum=nothing
        )
        placement = replace(ask.placement, settings=settings)
        trace = replace(ask, placement=placement).answer("p03").trace
        assert trace is not None
        assert trace.dropped["p03"]["step"] == Step.CANDIDATES
        return str(trace.dropped["p03"]["why"])

    assert why(1, nothing=False).endswith("there were enough products without one")
    assert why(12, nothing=True).endswith("this placement shows nothing, so no fallback was asked")
    assert "no fallback has it either: bestsellers within Home > Mugs (" in why(12, nothing=False)


def _entries(products: list[Product], events: Any) -> list[Any]:
    at_s = int(timezone.now().timestamp()) - 60
    return [
        SessionEntry(at_s + n, kind, products[place].pk, 1)
        for n, (kind, place) in enumerate(events)
    ]


def _assert_got_past(name: str, asked: str, told: dict[str, Any], after: Recommendation) -> None:
    assert after.trace is not None
    if asked in after.trace.products:
        return
    now_told = after.trace.dropped[asked]
    assert now_told != told, (name, asked, told)
    step, next_step = Step(told["step"]), Step(now_told["step"])
    if step == Step.ELIGIBILITY and "causes" not in told and "causes" in now_told:
        # On offer now, and still left out for this shopper here.
        return
    if step in (Step.ELIGIBILITY, Step.PAGE, Step.CANDIDATES, Step.RELEVANCE, Step.PRICE_BAND):
        assert ORDER.index(next_step) > ORDER.index(step), (name, asked, told, now_told)
    elif step in (Step.RULES, Step.PINS, Step.EXPLORATION):
        assert next_step != step, (name, asked, told, now_told)
    else:
        # Caps, diversity and places decide together: without one the next may do the same.
        assert next_step != step, (name, asked, told, now_told)
        assert ORDER.index(next_step) >= ORDER.index(Step.CAPS)


def test_a_placement_that_is_paused_answers_for_all_its_products(
    store: Store, wide_shop: list[Product]
) -> None:
    runtime, placement = preview_runtime(store=store, placement="home-trending")
    runtime, placement = edit_apply(
        store=store,
        runtime=runtime,
        placement=placement,
        edit=PlacementEdit(values={"paused": True}),
    )
    told = Ask(runtime, placement, Who()).answer("p01").trace
    assert told is not None
    assert told.dropped["p01"]["step"] == Step.PLACEMENT
