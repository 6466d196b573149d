"""Bandit mode: more traffic to what seems better, while it is still being found out.

For campaigns that are over before a verdict would be. Each arm gets the probability that it is the
best one (Thompson sampling, in expectation), with a floor, so that every arm goes on being
measured. Bandit data are no experiment: shares change over time, so no lift is reported from them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import special

from analytics.stats.answers import InvalidInputError, NotEnoughData, Reason
from analytics.stats.summaries import Proportion, Sums

Float64Array: TypeAlias = npt.NDArray[np.float64]

FLOOR = 0.01
MIN_SHOPPERS = 100
WINNER_CHANCE = 0.95
# Points of the numerical integration; 4,096 agree with ten times as many in five digits.
_POINTS = 4096


@dataclass(frozen=True, slots=True)
class BanditWeights:
    """How to split the traffic from now on.

    Attributes
    ----------
    weights
        Per arm, in the order given; each at least the floor; adding up to 1.
    chances
        Probability that the arm is the best; adding up to 1; None while traffic isn't shifted.
    winner
        Position of the arm whose chance reached 95 %; None if there is none.
    waiting
        Why traffic isn't shifted yet; None if it is.
    """

    weights: tuple[float, ...]
    chances: tuple[float, ...] | None
    winner: int | None
    waiting: NotEnoughData | None


def chances_to_be_best(arms: Sequence[Sums]) -> tuple[float, ...]:
    r"""For each arm, the probability that its mean is the highest.

    $P_i = \int_0^1 \prod_{j \ne i} F_j(Q_i(u))\,du$ with Q the quantiles and F the distribution
    function of the posteriors: Beta(1 + s, 1 + f) for proportions, normal(ȳ, s²/n) for the rest.
    Integrated by the midpoint rule, so the same sums always give the same weights: nothing is
    drawn. Cost: arms² × 4,096.

    Returns
    -------
    tuple of float
        In the order given, adding up to 1; equal arms share equally.

    References
    ----------
    S. L. Scott, A modern Bayesian look at the multi-armed bandit, Applied Stochastic Models in
    Business and Industry 26, 2010 (optimality probabilities by integration, section 3).

    Examples
    --------
    >>> [round(p, 4) for p in chances_to_be_best([Proportion(100, 40), Proportion(100, 50)])]
    [0.0786, 0.9214]
    """
    u = (np.arange(_POINTS) + 0.5) / _POINTS
    chances = np.empty(len(arms))
    for i, arm in enumerate(arms):
        at = _quantiles(arm, u)
        below = np.ones(_POINTS)
        for j, other in enumerate(arms):
            if j != i:
                below *= _cdf(other, at)
        chances[i] = below.mean()
    return tuple(float(chance) for chance in chances / chances.sum())


def thompson_weights(
    arms: Sequence[Sums],
    current: Sequence[float],
    *,
    floor: float = FLOOR,
    min_shoppers: int = MIN_SHOPPERS,
    winner_chance: float = WINNER_CHANCE,
) -> BanditWeights:
    """The next split of a bandit.

    weight = floor + (1 - arms × floor) × chance to be best: never below the floor, and in the order
    of the chances.

    Parameters
    ----------
    arms
        Sums of each arm, all of one kind; more is better.
    current
        The weights now; they stay while an arm has fewer than `min_shoppers`, or no spread.

    Raises
    ------
    InvalidInputError
        Fewer than two arms, another number of weights than arms, a floor that leaves nothing to share.

    References
    ----------
    W. R. Thompson, On the likelihood that one unknown probability exceeds another in view of the
    evidence of two samples, Biometrika 25, 1933.

    Examples
    --------
    >>> split = thompson_weights([Proportion(2000, 100), Proportion(2000, 150)], [0.5, 0.5])
    >>> [round(weight, 3) for weight in split.weights], split.winner
    ([0.011, 0.989], 1)
    >>> thompson_weights([Proportion(99, 1), Proportion(500, 9)], [0.5, 0.5]).weights
    (0.5, 0.5)
    """
    if len(arms) < 2 or len(current) != len(arms):
        raise InvalidInputError(f"{len(arms)} arms with {len(current)} weights")
    if not 0 <= floor * len(arms) < 1:
        raise InvalidInputError(f"a floor of {floor!r} for each of {len(arms)} arms")
    if min(current) < 0 or abs(sum(current) - 1) > 1e-6:
        raise InvalidInputError(f"weights {tuple(current)!r} aren't shares of 1")
    waiting = _waiting(arms, min_shoppers)
    if waiting is not None:
        return BanditWeights(tuple(current), None, None, waiting)
    chances = chances_to_be_best(arms)
    best = max(range(len(arms)), key=lambda i: chances[i])
    shared = 1 - floor * len(arms)
    return BanditWeights(
        tuple(floor + shared * chance for chance in chances),
        chances,
        best if chances[best] >= winner_chance else None,
        None,
    )


def _waiting(arms: Sequence[Sums], min_shoppers: int) -> NotEnoughData | None:
    fewest = min(arm.n for arm in arms)
    if fewest < min_shoppers:
        words = f"{fewest} of {min_shoppers} shoppers in the smallest arm"
        return NotEnoughData(Reason.TOO_FEW_SHOPPERS, words)
    for position, arm in enumerate(arms):
        # A share has a posterior even if nobody bought; a mean without spread has none.
        if not isinstance(arm, Proportion) and arm.variance <= 0:
            return NotEnoughData(
                Reason.NO_SPREAD, f"all {arm.n} shoppers of arm {position + 1} are alike so far"
            )
    return None


def _quantiles(arm: Sums, u: Float64Array) -> Float64Array:
    if isinstance(arm, Proportion):
        a, b = 1.0 + arm.successes, 1.0 + arm.n - arm.successes
        return np.asarray(special.betaincinv(a, b, u), dtype=np.float64)
    return arm.mean + sqrt(arm.variance / arm.n) * np.asarray(special.ndtri(u), dtype=np.float64)


def _cdf(arm: Sums, at: Float64Array) -> Float64Array:
    if isinstance(arm, Proportion):
        a, b = 1.0 + arm.successes, 1.0 + arm.n - arm.successes
        return np.asarray(special.betainc(a, b, at), dtype=np.float64)
    z = (at - arm.mean) / sqrt(arm.variance / arm.n)
    return np.asarray(special.ndtr(z), dtype=np.float64)
