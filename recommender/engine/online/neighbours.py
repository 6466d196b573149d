"""From the items of a page, a cart or a session to their neighbours."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recommender.engine.online import compiled
from recommender.engine.types import Candidates, Neighbours


def expand_neighbours(
    neighbours: Neighbours,
    seeds: npt.ArrayLike,
    seed_weights: npt.ArrayLike | None = None,
    *,
    limit: int,
    exclude_seeds: bool = True,
) -> Candidates:
    """Neighbours of several items, their weighted scores added up.

    ``score(j) = sum over seeds s of weight(s) * neighbours.score(s, j)``. Costs O(s k).

    Parameters
    ----------
    neighbours : Neighbours
    seeds : int32[s]
        Item rows; negative and unknown rows are skipped, a repeated seed counts as often as it is
        named.
    seed_weights : float32[s] or None
        May be negative (a hidden item speaks against what is like it). ``None`` means 1 each.
    limit : int
    exclude_seeds : bool
        Whether a seed may be an answer when it is the neighbour of another seed.

    Returns
    -------
    Candidates
        Items with a positive sum; `because` is the seed with the largest contribution, the first
        of equal ones. Empty if no seed has a neighbour.

    Examples
    --------
    >>> neighbours = Neighbours(np.array([[1, 2], [2, -1], [0, -1]], np.int32),
    ...                         np.array([[.9, .2], [.5, 0], [.4, 0]], np.float32))
    >>> found = expand_neighbours(neighbours, [0, 1], limit=5)
    >>> found.rows.tolist(), found.scores.round(1).tolist(), found.because.tolist()
    ([2], [0.699999988079071], [1])
    """
    rows = np.asarray(seeds, dtype=np.int32).reshape(-1)
    if len(rows) == 1:
        weight = 1.0 if seed_weights is None else float(np.asarray(seed_weights)[0])
        return _of_one(neighbours, int(rows[0]), weight, limit)
    if seed_weights is None:
        weights = np.ones(len(rows), np.float32)
    else:
        weights = np.asarray(seed_weights, dtype=np.float32).reshape(-1)
    return Candidates(
        *compiled.expand(
            np.ascontiguousarray(neighbours.indices, np.int32),
            np.ascontiguousarray(neighbours.scores, np.float32),
            np.ascontiguousarray(rows),
            np.ascontiguousarray(weights),
            limit,
            exclude_seeds,
        )
    )


def _of_one(neighbours: Neighbours, row: int, weight: float, limit: int) -> Candidates:
    """The list of one item: it is in order already."""
    if not (0 <= row < neighbours.n_items and weight > 0 and limit > 0):
        return Candidates.empty()
    partners = neighbours.indices[row, :limit]
    values = neighbours.scores[row, :limit]
    if len(values) and not values[-1] > 0:
        n = int(np.count_nonzero(values > 0))
        partners, values = partners[:n], values[:n]
    scores = values if weight == 1.0 else values * np.float32(weight)
    return Candidates(partners, scores, np.full(len(partners), row, np.int32))
