"""Numbers as people read them in a sentence."""

from __future__ import annotations

from datetime import datetime

from analytics.metrics.definitions import DEFINITIONS

_MINUS = "−"


def percent(share: float, *, signed: bool = False) -> str:
    """A share with one digit behind the point, two where one would say nothing.

    Examples
    --------
    >>> percent(0.0412), percent(-0.0412, signed=True), percent(0.0041, signed=True)
    ('4.1 %', '−4.1 %', '+0.41 %')
    >>> percent(0.0, signed=True), percent(12.3)
    ('0.0 %', '1,230 %')
    """
    value = abs(share * 100)
    digits = 0 if value >= 999.5 else 2 if 0.005 <= value < 0.95 else 1
    text = f"{value:,.{digits}f} %"
    if not float(f"{value:.{digits}f}"):
        return text
    if share < 0:
        return _MINUS + text
    return f"+{text}" if signed else text


def interval_words(low: float, high: float) -> str:
    """A 95 % interval of a relative change.

    Examples
    --------
    >>> interval_words(0.006, 0.0761)
    '95 % interval +0.60 % to +7.6 %'
    """
    return f"95 % interval {percent(low, signed=True)} to {percent(high, signed=True)}"


def p_words(p_value: float) -> str:
    """A p-value, never as 0.

    Examples
    --------
    >>> p_words(0.0312), p_words(0.00000182), p_words(0.5)
    ('p = 0.031', 'p < 0.0001', 'p = 0.50')
    """
    if p_value < 0.0001:
        return "p < 0.0001"
    digits = 2 if p_value >= 0.1 else 3 if p_value >= 0.01 else 4
    return f"p = {p_value:.{digits}f}"


def count(n: int, one: str, many: str) -> str:
    """A number of things.

    Examples
    --------
    >>> count(1, "shopper", "shoppers"), count(4321, "shopper", "shoppers")
    ('1 shopper', '4,321 shoppers')
    """
    return f"{n:,} {one if n == 1 else many}"


def shoppers(n: int) -> str:
    """So many shoppers."""
    return count(n, "shopper", "shoppers")


def days(n: int) -> str:
    """So many days."""
    return count(n, "day", "days")


def metric_name(key: str) -> str:
    """A metric in the middle of a sentence.

    Examples
    --------
    >>> metric_name("concentration")
    'concentration (Gini)'
    """
    name = DEFINITIONS[key].name
    return name[0].lower() + name[1:]


def day_words(moment: datetime) -> str:
    """A day as people write it.

    Examples
    --------
    >>> from datetime import UTC
    >>> day_words(datetime(2026, 3, 2, tzinfo=UTC))
    '2 March 2026'
    """
    return f"{moment.day} {moment:%B %Y}"


def listed(parts: list[str]) -> str:
    """One, two or more things in a row.

    Examples
    --------
    >>> listed(["A"]), listed(["A", "B"]), listed(["A", "B", "C"])
    ('A', 'A and B', 'A, B and C')
    """
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"
