"""Step 6 of the request path: the candidates of several sources become one list."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from catalog.models.events import EventType
from recommender.engine.online.blending import Blended, blend
from recommender.engine.online.dealings import BOUGHT, CARTED, LOOKED, dealings
from recommender.engine.online.learned_blend import Situation, learned_blend
from recommender.engine.types import SECONDS_PER_DAY, Candidates, Float32Array
from recommender.serving.blends import LearnedWeights
from recommender.serving.context import FORGOTTEN_S, IS_VIEW, Context
from recommender.serving.strategy import ServingStrategy
from recommender.serving.trace import Step, Trace

Parts = Sequence[tuple[str, float, Candidates]]

_DAY_ANGLE = 2 * math.pi / SECONDS_PER_DAY


def sources_blended(
    context: Context, strategy: ServingStrategy, parts: Parts, *, limit: int
) -> Blended:
    """One list, as the strategy says: by weights, by places, or as was learned."""
    how = strategy.document.blend
    learned = learned_weights(context, strategy) if how == "learned" else None
    blends = context.models.blend
    if learned is not None and blends is not None:
        return learned_blend(
            learned.model,
            [(name, found) for name, _, found in parts],
            situation_of(context, blends.log_prices),
            item_values=learned.item_values,
            log_prices=blends.log_prices,
            allowed=context.allowed,
            limit=limit,
        )
    scaling = "reciprocal_rank" if how == "reciprocal_rank" else "max"
    return blend(parts, allowed=context.allowed, limit=limit, scaling=scaling)


def learned_weights(context: Context, strategy: ServingStrategy) -> LearnedWeights | None:
    """What was learned for the strategy's sources, None as long as nothing is."""
    blends = context.models.blend
    return None if blends is None else blends.by_sources.get(tuple(strategy.names))


def blend_explained(trace: Trace, context: Context, strategy: ServingStrategy, n: int) -> None:
    """Write down how `n` candidates became one list: what was asked for, and what decided."""
    asked = strategy.document.blend
    facts = {}
    if asked == "learned":
        learned = learned_weights(context, strategy)
        facts["by"] = "weights" if learned is None else "learned"
        if learned is not None:
            facts["version"] = str(learned.model.version)
    trace.step(
        Step.BLEND, candidates=n, **({} if asked == "weights" else {"blend": asked}), **facts
    )


def situation_of(context: Context, log_prices: Float32Array) -> Situation:
    """Who asks, and when, as `blends.CONTEXT` and `blends.PERSONAL` name it."""
    past, profiles = context.history, context.models.profiles
    rows, counts, last_at_s = _NO_ROWS, _NO_ROWS, _NO_TIMES
    if past is not None and profiles is not None:
        rows, counts, last_at_s = (
            profiles.rows.to_snapshot.take(past.rows),
            past.counts,
            past.last_at_s,
        )
    dealt, did, usual = dealings(
        context.event_rows,
        _KINDS.take(context.event_types),
        context.event_at_s,
        past_rows=rows,
        past_counts=counts,
        past_last_at_s=last_at_s,
        log_prices=log_prices,
        now_s=context.now_s,
        lately_s=FORGOTTEN_S,
    )
    return Situation(context=_context_numbers(context), rows=dealt, did=did, usual_log_price=usual)


def _context_numbers(context: Context) -> Float32Array:
    local, is_mobile = context.local_time, context.is_mobile
    angle = _DAY_ANGLE * (3_600 * local.hour + 60 * local.minute + local.second)
    past = context.history
    return np.array(
        (
            math.sin(angle),
            math.cos(angle),
            local.weekday() >= 5,
            math.nan if is_mobile is None else is_mobile,
            bool(context.page_rows),
            bool(context.cart_rows) and not context.page_rows,
            math.log1p(len(context.session_rows())),
            0.0 if past is None else math.log1p(len(past.rows)),
        ),
        np.float32,
    )


# By event type.
_KINDS = np.where(IS_VIEW, LOOKED, 0).astype(np.int32)
_KINDS[EventType.ADD_TO_CART] = CARTED
_KINDS[EventType.PURCHASE] = BOUGHT
_NO_ROWS = np.empty(0, np.int32)
_NO_TIMES = np.empty(0, np.int64)
