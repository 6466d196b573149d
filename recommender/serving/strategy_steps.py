"""What a strategy says about candidates beside its sources: relevance, preference, exploration.

Each step is vectorised over the blended candidates and writes itself into the trace, with counts.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from catalog.money import money_text
from recommender.engine.online.blending import Blended
from recommender.engine.online.diversity import rerank
from recommender.engine.online.exploration import LEAST_SHARE, explore
from recommender.engine.online.steering import preference_factors, relevant
from recommender.engine.types import Float64Array, Int32Array, Int64Array
from recommender.serving.context import Context
from recommender.serving.source_bandit_step import drawing_of
from recommender.serving.sources import Found
from recommender.serving.strategy import StrategyDocument
from recommender.serving.trace import Step, Trace

# Candidates for each place of the answer that chance may draw from.
DRAWN_FROM = 3


def candidates_taken(blended: Blended, positions: Int64Array) -> Blended:
    """Some of the candidates, in the order of `positions`."""
    return replace(
        blended,
        rows=blended.rows[positions],
        scores=blended.scores[positions],
        starts=blended.starts[positions],
        ends=blended.ends[positions],
    )


def price_band_explained(context: Context, found: list[Found], trace: Trace) -> None:
    """Write down what the price band takes out of the candidates; `Context.allowed` does it."""
    if context.prices is None:
        return
    lowest, highest = context.prices
    snapshot = context.snapshot
    rows = np.unique(np.concatenate([part.candidates.rows for part in found]))
    outside = int((~context.priced(rows)).sum())
    trace.step(Step.PRICE_BAND, lowest=lowest, highest=highest, outside=outside)
    for asked in context.request.why_not:
        row = snapshot.row_of_external.get(asked)
        if row is not None and not lowest <= int(snapshot.price_minor[row]) <= highest:
            currency = snapshot.card(row)["currency"]
            own, *asked_for = (
                money_text(minor, currency)
                for minor in (int(snapshot.price_minor[row]), lowest, highest)
            )
            trace.drop(
                asked,
                Step.PRICE_BAND,
                f"it costs {own}, and beside the product in view {' to '.join(asked_for)} is asked",
            )


def strategy_adjust(
    context: Context, strategy: StrategyDocument, blended: Blended, trace: Trace | None
) -> Blended:
    """Leave out what fits too little, then move up what the strategy prefers."""
    if not len(blended):
        return blended
    if strategy.minimum_relevance:
        blended = _relevant_only(context, strategy, blended, trace)
    if strategy.prefer.kind != "none" and strategy.prefer.strength:
        blended = _preferred_first(context, strategy, blended, trace)
    return blended


def _relevant_only(
    context: Context, strategy: StrategyDocument, blended: Blended, trace: Trace | None
) -> Blended:
    kept = relevant(blended.scores, strategy.minimum_relevance)
    if trace is not None:
        trace.step(Step.RELEVANCE, minimum=strategy.minimum_relevance, left_out=int((~kept).sum()))
        ids, best = context.snapshot.external_ids, float(blended.scores.max())
        for row, score in zip(
            blended.rows[~kept].tolist(), blended.scores[~kept].tolist(), strict=True
        ):
            if ids[row] in context.request.why_not:
                trace.drop(
                    ids[row],
                    Step.RELEVANCE,
                    f"its score ({score:.3f}) is {score / best:.0%} of the best one ({best:.3f}),"
                    f" and {strategy.minimum_relevance:.0%} are asked",
                )
    return blended if kept.all() else candidates_taken(blended, kept.nonzero()[0])


def _preferred_first(
    context: Context, strategy: StrategyDocument, blended: Blended, trace: Trace | None
) -> Blended:
    kind, strength = strategy.prefer.kind, strategy.prefer.strength
    rows = blended.rows
    if kind == "fresh":
        factors = preference_factors(context.snapshot.published_at_s.take(rows), strength)
    else:
        model = context.models.popularity
        if model is None:
            if trace is not None:
                trace.step("preference", prefer=kind, strength=strength, reason="not_trained")
            return blended
        factors = preference_factors(model.bestsellers.scores.take(rows), strength)
    scores = blended.scores * factors
    # Ties by ascending row, as the blend has them.
    order = np.lexsort((rows, -scores))
    if trace is not None:
        ids = context.snapshot.external_ids
        trace.preferred.update(
            (ids[row], round(factor, 4))
            for row, factor in zip(rows.tolist(), factors.tolist(), strict=True)
        )
        moved = int((order != np.arange(len(order))).sum())
        trace.step("preference", prefer=kind, strength=strength, moved=moved)
    return candidates_taken(replace(blended, scores=scores), order)


def diversified(
    context: Context, strategy: StrategyDocument, blended: Blended, n_looked_at: int, n_wanted: int
) -> Int64Array:
    """Diversity and caps on the best so many candidates: their positions in the order to show."""
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


def explores(context: Context, strategy: StrategyDocument) -> bool:
    """Whether places are given to chance here.

    Not where a rule pins or reserves places: what moves aside for a pin depends on what was drawn, and
    the probability of a place could not be told any more.
    """
    rules = context.rules
    return strategy.exploration > 0 and not (rules is not None and rules.placed)


def slots_explored(
    context: Context,
    strategy: StrategyDocument,
    blended: Blended,
    positions: Int64Array,
    *,
    n_wanted: int,
    trace: Trace | None,
) -> tuple[Int64Array, Float64Array]:
    """Give the strategy's share of the places to chance.

    Parameters
    ----------
    positions
        Candidates in the order to show, the answer first and then what may replace any of it: the
        caps hold for all of them together, so they hold for every choice.

    Returns
    -------
    The answer's candidates, and the probability of each at its place.
    """
    drawing = None
    weights = blended.scores[positions].astype(np.float64)
    if strategy.explore_by == "bandit":
        drawing = drawing_of(context, blended, positions, n_wanted=n_wanted)
        weights, context.situation = drawing.weights, drawing.situation
    # PCG64 takes a seed of any size; the generator is this request's own.
    random = np.random.Generator(np.random.PCG64(context.seed))
    explored = explore(
        positions,
        weights,
        n_wanted=n_wanted,
        share=strategy.exploration,
        random=random,
        # What was learned has its own floors, by source.
        least_share=0.0 if drawing is not None and drawing.is_learned else LEAST_SHARE,
    )
    if trace is not None:
        _explain_explored(context, blended, positions[:n_wanted], explored.positions, trace)
        trace.step(
            Step.EXPLORATION,
            share=strategy.exploration,
            drawn_from=max(len(positions) - n_wanted, 0),
            places=[place + 1 for place in explored.places.tolist()],
            **({} if drawing is None else drawing.facts()),
        )
    return explored.positions, explored.propensities


def _explain_explored(
    context: Context, blended: Blended, before: Int64Array, after: Int64Array, trace: Trace
) -> None:
    ids, rows = context.snapshot.external_ids, blended.rows
    displaced: Int32Array = rows[before[before != after]]
    for row in displaced.tolist():
        if ids[row] in context.request.why_not:
            trace.drop(ids[row], Step.EXPLORATION, "its place was given to chance in this answer")
