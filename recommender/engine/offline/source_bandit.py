"""Learning which source deserves the places given to chance: a Bayesian linear bandit.

Every place given to chance is a trial: the source that it was drawn for, the situation, and
whether the product was clicked. The places are chosen uniformly and the products at random, so a click
rate of such trials is that of the source, and not of a good place in the list.

Each source has a linear model of the click rate over the situation's features (one-hot, with an
intercept): S. Agrawal and N. Goyal, "Thompson sampling for contextual bandits with linear payoffs",
ICML 2013, with the state of L. Li et al., "A contextual-bandit approach to personalized news article
recommendation", WWW 2010: ``A = sum x x'`` and ``b = sum x y``. Both follow from the counts of trials and
clicks by situation, which are what is kept: counts can be added, faded and shown to people.

Instead of drawing from the posteriors in the request, the probability that a source is the best
is worked out here for every situation. Drawing a source by it *is* Thompson sampling, and the
log can state how probable each outcome was.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.special import log_ndtr

from recommender.engine.errors import InvalidInputError
from recommender.engine.online.source_bandit import N_LEVELS, N_SITUATIONS
from recommender.engine.types import BoolArray, Float32Array, Float64Array, Int64Array

HALF_LIFE_DAYS = 14.0
# Random places of a source before anything is concluded about it.
MIN_TRIALS = 100
# What is believed before: a source's rate differs from that of all by about as much as that rate
# (one standard deviation), and a situation moves it by half as much.
SOURCE_SPREAD = 1.0
SITUATION_SPREAD = 0.5
Z_95 = 1.959963984540054
# Standard deviations from each mean at which the integral is cut into pieces, each of them smooth;
# beyond the last there are less than 1e-15.
_CUTS = np.array([-8.0, -6.0, -4.5, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.5, 6.0, 8.0])
_NODES, _NODE_WEIGHTS = np.polynomial.legendre.leggauss(8)
# Situations that are integrated at once: some MB for 14 sources.
_AT_ONCE = 24
_LOG_ROOT_2PI = 0.5 * np.log(2.0 * np.pi)


@dataclass(frozen=True, slots=True)
class Beliefs:
    """What is believed of the click rate of every source in every situation: normal distributions.

    Attributes
    ----------
    means, deviations : float64[n_situations, n_sources]
    """

    means: Float64Array
    deviations: Float64Array


@cache
def situation_design() -> Float64Array:
    """The features of every situation: float64[N_SITUATIONS, 1 + levels], the intercept first."""
    places = np.indices(N_LEVELS).reshape(len(N_LEVELS), -1)
    parts = [np.ones((N_SITUATIONS, 1))]
    parts += [np.eye(n)[place] for n, place in zip(N_LEVELS, places, strict=True)]
    return np.concatenate(parts, axis=1)


def fading(ages_days: Float64Array, half_life_days: float = HALF_LIFE_DAYS) -> Float64Array:
    """``2^(-age / half-life)``: what a trial counts."""
    weights: Float64Array = np.exp2(-np.maximum(ages_days, 0.0) / half_life_days)
    return weights


def source_beliefs(
    trials: Float64Array, clicks: Float64Array, design: Float64Array | None = None
) -> Beliefs:
    """The posterior of each source's click rate in each situation.

    With ``r`` the rate of all sources together (plus half a click in one trial), noise of variance
    ``r (1 - r)`` and a prior of mean ``(r, 0, 0, ...)`` and precision ``P0 = diag(1 / (SOURCE_SPREAD
    r)^2, 1 / (SITUATION_SPREAD r)^2, ...)``::

        P = P0 + A / r(1-r)        A = X' diag(trials) X
        m = P^-1 (P0 m0 + b / r(1-r))      b = X' clicks

    and the rate in situation x is normal with mean ``x'm`` and variance ``x'P^-1 x``. So a source that
    was never tried is believed to be like the others, with a doubt to match. Costs O(n_sources
    (n d^2 + d^3)).

    Parameters
    ----------
    trials, clicks : float64[n_situations, n_sources]
        May be faded; clicks <= trials.
    design : float64[n_situations, d] or None
        Features, the first of them 1; None takes `situation_design()`.

    Raises
    ------
    InvalidInputError
        There are more clicks than trials, or less than none.
    """
    if (clicks > trials + 1e-9).any() or (clicks < 0).any():
        raise InvalidInputError("clicks are in 0..trials")
    features = situation_design() if design is None else design
    rate = float((clicks.sum() + 0.5) / (trials.sum() + 1.0))
    noise = rate * (1.0 - rate)
    spreads = np.full(features.shape[1], SITUATION_SPREAD * rate)
    spreads[0] = SOURCE_SPREAD * rate
    precision_before = np.diag(spreads**-2)
    pull = np.zeros(features.shape[1])
    pull[0] = rate * precision_before[0, 0]
    # [n_sources, d, d] and [n_sources, d]
    states = np.einsum("ni,ns,nj->sij", features, trials, features, optimize=True)
    sums = (features.T @ clicks).T
    covariances = np.linalg.inv(precision_before + states / noise)
    weights = np.einsum("sij,sj->si", covariances, pull + sums / noise)
    variances = np.einsum("ni,sij,nj->ns", features, covariances, features, optimize=True)
    return Beliefs(features @ weights.T, np.sqrt(np.maximum(variances, 0.0)))


def chances_to_be_best(means: Float64Array, deviations: Float64Array) -> Float64Array:
    """The probability of each of some independent normal variables to be the largest.

    ``P(s) = integral of phi_s(t) prod over j != s of Phi_j(t) dt``, by Gauss-Legendre on the pieces
    between the points that are a few standard deviations from each mean. Off by less than 1e-9.
    Costs O(n s^2 · 100) evaluations for n rows of s variables.

    Parameters
    ----------
    means, deviations : float64[n, s]
        Deviations are above 0.

    Returns
    -------
    float64[n, s]
        Rows sum to 1.

    Raises
    ------
    InvalidInputError
        For a deviation that is not above 0.

    Examples
    --------
    >>> chances_to_be_best(np.array([[0., 0., 0.]]), np.ones((1, 3))).round(6).tolist()
    [[0.333333, 0.333333, 0.333333]]
    """
    if not (deviations > 0).all():
        raise InvalidInputError("standard deviations are above 0")
    chances = np.empty_like(means)
    for start in range(0, len(means), _AT_ONCE):
        rows = slice(start, start + _AT_ONCE)
        chances[rows] = _integrated(means[rows], deviations[rows])
    return chances


def _integrated(means: Float64Array, deviations: Float64Array) -> Float64Array:
    n = len(means)
    edges = np.sort((means[:, :, None] + deviations[:, :, None] * _CUTS).reshape(n, -1), axis=1)
    middles, halves = (edges[:, 1:] + edges[:, :-1]) / 2, (edges[:, 1:] - edges[:, :-1]) / 2
    points = (middles[:, :, None] + halves[:, :, None] * _NODES).reshape(n, 1, -1)
    weights = (halves[:, :, None] * _NODE_WEIGHTS).reshape(n, 1, -1)
    z = (points - means[:, :, None]) / deviations[:, :, None]
    # Logarithms: far to the left of a mean its Phi is 0, and has to be taken out of the product.
    below = log_ndtr(z)
    density = -0.5 * z**2 - _LOG_ROOT_2PI - np.log(deviations)[:, :, None]
    others = below.sum(axis=1, keepdims=True) - below
    chances = (np.exp(density + others) * weights).sum(axis=2)
    total = chances.sum(axis=1, keepdims=True)
    normed: Float64Array = chances / np.where(total > 0, total, 1.0)
    return normed


def source_chances(
    trials: Float64Array, clicks: Float64Array, n_trials: Int64Array
) -> Float32Array:
    """What is served: in each situation the probability of each source to be the best.

    A source with fewer than `MIN_TRIALS` trials has its equal share, and those that are known well
    enough share the rest by their chances among each other. Without any they are all alike.

    Parameters
    ----------
    trials, clicks : float64[n_situations, n_sources]
        Faded.
    n_trials : int64[n_sources]
        How many there were, not faded: evidence that is old is weak, but not none.

    Returns
    -------
    float32[n_situations, n_sources]
        Rows sum to 1.
    """
    n_sources = trials.shape[1]
    chances = np.full(trials.shape, 1.0 / max(n_sources, 1))
    tried: BoolArray = n_trials >= MIN_TRIALS
    if tried.any():
        beliefs = source_beliefs(trials, clicks)
        best = chances_to_be_best(beliefs.means[:, tried], beliefs.deviations[:, tried])
        chances[:, tried] = best * (tried.sum() / n_sources)
    return chances.astype(np.float32)


def click_rate_interval(n_clicks: int, n_trials: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a rate; 0 to 1 without a trial.

    E. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22, 1927.

    Examples
    --------
    >>> [round(bound, 4) for bound in click_rate_interval(10, 100)]
    [0.0552, 0.1744]
    """
    if not n_trials:
        return 0.0, 1.0
    rate, z2 = n_clicks / n_trials, Z_95**2
    middle = (rate + z2 / (2 * n_trials)) / (1 + z2 / n_trials)
    root = np.sqrt(rate * (1 - rate) / n_trials + z2 / (4 * n_trials**2))
    half = float(Z_95 * root / (1 + z2 / n_trials))
    return max(middle - half, 0.0), min(middle + half, 1.0)
