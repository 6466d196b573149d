"""The request path. The order of the steps is documented for merchants: docs/request-path.md.

 1. authenticate, resolve store and placement        `recommender.api`
 2. read the shopper's recent state (one round trip)  `recommender.services.recommend`
 3. assign the experiment's variant, and with it
    the strategy version                              `ServingPlacement.choose`
 4. eligibility, rules, category and price band,
    what the page shows already                       `page_context`, `Context.allowed`
 5. candidates from each source                       `_found_answer`
 6. blend: by weights, by places, or as learned       `serving.blend_step`
 7. minimum relevance, preference, boost and bury     `serving.strategy_steps`, `rule_steps`
 8. diversity and caps, places given to chance        `serving.strategy_steps`
 9. pins and reserved places                          `serving.rule_steps`
    where two strategies are interleaved, 4 to 8
    for each, then one list of both, then 9          `_drafted`
10. minimum count: fallback chain or nothing, then an
    honest empty answer with a reason code            `serving.filling`
11. cards, signed id, impression                      `recommender.services.recommend`
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from time import perf_counter_ns
from typing import NamedTuple

import numpy as np

from recommender.engine.online.blending import Blended
from recommender.engine.online.eligibility import without_rows
from recommender.engine.online.interleaving import NOBODY, team_draft
from recommender.selectors.serving_settings import PlacementSettings
from recommender.serving.blend_step import blend_explained, sources_blended
from recommender.serving.context import Context
from recommender.serving.explanation import (
    Chosen,
    explain_answer,
    explain_blend,
    explain_candidates,
    explain_draft,
    explain_places,
    explain_unanswered,
)
from recommender.serving.filling import answer_filled
from recommender.serving.page_context import page_context
from recommender.serving.placement import Choice, ServingPlacement
from recommender.serving.request import MAX_LIMIT, Recommendation, RecommendationRequest
from recommender.serving.rule_steps import (
    rules_key,
    rules_place,
    rules_placed,
    rules_pool,
    rules_scale,
)
from recommender.serving.runtime import ContextualAnswer, StoreRuntime
from recommender.serving.segments import InSegment, in_no_segment
from recommender.serving.shortage import why_short
from recommender.serving.signing import recommendation_id_new
from recommender.serving.sources import SOURCES, Found
from recommender.serving.strategy import ServingStrategy
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
    in_segment: InSegment = in_no_segment,
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
    in_segment
        Whether the shopper is in a segment; only experiments ask.
    """
    started = perf_counter_ns()
    trace = Trace() if request.explain else None
    settings = placement.settings
    recommendation_id = recommendation_id_new(int(now_s * 1000))
    choice = placement.choose(request.shopper_id, in_segment)
    if trace is not None and choice.experiment is not None:
        variant = None if choice.variant is None else choice.variant.key
        trace.step("experiment", experiment=choice.experiment.key, variant=variant)
    n_wanted = min(limit if limit is not None else settings.n_products, MAX_LIMIT)
    answer = _answer(
        runtime,
        settings,
        choice,
        request,
        state,
        shown,
        int(now_s),
        recommendation_id.int if seed is None else seed,
        n_wanted,
        trace,
    )
    chosen = answer.chosen
    return Recommendation(
        recommendation_id=recommendation_id,
        placement_slug=settings.slug,
        placement_id=settings.placement_id,
        strategy_version_id=(choice.strategy or placement.strategy).version_id,
        experiment=choice.experiment,
        variant=choice.variant,
        title=settings.title_for(request.locale),
        rows=[entry.row for entry in chosen],
        sources=[entry.source for entry in chosen],
        scores=[entry.score for entry in chosen],
        propensities=[entry.propensity for entry in chosen],
        fallback=answer.fallback,
        reason=answer.reason,
        took_us=(perf_counter_ns() - started) // 1000,
        trace=trace,
        rule_id=answer.rule_id,
        exposures=choice.exposures,
        teams=answer.teams,
        situation=answer.situation,
        is_look=choice.is_look,
    )


class _Answer(NamedTuple):
    """The products of an answer, and why they aren't those of the strategy alone."""

    chosen: list[Chosen]
    reason: Reason | None = None
    fallback: str | None = None
    rule_id: int | None = None
    teams: list[int] | None = None
    situation: int | None = None


def _answer(
    runtime: StoreRuntime,
    settings: PlacementSettings,
    choice: Choice,
    request: RecommendationRequest,
    state: SessionState,
    shown: set[int],
    now_s: int,
    seed: int,
    n_wanted: int,
    trace: Trace | None,
) -> _Answer:
    """Steps 4 to 10."""
    strategy = choice.strategy
    reason = _why_nothing(runtime, settings)
    if reason is not None or strategy is None:
        reason = reason or Reason.HELD_OUT
        if trace is not None:
            explain_unanswered(trace, request.why_not, REASON_WORDS[reason])
        return _Answer([], reason)
    is_alone = choice.interleaved is None

    def found_by(strategy: ServingStrategy) -> tuple[Context, list[Chosen], Reason]:
        context = page_context(runtime, settings, strategy, request, state, shown, now_s, trace)
        context.seed = seed
        return context, *_strategy_answer(
            runtime, context, strategy, n_wanted, trace, placed=is_alone
        )

    context, chosen, reason = found_by(strategy)
    if choice.interleaved is None:
        answer = _completed(context, strategy, settings, chosen, reason, n_wanted, trace)
        return answer._replace(situation=context.situation)
    _, others, _ = found_by(choice.interleaved)
    chosen, team_of = _drafted(context, chosen, others, n_wanted, trace)
    answer = _completed(context, strategy, settings, chosen, reason, n_wanted, trace)
    return answer._replace(teams=[team_of.get(entry.row, NOBODY) for entry in answer.chosen])


def _why_nothing(runtime: StoreRuntime, settings: PlacementSettings) -> Reason | None:
    """Why no source is asked, None if they are."""
    if settings.paused:
        return Reason.PLACEMENT_PAUSED
    if not len(runtime.snapshot) or not runtime.snapshot.eligible.any():
        return Reason.EMPTY_CATALOG
    return None


def _drafted(
    context: Context,
    first: list[Chosen],
    second: list[Chosen],
    n_wanted: int,
    trace: Trace | None,
) -> tuple[list[Chosen], dict[int, int]]:
    """One list of two strategies, and which of them picked each row: none what has its place by a
    rule, so that neither gets the clicks of that place."""
    lists = (first, second)
    random = (context.seed, _COINS)
    drafted, team_of = _turns(lists, n_wanted, np.random.default_rng(random))
    placed = rules_placed(context, drafted, n_wanted)
    if placed:
        # They take turns for the other places alone: what a rule took from one of them would leave
        # the other with more.
        free = [[entry for entry in entries if entry.row not in placed] for entries in lists]
        n_free = n_wanted - len(placed)
        drafted, team_of = _turns(free, n_free, np.random.default_rng(random))
        found = {entry.row: entry for entry in (*second, *first) if entry.row in placed}
        drafted = [*found.values(), *drafted]
    if trace is not None:
        rows_of_both = {entry.row for entries in lists for entry in entries}
        explain_draft(trace, context, rows_of_both, team_of)
    return rules_place(context, drafted, None, (), n_wanted, trace), team_of


def _turns(
    lists: Sequence[Sequence[Chosen]], n_wanted: int, random: np.random.Generator
) -> tuple[list[Chosen], dict[int, int]]:
    first, second = ([entry.row for entry in entries] for entries in lists)
    picks = team_draft(first, second, n_wanted=n_wanted, random=random)
    chosen = [lists[pick.team][pick.position] for pick in picks]
    return chosen, {entry.row: pick.team for entry, pick in zip(chosen, picks, strict=True)}


def _completed(
    context: Context,
    strategy: ServingStrategy,
    settings: PlacementSettings,
    chosen: list[Chosen],
    reason: Reason,
    n_wanted: int,
    trace: Trace | None,
) -> _Answer:
    """Step 10: what is found, filled up or left out if it is below the placement's minimum."""
    n_minimum = min(settings.n_minimum, n_wanted)
    if len(chosen) >= n_minimum:
        answer = _Answer(chosen)
    else:
        short, rule_id = why_short(context, strategy, reason, n_minimum)
        if settings.shows_nothing_below_minimum:
            if trace is not None:
                trace.step("minimum", found=len(chosen), minimum=n_minimum)
                explain_unanswered(trace, context.request.why_not, _TOO_FEW)
            answer = _Answer([], short, None, rule_id)
        else:
            filled, fallback = answer_filled(context, strategy.document, chosen, n_wanted, trace)
            filled = rules_place(context, filled, None, (), n_wanted, trace)
            answer = _Answer(filled, short, fallback, rule_id)
    if trace is not None:
        explain_answer(trace, context, answer.chosen)
    return answer


def _strategy_answer(
    runtime: StoreRuntime,
    context: Context,
    strategy: ServingStrategy,
    n_wanted: int,
    trace: Trace | None,
    *,
    placed: bool,
) -> tuple[list[Chosen], Reason]:
    """Steps 5 to 9: what strategy and rules find, in the order to show, and why it may be short.

    Without step 9 unless it is to be `placed`.
    What only depends on the products in view is the same for everybody, and popular products are
    looked at often. Whoever may not see a product of the answer gets one of their own.
    """
    if not (strategy.contextual and context.page_rows) or trace is not None:
        return _found_answer(context, strategy, n_wanted, trace, placed=placed)

    def make() -> ContextualAnswer:
        mask = without_rows(context.snapshot.eligible, context.page_rows)
        for_everybody = replace(context, eligible=mask)
        found, why_short = _found_answer(for_everybody, strategy, n_wanted, None, placed=placed)
        entries = tuple((each.row, each.score, each.source, each.because) for each in found)
        return entries, why_short

    rules = rules_key(context), placed
    key = (strategy.version_id, n_wanted, context.category, *rules, *context.page_rows)
    entries, reason = runtime.contextual.get(key, make)
    may_be_shown = context.eligible.item
    if all(may_be_shown(entry[0]) for entry in entries):
        return [Chosen(*entry, None) for entry in entries], reason
    return _found_answer(context, strategy, n_wanted, None, placed=placed)


def _found_answer(
    context: Context,
    strategy: ServingStrategy,
    n_wanted: int,
    trace: Trace | None,
    *,
    placed: bool,
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

    def blended_to(limit: int) -> Blended:
        return sources_blended(context, strategy, parts, limit=limit)

    blended = blended_to(pool)
    if trace is not None:
        explain_candidates(trace, context, parts)
        blend_explained(trace, context, strategy, len(blended))
        explain_blend(trace, context, blended, limit=pool, again=blended_to)
    adjusted = strategy_adjust(context, strategy.document, blended, trace)
    steered = rules_scale(context, adjusted, trace)
    chosen = _chosen(context, strategy, steered, n_wanted, trace)
    if placed:
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


# Beside the seed of what a strategy gives to chance.
_COINS = 1
_TOO_FEW = "fewer products than the placement's minimum, and then it shows nothing"
