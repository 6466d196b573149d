"""A store's own history as tasks of the engine: what was known before a cut, and what came after.

Read by what trains, never by a web process: it brings the engine's offline side along.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from catalog.models import EventType
from recommender.engine.errors import EmptyInputError, InvalidInputError
from recommender.engine.evaluation.splits import before_and_after
from recommender.engine.evaluation.tasks import Task
from recommender.engine.methods.inputs import ItemFacts, Purchases, Query, Training
from recommender.engine.offline.interactions import group_items_matrix
from recommender.engine.offline.sessions import segment_sessions, take_sessions
from recommender.engine.types import (
    BoolArray,
    Int32Array,
    Int64Array,
    Sessions,
)
from recommender.selectors.lab import STEPS
from recommender.selectors.lab_history import LabHistory
from recommender.selectors.training_data import (
    TrainingEvents,
)

MIN_BASKET = 3
# The latest questions; a sample of them is asked anyway.
MAX_QUERIES = 20_000
# Questions of one visit: a machine that names itself a browser may look at the whole catalog in one,
# and would be asked about alone.
MAX_OF_A_VISIT = 50
NOTHING = np.empty(0, np.int32)


@dataclass(frozen=True, slots=True)
class LabTasks:
    """What methods are compared by.

    Attributes
    ----------
    validation
        A task made of the training part alone; None where that is too short to be cut again.
    first_s, cut_s, last_s
        Where the history begins, is cut, and ends.
    """

    test: Task
    validation: Task | None
    first_s: int
    cut_s: int
    last_s: int
    n_events: int


def lab_tasks(
    history: LabHistory, protocol: str, *, days: float, min_queries: int, seed: int
) -> LabTasks:
    """Cut a history so many days before its end (of a short one, its last fifth) and ask about the
    rest; and once more before that, to choose parameters by.

    Raises
    ------
    EmptyInputError
        There are fewer than `min_queries` questions after the cut. The text says so.
    InvalidInputError
        There is no such protocol.
    """
    events = history.events.where(_of_protocol(history.events, protocol))
    if not len(events):
        raise EmptyInputError("there is nothing in the history that this question asks about")
    _, _, cut_s = before_and_after(events.times_s, days=days)
    test = _task(history, events, protocol, cut_s, seed)
    if len(test.queries) < min_queries:
        raise EmptyInputError(
            f"the part of the history after the cut has {len(test.queries)} questions that can be"
            f" asked; {min_queries} are needed"
        )
    validation: Task | None
    try:
        earlier = events.where(events.times_s < cut_s)
        _, _, earlier_cut_s = before_and_after(earlier.times_s, days=days)
        validation = _task(history, earlier, protocol, earlier_cut_s, seed)
    except EmptyInputError:
        validation = None
    if validation is not None and len(validation.queries) < min_queries:
        validation = None
    return LabTasks(
        test=test,
        validation=validation,
        first_s=int(events.times_s.min()),
        cut_s=cut_s,
        last_s=int(events.times_s.max()),
        n_events=len(events),
    )


def lab_training(history: LabHistory, protocol: str) -> Training:
    """Everything that is known, to train for serving what won.

    Raises
    ------
    EmptyInputError
        There is nothing to learn from.
    """
    events = history.events.where(_of_protocol(history.events, protocol))
    if not len(events):
        raise EmptyInputError("there is nothing in the history that this method learns from")
    return _training(history, events, protocol, int(events.times_s.max()) + 1)


def _of_protocol(events: TrainingEvents, protocol: str) -> BoolArray:
    if protocol in ("next-purchases", "basket-completion"):
        wanted: BoolArray = events.types == EventType.PURCHASE
        return wanted
    if protocol == "next-click":
        return np.isin(events.types, STEPS)
    raise InvalidInputError(f"there is no protocol {protocol!r}")


def _task(
    history: LabHistory, events: TrainingEvents, protocol: str, cut_s: int, seed: int
) -> Task:
    before = events.times_s < cut_s
    earlier, later = events.where(before), events.where(~before)
    if protocol == "next-click":
        return _next_click(history, events, cut_s)
    training = _training(history, earlier, protocol, cut_s)
    if protocol == "basket-completion":
        queries, relevant = _baskets(earlier, later, seed)
        return Task(protocol, training, queries, relevant, ("hr@20",))
    queries, relevant = _customers(earlier, later)
    return Task(protocol, training, queries, relevant, ("recall@20",), "dropped")


def _training(history: LabHistory, events: TrainingEvents, protocol: str, now_s: int) -> Training:
    """What is known at a moment, as the protocol's methods learn from it."""
    facts = _facts_at(history, events, now_s)
    if protocol == "next-click":
        return Training(history.n_items, now_s, sessions=_sessions(events), facts=facts)
    lines = _order_lines(events)
    orders, n_orders = _dense(lines.group_keys)
    baskets = group_items_matrix(
        orders, lines.item_rows, n_groups=n_orders, n_items=history.n_items, binary=True
    )
    if protocol == "basket-completion":
        return Training(history.n_items, now_s, baskets=baskets, facts=facts)
    n_shoppers = int(history.events.shopper_rows.max()) + 1
    return Training(
        history.n_items,
        now_s,
        baskets=baskets,
        shoppers={
            "purchase": group_items_matrix(
                lines.shopper_rows, lines.item_rows, n_groups=n_shoppers, n_items=history.n_items
            )
        },
        purchases=Purchases(lines.shopper_rows, lines.item_rows, lines.times_s),
        facts=facts,
    )


def _order_lines(events: TrainingEvents) -> TrainingEvents:
    """One line per order and product: two lines of one order are one purchase."""
    orders, _ = _dense(events.group_keys)
    first = np.unique(_pairs(orders, events.item_rows), return_index=True)[1]
    mask = np.zeros(len(events), np.bool_)
    mask[first] = True
    return events.where(mask)


def _customers(
    earlier: TrainingEvents, later: TrainingEvents
) -> tuple[list[Query], list[Int32Array]]:
    """Customers with purchases on both sides of the cut, in the order of their hashes."""
    lines = _order_lines(earlier)
    order = np.lexsort((lines.times_s, lines.item_rows, lines.shopper_rows))
    shoppers, items = lines.shopper_rows[order], lines.item_rows[order]
    times = lines.times_s[order]
    queries: list[Query] = []
    relevant: list[Int32Array] = []
    for shopper, wanted in _groups(later.shopper_rows, later.item_rows):
        first, last = np.searchsorted(shoppers, [shopper, shopper + 1])
        if first == last or len(queries) == MAX_QUERIES:
            continue
        rows, counts = np.unique(items[first:last], return_counts=True)
        latest = times[first:last][np.cumsum(counts) - 1]
        queries.append(
            Query(
                rows,
                removed=NOTHING,
                counts=counts.astype(np.int32),
                last_at_s=latest,
                shopper_row=shopper,
            )
        )
        relevant.append(wanted)
    return queries, relevant


def _baskets(
    earlier: TrainingEvents, later: TrainingEvents, seed: int
) -> tuple[list[Query], list[Int32Array]]:
    """Of each order after the cut one product is hidden. An order that began before it is no
    question."""
    whole = later.where(~np.isin(later.group_keys, earlier.group_keys))
    rng = np.random.default_rng(seed)
    queries: list[Query] = []
    relevant: list[Int32Array] = []
    keys, _ = _dense(whole.group_keys)
    for _, basket in _groups(keys, whole.item_rows):
        if len(basket) < MIN_BASKET or len(queries) == MAX_QUERIES:
            continue
        hidden = int(rng.integers(len(basket)))
        rest = np.delete(basket, hidden)
        queries.append(Query(rest, removed=rest))
        relevant.append(basket[hidden : hidden + 1])
    return queries, relevant


def _next_click(history: LabHistory, events: TrainingEvents, cut_s: int) -> Task:
    """Every beginning of a visit that ended after the cut is a question, of a long one the first."""
    sessions = _sessions(events)
    n_before = int(np.searchsorted(sessions.times_s, cut_s))
    before = take_sessions(sessions, 0, n_before)
    if not len(before):
        raise EmptyInputError("no visit ended before the cut")
    known = events.where(events.times_s < cut_s)
    training = Training(
        history.n_items, cut_s, sessions=before, facts=_facts_at(history, known, cut_s)
    )
    queries: list[Query] = []
    relevant: list[Int32Array] = []
    for number in range(len(sessions) - 1, n_before - 1, -1):
        clicks = sessions.item_rows[sessions.offsets[number] : sessions.offsets[number + 1]]
        for length in range(1, min(len(clicks), MAX_OF_A_VISIT + 1)):
            queries.append(Query(clicks[:length], removed=NOTHING))
            relevant.append(clicks[length : length + 1])
        if len(queries) >= MAX_QUERIES:
            break
    return Task("next-click", training, queries, relevant, ("hr@20", "mrr@20"), "misses")


def _sessions(events: TrainingEvents) -> Sessions:
    """Visits by their last click, a product that is clicked twice in a row once."""
    found = segment_sessions(
        events.shopper_rows, events.times_s, events.item_rows, session_ids=events.session_keys
    )
    rows, offsets = found.item_rows, found.offsets
    kept = np.ones(len(rows), np.bool_)
    kept[1:] = rows[1:] != rows[:-1]
    kept[offsets[:-1]] = True
    places = np.concatenate([[0], np.cumsum(kept)]).astype(np.int64)
    return Sessions(places[offsets], rows[kept], found.times_s)


def _facts_at(history: LabHistory, events: TrainingEvents, now_s: int) -> ItemFacts:
    """The facts with when each item came: as the catalog says or with its first event, whichever
    was earlier; an item that nobody knew yet comes now."""
    since = np.full(history.n_items, now_s, np.int64)
    np.minimum.at(since, events.item_rows, events.times_s)
    said = history.published_s > 0
    since[said] = np.minimum(since[said], history.published_s[said])
    facts = history.facts
    return ItemFacts(
        facts.titles,
        facts.texts,
        facts.category_codes,
        facts.brand_codes,
        facts.prices,
        facts.vectors,
        since,
    )


def _dense(keys: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], int]:
    distinct, rows = np.unique(keys, return_inverse=True)
    return rows.astype(np.int64), len(distinct)


def _pairs(groups: npt.NDArray[np.integer], rows: Int32Array) -> Int64Array:
    """One number for each pair, in the order of the pairs: sorted in a tenth of the time."""
    return groups.astype(np.int64) << 32 | rows.astype(np.int64)


def _groups(groups: npt.NDArray[np.integer], rows: Int32Array) -> list[tuple[int, Int32Array]]:
    """Distinct rows of each group, groups ascending. Groups are numbers below 2³¹."""
    if not len(groups):
        return []
    pairs = np.unique(_pairs(groups, rows))
    of, items = pairs >> 32, (pairs & 0xFFFFFFFF).astype(np.int32)
    edges = np.flatnonzero(np.diff(of)) + 1
    firsts = of[np.concatenate([[0], edges])].tolist()
    return list(zip(firsts, np.split(items, edges), strict=True))
