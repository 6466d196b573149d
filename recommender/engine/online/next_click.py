"""What will be clicked next? A linear model over tables of what was clicked together."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from itertools import pairwise
from math import log
from typing import Final

import numpy as np
import numpy.typing as npt

from recommender.engine.online import compiled
from recommender.engine.selection import best_rows
from recommender.engine.types import (
    NO_ROW,
    Candidates,
    CategoryLeaders,
    Float32Array,
    Float64Array,
    Int32Array,
    Int64Array,
    Neighbours,
    NextClickModel,
)

NEARNESS: Final = ("newest", "session", "session_exponential", "session_squared")
"""What the vectors say: cosine to the newest item, cosine to the whole session and its bends."""
REPEATS: Final = (
    "newest", "second", "third", "fourth", "older", "closeness", "oldest",
    "log_count", "log_clicks", "repeat_share", "has_repeats", "single_click",
    "followed_newest", "was_followed_by_newest", "twice_in_a_row", "newest_twice_in_a_row",
    "newest_repeat_share", "newest_log_clicks",
)  # fmt: skip
"""What is known about an item because it was clicked in this very session."""
NEWEST, SECOND, OLDER, RETURN, WITHOUT_REPEATS = range(5)
"""Lines of `NextClickModel.ties`: what the newest, the second and older items say, what the newest
says about a return; then the first three again, for answers without repeats."""
N_TIES: Final = WITHOUT_REPEATS + OLDER + 1
N_NEAR_OF_RETURN: Final = 2
"""So many of `NEARNESS` weigh otherwise if the candidate was in the session already."""

POSITION_DECAY: Final = 0.7
VECTOR_DECAY: Final = 0.8
MAX_SESSION_ITEMS: Final = 8
"""Of longer sessions the newest distinct items are looked up in the tables."""
MAX_SESSION_CLICKS: Final = 100
"""Older clicks are no candidates. What is excluded is excluded however old it is."""
ENOUGH_LINES: Final = 60
"""Popular items are candidates of sessions with fewer lines in the tables than this."""
MIN_PARTNERS: Final = 5
"""Items with fewer partners are helped by content and category."""
CONTENT_SHARE: Final = 0.7
"""Of the help for an item, what comes from content; the rest comes from its category."""
HELP_SHARE: Final = 0.3
"""What the help may have of the answer as long as an item of the session has partners enough."""

_VECTOR_WEIGHTS = np.power(VECTOR_DECAY, np.arange(MAX_SESSION_ITEMS)).astype(np.float32)
_OLDER_WEIGHTS = [
    np.float32(POSITION_DECAY ** max(age - OLDER, 0)) for age in range(MAX_SESSION_ITEMS)
]
_PLACES = np.eye(5, dtype=np.int64).tolist()


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

    The score of a candidate ``j`` is, with ``i1, i2, ...`` the session's distinct items from the
    newest on, the sum of

    * ``newest(i1, j) + second(i2, j) + sum over m > 2 of 0.7 ** (m - 3) * older(im, j)``, what one
      item says about another, made of the tables when the model was published,
    * a score of ``j`` itself: demand in three windows, how often sessions start and end with it,
    * cosines of its vector with that of ``i1`` and with the mean vector of the session,
    * if it was clicked in this session: where, how often, what stood beside it, and ``return(i1, j)``.

    The weights are learned for both kinds of answer, so without repeats isn't merely the answer
    with repeats less some. Candidates are the partners of the newest 8 items, the session's own
    items, and popular ones if these are few: O(c) for c candidates, whatever the size of the
    catalog.

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
        item of the session that adds most to the candidate's score, ``-1`` if none is tied to it.
        Empty if no item of the session is known; popular items if none of them has partners or
        help.

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
    clicks = known_clicks(session_rows, _n_known(model, content, categories))
    if not clicks or limit <= 0:
        return Candidates.empty()
    session = RunningSession.of(
        clicks if exclude_session else clicks[-MAX_SESSION_CLICKS:], model.n_items
    )
    ranked = _rank_without_repeats if exclude_session and session.clicks else _rank
    best = ranked(model, session, limit, exclude_session)
    if content is None and categories is None:
        return best
    return _with_help(model, clicks, best, limit, exclude_session, content, categories)


def _rank(
    model: NextClickModel, session: RunningSession, limit: int, exclude_session: bool
) -> Candidates:
    """The method, step by step."""
    found = look_up(model.offsets, model.partners, model.popular, session)
    said = _said(model.ties, found, WITHOUT_REPEATS if exclude_session else 0)
    scores = _scores(model, session, found, said, exclude_session)
    return _best(session, found, said, _chances(scores), limit)


def _rank_without_repeats(
    model: NextClickModel, session: RunningSession, limit: int, _exclude_session: bool
) -> Candidates:
    """The same in one call, for what requests ask; tests hold it to `_rank`."""
    return Candidates(
        *compiled.click(
            np.ascontiguousarray(model.offsets, np.int64),
            np.ascontiguousarray(model.partners, np.int32),
            np.ascontiguousarray(model.ties, np.float32),
            np.ascontiguousarray(model.vectors, np.float32),
            np.ascontiguousarray(model.item_scores, np.float32),
            np.ascontiguousarray(model.near_weights, np.float32),
            np.ascontiguousarray(model.popular, np.int32),
            np.array(session.clicks, np.int32),
            WITHOUT_REPEATS,
            MAX_SESSION_ITEMS,
            ENOUGH_LINES,
            POSITION_DECAY,
            VECTOR_DECAY,
            limit,
        )
    )


@dataclass(frozen=True, slots=True)
class RunningSession:
    """The clicks that the model knows, and its distinct items from the newest on."""

    clicks: list[int]
    newest: list[int]

    @classmethod
    def of(cls, clicks: list[int], n_items: int) -> RunningSession:
        known = [row for row in clicks if row < n_items]
        return cls(known, list(dict.fromkeys(reversed(known))))


@dataclass(frozen=True, slots=True)
class Found:
    """The lines of the session's newest items, and the distinct candidates that they name.

    `group` says which of `rows` each line, then each of the session's items (`own`) is about.
    `lines` are, from the newest item on, where its lines begin and end in the tables.
    """

    rows: Int32Array
    group: Int64Array
    own: Int64Array
    lines: list[tuple[int, int]]
    n_lines: int


class _Scratch(threading.local):
    """Per thread one number for each item, never cleared: it is read only where just written."""

    def __init__(self) -> None:
        self.places = np.empty(0, np.int64)

    def of(self, n_items: int) -> Int64Array:
        if len(self.places) < n_items:
            self.places = np.empty(n_items, np.int64)
        return self.places


_SCRATCH = _Scratch()


def known_clicks(session_rows: npt.ArrayLike, n_known: int) -> list[int]:
    """The rows of a session that are known at all."""
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


def look_up(
    offsets: Int64Array, partners: Int32Array, popular: Int32Array, session: RunningSession
) -> Found:
    """The candidates of a session."""
    # A slice of a memory map is a copy of one stretch; a gather would be one of single lines.
    plain = np.asarray(partners)
    lines = [
        (int(offsets[row]), int(offsets[row + 1])) for row in session.newest[:MAX_SESSION_ITEMS]
    ]
    parts = [plain[start:stop] for start, stop in lines]
    n_lines = sum(map(len, parts))
    parts.append(np.array(session.newest, np.int32))
    if n_lines < ENOUGH_LINES:
        parts.append(np.asarray(popular))
    named = np.concatenate(parts)
    # Grouping without a sort: every row points to one of the places where it is named.
    scratch = _SCRATCH.of(len(offsets) - 1)
    everywhere = np.arange(len(named))
    scratch[named] = everywhere
    rows = named[scratch.take(named) == everywhere]
    scratch[rows] = everywhere[: len(rows)]
    group = scratch.take(named)
    return Found(rows, group, group[n_lines : n_lines + len(session.newest)], lines, n_lines)


def nearness(vectors: Float32Array, session: RunningSession, rows: Int32Array) -> Float32Array:
    """Cosines of candidates with the newest item and with the session: float32[c, 4]."""
    out = np.zeros((len(rows), len(NEARNESS)), np.float32)
    if not session.newest:
        return out
    plain = np.asarray(vectors)
    recent = plain.take(session.newest[:MAX_SESSION_ITEMS], axis=0)
    mean = _VECTOR_WEIGHTS[: len(recent)] @ recent
    mean /= np.sqrt(mean @ mean) + np.float32(1e-9)
    np.matmul(plain.take(rows, axis=0), np.stack([recent[0], mean], axis=1), out=out[:, :2])
    near = out[:, 1]
    np.multiply(np.exp(3 * near), np.float32(0.2), out=out[:, 2])
    np.square(np.maximum(near, 0), out=out[:, 3])
    return out


def repeat_features(session: RunningSession) -> Float32Array:
    """One line for each distinct item of the session, from the newest on."""
    clicks, newest = session.clicks, session.newest
    if not clicks:
        return np.zeros((0, len(REPEATS)), np.float32)
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
    return np.array([
        (*_PLACES[min(back[row], 4)], 1 / (back[row] + 1), back[row] == n_clicks - 1,
         log(counts[row]), *general, row in followers, row in leaders, doubled,
         doubled and row == last, repeat_share * (row == last), log_clicks * (row == last))
        for row in newest
    ], np.float32)
    # fmt: on


def _said(ties: Float32Array, found: Found, first: int) -> Float32Array:
    """What each line adds to the score of its candidate."""
    plain = np.asarray(ties)
    parts = [
        plain[first + min(age, OLDER), start:stop] * _OLDER_WEIGHTS[age]
        for age, (start, stop) in enumerate(found.lines)
    ]
    return np.concatenate([plain[0, :0], *parts])


def _scores(
    model: NextClickModel,
    session: RunningSession,
    found: Found,
    said: Float32Array,
    exclude_session: bool,
) -> Float64Array:
    rows, own = found.rows, found.own
    mode = int(exclude_session)
    # Of nothing at all the counts are whole numbers.
    scores = np.bincount(found.group[: found.n_lines], said, len(rows)).astype(
        np.float64, copy=False
    )
    scores += np.asarray(model.item_scores)[mode].take(rows)
    near = nearness(model.vectors, session, rows)
    scores += near @ model.near_weights[mode]
    if exclude_session:
        scores[own] = -np.inf
    elif len(own):
        start, stop = found.lines[0]
        returned = np.zeros(len(rows), np.float32)
        returned[found.group[: stop - start]] = model.ties[RETURN, start:stop]
        scores[own] += (
            repeat_features(session) @ model.repeat_weights
            + returned[own]
            + np.asarray(model.item_scores)[2].take(rows[own])
            + near[own] @ model.near_weights[2]
        )
    return scores


def _chances(scores: Float64Array) -> Float32Array:
    """Softmax; minus infinity becomes 0."""
    top = scores.max(initial=-np.inf)
    if top == -np.inf:
        return np.zeros(len(scores), np.float32)
    odds = np.exp((scores - top).astype(np.float32))
    chances: Float32Array = odds / odds.sum()
    return chances


def _best(
    session: RunningSession,
    found: Found,
    said: Float32Array,
    chances: Float32Array,
    limit: int,
) -> Candidates:
    best = best_rows(found.rows, chances, limit)
    best = best[chances[best] > 0]
    return Candidates(found.rows[best], chances[best], _because(session, found, said, best))


def _because(
    session: RunningSession, found: Found, said: Float32Array, best: Int64Array
) -> Int32Array:
    """Of the items that are tied to each of the chosen candidates, the one that adds most."""
    place = np.full(len(found.rows), NO_ROW, np.int64)
    place[best] = np.arange(len(best))
    of_line = place.take(found.group[: found.n_lines])
    strength = np.full((max(len(found.lines), 1), len(best) + 1), -np.inf, np.float32)
    end = 0
    for age, (start, stop) in enumerate(found.lines):
        # What isn't among the best goes to the last column, which is dropped.
        strength[age, of_line[end : end + stop - start]] = said[end : end + stop - start]
        end += stop - start
    strongest = strength[:, :-1].argmax(axis=0)
    out = np.full(len(best), NO_ROW, np.int32)
    tied = strength[strongest, np.arange(len(best))] > -np.inf
    out[tied] = np.array(session.newest, np.int32)[strongest[tied]]
    return out


def _with_help(
    model: NextClickModel,
    clicks: list[int],
    known: Candidates,
    limit: int,
    exclude_session: bool,
    content: Neighbours | None,
    categories: CategoryLeaders | None,
) -> Candidates:
    """Give content and category a share of the answer for every item that the tables hardly know."""
    excluded = dict.fromkeys(reversed(clicks))
    newest = list(excluded)[:MAX_SESSION_ITEMS]
    partners = {row: _n_partners(model, row) for row in newest}
    thin = [age for age, row in enumerate(newest) if partners[row] < MIN_PARTNERS]
    helped: dict[int, float] = {}
    because: dict[int, int] = {}
    for age in thin:
        for row, share in _help_of(newest[age], content, categories):
            if not (exclude_session and row in excluded):
                helped[row] = helped.get(row, 0.0) + share * POSITION_DECAY**age
                because.setdefault(row, newest[age])
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
