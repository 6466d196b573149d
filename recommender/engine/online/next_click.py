"""What will be clicked next? A linear model over tables of what was clicked together."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from itertools import pairwise
from math import log
from typing import Final

import numpy as np
import numpy.typing as npt

from recommender.engine.selection import best_rows
from recommender.engine.types import (
    NO_ROW,
    Candidates,
    CategoryLeaders,
    Float32Array,
    Int32Array,
    Int64Array,
    Neighbours,
    NextClickModel,
)

LINKS: Final = ("direct", "forward", "backward", "together", "two_hop", "two_hop_forward")
"""Columns of the tables: how strongly one item is tied to another, each between 0 and about 1."""
ITEMS: Final = ("demand_short", "demand_middle", "demand_long", "starts", "ends")
"""Columns of what is known about an item whatever the session."""
NEARNESS: Final = ("newest", "session", "session_exponential", "session_squared")
"""What the vectors say: cosine to the newest item, cosine to the whole session and its bends."""
REPEATS: Final = (
    "newest", "second", "third", "fourth", "older", "closeness", "oldest",
    "log_count", "log_clicks", "repeat_share", "has_repeats", "single_click",
    "followed_newest", "was_followed_by_newest", "twice_in_a_row", "newest_twice_in_a_row",
    "newest_repeat_share", "newest_log_clicks",
)  # fmt: skip
"""What is known about an item because it was clicked in this very session."""

N_CURVES: Final = 2 * len(LINKS)
N_FEATURES: Final = 3 * N_CURVES + len(ITEMS) + len(NEARNESS) + len(REPEATS)
NEWEST: Final = slice(0, N_CURVES)
SECOND: Final = slice(NEWEST.stop, 2 * N_CURVES)
SESSION: Final = slice(SECOND.stop, 3 * N_CURVES)
OF_ITEM: Final = slice(SESSION.stop, SESSION.stop + len(ITEMS))
NEAR: Final = slice(OF_ITEM.stop, OF_ITEM.stop + len(NEARNESS))
REPEAT: Final = slice(NEAR.stop, N_FEATURES)

FLOOR: Final = np.float32(1e-3)
"""Links enter as ``log(1 + link / FLOOR)``: what is far below this counts as nothing."""
POSITION_DECAY: Final = 0.7
VECTOR_DECAY: Final = 0.8
MAX_SESSION_ITEMS: Final = 8
"""Of longer sessions the newest distinct items are looked up in the tables."""
MIN_PARTNERS: Final = 5
"""Items with fewer partners are helped by content and category."""
CONTENT_SHARE: Final = 0.7
"""Of the help for an item, what comes from content; the rest comes from its category."""
HELP_SHARE: Final = 0.3
"""What the help may have of the answer as long as an item of the session has partners enough."""

_POSITION_WEIGHTS = np.power(POSITION_DECAY, np.arange(MAX_SESSION_ITEMS)).astype(np.float32)
_VECTOR_WEIGHTS = np.power(VECTOR_DECAY, np.arange(MAX_SESSION_ITEMS)).astype(np.float32)
_COLUMNS = np.arange(len(LINKS))
_AGES = np.arange(MAX_SESSION_ITEMS)
_EVERY_LINK = np.ones(len(LINKS), np.float32)


def next_click(
    model: NextClickModel,
    session_rows: npt.ArrayLike,
    *,
    limit: int,
    exclude_session: bool = False,
    content: Neighbours | None = None,
    categories: CategoryLeaders | None = None,
) -> Candidates:
    """Rank items by their chance of being clicked next.

    ``score(j) = w . x(j)``, where ``x(j)`` holds for a candidate ``j``, with ``T`` a column of the
    tables and ``i1, i2, ...`` the session's distinct items from the newest on

    * ``log(1 + T(i1, j) / FLOOR)`` and the same of ``i2``,
    * ``log(1 + sum over m of 0.7 ** (m - 1) * T(im, j) / FLOOR)``,
    * demand in three windows, and how often sessions start and end with the item,
    * cosines of its vector with that of ``i1`` and with the mean vector of the session,
    * if it was clicked in this session: where, how often, and what stood beside it.

    The weights are learned for both kinds of answer, so without repeats isn't merely the answer
    with repeats less some. Candidates are the partners of the newest 8 items, the session's own
    items, and some popular ones: O(c) for c candidates, whatever the size of the catalog.

    Parameters
    ----------
    model : NextClickModel
    session_rows : int[n]
        Clicks from the oldest to the newest. Rows that neither the model nor `content` or
        `categories` know are skipped.
    limit : int
    exclude_session : bool
        Whether the session's own items are left out of the answer.
    content : Neighbours or None
        Stand in for the tables at items with fewer than 5 partners.
    categories : CategoryLeaders or None
        Likewise.

    Returns
    -------
    Candidates
        Scores are chances: above 0, at most 1, their sum over all candidates is 1. `because` is the
        item of the session that is tied to the candidate most strongly, ``-1`` if none is. Empty if
        no item of the session is known; popular items if none of them has partners or help.

    Examples
    --------
    >>> from recommender.engine.offline.next_click import fit_next_click
    >>> from recommender.engine.offline.sessions import segment_sessions
    >>> sessions = segment_sessions([1, 1, 2, 2, 3, 3], [0, 9, 10, 19, 20, 29], [0, 1, 0, 1, 2, 3])
    >>> _, model = fit_next_click(sessions, n_items=4)
    >>> found = next_click(model, [0], limit=1, exclude_session=True)
    >>> found.rows.tolist(), found.because.tolist()
    ([1], [0])
    """
    clicks = _known_clicks(session_rows, _n_known(model, content, categories))
    if not clicks or limit <= 0:
        return Candidates.empty()
    mode = int(exclude_session)
    session = _Session.of(model, clicks)
    found = _lookup(model, session)
    weights = model.weights[mode]
    scores = _sums(found) @ weights[SESSION]
    scores += np.asarray(model.item_scores).take(found.rows, axis=0)[:, mode]
    scores += _nearness(model, session, found.rows) @ weights[NEAR]
    alone = np.asarray(model.alone)
    for age, (start, stop, lines) in enumerate(found.lines[:2]):
        # The partners of one item are distinct, so no addition is lost.
        scores[found.group[lines]] += alone[start:stop, 2 * mode + age]
    own = found.group[found.own]
    if exclude_session:
        scores[own] = -np.inf
    else:
        scores[own] += _repeat_features(session) @ weights[REPEAT]
    chances = _chances(scores)
    if content is None and categories is None:
        return _best(found, chances, limit)
    return _with_help(model, clicks, found, chances, limit, mode, content, categories)


def candidate_features(
    model: NextClickModel, session_rows: npt.ArrayLike
) -> tuple[Int32Array, Float32Array]:
    """What `next_click` looks at, written out: the weights are learned from this.

    Parameters
    ----------
    model : NextClickModel
    session_rows : int[n]

    Returns
    -------
    rows : int32[c]
        Candidates, each once.
    features : float32[c, n_features]
        Columns `NEWEST`, `SECOND`, `SESSION` by `LINKS`, `OF_ITEM` by `ITEMS`, `NEAR` by
        `NEARNESS`, `REPEAT` by `REPEATS`. Times ``model.weights[0]`` they are what `next_click`
        ranks by.
    """
    clicks = _known_clicks(session_rows, model.n_items)
    features = np.zeros((0, N_FEATURES), np.float32)
    if not clicks:
        return np.empty(0, np.int32), features
    session = _Session.of(model, clicks)
    found = _lookup(model, session)
    features = np.zeros((len(found.rows), N_FEATURES), np.float32)
    for (_, _, lines), columns in zip(found.lines, (NEWEST, SECOND), strict=False):
        features[found.group[lines], columns] = curves(found.links[lines])
    features[:, SESSION] = _sums(found)
    features[:, OF_ITEM] = model.items[found.rows]
    features[:, NEAR] = _nearness(model, session, found.rows)
    features[found.group[found.own], REPEAT] = _repeat_features(session)
    return found.rows, features


def curves(links: npt.NDArray[np.floating]) -> Float32Array:
    """``log(1 + link / FLOOR)`` of every column, then its root: float32[n, 2 * n_links].

    The logarithm tells something from nothing, the root much from more.
    """
    out = np.empty((len(links), N_CURVES), np.float32)
    # Not log1p: that one isn't vectorised, and nothing here is so near to 0 that it mattered.
    np.log(links * (1 / FLOOR) + np.float32(1), out=out[:, : len(LINKS)])
    np.sqrt(links, out=out[:, len(LINKS) :])
    return out


@dataclass(frozen=True, slots=True)
class _Session:
    """The clicks that the model knows, and its distinct items from the newest on."""

    clicks: list[int]
    newest: list[int]
    looked_up: Int64Array

    @classmethod
    def of(cls, model: NextClickModel, clicks: list[int]) -> _Session:
        known = [row for row in clicks if row < model.n_items]
        newest = list(dict.fromkeys(reversed(known)))
        return cls(known, newest, np.array(newest[:MAX_SESSION_ITEMS], np.int64))


@dataclass(frozen=True, slots=True)
class _Found:
    """The lines of the session's items, and the distinct candidates that they name.

    `group` says which of `rows` each line, then each of the session's items (`own`), then each
    popular item is about. `lines` are, from the newest item on, where its lines begin and end in
    the tables, and the slice that they are here.
    """

    rows: Int32Array
    group: Int64Array
    own: slice
    lines: list[tuple[int, int, slice]]
    links: Float32Array
    age: Int64Array
    looked_up: Int64Array


class _Scratch(threading.local):
    """Per thread one number for each item, never cleared: it is read only where just written."""

    def __init__(self) -> None:
        self.places = np.empty(0, np.int64)

    def of(self, n_items: int) -> Int64Array:
        if len(self.places) < n_items:
            self.places = np.empty(n_items, np.int64)
        return self.places


_SCRATCH = _Scratch()


def _known_clicks(session_rows: npt.ArrayLike, n_known: int) -> list[int]:
    rows = np.asarray(session_rows).reshape(-1).tolist()
    return [row for row in rows if 0 <= row < n_known]


def _n_known(
    model: NextClickModel, content: Neighbours | None, categories: CategoryLeaders | None
) -> int:
    return max(
        model.n_items,
        0 if content is None else content.n_items,
        0 if categories is None else len(categories.codes),
    )


def _lookup(model: NextClickModel, session: _Session) -> _Found:
    items = session.looked_up
    starts, stops = model.offsets[items].tolist(), model.offsets[items + 1].tolist()
    lines: list[tuple[int, int, slice]] = []
    end = 0
    for start, stop in zip(starts, stops, strict=True):
        lines.append((start, stop, slice(end, end + stop - start)))
        end += stop - start
    # A slice of a memory map is a copy of one stretch; a gather would be one of single lines.
    partners, links = np.asarray(model.partners), np.asarray(model.links)
    named = np.concatenate(
        [
            *[partners[start:stop] for start, stop, _ in lines],
            np.array(session.newest, np.int32),
            model.popular,
        ]
    )
    # Grouping without a sort: every row points to one of the places where it is named.
    scratch = _SCRATCH.of(model.n_items)
    everywhere = np.arange(len(named))
    scratch[named] = everywhere
    rows = named[scratch.take(named) == everywhere]
    scratch[rows] = everywhere[: len(rows)]
    return _Found(
        rows=rows,
        group=scratch.take(named),
        own=slice(end, end + len(session.newest)),
        lines=lines,
        links=np.concatenate([links[:0], *[links[start:stop] for start, stop, _ in lines]]),
        age=_AGES[: len(lines)].repeat([stop - start for start, stop, _ in lines]),
        looked_up=items,
    )


def _sums(found: _Found) -> Float32Array:
    """Links summed over the session, decayed by age: float32[c, 2 * n_links]."""
    n_links = len(LINKS)
    weighted = found.links * _POSITION_WEIGHTS.take(found.age)[:, None]
    cells = found.group[: len(weighted), None] * n_links + _COLUMNS
    sums = np.bincount(cells.ravel(), weighted.ravel(), len(found.rows) * n_links)
    return curves(sums.astype(np.float32).reshape(-1, n_links))


def _nearness(model: NextClickModel, session: _Session, rows: Int32Array) -> Float32Array:
    """Cosines of candidates with the newest item and with the session: float32[c, 4]."""
    out = np.zeros((len(rows), len(NEARNESS)), np.float32)
    if not len(session.looked_up):
        return out
    vectors = model.vectors[session.looked_up]
    mean = _VECTOR_WEIGHTS[: len(vectors)] @ vectors
    mean /= np.sqrt(mean @ mean) + np.float32(1e-9)
    cosines = np.asarray(model.vectors).take(rows, axis=0) @ np.stack([vectors[0], mean], axis=1)
    near = cosines[:, 1]
    out[:, :2] = cosines
    out[:, 2] = np.exp(3 * near) * np.float32(0.2)
    out[:, 3] = np.square(np.maximum(near, 0))
    return out


def _repeat_features(session: _Session) -> Float32Array:
    """One line for each distinct item of the session, from the newest on."""
    clicks, newest = session.clicks, session.newest
    out = np.zeros((len(newest), len(REPEATS)), np.float32)
    if not clicks:
        return out
    last, n_clicks = clicks[-1], len(clicks)
    repeat_share = (n_clicks - len(newest)) / n_clicks
    log_clicks = log(n_clicks)
    counts: dict[int, int] = {}
    back: dict[int, int] = {}
    for position, row in enumerate(reversed(clicks)):
        counts[row] = counts.get(row, 0) + 1
        back.setdefault(row, position)
    followers = {after for before, after in pairwise(clicks) if before == last}
    leaders = {before for before, after in pairwise(clicks) if after == last}
    doubled = n_clicks > 1 and clicks[-2] == last
    general = (log_clicks, repeat_share, repeat_share > 0, n_clicks == 1)
    # fmt: off
    out[:, 5:] = [
        (1 / (back[row] + 1), back[row] == n_clicks - 1, log(counts[row]), *general,
         row in followers, row in leaders, doubled, doubled and row == last,
         repeat_share * (row == last), log_clicks * (row == last))
        for row in newest
    ]
    # fmt: on
    out[np.arange(len(newest)), [min(back[row], 4) for row in newest]] = 1
    return out


def _chances(scores: npt.NDArray[np.floating]) -> Float32Array:
    """Softmax; minus infinity becomes 0."""
    top = scores.max(initial=-np.inf)
    if top == -np.inf:
        return np.zeros(len(scores), np.float32)
    odds = np.exp(scores - top)
    chances: Float32Array = (odds / odds.sum()).astype(np.float32)
    return chances


def _best(found: _Found, chances: Float32Array, limit: int) -> Candidates:
    best = best_rows(found.rows, chances, limit)
    best = best[chances[best] > 0]
    return Candidates(found.rows[best], chances[best], _because(found, best))


def _because(found: _Found, best: Int64Array) -> Int32Array:
    """Of the items that are tied to each of the chosen candidates, the one tied most strongly."""
    place = np.full(len(found.rows), NO_ROW, np.int32)
    place[best] = np.arange(len(best))
    of_line = place.take(found.group[: len(found.age)])
    lines = np.flatnonzero(of_line >= 0)
    strength = np.zeros((len(best), max(len(found.looked_up), 1)), np.float32)
    age = found.age[lines]
    strength[of_line[lines], age] = (found.links[lines] @ _EVERY_LINK) * _POSITION_WEIGHTS[age]
    newest_strongest = strength.argmax(axis=1)
    out = np.full(len(best), NO_ROW, np.int32)
    tied = strength[np.arange(len(best)), newest_strongest] > 0
    out[tied] = found.looked_up[newest_strongest[tied]]
    return out


def _with_help(
    model: NextClickModel,
    clicks: list[int],
    found: _Found,
    chances: Float32Array,
    limit: int,
    mode: int,
    content: Neighbours | None,
    categories: CategoryLeaders | None,
) -> Candidates:
    """Give content and category a share of the answer for every item that the tables hardly know."""
    newest = list(dict.fromkeys(reversed(clicks)))[:MAX_SESSION_ITEMS]
    partners = {row: _n_partners(model, row) for row in newest}
    thin = [age for age, row in enumerate(newest) if partners[row] < MIN_PARTNERS]
    helped: dict[int, float] = {}
    because: dict[int, int] = {}
    for age in thin:
        for row, share in _help_of(newest[age], content, categories):
            if not (mode and row in newest):
                helped[row] = helped.get(row, 0.0) + share * POSITION_DECAY**age
                because.setdefault(row, newest[age])
    known = _best(found, chances, limit)
    if not helped:
        return known
    total = sum(helped.values())
    part = HELP_SHARE if any(partners.values()) else 1.0
    merged = {
        row: (1 - part) * score
        for row, score in zip(known.rows.tolist(), known.scores.tolist(), strict=True)
    }
    reasons = dict(zip(known.rows.tolist(), known.because.tolist(), strict=True))
    for row, share in helped.items():
        merged[row] = merged.get(row, 0.0) + part * share / total
        if reasons.get(row, NO_ROW) == NO_ROW:
            reasons[row] = because[row]
    best = sorted(((-score, row) for row, score in merged.items() if score > 0))[:limit]
    rows = [row for _, row in best]
    return Candidates(
        np.array(rows, np.int32),
        np.array([-score for score, _ in best], np.float32),
        np.array([reasons[row] for row in rows], np.int32),
    )


def _n_partners(model: NextClickModel, row: int) -> int:
    if row >= model.n_items:
        return 0
    return int(model.offsets[row + 1] - model.offsets[row])


def _help_of(
    item: int, content: Neighbours | None, categories: CategoryLeaders | None
) -> list[tuple[int, float]]:
    """What is like the item, and what is popular in its category, with shares that add up to 1."""
    out: list[tuple[int, float]] = []
    if content is not None and item < content.n_items:
        partners, scores = content.indices[item], content.scores[item]
        kept = (partners >= 0) & (scores > 0)
        shares = CONTENT_SHARE * scores[kept] / max(float(scores[kept].sum()), 1e-9)
        out += zip(partners[kept].tolist(), shares.tolist(), strict=True)
    if categories is not None and item < len(categories.codes):
        code = int(categories.codes[item])
        if 0 <= code < len(categories.offsets) - 1:
            rows = categories.rows[
                int(categories.offsets[code]) : int(categories.offsets[code + 1])
            ]
            leaders = [row for row in rows.tolist() if row != item]
            ranks = 1.0 / (20.0 + np.arange(1, len(leaders) + 1))
            shares = (1 - CONTENT_SHARE) * ranks / max(float(ranks.sum()), 1e-9)
            out += zip(leaders, shares.tolist(), strict=True)
    return out
