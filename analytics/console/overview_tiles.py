"""The head figures of the overview, in words."""

from __future__ import annotations

from dataclasses import dataclass

from analytics.metrics.changes import Change, change, rate_change
from analytics.metrics.rates import Rate
from analytics.selectors.overview import Figures
from catalog.money import money_rounded


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure; `value` None is unknown, and `parts` says what is missing."""

    label: str
    value: str | None
    parts: str
    change: Change
    before: str = ""


def tiles_of(now: Figures, before: Figures | None, currency: str) -> list[Tile]:
    """`before` is None if the store has no such days."""
    return [
        _revenue(now, before, currency),
        _count("Orders", now.n_orders, before.n_orders if before else None, _order_parts(now)),
        _rate(
            "Conversion rate",
            Rate(now.n_converted, now.n_visitors),
            Rate(before.n_converted, before.n_visitors) if before else None,
            "buyers of {} visitors",
            "No visit was recorded: who looked and didn't buy is unknown.",
        ),
        _count(
            "Recommendations",
            now.n_recommendations,
            before.n_recommendations if before else None,
            _recommendation_parts(now),
        ),
        _rate(
            "Click rate",
            Rate(now.n_recommendation_clicks, now.n_recommendation_views),
            Rate(before.n_recommendation_clicks, before.n_recommendation_views) if before else None,
            "clicks on {} recommendations seen",
            "No recommendation was reported as seen.",
        ),
        _count(
            "Events",
            now.n_events,
            before.n_events if before else None,
            f"{now.n_views:,} views · {now.n_carts:,} put into a cart",
        ),
    ]


def _revenue(now: Figures, before: Figures | None, currency: str) -> Tile:
    return Tile(
        "Revenue",
        money_rounded(now.revenue_minor, currency),
        f"{money_rounded(now.revenue_minor // now.n_orders, currency)} per order"
        if now.n_orders
        else "no order",
        change(now.revenue_minor, before.revenue_minor if before else None),
        money_rounded(before.revenue_minor, currency) if before and before.revenue_minor else "",
    )


def _count(label: str, now: int, before: int | None, parts: str) -> Tile:
    return Tile(label, f"{now:,}", parts, change(now, before), f"{before:,}" if before else "")


def _order_parts(figures: Figures) -> str:
    return f"{figures.n_units:,} units · {figures.n_buyers:,} buyers"


def _recommendation_parts(figures: Figures) -> str:
    if not figures.n_recommendations:
        return "none delivered"
    fallback = figures.n_fallbacks / figures.n_recommendations * 100
    empty = figures.n_empty / figures.n_recommendations * 100
    return f"{fallback:.1f} % by fallback · {empty:.1f} % empty"


def _rate(label: str, now: Rate, before: Rate | None, parts: str, missing: str) -> Tile:
    if now.value is None:
        return Tile(label, None, missing, rate_change(None, None))
    was = before.value if before else None
    return Tile(
        label,
        f"{now.value * 100:.1f} %",
        f"{now.numerator:,} {parts.format(f'{now.denominator:,}')}",
        rate_change(now.value, was),
        "" if was is None else f"{was * 100:.1f} %",
    )
