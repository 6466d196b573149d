"""Ways to ask a recommender for what is already known, each with its validation cut.

A ``*_task`` makes the task of the test; its ``*_validation`` makes one of the same kind out of the
training part alone, for choosing parameters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import compress

import numpy as np
import numpy.typing as npt

from recommender.engine.errors import EmptyInputError, InvalidInputError
from recommender.engine.evaluation.formats import (
    NextItemQueries,
    OrderLines,
    SessionLog,
    prefixes_of,
)
from recommender.engine.evaluation.splits import before_and_after, hold_out
from recommender.engine.evaluation.tasks import Task, Vocabulary
from recommender.engine.methods.inputs import ItemFacts, Matrix, Purchases, Query, Training
from recommender.engine.offline.interactions import group_items_matrix
from recommender.engine.types import NO_ROW, Int32Array, Sessions

CUT_DAYS = 30.0
MIN_ORDERS = 5
MIN_CUSTOMERS = 5
MIN_BASKET = 3
NOTHING = np.empty(0, np.int32)

UserItems = Mapping[str, Sequence[str]]


def next_click_task(log: SessionLog, queries: NextItemQueries) -> Task:
    """Rank all items for what is clicked next; every query counts, known items or not."""
    items = Vocabulary()
    rows = [items.learn(session) for session in log.sessions]
    offsets = np.concatenate([[0], np.cumsum([len(part) for part in rows])]).astype(np.int64)
    times = np.array(log.times_s, np.int64)
    sessions = Sessions(offsets, np.concatenate(rows), times)
    return Task(
        protocol="next-click",
        training=Training(len(items), now_s=int(times.max()) + 1, sessions=sessions),
        queries=[Query(items.rows_of(prefix), removed=NOTHING) for prefix in queries.prefixes],
        relevant=[items.rows_of([item]) for item in queries.next_items],
        objective=("hr@20", "mrr@20"),
        second_table="misses",
    )


def next_click_validation(log: SessionLog) -> Task:
    """The last tenth of the training sessions as queries about the others."""
    return next_click_task(*split_sessions(log, share=0.1))


def split_sessions(log: SessionLog, *, share: float) -> tuple[SessionLog, NextItemQueries]:
    """The earlier sessions, and the last ones as queries: one file for both sides.

    Raises
    ------
    InvalidInputError
        If the share isn't between 0 and 1.

    Examples
    --------
    >>> earlier, queries = split_sessions(SessionLog([["a"], ["b", "c"]], [1, 2]), share=0.5)
    >>> earlier.sessions, queries.prefixes, queries.next_items
    ([['a']], [['b']], ['c'])
    """
    if not 0 < share < 1:
        raise InvalidInputError(f"the share of the test must be between 0 and 1, not {share}")
    cut = max(int(len(log.sessions) * (1 - share)), 1)
    earlier = SessionLog(log.sessions[:cut], log.times_s[:cut])
    return earlier, prefixes_of(log.sessions[cut:])


def top_n_task(train: UserItems, test: UserItems) -> Task:
    """Find a user's hidden items; the items that they have are removed from the answer."""
    items = Vocabulary()
    rows = {user: np.unique(items.learn(ids)).astype(np.int32) for user, ids in train.items()}
    lines = {user: line for line, user in enumerate(rows)}
    queries: list[Query] = []
    relevant: list[Int32Array] = []
    for user, ids in test.items():
        hidden = items.rows_of(sorted(set(ids) - set(train.get(user, ()))))
        if not len(hidden) or not len(rows.get(user, NOTHING)):
            continue
        queries.append(Query(rows[user], removed=rows[user], shopper_row=lines[user]))
        relevant.append(_distinct(hidden))
    if not queries:
        raise EmptyInputError("no user of the test part has a history in the training part")
    matrix = _user_matrix(rows, len(items))
    return Task(
        protocol="top-n",
        training=Training(len(items), shoppers={"any": matrix}),
        queries=queries,
        relevant=relevant,
        objective=("recall@20",),
    )


def top_n_validation(train: UserItems, *, seed: int) -> Task:
    """A fifth of every user's items hidden."""
    users = list(train)
    lengths = [len(train[user]) for user in users]
    hidden = hold_out(np.repeat(np.arange(len(users)), lengths), share=0.2, seed=seed)
    earlier: dict[str, list[str]] = {}
    later: dict[str, list[str]] = {}
    start = 0
    for user, length in zip(users, lengths, strict=True):
        mine = hidden[start : start + length].tolist()
        earlier[user] = [item for item, out in zip(train[user], mine, strict=True) if not out]
        later[user] = [item for item, out in zip(train[user], mine, strict=True) if out]
        start += length
    return top_n_task(earlier, later)


def basket_completion_task(lines: OrderLines, *, seed: int, cut_days: float = CUT_DAYS) -> Task:
    """Find the product that was taken out of an order, from what is left in it.

    Orders before the cut train; products in fewer than 5 of them are left out. Of each later order
    with at least 3 products one is hidden.
    """
    before, after, cut_s = before_and_after(lines.times_s, days=cut_days)
    orders, items = np.array(lines.orders), np.array(lines.items)
    vocabulary = _supported(orders[before], items[before], MIN_ORDERS, "orders")
    rows = vocabulary.rows_of(items.tolist())
    names, order_rows = np.unique(orders, return_inverse=True)
    train = before & (rows >= 0)
    baskets = group_items_matrix(
        order_rows[train],
        rows[train],
        n_groups=len(names),
        n_items=len(vocabulary),
        binary=True,
    )
    # An order belongs to the side of its first line.
    later = after & (rows >= 0) & ~np.isin(order_rows, order_rows[before])
    rng = np.random.default_rng(seed)
    queries: list[Query] = []
    relevant: list[Int32Array] = []
    for basket in _groups(order_rows[later], rows[later]):
        if len(basket) < MIN_BASKET:
            continue
        hidden = int(rng.integers(len(basket)))
        rest = np.delete(basket, hidden)
        queries.append(Query(rest, removed=rest))
        relevant.append(basket[hidden : hidden + 1])
    if not queries:
        raise EmptyInputError(f"no order after the cut has {MIN_BASKET} known products")
    return Task(
        protocol="basket-completion",
        training=Training(
            len(vocabulary),
            now_s=cut_s,
            baskets=baskets[np.unique(order_rows[train])],
            facts=ItemFacts(titles=_titles(lines, vocabulary)),
        ),
        queries=queries,
        relevant=relevant,
        objective=("hr@20",),
    )


def next_purchases_task(lines: OrderLines, *, cut_days: float = CUT_DAYS) -> Task:
    """Find what a known customer buys after the cut, again or for the first time.

    Products bought by fewer than 5 customers before the cut are left out.
    """
    known = np.array([bool(customer) for customer in lines.customers])
    if not known.any():
        raise EmptyInputError("no order line has a customer")
    times = np.array(lines.times_s, np.int64)[known]
    customers = np.array(lines.customers)[known]
    items = np.array(lines.items)[known]
    orders = np.array(lines.orders)[known]
    before, after, cut_s = before_and_after(times, days=cut_days)
    vocabulary = _supported(customers[before], items[before], MIN_CUSTOMERS, "customers")
    rows = vocabulary.rows_of(items.tolist())
    names, shoppers = np.unique(customers, return_inverse=True)
    train, test = before & (rows >= 0), after & (rows >= 0)
    # Numbered without what is asked about: how many baskets there are is learned from, too.
    n_orders, order_rows = _numbered(orders, train)
    # One line per order and product: two lines of one invoice are one purchase.
    first = np.unique(np.stack([order_rows[train], rows[train]]), axis=1, return_index=True)[1]
    place = np.flatnonzero(train)[np.sort(first)]
    purchases = Purchases(shoppers[place].astype(np.int32), rows[place], times[place])
    training = Training(
        len(vocabulary),
        now_s=cut_s,
        baskets=group_items_matrix(
            order_rows[place],
            rows[place],
            n_groups=n_orders,
            n_items=len(vocabulary),
            binary=True,
        ),
        shoppers={
            "purchase": group_items_matrix(
                purchases.shopper_rows,
                purchases.item_rows,
                n_groups=len(names),
                n_items=len(vocabulary),
            )
        },
        purchases=purchases,
        facts=ItemFacts(titles=_titles(lines, vocabulary)),
    )
    answers = dict(
        zip(np.unique(shoppers[test]).tolist(), _groups(shoppers[test], rows[test]), strict=True)
    )
    queries, relevant = _purchase_queries(training, answers)
    return Task("next-purchases", training, queries, relevant, ("recall@20",), "dropped")


def _purchase_queries(
    training: Training, answers: dict[int, Int32Array]
) -> tuple[list[Query], list[Int32Array]]:
    """Customers with purchases on both sides of the cut."""
    bought = training.purchases
    assert bought is not None
    order = np.lexsort((bought.times_s, bought.item_rows, bought.shopper_rows))
    shoppers, items = bought.shopper_rows[order], bought.item_rows[order]
    times = bought.times_s[order]
    edges = np.searchsorted(shoppers, np.arange(int(shoppers.max(initial=-1)) + 2))
    queries: list[Query] = []
    relevant: list[Int32Array] = []
    for shopper, targets in answers.items():
        if shopper >= len(edges) - 1 or edges[shopper] == edges[shopper + 1]:
            continue
        mine = slice(int(edges[shopper]), int(edges[shopper + 1]))
        rows, counts = np.unique(items[mine], return_counts=True)
        last = times[mine][np.cumsum(counts) - 1]
        queries.append(
            Query(
                rows,
                removed=NOTHING,
                counts=counts.astype(np.int32),
                last_at_s=last,
                shopper_row=shopper,
            )
        )
        relevant.append(targets)
    if not queries:
        raise EmptyInputError("no customer bought known products both before and after the cut")
    return queries, relevant


def multi_behaviour_task(kinds: Mapping[str, UserItems], test: UserItems) -> Task:
    """Find the purchase that was left out; what the shopper is known to have bought is removed.

    Parameters
    ----------
    kinds : mapping of ``purchase``, ``add_to_cart``, ``view_item`` to items by user
    test : items by user
    """
    items = Vocabulary()
    users = Vocabulary()
    rows: dict[str, dict[int, Int32Array]] = {}
    for kind, by_user in kinds.items():
        numbers = users.learn(list(by_user)).tolist()
        rows[kind] = {
            number: np.unique(items.learn(ids)).astype(np.int32)
            for number, ids in zip(numbers, by_user.values(), strict=True)
        }
    matrices = {
        kind: _rows_matrix(by_user, n_users=len(users), n_items=len(items))
        for kind, by_user in rows.items()
    }
    queries: list[Query] = []
    relevant: list[Int32Array] = []
    for user, ids in test.items():
        number = users.rows.get(user)
        if number is None or not ids:
            continue
        mine = [(kind, by_user.get(number, NOTHING)) for kind, by_user in rows.items()]
        history = np.unique(np.concatenate([part for _, part in mine]))
        if not len(history):
            continue
        bought = rows.get("purchase", {}).get(number, NOTHING)
        queries.append(
            Query(history.astype(np.int32), removed=bought, kinds=mine, shopper_row=number)
        )
        relevant.append(_distinct(items.rows_of(sorted(set(ids)))))
    if not queries:
        raise EmptyInputError("no shopper of the test part has a history in the training part")
    return Task(
        protocol="multi-behaviour",
        training=Training(len(items), shoppers=matrices),
        queries=queries,
        relevant=relevant,
        objective=("hr@20",),
    )


def multi_behaviour_validation(kinds: Mapping[str, UserItems], *, seed: int) -> Task:
    """One purchase of every shopper with several left out, its views and carts left in."""
    rng = np.random.default_rng(seed)
    earlier: dict[str, list[str]] = {}
    later: dict[str, list[str]] = {}
    for user, ids in kinds["purchase"].items():
        distinct = list(dict.fromkeys(ids))
        if len(distinct) > 1:
            later[user] = [distinct.pop(int(rng.integers(len(distinct))))]
        earlier[user] = distinct
    return multi_behaviour_task({**kinds, "purchase": earlier}, later)


def before_cut(lines: OrderLines, *, with_customer: bool, cut_days: float = CUT_DAYS) -> OrderLines:
    """The lines that the test's own cut leaves for training, to be cut again for validation."""
    kept = [not with_customer or bool(customer) for customer in lines.customers]
    times = list(compress(lines.times_s, kept))
    _, _, cut_s = before_and_after(times, days=cut_days)
    kept = [keep and time < cut_s for keep, time in zip(kept, lines.times_s, strict=True)]
    return OrderLines(
        orders=list(compress(lines.orders, kept)),
        times_s=list(compress(lines.times_s, kept)),
        customers=list(compress(lines.customers, kept)),
        items=list(compress(lines.items, kept)),
        titles=list(compress(lines.titles, kept)),
    )


def _supported(
    groups: npt.NDArray[np.str_], items: npt.NDArray[np.str_], at_least: int, what: str
) -> Vocabulary:
    """Items that so many groups hold."""
    names, item_rows = np.unique(items, return_inverse=True)
    _, group_rows = np.unique(groups, return_inverse=True)
    pairs = np.unique(np.stack([group_rows, item_rows]), axis=1)
    support = np.bincount(pairs[1], minlength=len(names))
    vocabulary = Vocabulary()
    vocabulary.learn(names[support >= at_least].tolist())
    if not len(vocabulary):
        raise EmptyInputError(f"no product has {at_least} {what} before the cut")
    return vocabulary


def _numbered(
    orders: npt.NDArray[np.str_], train: npt.NDArray[np.bool_]
) -> tuple[int, npt.NDArray[np.int64]]:
    """How many orders have a line that trains, and the number of each such line's; else ``-1``."""
    names, numbers = np.unique(orders[train], return_inverse=True)
    rows = np.full(len(orders), NO_ROW, np.int64)
    rows[train] = numbers
    return len(names), rows


def _titles(lines: OrderLines, vocabulary: Vocabulary) -> list[str]:
    titles = [""] * len(vocabulary)
    for item, title in zip(lines.items, lines.titles, strict=True):
        row = vocabulary.rows.get(item)
        if row is not None and title and not titles[row]:
            titles[row] = title
    return titles


def _groups(groups: npt.NDArray[np.int64], rows: Int32Array) -> list[Int32Array]:
    """Distinct rows of each group, groups ascending."""
    if not len(groups):
        return []
    pairs = np.unique(np.stack([groups, rows]), axis=1)
    edges = np.flatnonzero(np.diff(pairs[0])) + 1
    return [part.astype(np.int32) for part in np.split(pairs[1], edges)]


def _user_matrix(rows: Mapping[str, Int32Array], n_items: int) -> Matrix:
    return _rows_matrix(dict(enumerate(rows.values())), n_users=len(rows), n_items=n_items)


def _rows_matrix(rows: Mapping[int, Int32Array], *, n_users: int, n_items: int) -> Matrix:
    users = np.repeat(np.fromiter(rows, np.int64, len(rows)), [len(r) for r in rows.values()])
    items = np.concatenate([*rows.values(), NOTHING])
    return group_items_matrix(users, items, n_groups=n_users, n_items=n_items, binary=True)


def _distinct(rows: Int32Array) -> Int32Array:
    """Known rows each once, and one ``-1`` for every unknown item."""
    return np.concatenate([np.unique(rows[rows >= 0]), rows[rows < 0]]).astype(np.int32)
