"""The sources: each finds candidates for a context, in snapshot rows, and says why.

A new source is a function here, a name in `strategy.SOURCE_NAMES`, words in `SOURCES`, and a test
(see CONTRIBUTING).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from recommender.engine.online.fold_in import ease_fold_in
from recommender.engine.online.neighbours import expand_neighbours
from recommender.engine.online.popular import recently_viewed as recent_views
from recommender.engine.online.popular import top_scored
from recommender.engine.online.profiles import buy_again as due_again
from recommender.engine.types import (
    NO_ROW,
    Candidates,
    Float32Array,
    Int32Array,
    Neighbours,
)
from recommender.serving.context import Context, history_with_session
from recommender.serving.models import RowMap
from recommender.serving.trace import Reason

# How much recent sales of a product say about whether a household needs it again. 0.1 is a tie
# with 0 on the demo shop and with 0.3 on a gift shop, and worse on neither.
DEMAND_EXPONENT = 0.1
# Products of a history that `for_you` starts from, the weightiest ones. Each is a line of the model to
# read: 100 find as much as 200 (recall .1163 and .1175 on the demo shop) in half the time.
MAX_HISTORY = 100
# Candidates per source: enough that exclusions and caps leave a full answer.
POOL = 100


@dataclass(frozen=True, slots=True)
class Found:
    """Candidates, or the reason why there are none."""

    candidates: Candidates
    reason: Reason | None = None


NOTHING = Candidates.empty()


@dataclass(frozen=True, slots=True)
class Source:
    """A source as the pipeline and the console know it.

    Attributes
    ----------
    label
        For members.
    because
        Words before the product that a candidate started from, empty if it starts from none.
    contextual
        Whether it needs something in view; such a source can't serve a bare home page.
    """

    name: str
    label: str
    question: str
    because: str
    contextual: bool
    find: Callable[[Context], Found]


def bought_together(context: Context) -> Found:
    model = context.models.item_similarity
    if model is None:
        return Found(NOTHING, Reason.NOT_TRAINED)
    return _neighbours_of_seeds(context, model.rows, model.bought_together)


def also_viewed(context: Context) -> Found:
    model = context.models.item_similarity
    if model is None:
        return Found(NOTHING, Reason.NOT_TRAINED)
    return _neighbours_of_seeds(context, model.rows, model.also_viewed)


def similar_content(context: Context) -> Found:
    model = context.models.content
    if model is None:
        return Found(NOTHING, Reason.NOT_TRAINED)
    return _neighbours_of_seeds(context, model.rows, model.neighbours)


def for_you(context: Context) -> Found:
    model = context.models.profiles
    if model is None:
        return Found(NOTHING, Reason.NOT_TRAINED)
    rows, weights = history_with_session(context)
    if not len(rows):
        return Found(NOTHING, Reason.UNKNOWN_SHOPPER)
    # Half of a grocer's orders are things bought before: whether they may be shown is said by the
    # strategy's exclusions, not by the model.
    found = ease_fold_in(
        model.taste,
        rows,
        weights,
        limit=2 * POOL,
        max_history=MAX_HISTORY,
        exclude_history=False,
    )
    return Found(model.rows.candidates(found))


def buy_again(context: Context) -> Found:
    model, past = context.models.profiles, context.history
    if model is None:
        return Found(NOTHING, Reason.NOT_TRAINED)
    if past is None:
        return Found(NOTHING, Reason.UNKNOWN_SHOPPER)
    bought = past.counts > 0
    found = due_again(
        past.rows[bought],
        past.counts[bought],
        past.last_at_s[bought],
        interval_days=model.repeat.interval_days,
        repeat_probability=model.repeat.repeat_probability,
        now_s=context.now_s,
        limit=POOL,
        demand=model.demand,
        demand_exponent=DEMAND_EXPONENT,
        min_days=1.0,
    )
    return Found(model.rows.candidates(found))


def trending(context: Context) -> Found:
    model = context.models.popularity
    if model is None:
        return Found(NOTHING, Reason.NOT_TRAINED)
    return _top(context, model.trending, model.trending_ranking)


def bestsellers(context: Context) -> Found:
    model = context.models.popularity
    if model is None:
        return Found(NOTHING, Reason.NOT_TRAINED)
    return _top(context, model.bestsellers, model.bestsellers_ranking)


def new_arrivals(context: Context) -> Found:
    snapshot = context.snapshot
    ranking = snapshot.newest_first()
    eligible = context.eligible
    rows = ranking[eligible[ranking]][:POOL]
    # One step of score per place: only the order means something.
    scores = np.arange(len(rows), 0, -1, dtype=np.float32)
    return Found(Candidates(rows, scores, np.full(len(rows), NO_ROW, np.int32)))


def recently_viewed(context: Context) -> Found:
    if not context.viewed_rows:
        return Found(NOTHING, Reason.UNKNOWN_SHOPPER)
    in_view = set(context.page_rows)
    views = [row for row in context.viewed_rows if row not in in_view]
    return Found(recent_views(views, limit=POOL, eligible=context.eligible))


def _neighbours_of_seeds(context: Context, rows: RowMap, neighbours: Neighbours) -> Found:
    seeds, weights = context.seeds()
    if not seeds:
        asked = context.request.product_ids or context.request.cart
        return Found(NOTHING, Reason.UNKNOWN_PRODUCT if asked else Reason.NO_CONTEXT)
    in_model = rows.from_snapshot[np.array(seeds, np.int32)]
    found = expand_neighbours(neighbours, in_model, weights, limit=POOL)
    return Found(rows.candidates(found))


def _top(context: Context, scores: Float32Array, ranking: Int32Array) -> Found:
    if context.category is None or context.request.query is not None:
        return Found(top_scored(scores, limit=POOL, eligible=context.eligible, ranking=ranking))
    # Within the category in view first; a category without sales is answered by its parent.
    path = context.category
    while path:
        mask = context.eligible & context.snapshot.category_mask(path)
        found = top_scored(scores, limit=POOL, eligible=mask, ranking=ranking)
        if len(found):
            return Found(found)
        path = path.rpartition(" > ")[0]
    return Found(top_scored(scores, limit=POOL, eligible=context.eligible, ranking=ranking))


SOURCES: dict[str, Source] = {
    source.name: source
    for source in (
        Source(
            "bought_together",
            "Bought together",
            "What completes this basket?",
            "Bought together with",
            True,
            bought_together,
        ),
        Source(
            "also_viewed",
            "Also viewed",
            "What else is looked at with it?",
            "Looked at together with",
            True,
            also_viewed,
        ),
        Source(
            "similar_content",
            "Similar products",
            "What is like it, even if nobody bought it yet?",
            "Similar to",
            True,
            similar_content,
        ),
        Source("for_you", "For you", "What fits this person?", "Because of", False, for_you),
        Source(
            "buy_again",
            "Buy again",
            "What is running out?",
            "Bought before",
            False,
            buy_again,
        ),
        Source("trending", "Trending", "What is taking off now?", "", False, trending),
        Source("bestsellers", "Bestsellers", "What always sells?", "", False, bestsellers),
        Source("new_arrivals", "New arrivals", "What is new?", "", False, new_arrivals),
        Source(
            "recently_viewed",
            "Recently viewed",
            "What was that again?",
            "Looked at before",
            False,
            recently_viewed,
        ),
    )
}
