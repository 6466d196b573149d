"""Off-policy replay: what would another strategy have earned on yesterday's impressions?

Each logged slot knows the probability with which the strategy of that time showed its product.
Reweighting by how likely the new strategy would have been to show it estimates the new strategy's
reward without showing it to anybody, as far as the two overlap; where they don't, the answer is
that there is none.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, sqrt
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from analytics.stats.answers import InvalidInputError, NotEnoughData, Reason
from analytics.stats.distributions import normal_quantile

Float64Array: TypeAlias = npt.NDArray[np.float64]
Int64Array: TypeAlias = npt.NDArray[np.int64]

MIN_EFFECTIVE = 100.0
MIN_EFFECTIVE_SHARE = 0.01
# Weights of a strategy that the log could have shown everything of are 1 on average.
MIN_SUPPORT = 0.9


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value per slot and its standard error over shoppers.

    Examples
    --------
    >>> Estimate(0.05, 0.01).interval()[0] > 0.03
    True
    """

    value: float
    standard_error: float

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """value ± z·se."""
        width = normal_quantile((1 + level) / 2) * self.standard_error
        return self.value - width, self.value + width


@dataclass(frozen=True, slots=True)
class Replay:
    """What the evaluated strategy would have earned per slot.

    Attributes
    ----------
    ips
        Inverse propensity score: unbiased, wide.
    snips
        Self-normalised: a little biased, much narrower; the one to show.
    dr
        Doubly robust: right if the propensities or the model are; None without a model.
    effective_sample_size
        (Σw)² / Σw²: so many slots of the new strategy itself would say as much.
    support
        Mean weight: about the share of what the new strategy shows that the log could have shown.
    n
        Logged slots.
    """

    ips: Estimate
    snips: Estimate
    dr: Estimate | None
    effective_sample_size: float
    support: float
    n: int


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """Predicted rewards, for the doubly robust estimate.

    Attributes
    ----------
    shown : float64[n]
        Of the product that was shown.
    expected : float64[n]
        Mean over what the evaluated strategy would have shown, by its probabilities.
    """

    shown: Float64Array
    expected: Float64Array


def replay(
    rewards: Float64Array,
    logged: Float64Array,
    evaluated: Float64Array,
    *,
    shoppers: Int64Array | None = None,
    model: Model | None = None,
    clip: float = inf,
    min_effective: float = MIN_EFFECTIVE,
    min_effective_share: float = MIN_EFFECTIVE_SHARE,
    min_support: float = MIN_SUPPORT,
    filled: float = 1.0,
) -> Replay | NotEnoughData:
    r"""Estimate the value of a strategy from the log of another.

    With $w = \pi_e/\pi_b$: IPS $= \overline{wr}$, SNIPS $= \sum wr / \sum w$,
    DR $= \overline{\hat q(x, \pi_e) + w(r - \hat q(x, a))}$, ESS $= (\sum w)^2/\sum w^2$.
    Standard errors from the influence of each slot, added up per shopper. Cost: O(n).

    Parameters
    ----------
    rewards : float64[n]
        Per logged slot: clicked or not, or money.
    logged : float64[n]
        π_b, the logged probability of showing that product there; 0 < π_b ≤ 1.
    evaluated : float64[n]
        π_e, the probability under the evaluated strategy; 0 ≤ π_e ≤ 1.
    shoppers : int64[n], optional
        Whose slot it was, any numbering from 0; each slot its own shopper if left out.
    clip
        Weights above are cut to it: less spread, some bias towards 0.
    min_support
        The mean weight is 1 if the log could have shown whatever the new strategy shows. What it
        couldn't have shown is missing from every estimate, however large the sample: below this
        share, beyond what chance explains, there is no answer. Not asked with a clip.
    filled
        Share of the logged slots that the new strategy fills at all.

    Returns
    -------
    Replay | NotEnoughData
        ``no_overlap`` if the effective sample size is below 100 slots or 1 % of them, or the log
        could not have shown what the strategy shows.

    Raises
    ------
    InvalidInputError
        Arrays of different lengths, probabilities out of range, a clip not above 0.

    References
    ----------
    A. Swaminathan, T. Joachims, The self-normalized estimator for counterfactual learning, NIPS
    2015; M. Dudík, J. Langford, L. Li, Doubly robust policy evaluation and learning, ICML 2011.

    Examples
    --------
    >>> same = np.full(400, 0.5)
    >>> replay(np.tile([1.0, 0.0], 200), same, same).snips.value
    0.5
    >>> replay(np.ones(400), same, np.zeros(400)).reason
    <Reason.NO_OVERLAP: 'no_overlap'>
    """
    n = len(rewards)
    _check(rewards, logged, evaluated, shoppers, model, clip)
    if n == 0:
        return NotEnoughData(Reason.NO_SHOPPERS, "no impression was logged with propensities")
    weights = np.minimum(evaluated / logged, clip)
    total, squares = float(weights.sum()), float(weights @ weights)
    effective = total**2 / squares if squares else 0.0
    wanted = max(min_effective, min_effective_share * n)
    if total == 0 or effective < wanted:
        words = (
            f"not enough overlap: {n} slots count like {effective:.0f} of the new strategy's own, "
            f"{wanted:.0f} are needed"
        )
        return NotEnoughData(Reason.NO_OVERLAP, words)
    groups = np.arange(n) if shoppers is None else shoppers
    support = _mean_estimate(weights, groups)
    reachable = support.value + 2 * support.standard_error
    if clip == inf and reachable < min_support * filled:
        words = (
            f"not enough overlap: the log could have shown some {support.value / filled:.0%} of what "
            f"the strategy shows, {min_support:.0%} are needed"
        )
        return NotEnoughData(Reason.NO_OVERLAP, words)
    earned = weights * rewards
    snips = float(earned.sum()) / total
    dr = None
    if model is not None:
        dr = _mean_estimate(model.expected + weights * (rewards - model.shown), groups)
    influence = weights * (rewards - snips) * n / total
    return Replay(
        _mean_estimate(earned, groups),
        Estimate(snips, _grouped_error(influence, groups)),
        dr,
        effective,
        support.value,
        n,
    )


def mean_per_slot(values: Float64Array, shoppers: Int64Array) -> Estimate:
    """The mean of what was logged, its error over shoppers; n ≥ 1.

    Examples
    --------
    >>> mean_per_slot(np.array([1.0, 0.0]), np.array([0, 1])).value
    0.5
    """
    return _mean_estimate(values, shoppers)


def _mean_estimate(values: Float64Array, groups: Int64Array) -> Estimate:
    mean = float(values.mean())
    return Estimate(mean, _grouped_error(values - mean, groups))


def _grouped_error(influence: Float64Array, groups: Int64Array) -> float:
    """√(Σ over shoppers of (Σ of her slots' influence)²) / n, times √(k/(k - 1)) for k shoppers."""
    sums = np.bincount(groups, weights=influence)
    k = len(np.unique(groups))
    if k < 2:
        return inf
    return sqrt(float(sums @ sums) * k / (k - 1)) / len(influence)


def _check(
    rewards: Float64Array,
    logged: Float64Array,
    evaluated: Float64Array,
    shoppers: Int64Array | None,
    model: Model | None,
    clip: float,
) -> None:
    arrays = [rewards, logged, evaluated]
    if model is not None:
        arrays += [model.shown, model.expected]
    lengths = [len(array) for array in arrays] + ([] if shoppers is None else [len(shoppers)])
    if len(set(lengths)) != 1:
        raise InvalidInputError(f"arrays of lengths {lengths}")
    for name, array in zip(
        ("reward", "logged", "evaluated", "model", "model"), arrays, strict=False
    ):
        if not np.isfinite(array).all():
            raise InvalidInputError(f"{name} {array[~np.isfinite(array)][0]!r} isn't finite")
    outside = (logged <= 0) | (logged > 1)
    if outside.any():
        raise InvalidInputError(f"logged propensity {logged[outside][0]!r} isn't in (0, 1]")
    outside = (evaluated < 0) | (evaluated > 1)
    if outside.any():
        raise InvalidInputError(f"evaluated propensity {evaluated[outside][0]!r} isn't in [0, 1]")
    if not clip > 0:
        raise InvalidInputError(f"clip is {clip!r}, not above 0")
