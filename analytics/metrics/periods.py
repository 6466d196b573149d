"""Which days a page is about, and which days they are compared with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

PERIOD_DAYS = (7, 28, 90, 365)
DEFAULT_DAYS = 28
# Of a period that is given by its ends.
MAX_DAYS = 1100


class InvalidPeriodError(ValueError):
    """A period that the page doesn't offer."""


@dataclass(frozen=True, slots=True)
class Period:
    """`n_days` complete days of which `last` is the last.

    Examples
    --------
    >>> period = Period(7, date(2026, 11, 21))
    >>> period.first, period.before.first, period.before.last
    (datetime.date(2026, 11, 15), datetime.date(2026, 11, 8), datetime.date(2026, 11, 14))
    """

    n_days: int
    last: date

    @property
    def first(self) -> date:
        return self.last - timedelta(days=self.n_days - 1)

    @property
    def before(self) -> Period:
        """As many days directly before."""
        return Period(self.n_days, self.last - timedelta(days=self.n_days))

    @property
    def days(self) -> list[date]:
        return [self.first + timedelta(days=i) for i in range(self.n_days)]


def period_parse(days: str | None, until: str | None, *, today: date) -> Period:
    """The period that an address names.

    Parameters
    ----------
    days
        One of `PERIOD_DAYS` as text; absent or empty means `DEFAULT_DAYS`.
    until
        The last day, as in 2026-11-21; absent or empty means yesterday, because today isn't over
        and would make every comparison look like a fall.
    today
        In the store's time zone.

    Raises
    ------
    InvalidPeriodError
        Another number of days, no date, or a last day that isn't over yet.

    Examples
    --------
    >>> period_parse(None, None, today=date(2026, 11, 22))
    Period(n_days=28, last=datetime.date(2026, 11, 21))
    """
    if days not in (None, "", *map(str, PERIOD_DAYS)):
        raise InvalidPeriodError(f"{days!r} is none of the periods {PERIOD_DAYS}")
    yesterday = today - timedelta(days=1)
    try:
        last = date.fromisoformat(until) if until else yesterday
    except ValueError as error:
        raise InvalidPeriodError(f"{until!r} is no date such as 2026-11-21") from error
    if last > yesterday or last.year < 1990:
        raise InvalidPeriodError(f"{last} isn't over yet, or before anything was sold online")
    return Period(int(days) if days else DEFAULT_DAYS, last)


def period_between(first: str, last: str, *, today: date) -> Period:
    """The period from one day to another, both in it.

    Parameters
    ----------
    first, last
        As in 2026-11-21; an absent last day is yesterday, an absent first one the last day itself.
    today
        In the store's time zone.

    Raises
    ------
    InvalidPeriodError
        No dates, the wrong way round, more than `MAX_DAYS`, or a last day that isn't over yet.

    Examples
    --------
    >>> period_between("2026-11-01", "2026-11-21", today=date(2026, 11, 22))
    Period(n_days=21, last=datetime.date(2026, 11, 21))
    """
    until = period_parse(None, last, today=today).last
    try:
        since = date.fromisoformat(first) if first else until
    except ValueError as error:
        raise InvalidPeriodError(f"{first!r} is no date such as 2026-11-21") from error
    n_days = (until - since).days + 1
    if not 1 <= n_days <= MAX_DAYS:
        raise InvalidPeriodError(f"From {since} to {until} is no period of 1 to {MAX_DAYS} days")
    return Period(n_days, until)
