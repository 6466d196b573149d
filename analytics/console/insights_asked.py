"""What the address of a page of Insights asks for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from django.http import Http404, HttpRequest
from django.utils import timezone

from analytics.metrics.periods import (
    InvalidPeriodError,
    Period,
    period_between,
    period_parse,
)
from analytics.selectors.insights_products import AGES, UnseenFilter


@dataclass(frozen=True, slots=True)
class Asked:
    """A period, and its part of the address; `is_range`: given by its ends."""

    period: Period
    query: dict[str, str]
    is_range: bool
    today: date


def asked_of(request: HttpRequest) -> Asked:
    """`days` and `until`, or `from` and `to`. 404 for a period that can't be."""
    query, today = request.GET, timezone.localdate()
    first, last = query.get("from", ""), query.get("to", "")
    try:
        if first or last:
            period = period_between(first, last, today=today)
            ends = {"from": period.first.isoformat(), "to": period.last.isoformat()}
            return Asked(period, ends, is_range=True, today=today)
        period = period_parse(query.get("days"), query.get("until"), today=today)
    except InvalidPeriodError as error:
        raise Http404(str(error)) from error
    own = {name: query[name] for name in ("days", "until") if query.get(name)}
    return Asked(period, own, is_range=False, today=today)


def unseen_filter(request: HttpRequest) -> UnseenFilter:
    """`category` (the first level; a hyphen for none) and `age` (30, 90, 365, older)."""
    category, age = request.GET.get("category", ""), request.GET.get("age", "")
    ages = {"": 0, "older": None, **{str(each): each for each in AGES if each}}
    if age not in ages or "\x00" in category:
        raise Http404("There is no such group of products.")
    return UnseenFilter(category={"": None, "-": ""}.get(category, category), age=ages[age])
