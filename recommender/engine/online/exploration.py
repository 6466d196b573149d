"""Some places of an answer to chance, with the probability of every outcome known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recommender.engine.errors import InvalidInputError
from recommender.engine.types import Float64Array, Int64Array

# No candidate is drawn less than a tenth as often as the best one of the pool: so no weight of a
# later estimate from the log (1 / propensity) gets out of hand.
LEAST_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Explored:
    """An answer with some of its places given to chance.

    Attributes
    ----------
    positions : int64[k]
        Which candidate stands at each place.
    propensities : float64[k]
        Probability that exactly this candidate stands at exactly this place.
    places : int64[m]
        The places given to chance, ascending.
    """

    positions: Int64Array
    propensities: Float64Array
    places: Int64Array


def explore(
    positions: Int64Array,
    weights: Float64Array,
    *,
    n_wanted: int,
    share: float,
    random: np.random.Generator,
    least_share: float = LEAST_SHARE,
) -> Explored:
    """Put candidates from further down at some places, drawn by weight without replacement.

    With k places, a share e of them for chance, and a pool of n candidates with weights w:

    1. m, the number of random places, is ``floor(e k)`` or one more, so that its mean is ``e k``
       (never more than the pool holds).
    2. The candidates are drawn by systematic sampling from one uniform number: each is
       among the m with probability ``pi(m) = m w / sum(w)``, and where that is above 1 it is 1 and
       the rest is shared by the others. No candidate comes twice.
    3. The m places are chosen uniformly, and the drawn candidates put there in uniform order.

    So the candidate that stands at a place by rank is there with probability ``1 - E[m] / k``, and one
    of the pool with ``E[pi(m)] / k`` at *each* place: both are exact, not estimates. While no weight
    is clipped the latter is ``e w / sum(w)``. Costs O(k + n log n).

    Parameters
    ----------
    positions : int64[k + n]
        Candidates in the order to show. The first `n_wanted` are the answer, the others the pool.
        Any of the pool may replace any of the answer.
    weights : float64[k + n]
        How often a candidate of the pool is drawn.
    n_wanted : int
        k. With fewer candidates there is no pool, and nothing is random.
    share : float in 0..1
        e.
    random : numpy Generator
        Used for three draws.
    least_share : float in 0..1
        Weights are raised to this share of the largest one of the pool.

    Returns
    -------
    Explored
        Propensities are 1 where nothing is random.

    Raises
    ------
    InvalidInputError
        If `share` is outside 0..1.

    Examples
    --------
    >>> explored = explore(np.arange(6), np.ones(6), n_wanted=4, share=0.25,
    ...                    random=np.random.default_rng(1))
    >>> explored.positions.tolist(), explored.propensities.tolist()
    ([0, 1, 2, 5], [0.75, 0.75, 0.75, 0.125])
    """
    if not 0 <= share <= 1:
        raise InvalidInputError(f"a share of random places is in 0..1, not {share}")
    shown = positions[:n_wanted].copy()
    pool = positions[n_wanted:]
    k, n = len(shown), len(pool)
    if not n or not share:
        return Explored(shown, np.ones(k), np.empty(0, np.int64))
    least, chance = divmod(share * k, 1.0)
    counts = [min(int(least), n), min(int(least) + 1, n)]
    chances = [1.0 - chance, chance]
    raised = np.maximum(weights[n_wanted:], weights[n_wanted:].max() * least_share)
    if not raised.max() > 0:
        raised = np.ones(n)
    inclusions = [_inclusion(raised, count) for count in counts]
    m = int(random.random() < chance)
    drawn = _systematic(inclusions[m], counts[m], random.random())
    # In no order: so the drawn candidates needn't be shuffled, too.
    places = random.permutation(k)[: counts[m]]
    propensities = np.full(k, 1.0 - (chances[0] * counts[0] + chances[1] * counts[1]) / k)
    shown[places] = pool[drawn]
    mean_inclusion = chances[0] * inclusions[0] + chances[1] * inclusions[1]
    propensities[places] = mean_inclusion[drawn] / k
    return Explored(shown, propensities, np.sort(places))


def _inclusion(weights: Float64Array, count: int) -> Float64Array:
    """Probability of each candidate to be among `count`, in proportion to its weight, at most 1."""
    inclusion = np.ones(len(weights))
    free = np.ones(len(weights), np.bool_)
    if count >= len(weights):
        return inclusion
    left = count
    while True:
        share = weights[free] * (left / weights[free].sum())
        if share.max(initial=0.0) <= 1.0:
            inclusion[free] = share
            return inclusion
        free[np.flatnonzero(free)[share >= 1.0]] = False
        left = count - int((~free).sum())


def _systematic(inclusion: Float64Array, count: int, start: float) -> Int64Array:
    """`count` candidates: those under the teeth of a comb of distance 1, laid over their chances."""
    ends = np.cumsum(inclusion)
    ends[-1] = count
    drawn: Int64Array = np.searchsorted(ends, start + np.arange(count), side="right")
    return drawn
