"""Capping: one wholesale order must not decide an experiment.

Revenue per shopper has a long tail. What lies above the cap is set to the cap (winsorised), for
both arms at the same height, taken from both arms together: a cap of its own per arm would hide the
very difference that is looked for. The uncapped figure is shown beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analytics.stats.answers import InvalidInputError, NotEnoughData, Reason, require_share
from analytics.stats.summaries import MeanSums

Float64Array = npt.NDArray[np.float64]

CAP_SHARE = 0.999


@dataclass(frozen=True, slots=True)
class CappedSums:
    """Sums after capping and what the cap took.

    Attributes
    ----------
    sums
        Of the capped values.
    cap
        In the unit of the values.
    n_capped
        Shoppers above the cap.
    cut
        What was taken off in total, in the unit of the values.
    """

    sums: MeanSums
    cap: float
    n_capped: int
    cut: float


def cap_of(values: Float64Array, *, share: float = CAP_SHARE) -> float | NotEnoughData:
    """The height above which values are capped.

    Parameters
    ----------
    values : float64[n]
        One number per shopper of **all** arms, zeros of those who bought nothing included.
    share
        Percentile as a share, 0 < share < 1; linear between neighbours, as PostgreSQL's
        ``percentile_cont``.

    Returns
    -------
    float | NotEnoughData
        Nothing without values, or if the cap would be 0: then more than `share` of the shoppers
        bought nothing, and capping would take everything. The metric is then used uncapped.

    References
    ----------
    R. Kohavi, D. Tang, Y. Xu, Trustworthy online controlled experiments, 2020, chapter 22.

    Examples
    --------
    >>> cap_of(np.arange(1001.0))
    999.0
    """
    require_share("share", share)
    if not len(values):
        return NotEnoughData(Reason.NO_SHOPPERS, "no shopper yet")
    if not np.isfinite(values).all():
        raise InvalidInputError(f"{values[~np.isfinite(values)][0]!r} among the values")
    cap = float(np.quantile(values, share))
    if cap <= 0:
        words = f"fewer than {1 - share:.1%} of {len(values)} shoppers have a value above 0"
        return NotEnoughData(Reason.TOO_FEW_CONVERSIONS, words)
    return cap


def capped_sums(values: Float64Array, cap: float) -> CappedSums:
    """Sums of values of which none counts for more than the cap.

    Parameters
    ----------
    values : float64[n]
        Of one arm.

    Examples
    --------
    >>> capped = capped_sums(np.array([0.0, 5.0, 100.0]), 10.0)
    >>> capped.sums, capped.n_capped, capped.cut
    (MeanSums(n=3, total=15.0, squares=125.0), 1, 90.0)
    """
    kept = np.minimum(values, cap)
    return CappedSums(
        MeanSums(len(values), float(kept.sum()), float(kept @ kept)),
        cap,
        int((values > cap).sum()),
        float((values - kept).sum()),
    )
