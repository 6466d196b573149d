"""Titles that say what a chart shows."""

from __future__ import annotations

from analytics.metrics.changes import change
from analytics.metrics.rates import Rate


def count_finding(noun: str, now: int, before: int | None, n_days: int) -> str:
    """What became of a count.

    Parameters
    ----------
    noun
        Plural, as it begins a sentence: "Orders".
    before
        The same count over the days before; None if the store has no such days.

    Examples
    --------
    >>> count_finding("Orders", 112, 100, 28)
    'Orders rose 12 % against the 28 days before'
    >>> count_finding("Orders", 50, 100, 7)
    'Orders fell 50 % against the 7 days before'
    >>> count_finding("Orders", 1001, 1000, 7)
    'Orders held steady against the 7 days before'
    >>> count_finding("Orders", 1234, None, 28)
    '1,234 orders in 28 days'
    >>> count_finding("Orders", 0, 0, 28)
    'No orders in these 28 days, nor in the 28 before'
    """
    if before is None:
        return (
            f"{now:,} {noun.lower()} in {n_days} days"
            if now
            else f"No {noun.lower()} in these {n_days} days"
        )
    compared = change(now, before)
    against = f"against the {n_days} days before"
    if not now and not before:
        return f"No {noun.lower()} in these {n_days} days, nor in the {n_days} before"
    if compared.direction == "even":
        return f"{noun} held steady {against}"
    if compared.lift is None:
        return f"{now:,} {noun.lower()}, after none in the {n_days} days before"
    if compared.lift >= 2:
        return f"{noun} grew to {compared.lift + 1:.0f} times those of the {n_days} days before"
    verb = "rose" if compared.lift > 0 else "fell"
    return f"{noun} {verb} {abs(compared.lift) * 100:.0f} % {against}"


def rate_finding(subject: str, now: Rate, before: Rate | None, n_days: int) -> str:
    """What a share is, and how many percentage points it moved.

    Parameters
    ----------
    subject
        The sentence around the share, with "{}" in its place.

    Examples
    --------
    >>> rate_finding("Shoppers clicked {} of what they saw", Rate(32, 1000), Rate(28, 1000), 28)
    'Shoppers clicked 3.2 % of what they saw, 0.4 points more than in the 28 days before'
    >>> rate_finding("{} of the shoppers bought", Rate(1, 4), None, 28)
    '25.0 % of the shoppers bought'
    """
    assert now.value is not None
    sentence = subject.format(f"{now.value * 100:.1f} %")
    if before is None or before.value is None:
        return sentence
    points = round((now.value - before.value) * 100, 1)
    if points == 0:
        return f"{sentence}, as in the {n_days} days before"
    return f"{sentence}, {abs(points):.1f} points {'more' if points > 0 else 'less'} than in the {n_days} days before"
