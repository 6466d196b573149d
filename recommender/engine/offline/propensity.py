"""How likely a purchase is, by what is known of shopper and product: naive Bayes, linear SVM."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import CategoricalNB
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from recommender.engine.errors import EmptyInputError
from recommender.engine.types import Float32Array, Float64Array, Int64Array


@dataclass(frozen=True, slots=True)
class Pairs:
    """Shopper × product pairs to learn from, some of all.

    Attributes
    ----------
    features : float32[n, n_features]
    bought : float32[n]
        1 or 0.
    weights : float32[n]
        How many pairs each stands for: the inverse of its chance to be drawn.
    shoppers : int64[n]
    """

    features: Float32Array
    bought: Float32Array
    weights: Float32Array
    shoppers: Int64Array


@dataclass(frozen=True, slots=True)
class BinnedEvidence:
    """Naive Bayes over bins: what each value of each feature adds to the log-odds.

    Attributes
    ----------
    edges : float32[n_features, n_bins - 1]
        Ascending; a value is in the bin of the number of edges at or below it. ``inf`` beyond the
        last bin of a feature.
    log_odds : float32[n_features, n_bins]
        ``ln P(bin | bought) - ln P(bin | not bought)``.
    prior : float
        ``ln`` of the odds over all pairs.
    """

    edges: Float32Array
    log_odds: Float32Array
    prior: float

    def margins(self, features: Float32Array) -> Float32Array:
        """Log-odds of a purchase, float32[n]."""
        total = np.full(len(features), self.prior, np.float32)
        for column, edges, odds in zip(features.T, self.edges, self.log_odds, strict=True):
            # What is the same for every product of a question costs nothing more.
            total += odds[np.searchsorted(edges, column, side="right")]
        return total


@dataclass(frozen=True, slots=True)
class Hyperplane:
    """A linear model: ``features @ weights + offset``; float32[n_features]."""

    weights: Float32Array
    offset: float

    def margins(self, features: Float32Array) -> Float32Array:
        """Distance to the plane in units of the margin, float32[n]."""
        found: Float32Array = features @ self.weights + np.float32(self.offset)
        return found


@dataclass(frozen=True, slots=True)
class Propensity:
    """A model with what turns its margins into chances: ``1 / (1 + exp(-(slope m + offset)))``."""

    model: BinnedEvidence | Hyperplane
    slope: float
    offset: float

    def chances(self, features: Float32Array) -> Float32Array:
        """Probability of a purchase, float32[n], in 0..1."""
        margins = self.model.margins(features).astype(np.float64)
        found = 1 / (1 + np.exp(np.clip(-(self.slope * margins + self.offset), -80, 80)))
        return found.astype(np.float32)


def fit_naive_bayes(pairs: Pairs, *, bins: int = 12, smoothing: float = 1.0) -> BinnedEvidence:
    """Naive Bayes over features cut into bins of about as many purchases each.

    ``ln odds(bought | x) = ln odds(bought) + Σ_f ln (P(x_f | bought) / P(x_f | not))``: features are
    taken to be independent given the outcome, which they aren't, so that its chances are too sure
    of themselves until `calibrated` mends them. Costs O(n features).

    Parameters
    ----------
    pairs : Pairs
    bins : int
    smoothing : float > 0
        Pairs of each outcome that every bin has beforehand.

    Notes
    -----
    By scikit-learn's `CategoricalNB`; smoothing is Laplace's.
    """
    _check(pairs)
    columns = pairs.features.T
    edges = np.full((len(columns), bins - 1), np.inf, np.float32)
    binned = np.empty(pairs.features.shape, np.int64)
    for place, column in enumerate(columns):
        # Quantiles of both outcomes: those of all pairs would be those of what nobody buys.
        halves = [column[pairs.bought == side] for side in (0, 1)]
        steps = np.linspace(0, 1, bins // 2 + 1)[1:-1]
        cuts = np.unique(np.concatenate([np.quantile(half, steps) for half in halves]))
        cuts = cuts[cuts > column.min()][: bins - 1].astype(np.float32)
        edges[place, : len(cuts)] = cuts
        binned[:, place] = np.searchsorted(cuts, column, side="right")
    model = CategoricalNB(alpha=smoothing, min_categories=bins)
    # Weights of mean 1, so that smoothing means pairs of the sample.
    model.fit(binned, pairs.bought, sample_weight=pairs.weights / pairs.weights.mean())
    odds = np.stack([table[1] - table[0] for table in model.feature_log_prob_])
    prior = model.class_log_prior_
    return BinnedEvidence(edges, odds.astype(np.float32), float(prior[1] - prior[0]))


def fit_linear_svm(pairs: Pairs, *, cost: float = 0.1) -> Hyperplane:
    """A plane with a wide margin between purchases and the rest.

    Minimises ``½ (|w|² + b²) + C Σ c_y max(0, 1 - y (w · x + b))²``, the squared hinge loss, over
    features of mean 0 and spread 1,
    ``c_y`` such that both outcomes weigh as much. Costs O(n features) for each Newton step.

    Parameters
    ----------
    pairs : Pairs
    cost : float > 0
        C, per pair of a sample of 10,000.

    Notes
    -----
    By scikit-learn's `LinearSVC` (LIBLINEAR, R.-E. Fan et al., 2008), whose primal solver draws
    nothing. Pairs count once each and not by their weights: ``c_y`` takes away what either outcome
    has in numbers anyhow, and `calibrated` brings the weights back.
    """
    _check(pairs)
    scaler = StandardScaler().fit(pairs.features.astype(np.float64))
    scaled = scaler.transform(pairs.features.astype(np.float64))
    model = LinearSVC(
        C=cost * 10_000 / len(scaled), dual=False, class_weight="balanced", max_iter=2000
    )
    model.fit(scaled, pairs.bought)
    weights: Float64Array = model.coef_[0] / scaler.scale_
    offset = float(model.intercept_[0] - weights @ scaler.mean_)
    return Hyperplane(weights.astype(np.float32), offset)


def calibrated(model: BinnedEvidence | Hyperplane, pairs: Pairs) -> Propensity:
    """Chances out of margins, by a logistic regression on pairs that the model was not fitted on.

    Each pair counts as many as it stands for, so that the chances are those of all pairs and not
    of the sample. The order of the margins stays: a slope that isn't above 0 becomes 0.001.

    Notes
    -----
    J. Platt, "Probabilistic Outputs for Support Vector Machines", 1999.
    """
    _check(pairs)
    margins = model.margins(pairs.features).astype(np.float64)
    spread = float(margins.std()) or 1.0
    regression = LogisticRegression(C=1e3, max_iter=1000)
    regression.fit(
        (margins / spread)[:, None],
        pairs.bought,
        sample_weight=pairs.weights / pairs.weights.mean(),
    )
    slope = max(float(regression.coef_[0, 0]) / spread, 1e-3)
    return Propensity(model, slope, float(regression.intercept_[0]))


def split_by_shopper(pairs: Pairs, *, share: float, seed: int) -> tuple[Pairs, Pairs]:
    """Pairs of some shoppers, and those of the others, a `share` of them."""
    shoppers = np.unique(pairs.shoppers)
    drawn = np.random.default_rng(seed).permutation(shoppers)[: int(len(shoppers) * share)]
    other = np.isin(pairs.shoppers, drawn)
    return _some(pairs, ~other), _some(pairs, other)


def both_outcomes(pairs: Pairs, at_least: int = 1) -> bool:
    """Whether there are so many purchases and so many others."""
    n = int(pairs.bought.sum())
    return min(n, len(pairs.bought) - n) >= at_least


def _some(pairs: Pairs, kept: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Pairs:
    return Pairs(
        pairs.features[kept], pairs.bought[kept], pairs.weights[kept], pairs.shoppers[kept]
    )


def _check(pairs: Pairs) -> None:
    if not both_outcomes(pairs):
        raise EmptyInputError("there must be pairs with a purchase and pairs without one")
