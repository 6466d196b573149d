"""Two answers to each of many requests, and what the difference comes to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from recommender.engine.types import Float32Array

N_LISTED = 10


@dataclass(slots=True)
class Side:
    """What one way of answering showed.

    Attributes
    ----------
    n_empty, n_short
        Answers without a product; answers below the placement's minimum, empty ones included.
    diversity_sum, n_diversity
        Over the answers whose diversity is known; see `list_diversity`.
    exposure
        How often each product was shown, by id.
    """

    n_empty: int = 0
    n_short: int = 0
    diversity_sum: float = 0.0
    n_diversity: int = 0
    exposure: dict[int, int] = field(default_factory=dict)


@dataclass(slots=True)
class Tally:
    """What was counted so far. Tallies of parts of a sample can be added: see `tally_merge`."""

    n: int = 0
    n_changed: int = 0
    now: Side = field(default_factory=Side)
    then: Side = field(default_factory=Side)


@dataclass(frozen=True, slots=True)
class SideFigures:
    """One side in figures. What can't be known is None, not 0.

    Attributes
    ----------
    empty_rate, short_rate : 0..1
    mean_price_minor, mean_margin_minor
        Of the shown products, each as often as it was shown; of those whose figure is known.
    margin_known_rate : 0..1
        Share of what was shown that has a margin.
    diversity : 0..2
        Mean over the answers.
    n_products
        Different products.
    coverage : 0..1
        Of all products that may be shown.
    """

    empty_rate: float
    short_rate: float
    mean_price_minor: float | None
    mean_margin_minor: float | None
    margin_known_rate: float
    diversity: float | None
    n_products: int
    coverage: float | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """The price tag of a change.

    Attributes
    ----------
    appear, vanish
        (product id, how often it was shown), the most often first: products that only one side
        shows at all. At most `N_LISTED` each, of `n_appear` and `n_vanish`.
    """

    n: int
    n_changed: int
    now: SideFigures
    then: SideFigures
    appear: list[tuple[int, int]]
    vanish: list[tuple[int, int]]
    n_appear: int
    n_vanish: int

    @property
    def changed_rate(self) -> float | None:
        return self.n_changed / self.n if self.n else None


def list_diversity(vectors: Float32Array) -> float | None:
    """How unlike each other the products of an answer are: the mean of ``1 - cos`` over all pairs.

    Parameters
    ----------
    vectors : float32[n, d]
        Unit vectors; a zero vector (a product nothing is known of) is left out.

    Returns
    -------
    0 for the same thing n times, 1 for nothing in common; None for fewer than two products.

    Notes
    -----
    Intra-list distance of B. Smyth, P. McClave, "Similarity vs. diversity", ICCBR 2001. The sum of
    all pairs is ``(|Σv|² - n) / 2``, so it costs O(n d).

    Examples
    --------
    >>> list_diversity(np.array([[1, 0], [0, 1]], np.float32))
    1.0
    >>> list_diversity(np.array([[1, 0]], np.float32)) is None
    True
    """
    known = vectors[np.any(vectors != 0, axis=1)]
    n = len(known)
    if n < 2:
        return None
    total = known.sum(axis=0, dtype=np.float64)
    return float(1 - (total @ total - n) / (n * (n - 1)))


def tally_add(
    tally: Tally,
    now: Sequence[int],
    then: Sequence[int],
    *,
    n_minimum: tuple[int, int],
    diversity: tuple[float | None, float | None],
) -> None:
    """Count one request.

    Parameters
    ----------
    now, then
        Product ids in the order shown. Another order is a change.
    n_minimum
        The least number of products that the placement asks for, on either side.
    diversity
        `list_diversity` of both answers.

    Examples
    --------
    >>> tally = Tally()
    >>> tally_add(tally, [1, 2], [2, 1], n_minimum=(1, 1), diversity=(.5, .5))
    >>> tally_add(tally, [1], [], n_minimum=(1, 1), diversity=(None, None))
    >>> tally.n, tally.n_changed, tally.then.n_empty, tally.now.exposure
    (2, 2, 1, {1: 2, 2: 1})
    """
    tally.n += 1
    tally.n_changed += list(now) != list(then)
    for side, shown, minimum, unlike in zip(
        (tally.now, tally.then), (now, then), n_minimum, diversity, strict=True
    ):
        side.n_empty += not shown
        side.n_short += len(shown) < minimum or not shown
        if unlike is not None:
            side.diversity_sum += unlike
            side.n_diversity += 1
        for product_id in shown:
            side.exposure[product_id] = side.exposure.get(product_id, 0) + 1


def tally_merge(one: Tally, other: Tally) -> Tally:
    """The tally of both parts together."""
    return Tally(
        one.n + other.n,
        one.n_changed + other.n_changed,
        _sides(one.now, other.now),
        _sides(one.then, other.then),
    )


def _sides(one: Side, other: Side) -> Side:
    exposure = dict(one.exposure)
    for product_id, n in other.exposure.items():
        exposure[product_id] = exposure.get(product_id, 0) + n
    return Side(
        one.n_empty + other.n_empty,
        one.n_short + other.n_short,
        one.diversity_sum + other.diversity_sum,
        one.n_diversity + other.n_diversity,
        exposure,
    )


def compare(
    tally: Tally,
    *,
    price_minor: Mapping[int, int],
    margin_minor: Mapping[int, int],
    n_eligible: int,
) -> Comparison:
    """Put a tally into figures.

    Parameters
    ----------
    price_minor, margin_minor
        By product id; a product without one is left out of the mean.
    n_eligible
        Products of the catalog that may be shown.
    """
    now, then = tally.now.exposure, tally.then.exposure
    appear, vanish = _only_in(then, now), _only_in(now, then)
    return Comparison(
        n=tally.n,
        n_changed=tally.n_changed,
        now=_figures(tally.now, tally.n, price_minor, margin_minor, n_eligible),
        then=_figures(tally.then, tally.n, price_minor, margin_minor, n_eligible),
        appear=appear[:N_LISTED],
        vanish=vanish[:N_LISTED],
        n_appear=len(appear),
        n_vanish=len(vanish),
    )


def _only_in(exposure: Mapping[int, int], other: Mapping[int, int]) -> list[tuple[int, int]]:
    only = [(product_id, n) for product_id, n in exposure.items() if product_id not in other]
    return sorted(only, key=lambda entry: (-entry[1], entry[0]))


def _figures(
    side: Side,
    n: int,
    price_minor: Mapping[int, int],
    margin_minor: Mapping[int, int],
    n_eligible: int,
) -> SideFigures:
    mean_price, _ = _mean(side.exposure, price_minor)
    mean_margin, margin_known = _mean(side.exposure, margin_minor)
    return SideFigures(
        empty_rate=side.n_empty / n if n else 0.0,
        short_rate=side.n_short / n if n else 0.0,
        mean_price_minor=mean_price,
        mean_margin_minor=mean_margin,
        margin_known_rate=margin_known,
        diversity=side.diversity_sum / side.n_diversity if side.n_diversity else None,
        n_products=len(side.exposure),
        coverage=len(side.exposure) / n_eligible if n_eligible else None,
    )


def _mean(exposure: Mapping[int, int], values: Mapping[int, int]) -> tuple[float | None, float]:
    """The mean value of what was shown, and the share of it that has one."""
    known = {product_id: n for product_id, n in exposure.items() if product_id in values}
    n_known, n_all = sum(known.values()), sum(exposure.values())
    if not n_known:
        return None, 0.0
    total = sum(values[product_id] * n for product_id, n in known.items())
    return total / n_known, n_known / n_all
