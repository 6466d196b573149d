"""Which items may be shown at all, as masks over the catalog."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recommender.engine.types import BoolArray, Candidates


def eligible_items(
    available: BoolArray,
    *,
    hidden: BoolArray | None = None,
    priced: BoolArray | None = None,
    in_market: BoolArray | None = None,
) -> BoolArray:
    """Items that are available, not hidden, priced and in the market.

    Made once per catalog snapshot, not per request.

    Parameters
    ----------
    available, hidden, priced, in_market : bool[n_items]
        ``None`` puts no condition.

    Returns
    -------
    bool[n_items]
        A new array.

    Examples
    --------
    >>> hidden = np.array([True, False, False])
    >>> eligible_items(np.array([True, True, False]), hidden=hidden).tolist()
    [False, True, False]
    """
    mask = np.array(available, dtype=np.bool_)
    if hidden is not None:
        mask &= ~np.asarray(hidden, dtype=np.bool_)
    for condition in (priced, in_market):
        if condition is not None:
            mask &= np.asarray(condition, dtype=np.bool_)
    return mask


def without_rows(mask: BoolArray, rows: npt.ArrayLike) -> BoolArray:
    """A mask with some items taken out: the cart, the page, what was bought already.

    Copies one byte per item (4 µs for 92,000). Where the candidates are few, `allowed_rows` is
    cheaper.

    Parameters
    ----------
    mask : bool[n_items]
        Not changed.
    rows : int32[n]
        Negative rows and rows beyond the catalog are ignored.

    Returns
    -------
    bool[n_items]

    Examples
    --------
    >>> without_rows(np.array([True, True]), [1, -1, 99]).tolist()
    [True, False]
    """
    out = np.array(mask, dtype=np.bool_)
    excluded = np.asarray(rows, dtype=np.int64).reshape(-1)
    out[excluded[(excluded >= 0) & (excluded < len(out))]] = False
    return out


def allowed_rows(
    rows: npt.NDArray[np.int32], *, eligible: BoolArray | None = None, excluded: npt.ArrayLike = ()
) -> BoolArray:
    """Which of a few rows may be shown.

    Parameters
    ----------
    rows : int32[n], item rows
    eligible : bool[n_items] or None
    excluded : int32[e]

    Returns
    -------
    bool[n]

    Examples
    --------
    >>> allowed_rows(np.array([2, 0, 1], np.int32), excluded=[0]).tolist()
    [True, False, True]
    """
    kept = np.ones(len(rows), np.bool_) if eligible is None else np.asarray(eligible)[rows]
    out = np.asarray(excluded, dtype=np.int64).reshape(-1)
    if len(out):
        kept = kept & ~np.isin(rows, out)
    return kept


def keep(candidates: Candidates, mask: BoolArray) -> Candidates:
    """The candidates at the positions where the mask is true, in the same order."""
    return Candidates(candidates.rows[mask], candidates.scores[mask], candidates.because[mask])
