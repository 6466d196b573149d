"""The request path. The order of the steps is documented for merchants: docs/request-path.md.

 1. authenticate, resolve store and placement        `recommender.api`
 2. read the shopper's recent state (one round trip)  `recommender.services.recommend`
 3. pick the strategy version                         `StoreRuntime.placements`
 4. eligibility                                       `_context`, `_eligible`
 5. candidates from each source                       `_candidates`
 6. blend                                             `engine.online.blending`
 7. diversity and caps                                `engine.online.diversity`
 8. page de-duplication                               rows shown before are not eligible
 9. minimum count: fallback chain, then an honest
    empty answer with a reason code                   `_fill`
10. cards, signed id, impression                      `recommender.services.recommend`
"""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter_ns

import numpy as np

from catalog.models.events import EventType
from recommender.engine.online.blending import Blended, blend
from recommender.engine.online.diversity import rerank
from recommender.engine.online.eligibility import without_rows
from recommender.engine.types import BoolArray, Candidates, Float32Array, Int32Array
from recommender.serving.context import (
    SESSION_WEIGHTS,
    VIEW_TYPES,
    Context,
    category_scope,
    history_of,
)
from recommender.serving.explanation import (
    Chosen,
    explain_answer,
    explain_ineligible,
)
from recommender.serving.request import MAX_LIMIT, Recommendation, RecommendationRequest
from recommender.serving.runtime import ServingPlacement, StoreRuntime
from recommender.serving.signing import recommendation_id_new
from recommender.serving.sources import SOURCES, Found
from recommender.serving.strategy import StrategyDocument
from recommender.serving.trace import Reason, Trace
from recommender.stores.session_state import SessionState

# Blended candidates that the diversity step looks at.
RERANK_POOL = 120


def recommend_placement(
    runtime: StoreRuntime,
    placement: ServingPlacement,
    request: RecommendationRequest,
    state: SessionState,
    *,
    limit: int | None,
    shown: set[int],
    now_s: float,
) -> Recommendation:
    """Answer one placement.

    Parameters
    ----------
    limit
        At most this many products; None is the placement's own number.
    shown : set of snapshot rows
        Products that placements before this one on the page show. Not changed.
    now_s
        Unix seconds.
    """
    started = perf_counter_ns()
    trace = Trace() if request.explain else None
    settings, strategy = placement.settings, placement.strategy
    n_wanted = min(limit if limit is not None else settings.n_products, MAX_LIMIT)
    chosen: list[Chosen] = []
    fallback: str | None = None
    reason: Reason | None = None
    if settings.paused:
        reason = Reason.PLACEMENT_PAUSED
    elif not len(runtime.snapshot) or not runtime.snapshot.eligible.any():
        reason = Reason.EMPTY_CATALOG
    else:
        context = _context(runtime, strategy, request, state, shown, int(now_s), trace)
        chosen, reason = _strategy_answer(context, strategy, n_wanted, trace)
        n_minimum = min(settings.n_minimum, n_wanted)
        if len(chosen) >= n_minimum:
            reason = None
        else:
            if not state.available and reason is Reason.UNKNOWN_SHOPPER:
                reason = Reason.STATE_UNAVAILABLE
            chosen, fallback = _fill(context, strategy, chosen, n_wanted, trace)
        if trace is not None:
            explain_answer(trace, context, chosen)
    return Recommendation(
        recommendation_id=recommendation_id_new(int(now_s * 1000)),
        placement_slug=settings.slug,
        placement_id=settings.placement_id,
        strategy_version_id=settings.strategy_version_id,
        title=settings.title,
        rows=[entry.row for entry in chosen],
        sources=[entry.source for entry in chosen],
        scores=[entry.score for entry in chosen],
        propensities=[1.0] * len(chosen),
        fallback=fallback,
        reason=reason,
        took_us=(perf_counter_ns() - started) // 1000,
        trace=trace,
    )


def _context(
    runtime: StoreRuntime,
    strategy: StrategyDocument,
    request: RecommendationRequest,
    state: SessionState,
    shown: set[int],
    now_s: int,
    trace: Trace | None,
) -> Context:
    """Step 4: resolve ids to rows and decide what may be shown to this shopper here."""
    snapshot = runtime.snapshot
    page_rows = snapshot.rows_of_external(request.product_ids)
    if request.cart is not None:
        cart_rows = snapshot.rows_of_external(request.cart)
    else:
        cart_rows = [row for row in snapshot.rows_of(state.cart).tolist() if row >= 0]
    event_rows = snapshot.rows_of(state.product_ids)
    known = event_rows >= 0
    event_rows = event_rows[known]
    event_types = state.types[known]
    category = request.category
    if category is None and page_rows:
        category = snapshot.category_path(page_rows[0]) or None
    history = history_of(runtime.models.profiles, request.shopper_id)
    context = Context(
        request=request,
        snapshot=snapshot,
        models=runtime.models,
        state=state,
        now_s=now_s,
        page_rows=page_rows,
        cart_rows=cart_rows,
        event_rows=event_rows,
        event_weights=_SESSION_WEIGHT_OF[event_types],
        viewed_rows=event_rows[_IS_VIEW[event_types]].tolist(),
        category=category,
        history=history,
        eligible=snapshot.eligible,
    )
    return replace(context, eligible=_eligible(context, strategy, event_types, shown, trace))


def _eligible(
    context: Context,
    strategy: StrategyDocument,
    event_types: Int32Array,
    shown: set[int],
    trace: Trace | None,
) -> BoolArray:
    snapshot, exclude = context.snapshot, strategy.exclude
    excluded: dict[str, list[int]] = {
        "in view": context.page_rows,
        "excluded by the request": snapshot.rows_of_external(context.request.exclude),
        "shown above on this page": list(shown),
        "hidden by the shopper": context.event_rows[event_types == _HIDE].tolist(),
    }
    if exclude.in_cart:
        excluded["in the cart"] = context.cart_rows
    if exclude.viewed:
        excluded["viewed"] = context.viewed_rows
    if exclude.purchased:
        excluded["bought"] = _bought_rows(context, event_types)
    mask = snapshot.eligible
    scope = category_scope(context, strategy)
    if scope is not None:
        mask = mask & scope
    rows = [row for part in excluded.values() for row in part]
    if rows:
        mask = without_rows(mask, rows)
    if trace is not None:
        trace.step(
            "eligibility",
            catalog=len(snapshot),
            eligible=int(mask.sum()),
            excluded={why: len(part) for why, part in excluded.items() if part},
        )
        explain_ineligible(trace, context, strategy, excluded)
    return mask


def _bought_rows(context: Context, event_types: Int32Array) -> list[int]:
    rows: list[int] = context.event_rows[event_types == _PURCHASE].tolist()
    model, past = context.models.profiles, context.history
    if model is not None and past is not None:
        bought = model.rows.to_snapshot[past.rows[past.counts > 0]]
        rows.extend(bought[bought >= 0].tolist())
    return rows


def _strategy_answer(
    context: Context, strategy: StrategyDocument, n_wanted: int, trace: Trace | None
) -> tuple[list[Chosen], Reason | None]:
    """Steps 5 to 7: what the strategy itself finds, best first, and why it may be short."""
    names = [entry.source for entry in strategy.sources]
    found = [SOURCES[name].find(context) for name in names]
    if trace is not None:
        for name, part in zip(names, found, strict=True):
            trace.step(
                "candidates",
                source=name,
                found=len(part.candidates),
                reason=part.reason,
            )
    blended = blend(
        [
            (entry.source, entry.weight, part.candidates)
            for entry, part in zip(strategy.sources, found, strict=True)
        ],
        eligible=context.eligible,
        limit=RERANK_POOL,
    )
    chosen = _chosen(context, strategy, blended, names, n_wanted, trace)
    return chosen, _why_short(found, blended)


def _why_short(found: list[Found], blended: Blended) -> Reason:
    """The reason that a member can act on, if the answer should turn out too short."""
    if len(blended):
        return Reason.TOO_FEW_CANDIDATES
    if any(len(part.candidates) for part in found):
        return Reason.ALL_EXCLUDED
    reasons = [part.reason for part in found if part.reason is not None]
    return reasons[0] if reasons else Reason.TOO_FEW_CANDIDATES


def _chosen(
    context: Context,
    strategy: StrategyDocument,
    blended: Blended,
    names: list[str],
    n_wanted: int,
    trace: Trace | None,
) -> list[Chosen]:
    if not len(blended):
        return []
    snapshot = context.snapshot
    positions = rerank(
        np.arange(len(blended), dtype=np.int32),
        blended.scores,
        vectors=_vectors(context, blended.rows),
        trade_off=strategy.diversity,
        limit=n_wanted,
        brand_codes=snapshot.brand_codes[blended.rows],
        max_per_brand=strategy.max_per_brand,
        category_codes=snapshot.category_codes[blended.rows],
        max_per_category=strategy.max_per_category,
    )
    if trace is not None:
        trace.step("blend", candidates=len(blended))
        trace.step("diversity", trade_off=strategy.diversity, kept=len(positions))
        kept = set(positions.tolist())
        asked = set(snapshot.rows_of_external(context.request.why_not))
        for position, row in enumerate(blended.rows.tolist()):
            if row in asked and position not in kept:
                trace.drop(
                    snapshot.external_ids[row],
                    "diversity",
                    f"place {position + 1} by score was not enough after diversity and caps",
                )
    chosen = []
    for position in positions.tolist():
        parts = None
        if trace is not None:
            parts = {
                name: (int(rank), float(score))
                for name, rank, score in zip(
                    names,
                    blended.part_ranks[position],
                    blended.part_scores[position],
                    strict=True,
                )
                if rank
            }
        chosen.append(
            Chosen(
                int(blended.rows[position]),
                float(blended.scores[position]),
                names[int(blended.source[position])],
                int(blended.because[position]),
                parts,
            )
        )
    return chosen


def _vectors(context: Context, rows: Int32Array) -> Float32Array | None:
    """Content vectors of some snapshot rows, zero for products newer than the model."""
    model = context.models.content
    if model is None:
        return None
    in_model = model.rows.from_snapshot[rows]
    vectors: Float32Array = model.vectors[in_model]
    if in_model.min() < 0:
        vectors[in_model < 0] = 0
    return vectors


def _fill(
    context: Context,
    strategy: StrategyDocument,
    chosen: list[Chosen],
    n_wanted: int,
    trace: Trace | None,
) -> tuple[list[Chosen], str | None]:
    """Step 9: fallback sources in their order until the answer is full."""
    chosen = list(chosen)
    first: str | None = None
    taken = {entry.row for entry in chosen}
    for name in strategy.fallback:
        if len(chosen) >= n_wanted:
            break
        # Within the category in view, and then anywhere: an answer beats a category.
        added = _fill_from(context, name, chosen, taken, n_wanted)
        if len(chosen) < n_wanted and context.category is not None:
            anywhere = replace(context, category=None)
            added += _fill_from(anywhere, name, chosen, taken, n_wanted)
        if added and first is None:
            first = name
        if trace is not None:
            trace.step("fallback", source=name, added=added)
    return chosen, first


def _fill_from(
    context: Context, name: str, chosen: list[Chosen], taken: set[int], n_wanted: int
) -> int:
    candidates: Candidates = SOURCES[name].find(context).candidates
    added = 0
    for row, score, because in zip(
        candidates.rows.tolist(),
        candidates.scores.tolist(),
        candidates.because.tolist(),
        strict=True,
    ):
        if len(chosen) >= n_wanted:
            break
        if row not in taken and context.eligible[row]:
            taken.add(row)
            chosen.append(Chosen(row, score, name, because, None))
            added += 1
    return added


def _table(values: dict[int, float]) -> Float32Array:
    table = np.zeros(256, np.float32)
    for key, value in values.items():
        table[key] = value
    return table


# Indexed by event type.
_SESSION_WEIGHT_OF = _table({int(kind): weight for kind, weight in SESSION_WEIGHTS.items()})
_IS_VIEW = _table({int(kind): 1.0 for kind in VIEW_TYPES}).astype(np.bool_)
_HIDE = int(EventType.HIDE_ITEM)
_PURCHASE = int(EventType.PURCHASE)
