"""The sources: each finds candidates for a context, in snapshot rows, and says why.

A new source is a function here, a name in `strategy.SOURCE_NAMES`, words in `SOURCES`, and a test
(see CONTRIBUTING).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from catalog.models.events import EventType
from recommender.engine.online.blending import blend, scale_by_rank
from recommender.engine.online.eligibility import allowed_rows, keep
from recommender.engine.online.fold_in import ease_add_session
from recommender.engine.online.neighbours import expand_neighbours
from recommender.engine.online.next_click import next_click as click_next
from recommender.engine.online.popular import recently_viewed as recent_views
from recommender.engine.online.profiles import buy_again as due_again
from recommender.engine.online.session_neighbours import (
    session_neighbours as neighbours_of_session,
)
from recommender.engine.types import Candidates, Float32Array, Int32Array, Neighbours
from recommender.serving.context import Context
from recommender.serving.models import Chart, RowMap, no_reasons
from recommender.serving.similar_shoppers import liked_by_similar_shoppers
from recommender.serving.snapshot import CATEGORY_SEPARATOR
from recommender.serving.trace import Reason

# How much recent sales of a product say about whether a household needs it again. 0.1 is a tie
# with 0 on the demo shop and with 0.3 on a gift shop, and worse on neither.
DEMAND_EXPONENT = 0.1
# Of the weight of a history with a session: enough for a click to move the next page, not so much
# that a year of orders is forgotten. Measured in docs/engine.md.
SESSION_SHARE = 0.3
CHOSEN = "chosen"
# Of the Lab's choice: what the session and the past weigh beside a product in view, and how many
# products of the past are looked at.
CHOSEN_SESSION, CHOSEN_DECAY = 0.5, 0.8
CHOSEN_PAST, CHOSEN_HISTORY = 0.25, 20
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
    past = context.history
    if past is None and not len(context.event_rows):
        return Found(NOTHING, Reason.UNKNOWN_SHOPPER)
    # Half of a grocer's orders are things bought before: whether they may be shown is said by the
    # strategy's exclusions, not by the model.
    found = ease_add_session(
        model.taste,
        model.folded(past) if past is not None else None,
        model.rows.from_snapshot.take(context.event_rows),
        context.event_weights,
        session_share=SESSION_SHARE,
        limit=POOL,
        reasons=context.request.explain,
    )
    return Found(_in_snapshot(context, model.rows, found))


def similar_shoppers(context: Context) -> Found:
    model = context.models.profiles
    if model is None or model.alike is None:
        return Found(NOTHING, Reason.NOT_TRAINED)
    if context.history is None and not len(context.event_rows):
        return Found(NOTHING, Reason.UNKNOWN_SHOPPER)
    return Found(
        liked_by_similar_shoppers(
            context, model, model.alike, session_share=SESSION_SHARE, limit=POOL
        )
    )


def next_click(context: Context) -> Found:
    model = context.models.sessions
    if model is None:
        return Found(NOTHING, Reason.NOT_TRAINED)
    session = context.session_rows()
    if not session:
        return Found(NOTHING, _no_session(context))
    rows = model.rows.from_snapshot.take(session)
    found = _in_snapshot(
        context,
        model.rows,
        click_next(model.next_click, rows, limit=POOL, exclude_session=True),
    )
    last, offsets = int(rows[-1]), model.next_click.offsets
    if last >= 0 and offsets[last] < offsets[last + 1]:
        return Found(found)
    return Found(_with_content(context, session[-1], found))


def _with_content(context: Context, row: int, found: Candidates) -> Candidates:
    """What is like a product that nobody went on from yet, before what the session says without it."""
    content = context.models.content
    if content is None:
        return found
    own = int(content.rows.from_snapshot[row])
    alike = _in_snapshot(
        context, content.rows, expand_neighbours(content.neighbours, [own], limit=POOL)
    )
    both = blend([("content", 1.0, alike), ("clicks", 0.5, found)], limit=POOL)
    _, because = both.leading(np.arange(len(both)))
    return Candidates(both.rows, both.scores, np.array(because, np.int32))


def session_neighbours(context: Context) -> Found:
    model = context.models.sessions
    if model is None:
        return Found(NOTHING, Reason.NOT_TRAINED)
    session = context.session_rows()
    if not session:
        return Found(NOTHING, _no_session(context))
    found = neighbours_of_session(
        model.index,
        model.rows.from_snapshot.take(session),
        limit=POOL,
        now_s=context.now_s,
        exclude_session=True,
    )
    return Found(_in_snapshot(context, model.rows, found))


def _no_session(context: Context) -> Reason:
    return Reason.UNKNOWN_PRODUCT if context.request.product_ids else Reason.UNKNOWN_SHOPPER


def buy_again(context: Context) -> Found:
    model, past = context.models.profiles, context.history
    if model is None:
        return Found(NOTHING, Reason.NOT_TRAINED)
    if past is None:
        return Found(NOTHING, Reason.UNKNOWN_SHOPPER)
    found = due_again(
        past.rows,
        past.counts,
        past.last_at_s,
        interval_days=model.repeat.interval_days,
        repeat_probability=model.repeat.repeat_probability,
        now_s=context.now_s,
        limit=POOL,
        demand=model.demand,
        demand_exponent=DEMAND_EXPONENT,
        min_days=1.0,
    )
    return Found(_not_just_bought(context, _in_snapshot(context, model.rows, found)))


def _not_just_bought(context: Context, found: Candidates) -> Candidates:
    """Without what was bought since the training: it isn't running out any more."""
    model = context.models.profiles
    assert model is not None
    since = (context.event_types == EventType.PURCHASE) & (context.event_at_s > model.as_of_s)
    if not since.any():
        return found
    return keep(found, allowed_rows(found.rows, excluded=context.event_rows[since]))


def trending(context: Context) -> Found:
    model = context.models.popularity
    if model is None:
        return Found(NOTHING, Reason.NOT_TRAINED)
    return _top(context, model.trending)


def bestsellers(context: Context) -> Found:
    model = context.models.popularity
    if model is None:
        return Found(NOTHING, Reason.NOT_TRAINED)
    return _top(context, model.bestsellers)


def new_arrivals(context: Context) -> Found:
    return Found(_by_place(_first_allowed(context, context.snapshot.newest_first())))


def on_sale(context: Context) -> Found:
    """Within the category in view first, as the charts."""
    ranking = context.snapshot.on_sale()
    path = context.category if context.request.query is None else None
    while path:
        inside = context.snapshot.categories_inside(path)
        rows = ranking[inside[context.snapshot.category_codes[ranking]]]
        rows = _first_allowed(context, rows)
        if len(rows):
            return Found(_by_place(rows))
        path = path.rpartition(CATEGORY_SEPARATOR)[0]
    return Found(_by_place(_first_allowed(context, ranking)))


def handpicked(context: Context) -> Found:
    """In their order, and nearly alike: the second of two counts no less than of a hundred."""
    rows = np.array(context.handpicked_rows, np.int32)
    return Found(
        Candidates(rows, scale_by_rank(np.empty(len(rows), np.float32)), no_reasons(len(rows)))
    )


def _by_place(rows: Int32Array) -> Candidates:
    """One step of score per place: only the order means something."""
    scores = np.arange(len(rows), 0, -1, dtype=np.float32)
    return Candidates(rows, scores, no_reasons(len(rows)))


def recently_viewed(context: Context) -> Found:
    viewed = context.viewed_rows()
    if not viewed:
        return Found(NOTHING, Reason.UNKNOWN_SHOPPER)
    in_view = set(context.page_rows)
    views = [row for row in viewed if row not in in_view]
    return Found(recent_views(views, limit=POOL))


def chosen(context: Context) -> Found:
    """From what is in view first, then from the rest of the session, then from the past."""
    model = context.models.chosen_method
    if model is None:
        return Found(NOTHING, Reason.NOT_TRAINED)
    rows, weights = _chosen_seeds(context)
    if not rows:
        return Found(NOTHING, _no_session(context))
    # What was bought before may be the answer: see `for_you`. What is in view isn't eligible.
    found = expand_neighbours(
        model.neighbours,
        model.rows.from_snapshot.take(rows),
        weights,
        limit=POOL,
        exclude_seeds=False,
    )
    return Found(_in_snapshot(context, model.rows, found))


def _chosen_seeds(context: Context) -> tuple[list[int], Float32Array]:
    """Products that partners are looked up of, each once, with its weight."""
    seeds, seed_weights = context.seeds()
    weights = dict(zip(seeds, seed_weights.tolist(), strict=True))
    for age, row in enumerate(reversed(context.session_rows())):
        weights.setdefault(row, CHOSEN_SESSION * CHOSEN_DECAY**age)
    past, profiles = context.history, context.models.profiles
    if past is not None and profiles is not None and len(past.rows):
        best = np.argsort(-past.weights, kind="stable")[:CHOSEN_HISTORY]
        most = max(float(past.weights[best[0]]), 1e-9)
        rows = profiles.rows.to_snapshot.take(past.rows[best]).tolist()
        for row, weight in zip(rows, past.weights[best].tolist(), strict=True):
            if row >= 0 and weight > 0:
                weights.setdefault(row, CHOSEN_PAST * weight / most)
    return list(weights), np.fromiter(weights.values(), np.float32, len(weights))


def _neighbours_of_seeds(context: Context, rows: RowMap, neighbours: Neighbours) -> Found:
    seeds, weights = context.seeds()
    if not seeds:
        asked = context.request.product_ids or context.request.cart
        return Found(NOTHING, Reason.UNKNOWN_PRODUCT if asked else Reason.NO_CONTEXT)
    found = expand_neighbours(neighbours, rows.from_snapshot.take(seeds), weights, limit=POOL)
    return Found(_in_snapshot(context, rows, found))


def _in_snapshot(context: Context, rows: RowMap, found: Candidates) -> Candidates:
    return rows.candidates(found, reasons=context.request.explain)


def _top(context: Context, chart: Chart) -> Found:
    # Within the category in view first; a category without sales is answered by its parent.
    path = context.category if context.request.query is None else None
    while path:
        rows = _first_allowed(context, chart.ranking_inside(path, context.snapshot))
        if len(rows):
            return Found(_scored(chart, rows))
        path = path.rpartition(CATEGORY_SEPARATOR)[0]
    return Found(_scored(chart, _first_allowed(context, chart.ranking)))


def _first_allowed(context: Context, ranking: Int32Array) -> Int32Array:
    """The first of a ranking that may be shown, looking no further down than needed."""
    kept = [ranking[:0]]
    found = 0
    for start in range(0, len(ranking), 3 * POOL):
        part = ranking[start : start + 3 * POOL]
        part = part[context.allowed(part)]
        kept.append(part)
        found += len(part)
        if found >= POOL:
            break
    return np.concatenate(kept)[:POOL]


def _scored(chart: Chart, rows: Int32Array) -> Candidates:
    return Candidates(rows, chart.scores[rows], no_reasons(len(rows)))


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
        Source(
            "next_click",
            "Next click",
            "Where do shoppers go from here?",
            "Looked at next, after",
            False,
            next_click,
        ),
        Source(
            "session_neighbours",
            "Shoppers like this one now",
            "What did shoppers who did this just now do next?",
            "Visits like this one also had",
            False,
            session_neighbours,
        ),
        Source("for_you", "For you", "What fits this person?", "Because of", False, for_you),
        Source(
            "similar_shoppers",
            "Similar shoppers",
            "What do people buy who bought as this one did?",
            "Chosen by people who also chose",
            False,
            similar_shoppers,
        ),
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
        Source("on_sale", "On sale", "What costs less than it did?", "", False, on_sale),
        Source(
            "recently_viewed",
            "Recently viewed",
            "What was that again?",
            "Looked at before",
            False,
            recently_viewed,
        ),
        Source("handpicked", "Handpicked", "What do you say?", "", False, handpicked),
        Source(
            CHOSEN,
            "The Lab's choice",
            "What does the method that you chose in the Lab say?",
            "Goes with",
            False,
            chosen,
        ),
    )
}
