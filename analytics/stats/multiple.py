"""Several questions at once: p-values that stay honest.

With twenty metrics one of them is "significant" by chance. Holm keeps the probability of any false
success at the level; Benjamini and Hochberg keep the share of false ones among the successes, which
is enough for exploring, never for a verdict.
"""

from __future__ import annotations

from collections.abc import Sequence

from analytics.stats.answers import require_p_values


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    r"""Adjusted p-values that control the family-wise error.

    Sorted ascending, $\tilde p_i = \max_{j \le i} \min(1, (m - j + 1) p_j)$.

    Returns
    -------
    tuple of float
        In the order given; each at least its raw value; empty for an empty family.

    Raises
    ------
    InvalidInputError
        A number outside 0 … 1.

    References
    ----------
    S. Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of
    Statistics 6, 1979.

    Examples
    --------
    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03, 0.005, 0.55, 0.6])]
    [0.05, 0.12, 0.12, 0.03, 1.0, 1.0]
    """
    require_p_values(p_values)
    m = len(p_values)
    adjusted = [1.0] * m
    highest = 0.0
    for rank, at in enumerate(sorted(range(m), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, (m - rank) * p_values[at]))
        adjusted[at] = highest
    return tuple(adjusted)


def benjamini_hochberg(p_values: Sequence[float]) -> tuple[float, ...]:
    r"""Adjusted p-values that control the false discovery rate.

    Sorted ascending, $\tilde p_i = \min_{j \ge i} \min(1, m p_j / j)$.

    Returns
    -------
    tuple of float
        In the order given; at least the raw values, at most Holm's.

    Raises
    ------
    InvalidInputError
        A number outside 0 … 1.

    References
    ----------
    Y. Benjamini, Y. Hochberg, Controlling the false discovery rate, JRSS B 57, 1995.

    Examples
    --------
    >>> benjamini_hochberg([0.025, 0.03])
    (0.03, 0.03)
    """
    require_p_values(p_values)
    m = len(p_values)
    adjusted = [1.0] * m
    lowest = 1.0
    for rank, at in enumerate(sorted(range(m), key=lambda i: -p_values[i])):
        # The division last: m / (m - rank) would round p·m/m away from p.
        lowest = min(lowest, p_values[at] * m / (m - rank))
        adjusted[at] = lowest
    return tuple(adjusted)
