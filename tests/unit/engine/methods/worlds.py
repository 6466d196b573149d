"""Worlds in which the right answer is known: shops whose shoppers like one block of items only.

A checkerboard: every shopper, basket, session and text belongs to one of a few blocks, and an item
that was withheld from somebody of a block can only be guessed by knowing that block. Within a block
the first items are liked most, so that popularity has something to find, and sessions walk along a
ring, so that the order of clicks has. Every array is read-only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix, vstack

from recommender.engine.methods.base import Need
from recommender.engine.methods.inputs import ItemFacts, Purchases, Query, Ratings, Training
from recommender.engine.offline.interactions import group_items_matrix
from recommender.engine.offline.sessions import join_sessions, take_sessions
from recommender.engine.types import SECONDS_PER_DAY, Float64Array, Int32Array, Sessions

N_BLOCKS = 4
BLOCK = 12
N_UNSEEN = 2
N_SEEN = N_BLOCKS * BLOCK
N_ITEMS = N_SEEN + N_UNSEEN
N_SHOPPERS = 160
N_STRANGERS = 160
N_BASKETS = 320
N_SESSIONS = 320
HISTORY = 5
NOW_S = 1_700_000_000
BEGIN_S = NOW_S - 200 * SECONDS_PER_DAY
WORDS = (
    ("porcelain", "teapot", "saucer", "cup", "kettle"),
    ("anchor", "sail", "rope", "compass", "oar"),
    ("pencil", "notebook", "ruler", "eraser", "crayon"),
    ("lantern", "candle", "wick", "torch", "bulb"),
)
NOTHING = np.empty(0, np.int32)


@dataclass(frozen=True, slots=True)
class Question:
    """A query and the one item that was withheld."""

    query: Query
    right: int


@dataclass(frozen=True, slots=True)
class World:
    """What is given to learn from, and what is asked.

    Attributes
    ----------
    blocks : int32[N_ITEMS]
        The block of every item; the last `N_UNSEEN` are described, but nobody ever touched them.
    histories
        Shoppers of the training, each with one item withheld from everything.
    strangers
        The same of shoppers whom training never saw: ``shopper_row`` is -1.
    running
        Sessions whose next click was withheld; it is the next of the ring.
    raters
        Shoppers with what they rated, high and low; the withheld item is one of their block.
    again
        Shoppers who may be shown what they have; right is what they buy most often.
    """

    training: Training
    blocks: Int32Array
    histories: tuple[Question, ...]
    strangers: tuple[Question, ...]
    running: tuple[Question, ...]
    raters: tuple[Question, ...]
    again: tuple[Question, ...]


@cache
def checkerboard(seed: int = 0) -> World:
    """The whole world: every kind of fact that a method may learn from."""
    rng = np.random.default_rng(seed)
    blocks = np.concatenate([np.repeat(np.arange(N_BLOCKS), BLOCK), np.zeros(N_UNSEEN, int)])
    owners = np.arange(N_SHOPPERS + N_STRANGERS) % N_BLOCKS
    liked = [_some_of(block, HISTORY + 1, rng) for block in owners.tolist()]
    histories = [np.sort(items[1:]) for items in liked]
    withheld = [int(items[0]) for items in liked]
    purchases, again = _purchases(histories[:N_SHOPPERS], rng)
    ratings = _ratings(histories[:N_SHOPPERS], withheld, owners, rng)
    counts = group_items_matrix(
        purchases.shopper_rows, purchases.item_rows, n_groups=N_SHOPPERS, n_items=N_ITEMS
    )
    training = Training(
        N_ITEMS,
        now_s=NOW_S,
        sessions=_sessions(rng),
        baskets=_baskets(rng),
        shoppers={"purchase": counts},
        purchases=purchases,
        ratings=ratings,
        facts=_facts(blocks, rng),
    )
    known = [_history(training, row, withheld[row]) for row in range(N_SHOPPERS)]
    rated = [_rated(ratings, row, withheld[row]) for row in range(N_SHOPPERS)]
    strangers = [
        Question(_stranger(histories[row]), withheld[row])
        for row in range(N_SHOPPERS, N_SHOPPERS + N_STRANGERS)
    ]
    often = [
        Question(replace(question.query, removed=NOTHING), favourite)
        for question, favourite in zip(known, again, strict=True)
    ]
    world = World(
        training,
        blocks.astype(np.int32),
        tuple(known),
        tuple(strangers),
        tuple(_running(rng)),
        tuple(rated),
        tuple(often),
    )
    freeze(world)
    return world


def with_kinds(world: World) -> World:
    """The same shop with views beside purchases, and histories that tell them apart."""
    bought = world.training.shoppers["purchase"]
    rng = np.random.default_rng(7)
    viewed = bought.copy()
    viewed.data = np.ones_like(viewed.data)
    # Every fourth shopper also looked at something else.
    some = np.arange(0, N_SHOPPERS, 4)
    strays = group_items_matrix(
        some, rng.integers(0, N_SEEN, len(some)), n_groups=N_SHOPPERS, n_items=N_ITEMS
    )
    viewed = csr_matrix(viewed.maximum(strays))
    training = replace(world.training, shoppers={"purchase": bought, "view_item": viewed})
    histories = []
    for question in world.histories:
        row = question.query.shopper_row
        seen = np.setdiff1d(viewed[row].indices, [question.right]).astype(np.int32)
        mine = question.query.rows
        query = Query(
            np.union1d(seen, mine).astype(np.int32),
            removed=mine,
            kinds=(("purchase", mine), ("view_item", seen)),
            shopper_row=row,
        )
        histories.append(Question(query, question.right))
    changed = replace(world, training=training, histories=tuple(histories))
    freeze(changed)
    return changed


def only(training: Training, need: Need) -> Training:
    """What is left of a training that has nothing but one kind of fact."""
    bare = Training(training.n_items, now_s=training.now_s)
    facts = training.facts
    kept: dict[Need, dict[str, Any]] = {
        Need.SHOPPERS: {"shoppers": training.shoppers},
        Need.BASKETS: {"baskets": training.baskets},
        Need.SESSIONS: {"sessions": training.sessions},
        Need.PURCHASES: {"purchases": training.purchases},
        Need.RATINGS: {"ratings": training.ratings},
        Need.TEXTS: {"facts": ItemFacts(titles=facts.titles, texts=facts.texts)},
        Need.VECTORS: {"facts": ItemFacts(vectors=facts.vectors)},
    }
    return replace(bare, **kept[need])


def without_facts(training: Training) -> Training:
    """The same behaviour of a shop whose catalog says nothing."""
    return replace(training, facts=ItemFacts())


def earlier_and_later(training: Training) -> tuple[Training, Training]:
    """A training cut in two: what was known first, and the news.

    Sessions, baskets, purchases and ratings of the news come after those before; histories add up,
    line by line.
    """
    assert training.sessions is not None
    assert training.baskets is not None
    assert training.purchases is not None
    assert training.ratings is not None
    sessions, baskets = training.sessions, training.baskets
    bought, rated = training.purchases, training.ratings
    half, first = len(sessions) // 2, int(baskets.shape[0]) // 2
    cut_s = int(sessions.times_s[half])
    early = bought.times_s < cut_s
    low = np.arange(len(rated.values)) < len(rated.values) // 2
    parts = []
    for is_late in (False, True):
        mine = early != is_late
        some = low != is_late
        parts.append(
            replace(
                training,
                now_s=training.now_s if is_late else cut_s,
                sessions=take_sessions(
                    sessions, half if is_late else 0, len(sessions) if is_late else half
                ),
                baskets=baskets[first:] if is_late else baskets[:first],
                purchases=Purchases(
                    bought.shopper_rows[mine], bought.item_rows[mine], bought.times_s[mine]
                ),
                shoppers={
                    "purchase": group_items_matrix(
                        bought.shopper_rows[mine],
                        bought.item_rows[mine],
                        n_groups=N_SHOPPERS,
                        n_items=N_ITEMS,
                    )
                },
                ratings=Ratings(
                    rated.shopper_rows[some], rated.item_rows[some], rated.values[some]
                ),
            )
        )
    freeze(parts)
    return parts[0], parts[1]


def joined(earlier: Training, later: Training) -> Training:
    """Both again, as `earlier_and_later` promises."""
    assert earlier.sessions is not None
    assert later.sessions is not None
    assert earlier.baskets is not None
    assert later.baskets is not None
    whole = replace(
        later,
        sessions=join_sessions(earlier.sessions, later.sessions),
        baskets=csr_matrix(vstack([earlier.baskets, later.baskets])),
        shoppers={
            kind: csr_matrix(earlier.shoppers[kind] + later.shoppers[kind])
            for kind in later.shoppers
        },
    )
    freeze(whole)
    return whole


def freeze(value: object) -> None:
    """Make every array inside read-only."""
    for array in arrays_of(value):
        array.flags.writeable = False


def arrays_of(value: object) -> Iterator[np.ndarray[Any, Any]]:
    """Every array inside, in a fixed order."""
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, csr_matrix):
        yield from (value.data, value.indices, value.indptr)
    elif isinstance(value, dict):
        for key in sorted(value):
            yield from arrays_of(value[key])
    elif isinstance(value, list | tuple):
        for part in value:
            yield from arrays_of(part)
    elif is_dataclass(value):
        for field in fields(value):
            yield from arrays_of(getattr(value, field.name))


def _liking() -> Float64Array:
    """How much the items of a block are liked: the first twelve times as much as the last."""
    weights: Float64Array = 1 / (1 + np.arange(BLOCK))
    return weights / float(weights.sum())


def _some_of(block: int, n: int, rng: np.random.Generator) -> Int32Array:
    """Distinct items of a block, in the order in which they were liked."""
    chosen = rng.choice(BLOCK, n, replace=False, p=_liking()) + block * BLOCK
    return rng.permutation(chosen).astype(np.int32)


def _purchases(
    histories: list[Int32Array], rng: np.random.Generator
) -> tuple[Purchases, list[int]]:
    """Everybody buys one thing every month and everything else once."""
    shoppers, items, times, favourites = [], [], [], []
    for shopper, mine in enumerate(histories):
        favourite = int(rng.choice(mine))
        favourites.append(favourite)
        for item in mine.tolist():
            n = 6 if item == favourite else 1
            shoppers += [shopper] * n
            items += [item] * n
            first = rng.integers(BEGIN_S, NOW_S - 160 * SECONDS_PER_DAY)
            times += [int(first) + month * 30 * SECONDS_PER_DAY for month in range(n)]
    order = np.argsort(times, kind="stable")
    return Purchases(
        np.array(shoppers, np.int32)[order],
        np.array(items, np.int32)[order],
        np.array(times, np.int64)[order],
    ), favourites


def _ratings(
    histories: list[Int32Array],
    withheld: list[int],
    owners: np.ndarray[Any, Any],
    rng: np.random.Generator,
) -> Ratings:
    """4 or 5 for what one has, 1 or 2 for as many items of other blocks."""
    shoppers, items, values = [], [], []
    for shopper, mine in enumerate(histories):
        others = np.setdiff1d(np.arange(N_SEEN), np.arange(BLOCK) + owners[shopper] * BLOCK)
        low = rng.choice(others, len(mine), replace=False)
        assert withheld[shopper] not in mine
        shoppers += [shopper] * (2 * len(mine))
        items += [*mine.tolist(), *low.tolist()]
        values += [*rng.integers(4, 6, len(mine)), *rng.integers(1, 3, len(mine))]
    return Ratings(
        np.array(shoppers, np.int32), np.array(items, np.int32), np.array(values, np.float32)
    )


def _baskets(rng: np.random.Generator) -> csr_matrix[np.float32]:
    mine = [
        _some_of(number % N_BLOCKS, int(rng.integers(3, 6)), rng) for number in range(N_BASKETS)
    ]
    return group_items_matrix(
        np.repeat(np.arange(N_BASKETS), [len(items) for items in mine]),
        np.concatenate(mine),
        n_groups=N_BASKETS,
        n_items=N_ITEMS,
        binary=True,
    )


def _sessions(rng: np.random.Generator) -> Sessions:
    """Walks along the ring of a block; one step of seven leads anywhere in it."""
    walks = []
    for number in range(N_SESSIONS):
        place = int(rng.choice(BLOCK, p=_liking()))
        walk = [place]
        for _ in range(int(rng.integers(2, 6))):
            place = int(rng.integers(BLOCK)) if rng.random() < 1 / 7 else (place + 1) % BLOCK
            walk.append(place)
        walks.append(np.array(walk, np.int32) + number % N_BLOCKS * BLOCK)
    lengths = [len(walk) for walk in walks]
    return Sessions(
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        np.concatenate(walks).astype(np.int32),
        np.linspace(BEGIN_S, NOW_S - 1, N_SESSIONS).astype(np.int64),
    )


def _running(rng: np.random.Generator) -> Iterator[Question]:
    """Two or three steps of the ring."""
    for number in range(80):
        start, length = int(rng.integers(BLOCK)), int(rng.integers(2, 4))
        ring = (start + np.arange(length + 1)) % BLOCK + number % N_BLOCKS * BLOCK
        rows = ring[:-1].astype(np.int32)
        yield Question(Query(rows, removed=rows, at_s=NOW_S), int(ring[-1]))


def _history(training: Training, row: int, right: int) -> Question:
    bought = training.purchases
    assert bought is not None
    mine = bought.shopper_rows == row
    rows, counts = np.unique(bought.item_rows[mine], return_counts=True)
    last = [bought.times_s[mine & (bought.item_rows == item)].max() for item in rows.tolist()]
    query = Query(
        rows,
        removed=rows,
        counts=counts.astype(np.int32),
        last_at_s=np.array(last, np.int64),
        shopper_row=row,
        at_s=NOW_S,
    )
    return Question(query, right)


def _stranger(rows: Int32Array) -> Query:
    return Query(
        rows,
        removed=rows,
        counts=np.ones(len(rows), np.int32),
        last_at_s=np.full(len(rows), NOW_S - 40 * SECONDS_PER_DAY, np.int64),
        at_s=NOW_S,
    )


def _rated(ratings: Ratings, row: int, right: int) -> Question:
    mine = ratings.shopper_rows == row
    order = np.argsort(ratings.item_rows[mine])
    rows = ratings.item_rows[mine][order]
    query = Query(rows, removed=rows, ratings=ratings.values[mine][order], shopper_row=row)
    return Question(query, right)


def _facts(blocks: np.ndarray[Any, Any], rng: np.random.Generator) -> ItemFacts:
    """Words, vectors, prices, brand and category of an item speak of its block."""
    titles = []
    for block in blocks.tolist():
        first, second, third = rng.choice(len(WORDS[block]), 3, replace=False).tolist()
        words = WORDS[block]
        titles.append(f"{words[first]} {words[second]} with {words[third]}".capitalize())
    centres = np.eye(N_BLOCKS, 8)
    vectors = (centres[blocks] + rng.normal(0, 0.15, (len(blocks), 8))).astype(np.float32)
    return ItemFacts(
        titles=tuple(titles),
        texts=tuple(
            f"{title} {' '.join(WORDS[block][:2])}"
            for title, block in zip(titles, blocks.tolist(), strict=True)
        ),
        category_codes=blocks.astype(np.int32),
        brand_codes=(blocks * 2 + np.arange(len(blocks)) % 2).astype(np.int32),
        prices=(5 * 2.0**blocks * rng.uniform(0.9, 1.1, len(blocks))).astype(np.float32),
        vectors=vectors,
        since_s=np.full(len(blocks), BEGIN_S, np.int64),
    )
