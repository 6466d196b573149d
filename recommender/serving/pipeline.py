"""The request path. The order of the steps is documented for merchants: docs/request-path.md.

 1. authenticate, resolve store and placement        `recommender.api`
 2. read the shopper's recent state (one round trip)  `recommender.services.recommend`
 3. assign the experiment's variant, and with it
    the strategy version                              `ServingPlacement.choose`
 4. eligibility, rules, category and price band,
    what the page shows already                       `_context`, `_eligible`, `Context.allowed`
 5. candidates from each source                       `_found_answer`
 6. blend                                             `engine.online.blending`
 7. minimum relevance, preference, boost and bury     `serving.strategy_steps`, `rule_steps`
 8. diversity and caps, places given to chance        `serving.strategy_steps`
 9. pins and reserved places                          `serving.rule_steps`
10. minimum count: fallback chain or nothing, then an
    honest empty answer with a reason code            `serving.filling`
11. cards, signed id, impression                      `recommender.services.recommend`
"""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter_ns

import numpy as np

from catalog.models.events import EventType
from recommender.engine.id_map import stable_hash64
from recommender.engine.online.blending import Blended, blend
from recommender.engine.online.eligibility import without_rows
from recommender.engine.types import BoolArray, Int32Array, Int64Array
from recommender.selectors.serving_settings import PlacementSettings
from recommender.serving.context import Context, category_scope, price_scope
from recommender.serving.explanation import (
    Chosen,
    explain_answer,
    explain_blend,
    explain_candidates,
    explain_ineligible,
    explain_places,
    explain_unanswered,
)
from recommender.serving.filling import answer_filled
from recommender.serving.placement import ServingPlacement
from recommender.serving.request import MAX_LIMIT, Recommendation, RecommendationRequest
from recommender.serving.rule_steps import (
    rules_begin,
    rules_explain_eligible,
    rules_key,
    rules_place,
    rules_pool,
    rules_scale,
)
from recommender.serving.runtime import ContextualAnswer, StoreRuntime
from recommender.serving.shortage import why_short
from recommender.serving.signing import recommendation_id_new
from recommender.serving.sources import SOURCES, Found
from recommender.serving.strategy import ServingStrategy, StrategyDocument
from recommender.serving.strategy_steps import (
    DRAWN_FROM,
    diversified,
    explores,
    price_band_explained,
    slots_explored,
    strategy_adjust,
)
from recommender.serving.trace import REASON_WORDS, Reason, Trace
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
    seed: int | None = None,
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
    seed
        Of the places that the strategy gives to chance; None takes the recommendation's id, so that
        each answer has its own and it can be repeated from the log.
    """
    started = perf_counter_ns()
    trace = Trace() if request.explain else None
    settings = placement.settings
    variant, strategy = placement.choose(request.shopper_id)
    recommendation_id = recommendation_id_new(int(now_s * 1000))
    n_wanted = min(limit if limit is not None else settings.n_products, MAX_LIMIT)
    chosen: list[Chosen] = []
    fallback: str | None = None
    reason: Reason | None = None
    rule_id: int | None = None
    if settings.paused:
        reason = Reason.PLACEMENT_PAUSED
    elif not len(runtime.snapshot) or not runtime.snapshot.eligible.any():
        reason = Reason.EMPTY_CATALOG
    else:
        context = _context(runtime, settings, strategy, request, state, shown, int(now_s), trace)
        context.seed = recommendation_id.int if seed is None else seed
        chosen, reason = _strategy_answer(runtime, context, strategy, n_wanted, trace)
        n_minimum = min(settings.n_minimum, n_wanted)
        if len(chosen) >= n_minimum:
            reason = None
        else:
            reason, rule_id = why_short(context, strategy, reason, n_minimum)
            if settings.shows_nothing_below_minimum:
                if trace is not None:
                    trace.step("minimum", found=len(chosen), minimum=n_minimum)
                    explain_unanswered(trace, request.why_not, _TOO_FEW)
                chosen = []
            else:
                chosen, fallback = answer_filled(
                    context, strategy.document, chosen, n_wanted, trace
                )
                chosen = rules_place(context, chosen, None, (), n_wanted, trace)
        if trace is not None:
            explain_answer(trace, context, chosen)
    if trace is not None and reason in (Reason.PLACEMENT_PAUSED, Reason.EMPTY_CATALOG):
        explain_unanswered(trace, request.why_not, REASON_WORDS[reason])
    return Recommendation(
        recommendation_id=recommendation_id,
        placement_slug=settings.slug,
        placement_id=settings.placement_id,
        strategy_version_id=strategy.version_id,
        experiment=placement.experiment if variant is not None else None,
        variant=variant,
        title=settings.title_for(request.locale),
        rows=[entry.row for entry in chosen],
        sources=[entry.source for entry in chosen],
        scores=[entry.score for entry in chosen],
        propensities=[entry.propensity for entry in chosen],
        fallback=fallback,
        reason=reason,
        took_us=(perf_counter_ns() - started) // 1000,
        trace=trace,
        rule_id=rule_id,
    )


def _context(
    runtime: StoreRuntime,
    settings: PlacementSettings,
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


def _strategy_answer(
    runtime: StoreRuntime,
    context: Context,
    strategy: ServingStrategy,
    n_wanted: int,
    trace: Trace | None,
) -> tuple[list[Chosen], Reason]:
    """Steps 5 to 9: what strategy and rules find, in the order to show, and why it may be short.

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

    key = (strategy.version_id, n_wanted, context.category, rules_key(context), *context.page_rows)
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
    parts = [
        (name, weight, part.candidates)
        for name, weight, part in zip(strategy.names, strategy.weights, found, strict=True)
    ]
    if trace is not None:
        price_band_explained(context, found, trace)
    pool = rules_pool(context, POOL)
    blended = blend(parts, allowed=context.allowed, limit=pool)
    if trace is not None:
        explain_candidates(trace, context, parts)
        explain_blend(trace, context, blended, limit=pool)
    adjusted = strategy_adjust(context, strategy.document, blended, trace)
    steered = rules_scale(context, adjusted, trace)
    chosen = _chosen(context, strategy, steered, n_wanted, trace)
    chosen = rules_place(context, chosen, steered, strategy.names, n_wanted, trace)
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
    # What chance may put into a place is chosen with the rest, so that the caps hold for all of it.
    explored = explores(context, strategy.document)
    n_chosen = n_wanted * (1 + DRAWN_FROM) if explored else n_wanted
    positions = diversified(context, strategy.document, blended, n_first, n_chosen)
    if len(positions) < n_chosen and n_first < len(blended):
        positions = diversified(context, strategy.document, blended, len(blended), n_chosen)
    propensities = [1.0] * n_wanted
    if explored:
        positions, chances = slots_explored(
            context, strategy.document, blended, positions, n_wanted=n_wanted, trace=trace
        )
        propensities = chances.tolist()
    if trace is not None:
        explain_places(trace, context, strategy.document, blended, positions, n_wanted=n_wanted)
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
            propensity,
        )
        for position, row, score, part, start, propensity in zip(
            positions.tolist(),
            blended.rows[positions].tolist(),
            blended.scores[positions].tolist(),
            parts,
            because,
            propensities[: len(positions)],
            strict=True,
        )
    ]


_HIDE = int(EventType.HIDE_ITEM)
_PURCHASE = int(EventType.PURCHASE)
_NO_ROWS = np.empty(0, np.int32)
_TOO_FEW = "fewer products than the placement's minimum, and then it shows nothing"
