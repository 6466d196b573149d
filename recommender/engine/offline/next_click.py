"""Learning the next-click model: tables from counts, weights from the last sessions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recommender.engine.errors import InvalidInputError
from recommender.engine.offline.next_click_counts import count_clicks, extend_counts
from recommender.engine.offline.next_click_lessons import (
    first_lesson,
    learn_weights,
    lookups_of,
    publish,
)
from recommender.engine.offline.next_click_prior import PRIOR_WEIGHTS
from recommender.engine.offline.next_click_tables import next_click_tables
from recommender.engine.offline.sessions import take_sessions
from recommender.engine.types import Float32Array, NextClickCounts, NextClickModel, Sessions


def fit_next_click(
    sessions: Sessions,
    *,
    n_items: int,
    now_s: int | None = None,
    half_lives_s: npt.ArrayLike | None = None,
    seed: int = 0,
) -> tuple[NextClickCounts, NextClickModel]:
    """Learn the weights on the last sessions, and the tables on all of them.

    1. Tables of the earlier sessions are made, and clicks of the last ones are asked for, up to
       12,000: what came before each is the query.
    2. The weights maximise the mean log-likelihood of the click under a softmax over the query's
       candidates, once with repeats and once without, with a Gaussian prior around weights that
       were learned on other data. With few sessions the prior decides.
    3. The last sessions join the counts, and the tables are made again.

    Parameters
    ----------
    sessions : Sessions
        Ordered by time, closed; rows at least 0. Where no clock is known, ascending numbers do.
    n_items : int
    now_s : int or None
        ``None``: the end of the last session.
    half_lives_s : float[4] or None
        See `count_clicks`.
    seed : int
        Decides which queries teach, and where the vectors start.

    Returns
    -------
    counts : NextClickCounts
        What `next_click_extend` needs.
    model : NextClickModel

    Raises
    ------
    InvalidInputError
        If sessions aren't ordered by time, or a row is outside the catalog.

    Notes
    -----
    The weights are those of a conditional logit (D. McFadden, 1974).

    Examples
    --------
    >>> from recommender.engine.offline.sessions import segment_sessions
    >>> sessions = segment_sessions([1, 1, 2, 2], [0, 9, 10, 19], [0, 1, 0, 1])
    >>> counts, model = fit_next_click(sessions, n_items=2)
    >>> counts.pair_offsets.tolist(), counts.pair_items.tolist(), len(model.partners)
    ([0, 1, 1], [1], 2)
    """
    times = sessions.times_s
    if len(times) and bool((np.diff(times) < 0).any()):
        raise InvalidInputError("sessions must be ordered by time")
    now = (int(times[-1]) if len(times) else 0) if now_s is None else now_s
    cut = first_lesson(sessions)
    earlier = take_sessions(sessions, 0, cut)
    later = take_sessions(sessions, cut, len(sessions))
    cut_s = int(times[cut]) if cut < len(times) else now
    if half_lives_s is None:
        half_lives_s = count_clicks(sessions, n_items=n_items, now_s=now).half_lives_s
    counts = count_clicks(earlier, n_items=n_items, now_s=cut_s, half_lives_s=half_lives_s)
    weights = PRIOR_WEIGHTS
    if len(earlier) and len(later):
        tables = next_click_tables(counts, seed=seed, rows=lookups_of(later, seed))
        weights = learn_weights(tables, later, weights, seed=seed)
        del tables
    counts = extend_counts(counts, later, n_items=n_items, now_s=max(now, cut_s))
    return counts, next_click_model(counts, weights, seed=seed)


def next_click_extend(
    counts: NextClickCounts,
    model: NextClickModel,
    new_sessions: Sessions,
    *,
    n_items: int,
    now_s: int,
    seed: int = 0,
) -> tuple[NextClickCounts, NextClickModel]:
    """Let new sessions join: the counts are added to, the tables made again, the weights kept.

    Counts, and tables before pruning, are those of a fit over everything with the same half-lives
    and weights, up to rounding. Pruning may break ties between partners differently.

    Parameters
    ----------
    counts, model
        As `fit_next_click` or an earlier extension returned them.
    new_sessions : Sessions
        Closed and not counted before. A session that goes on after it was counted can't be taken
        back: wait until it is closed (`closed_before`).
    n_items : int
        New items are rows at the end.
    now_s : int

    Returns
    -------
    counts : NextClickCounts
    model : NextClickModel
        New arrays; the old ones stay as they are.
    """
    grown = extend_counts(counts, new_sessions, n_items=n_items, now_s=now_s)
    return grown, next_click_model(grown, model.weights, seed=seed)


def next_click_model(
    counts: NextClickCounts, weights: Float32Array, *, seed: int = 0
) -> NextClickModel:
    """Everything that follows from counts and weights."""
    return publish(next_click_tables(counts, seed=seed), weights)
