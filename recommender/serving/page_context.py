"""Step 4 of the request path: what a page is about, and what may be shown on it to this shopper."""

from __future__ import annotations

import numpy as np

from catalog.models.events import EventType
from recommender.engine.id_map import stable_hash64
from recommender.engine.online.eligibility import without_rows
from recommender.engine.types import BoolArray, Int32Array, Int64Array
from recommender.selectors.serving_settings import PlacementSettings
from recommender.serving.context import Context, category_scope, price_scope
from recommender.serving.explanation import explain_ineligible
from recommender.serving.request import RecommendationRequest
from recommender.serving.rule_steps import rules_begin, rules_explain_eligible
from recommender.serving.runtime import StoreRuntime
from recommender.serving.strategy import ServingStrategy, StrategyDocument
from recommender.serving.trace import Trace
from recommender.stores.session_state import SessionState


def page_context(
    runtime: StoreRuntime,
    settings: PlacementSettings,
    strategy: ServingStrategy,
    request: RecommendationRequest,
    state: SessionState,
    shown: set[int],
    now_s: int,
    trace: Trace | None,
) -> Context:
    """Resolve ids to rows and decide what may be shown to this shopper here."""
    snapshot = runtime.snapshot
    page_rows = snapshot.rows_of_external(request.product_ids) if request.product_ids else []
    events_matter = strategy.needs_events or not page_rows
    event_rows, event_types, event_at_s = _events(runtime, state, only_hides=not events_matter)
    if request.cart is not None:
        cart_rows = snapshot.rows_of_external(request.cart)
    elif len(state.cart):
        cart_rows = [row for row in snapshot.rows_of(state.cart).tolist() if row >= 0]
    else:
        cart_rows = []
    category = request.category
    if category is None and page_rows:
        category = snapshot.category_path(page_rows[0]) or None
    history = None
    profiles = runtime.models.profiles
    if strategy.needs_history and profiles is not None:
        shopper_id = state.person or request.shopper_id
        if shopper_id is not None:
            history = profiles.history_of(stable_hash64(shopper_id))
    context = Context(
        request=request,
        snapshot=snapshot,
        models=runtime.models,
        state=state,
        now_s=now_s,
        page_rows=page_rows,
        cart_rows=cart_rows,
        event_rows=event_rows,
        event_types=event_types,
        event_at_s=event_at_s,
        event_weights=runtime.event_weights.take(event_types),
        category=category,
        history=history,
        eligible=snapshot.eligible,
        placement_id=settings.placement_id,
        time_zone=runtime.settings.time_zone,
    )
    context.scope = category_scope(context, strategy.document)
    context.prices = price_scope(context, strategy.document)
    if strategy.document.handpicked:
        context.handpicked_rows = snapshot.rows_of_external(strategy.document.handpicked)
    rules_begin(context, runtime.rules, settings)
    context.eligible = _eligible(context, strategy.document, shown, trace)
    return context


def _events(
    runtime: StoreRuntime, state: SessionState, *, only_hides: bool
) -> tuple[Int32Array, Int32Array, Int64Array]:
    """Rows, types and times of the recent events whose product is in the catalog."""
    ids, types, at_s = state.product_ids, state.types, state.at_s
    if only_hides and len(ids):
        hides = types == _HIDE
        ids, types, at_s = ids[hides], types[hides], at_s[hides]
    if not len(ids):
        return _NO_ROWS, _NO_ROWS, at_s[:0]
    rows = runtime.snapshot.rows_of(ids)
    if rows.min() >= 0:
        return rows, types, at_s
    known = rows >= 0
    return rows[known], types[known], at_s[known]


def _eligible(
    context: Context, strategy: StrategyDocument, shown: set[int], trace: Trace | None
) -> BoolArray:
    """Every product of the catalog without what is excluded; the scope is looked at apart."""
    snapshot, exclude, request = context.snapshot, strategy.exclude, context.request
    excluded: dict[str, list[int]] = {"in view": context.page_rows}
    if request.exclude:
        excluded["excluded by the request"] = snapshot.rows_of_external(request.exclude)
    if shown:
        excluded["shown above on this page"] = list(shown)
    if len(context.event_rows):
        hidden = context.event_rows[context.event_types == _HIDE]
        excluded["hidden by the shopper"] = hidden.tolist()
    if exclude.in_cart:
        excluded["in the cart"] = context.cart_rows
    if exclude.viewed:
        excluded["viewed"] = context.viewed_rows()
    if exclude.purchased:
        excluded["bought"] = _bought_rows(context)
    rows = [row for part in excluded.values() for row in part]
    mask = without_rows(context.eligible, rows) if rows else context.eligible
    if trace is not None:
        scope = context.scope
        within = mask if scope is None else mask & scope[snapshot.category_codes]
        trace.step(
            "eligibility",
            catalog=len(snapshot),
            eligible=int(within.sum()),
            excluded={why: len(part) for why, part in excluded.items() if part},
        )
        explain_ineligible(trace, context, strategy, excluded, mask)
        rules_explain_eligible(trace, context)
    return mask


def _bought_rows(context: Context) -> list[int]:
    rows: list[int] = context.event_rows[context.event_types == _PURCHASE].tolist()
    model, past = context.models.profiles, context.history
    if model is not None and past is not None:
        bought = model.rows.to_snapshot[past.rows[past.counts > 0]]
        rows.extend(bought[bought >= 0].tolist())
    return rows


_HIDE = int(EventType.HIDE_ITEM)
_PURCHASE = int(EventType.PURCHASE)
_NO_ROWS = np.empty(0, np.int32)
