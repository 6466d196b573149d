"""The request path. The order of the steps is documented for merchants: docs/request-path.md.

 1. authenticate, resolve store and placement        `recommender.api`
 2. read the shopper's recent state (one round trip)  `recommender.services.recommend`
 3. assign the experiment's variant, and with it
    the strategy version                              `ServingPlacement.choose`
 4. eligibility                                       `_context`, `_eligible`
 5. candidates from each source                       `_strategy_answer`
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
from recommender.engine.id_map import stable_hash64
from recommender.engine.online.blending import Blended, blend
from recommender.engine.online.diversity import rerank
from recommender.engine.online.eligibility import without_rows
from recommender.engine.types import BoolArray, Int32Array, Int64Array
from recommender.serving.context import Context, category_scope
from recommender.serving.explanation import (
    Chosen,
    explain_answer,
    explain_ineligible,
)
from recommender.serving.placement import ServingPlacement
from recommender.serving.request import MAX_LIMIT, Recommendation, RecommendationRequest
from recommender.serving.runtime import ContextualAnswer, StoreRuntime
from recommender.serving.signing import recommendation_id_new
from recommender.serving.sources import SOURCES, Found
from recommender.serving.strategy import ServingStrategy, StrategyDocument
from recommender.serving.trace import Reason, Trace
from recommender.stores.session_state import SessionState

# Blended candidates that are kept.
POOL = 120
# Of them the diversity step looks at so many for each product wanted, and at all of them only
# where caps leave too few: what stands far behind is hardly ever chosen for being different.
POOL_PER_PRODUCT = 4


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
    settings = placement.settings
    variant, strategy = placement.choose(request.shopper_id)
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
        chosen, reason = _strategy_answer(runtime, context, strategy, n_wanted, trace)
        n_minimum = min(settings.n_minimum, n_wanted)
        if len(chosen) >= n_minimum:
            reason = None
        else:
            if not state.available and reason is Reason.UNKNOWN_SHOPPER:
                reason = Reason.STATE_UNAVAILABLE
            chosen, fallback = _fill(context, strategy.document, chosen, n_wanted, trace)
        if trace is not None:
            explain_answer(trace, context, chosen)
    return Recommendation(
        recommendation_id=recommendation_id_new(int(now_s * 1000)),
        placement_slug=settings.slug,
        placement_id=settings.placement_id,
        strategy_version_id=strategy.version_id,
        experiment=placement.experiment if variant is not None else None,
        variant=variant,
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
    strategy: ServingStrategy,
    request: RecommendationRequest,
    state: SessionState,
    shown: set[int],
    now_s: int,
    trace: Trace | None,
) -> Context:
    """Step 4: resolve ids to rows and decide what may be shown to this shopper here."""
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
    )
    context.scope = category_scope(context, strategy.document)
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
    mask = without_rows(snapshot.eligible, rows) if rows else snapshot.eligible
    if trace is not None:
        scope = context.scope
        within = mask if scope is None else mask & scope[snapshot.category_codes]
        trace.step(
            "eligibility",
            catalog=len(snapshot),
            eligible=int(within.sum()),
            excluded={why: len(part) for why, part in excluded.items() if part},
        )
        explain_ineligible(trace, context, strategy, excluded)
    return mask


def _bought_rows(context: Context) -> list[int]:
    rows: list[int] = context.event_rows[context.event_types == _PURCHASE].tolist()
    model, past = context.models.profiles, context.history
    if model is not None and past is not None:
        bought = model.rows.to_snapshot[past.rows[past.counts > 0]]
        rows.extend(bought[bought >= 0].tolist())
    return rows


def _strategy_answer(
    runtime: StoreRuntime,
    context: Context,
    strategy: ServingStrategy,
    n_wanted: int,
    trace: Trace | None,
) -> tuple[list[Chosen], Reason]:
    """Steps 5 to 7: what the strategy itself finds, best first, and why it may be short.

    What only depends on the products in view is the same for everybody, and popular products are
    looked at often. Whoever may not see a product of the answer gets one of their own.
    """
    if not (strategy.contextual and context.page_rows) or trace is not None:
        return _found_answer(context, strategy, n_wanted, trace)

    def make() -> ContextualAnswer:
        mask = without_rows(context.snapshot.eligible, context.page_rows)
        for_everybody = replace(context, eligible=mask)
        found, why_short = _found_answer(for_everybody, strategy, n_wanted, None)
        entries = tuple((each.row, each.score, each.source, each.because) for each in found)
        return entries, why_short

    key = (strategy.version_id, n_wanted, context.category, *context.page_rows)
    entries, reason = runtime.contextual.get(key, make)
    may_be_shown = context.eligible.item
    if all(may_be_shown(entry[0]) for entry in entries):
        return [Chosen(*entry, None) for entry in entries], reason
    return _found_answer(context, strategy, n_wanted, None)


def _found_answer(
    context: Context, strategy: ServingStrategy, n_wanted: int, trace: Trace | None
) -> tuple[list[Chosen], Reason]:
    found = [SOURCES[name].find(context) for name in strategy.names]
    if trace is not None:
        for name, part in zip(strategy.names, found, strict=True):
            trace.step(
                "candidates",
                source=name,
                found=len(part.candidates),
                reason=part.reason,
            )
    blended = blend(
        [
            (name, weight, part.candidates)
            for name, weight, part in zip(strategy.names, strategy.weights, found, strict=True)
        ],
        allowed=context.allowed,
        limit=POOL,
    )
    chosen = _chosen(context, strategy, blended, n_wanted, trace)
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
    strategy: ServingStrategy,
    blended: Blended,
    n_wanted: int,
    trace: Trace | None,
) -> list[Chosen]:
    if not len(blended):
        return []
    n_first = POOL_PER_PRODUCT * n_wanted
    positions = _diverse(context, strategy.document, blended, n_first, n_wanted)
    if len(positions) < n_wanted and n_first < len(blended):
        positions = _diverse(context, strategy.document, blended, len(blended), n_wanted)
    if trace is not None:
        _explain_places(context, strategy, blended, positions, trace)
    names = strategy.names
    parts, because = blended.leading(positions)
    return [
        Chosen(
            row,
            score,
            names[part],
            start,
            {names[n]: (rank, share) for n, rank, share in blended.shares(position)}
            if trace is not None
            else None,
        )
        for position, row, score, part, start in zip(
            positions.tolist(),
            blended.rows[positions].tolist(),
            blended.scores[positions].tolist(),
            parts,
            because,
            strict=True,
        )
    ]


def _diverse(
    context: Context, strategy: StrategyDocument, blended: Blended, n_looked_at: int, n_wanted: int
) -> Int64Array:
    """Step 7 on the best so many candidates: their positions in the order to show."""
    rows = blended.rows[:n_looked_at]
    snapshot, content = context.snapshot, context.models.content
    return rerank(
        rows,
        blended.scores[:n_looked_at],
        vectors=content.vectors if content is not None else None,
        # -1 for products newer than the model: they are unlike everything.
        vector_rows=content.rows.from_snapshot.take(rows) if content is not None else None,
        trade_off=strategy.diversity,
        limit=n_wanted,
        brand_codes=snapshot.brand_codes,
        max_per_brand=strategy.max_per_brand,
        category_codes=snapshot.category_codes,
        max_per_category=strategy.max_per_category,
    )


def _explain_places(
    context: Context,
    strategy: ServingStrategy,
    blended: Blended,
    positions: Int64Array,
    trace: Trace,
) -> None:
    trace.step("blend", candidates=len(blended))
    trace.step("diversity", trade_off=strategy.document.diversity, kept=len(positions))
    kept = set(positions.tolist())
    asked = set(context.snapshot.rows_of_external(context.request.why_not))
    for position, row in enumerate(blended.rows.tolist()):
        if row in asked and position not in kept:
            trace.drop(
                context.snapshot.external_ids[row],
                "diversity",
                f"place {position + 1} by score was not enough after diversity and caps",
            )


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
    candidates = SOURCES[name].find(context).candidates
    if not len(candidates):
        return 0
    added = 0
    for position in context.allowed(candidates.rows).nonzero()[0].tolist():
        if len(chosen) >= n_wanted:
            break
        row = int(candidates.rows[position])
        if row not in taken:
            taken.add(row)
            score, because = float(candidates.scores[position]), int(candidates.because[position])
            chosen.append(Chosen(row, score, name, because, None))
            added += 1
    return added


_HIDE = int(EventType.HIDE_ITEM)
_PURCHASE = int(EventType.PURCHASE)
_NO_ROWS = np.empty(0, np.int32)
