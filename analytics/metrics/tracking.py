"""Whether what a shop reports looks whole: pure judgements of counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import median
from typing import Literal

Alarm = Literal["none", "amber", "red", "unknown"]

WEEKS = 4
"""The same hour of the same weekday, so many weeks back, is what is usual."""
WEEKS_NEEDED = 3
EXPECTED_NEEDED = 20.0
"""Below so many events expected nothing can be told from chance."""
# Half the width of the band in standard deviations. Hours have heavier tails than the normal
# distribution: a single one outside is only amber.
_WIDTH = 3.0
# Weeks differ by more than chance: by a seventh or so, whatever the size of the shop.
_FROM_WEEK_TO_WEEK = 0.15

UNKNOWN_PRODUCTS_AMBER, UNKNOWN_PRODUCTS_RED = 0.05, 0.20
UNSEEN_ORDERS_AMBER, UNSEEN_ORDERS_RED = 0.20, 0.50
UNKNOWN_CLICKS_AMBER, UNKNOWN_CLICKS_RED = 0.05, 0.20
LINES_NEEDED, ORDERS_NEEDED, CLICKS_NEEDED = 100, 20, 50
SESSIONS_AMBER, SESSIONS_RED = 50, 500
"""Sessions of one shopper id in a day: nobody comes back every half an hour, day and night."""


@dataclass(frozen=True, slots=True)
class Usual:
    """What an hour usually brings, and the band around it; counts of events."""

    middle: float
    low: float
    high: float


def usual_of(counts: Sequence[int | None], *, share: float = 1.0) -> Usual | None:
    r"""What an hour usually brings, from the same hour in other weeks.

    The middle is the median $m$, so that one odd week doesn't move it. The band is
    $m \pm 3 \sqrt{m + s^2 + (0.15 m)^2}$: chance (Poisson), the spread of the weeks seen, by their
    median distance from the median ($s = 1.4826 \cdot MAD$), and that weeks differ anyway.

    Parameters
    ----------
    counts
        One per week; None where the shop didn't report yet.
    share
        Of the hour that has passed, 0 < share ≤ 1.

    Returns
    -------
    Usual or None
        None with fewer than `WEEKS_NEEDED` weeks.

    Examples
    --------
    >>> usual = usual_of([100, 110, 90, 104])
    >>> usual.middle, round(usual.low), round(usual.high)
    (102.0, 43, 161)
    >>> usual_of([100, 110, None, None]) is None
    True
    """
    known = [count for count in counts if count is not None]
    if len(known) < WEEKS_NEEDED:
        return None
    middle = median(known)
    spread = 1.4826 * median(abs(count - middle) for count in known)
    middle, spread = middle * share, spread * share
    half = _WIDTH * sqrt(middle + spread**2 + (_FROM_WEEK_TO_WEEK * middle) ** 2)
    return Usual(middle, max(0.0, middle - half), middle + half)


def flow_alarm(hours: Sequence[tuple[int, Usual | None]]) -> Alarm:
    """Are fewer or more events coming in than usual?

    Parameters
    ----------
    hours
        Count and what is usual of the hours that are over, oldest first; the last two decide.

    Returns
    -------
    Alarm
        Amber: the last hour is outside its band. Red: the last two are below theirs, or nothing at
        all came in an hour that expects twice what is needed. Unknown: too little is expected.

    Examples
    --------
    >>> band = Usual(400, 200, 600)
    >>> flow_alarm([(380, band), (410, band)]), flow_alarm([(380, band), (100, band)])
    ('none', 'amber')
    >>> flow_alarm([(150, band), (100, band)]), flow_alarm([(380, band), (0, band)])
    ('red', 'red')
    >>> flow_alarm([(3, Usual(4, 0, 10))])
    'unknown'
    """
    judged = [(n, usual) for n, usual in hours[-2:] if usual is not None and _enough(usual)]
    if not judged or hours[-1][1] is None or not _enough(hours[-1][1]):
        return "unknown"
    n, usual = judged[-1]
    if n > usual.high:
        return "amber"
    # A band that begins at zero can't be left below: nothing at all is too little for it, too.
    low = [count < each.low or count == 0 for count, each in judged]
    if not low[-1]:
        return "none"
    nothing = n == 0 and usual.middle >= 2 * EXPECTED_NEEDED
    return "red" if nothing or (len(low) == 2 and all(low)) else "amber"


def _enough(usual: Usual) -> bool:
    return usual.middle >= EXPECTED_NEEDED


def share_alarm(n: int, of: int, *, needed: int, amber: float, red: float) -> Alarm:
    """Is a share that should be small too large? Unknown with fewer than `needed`.

    Examples
    --------
    >>> share_alarm(4, 100, needed=100, amber=.05, red=.2)
    'none'
    >>> share_alarm(6, 100, needed=100, amber=.05, red=.2)
    'amber'
    >>> share_alarm(1, 3, needed=100, amber=.05, red=.2)
    'unknown'
    """
    if of < needed:
        return "unknown"
    share = n / of
    return "red" if share > red else "amber" if share > amber else "none"


def sessions_alarm(n_sessions: int) -> Alarm:
    """Does one shopper id stand for many people? `n_sessions` of the busiest one in a day.

    Examples
    --------
    >>> sessions_alarm(4), sessions_alarm(60), sessions_alarm(9_000)
    ('none', 'amber', 'red')
    """
    return (
        "red" if n_sessions > SESSIONS_RED else "amber" if n_sessions > SESSIONS_AMBER else "none"
    )
