"""The first page: how the shop and its recommendations are doing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from analytics.charts import findings
from analytics.charts.lines import Column, counts_and_rate, lines_over_time, rate_with_interval
from analytics.charts.theme import Figure
from analytics.metrics.changes import Change, change
from analytics.metrics.periods import PERIOD_DAYS, InvalidPeriodError, Period, period_parse
from analytics.metrics.rates import Rate
from analytics.selectors.overview import (
    Bucket,
    Figures,
    bucket_figures,
    day_figures,
    period_figures,
    rollup_state,
)
from analytics.selectors.setup import setup_state
from catalog.console.access import ConsoleRequest, member_page
from catalog.money import money_rounded
from catalog.selectors.activity import EVENT_WORDS, LatestEvent, latest_events
from recommender.selectors.model_states import model_states

# A chart of a year has a point per week: 365 jagged days hide what happened.
_DAYS_PER_POINT = {365: 7}


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure of the head row; `value` None is unknown and `parts` says what is missing."""

    label: str
    value: str | None
    parts: str
    change: Change
    before: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A figure with the finding as its title and the table behind it."""

    key: str
    finding: str
    about: str
    figure: Figure | None
    head: tuple[str, ...]
    rows: list[tuple[str, ...]]
    missing: str = ""


@require_safe
@member_page
def overview(request: ConsoleRequest) -> HttpResponse:
    store, today = request.store, timezone.localdate()
    try:
        period = period_parse(
            request.GET.get("days"), request.GET.get("until"), today=today
        )
    except InvalidPeriodError as error:
        raise Http404(str(error)) from error
    state = rollup_state(store=store)
    now, before = period_figures(store=store, period=period)
    comparable = state.first_day is not None and state.first_day <= period.before.first
    so_far = day_figures(store=store, day=today)
    buckets = bucket_figures(
        store=store, period=period, bucket_days=_DAYS_PER_POINT.get(period.n_days, 1)
    )
    context = {
        "period": period,
        "period_days": PERIOD_DAYS,
        "until_chosen": bool(request.GET.get("until")),
        "comparable": comparable,
        "rollups": state,
        "is_empty": now.n_events + now.n_recommendations == 0,
        "today": so_far,
        "tiles": _tiles(now, before if comparable else None, store.currency, period.n_days),
        "charts": _charts(
            buckets,
            now,
            before if comparable else None,
            period,
            so_far if period.last == today - timedelta(days=1) else None,
        ),
        "setup": setup_state(store=store),
        "models": model_states(store=store),
        **_latest_context(request),
    }
    return render(request, "console/overview/page.html", context)


@require_safe
@member_page
def latest(request: ConsoleRequest) -> HttpResponse:
    """The list of the latest events alone, for htmx."""
    return render(request, "console/overview/_events.html", _latest_context(request))


def _latest_context(request: ConsoleRequest) -> dict[str, Any]:
    events: list[tuple[LatestEvent, str, str]] = [
        (event, *EVENT_WORDS[event.type]) for event in latest_events(store=request.store)
    ]
    return {"events": events, "events_read_at": timezone.now()}


def conversion(figures: Figures) -> Rate | None:
    """Buyers among the shoppers seen; None if nobody's visit was recorded.

    Orders alone (an import from the back office) know only those who bought: their share would
    always be 100 %.
    """
    return Rate(figures.n_buyers, figures.n_shoppers) if figures.n_views else None


def click_rate(figures: Figures) -> Rate:
    """Clicks per recommendation that was seen for a second."""
    return Rate(figures.n_recommendation_clicks, figures.n_recommendation_views)


def _tiles(now: Figures, before: Figures | None, currency: str, n_days: int) -> list[Tile]:
    def count(label: str, name: str, parts: str) -> Tile:
        value, was = getattr(now, name), getattr(before, name) if before else None
        return Tile(
            label, f"{value:,}", parts, change(value, was), "" if was is None else f"{was:,}"
        )

    revenue = money_rounded(now.revenue_minor, currency)
    per_order = (
        f"{money_rounded(now.revenue_minor // now.n_orders, currency)} per order"
        if now.n_orders
        else "no order"
    )
    return [
        Tile(
            "Revenue",
            revenue,
            per_order,
            change(now.revenue_minor, before.revenue_minor if before else None),
            money_rounded(before.revenue_minor, currency) if before else "",
        ),
        count("Orders", "n_orders", f"{now.n_units:,} units · {now.n_buyers:,} buyers"),
        _rate_tile(
            "Conversion rate",
            conversion(now),
            conversion(before) if before else None,
            "buyers of {d} shoppers seen",
            "Only orders came in, no visits: who looked and didn't buy is unknown.",
        ),
        count("Recommendations", "n_recommendations", _recommendation_parts(now)),
        _rate_tile(
            "Click rate",
            click_rate(now) if now.n_recommendation_views else None,
            click_rate(before) if before and before.n_recommendation_views else None,
            "clicks on {d} seen",
            "No recommendation was reported as seen.",
        ),
        count("Events", "n_events", f"{now.n_views:,} views · {now.n_carts:,} put into a cart"),
    ]


def _recommendation_parts(figures: Figures) -> str:
    if not figures.n_recommendations:
        return "none delivered"
    fallback = figures.n_fallbacks / figures.n_recommendations
    empty = figures.n_empty / figures.n_recommendations
    return f"{fallback:.1%} by fallback · {empty:.1%} empty".replace("%", " %")


def _rate_tile(
    label: str, now: Rate | None, before: Rate | None, parts: str, missing: str
) -> Tile:
    if now is None or now.value is None:
        return Tile(label, None, missing, change(None, None), "")
    was = before.value if before else None
    words = f"{now.numerator:,} " + parts.format(d=f"{now.denominator:,}")
    return Tile(
        label,
        f"{now.value * 100:.1f} %",
        words,
        change(now.value, was),
        "" if was is None else f"{was * 100:.1f} %",
    )


def _charts(
    buckets: list[Bucket],
    now: Figures,
    before: Figures | None,
    period: Period,
    so_far: Figures | None,
) -> list[Chart]:
    half = len(buckets) // 2
    current, earlier = buckets[half:], buckets[:half] if before else []
    days = [bucket.first for bucket in current]
    weekly = period.n_days in _DAYS_PER_POINT
    # A week isn't over after today either: its point would fall far below the line.
    today = None if weekly or so_far is None else period.last + timedelta(days=1)
    figures = [bucket.figures for bucket in current]
    labels = [
        f"{b.first.day} {b.first:%b %Y}" + (f" – {b.last.day} {b.last:%b}" if weekly else "")
        for b in current
    ]
    per = "week" if weekly else "day"
    when = "Week" if weekly else "Day"
    n = period.n_days
    return [
        Chart(
            "orders",
            findings.count_finding("Orders", now.n_orders, before.n_orders if before else None, n),
            f"Orders and events per {per}",
            lines_over_time(
                days,
                [
                    Column(
                        "Orders",
                        f"orders per {per}",
                        [f.n_orders for f in figures],
                        [b.figures.n_orders for b in earlier],
                        so_far.n_orders if so_far else None,
                    ),
                    Column(
                        "Events",
                        f"events per {per}",
                        [f.n_events for f in figures],
                        [b.figures.n_events for b in earlier],
                        so_far.n_events if so_far else None,
                    ),
                ],
                before_label=f"{n} days before",
                today=today,
            )
            if now.n_events or (so_far and so_far.n_events)
            else None,
            (when, "Orders", "Units", "Events"),
            [
                (label, f"{f.n_orders:,}", f"{f.n_units:,}", f"{f.n_events:,}")
                for label, f in zip(labels, figures, strict=True)
            ],
            "No event was received for these days.",
        ),
        _recommendation_chart(now, before, n, days, labels, figures, per, when, today, so_far),
        _conversion_chart(now, before, n, days, labels, figures, per, when),
    ]


def _recommendation_chart(
    now: Figures,
    before: Figures | None,
    n: int,
    days: list[Any],
    labels: list[str],
    figures: list[Figures],
    per: str,
    when: str,
    today: Any,
    so_far: Figures | None,
) -> Chart:
    some = now.n_recommendations or (so_far and so_far.n_recommendations)
    if now.n_recommendation_views:
        finding = findings.rate_finding(
            "Shoppers clicked {} of the recommendations they saw",
            click_rate(now),
            click_rate(before) if before else None,
            n,
        )
    else:
        finding = findings.count_finding(
            "Recommendations",
            now.n_recommendations,
            before.n_recommendations if before else None,
            n,
        )
    return Chart(
        "recommendations",
        finding,
        f"Recommendations delivered per {per}, and clicks per recommendation seen",
        counts_and_rate(
            days,
            Column(
                "Recommendations",
                f"delivered per {per}",
                [f.n_recommendations for f in figures],
                so_far=so_far.n_recommendations if so_far else None,
            ),
            Column(
                "Click rate",
                "clicks per seen",
                [click_rate(f).value for f in figures],
                so_far=click_rate(so_far).value if so_far else None,
            ),
            today=today,
        )
        if some
        else None,
        (when, "Delivered", "Seen", "Clicks", "Click rate"),
        [
            (
                label,
                f"{f.n_recommendations:,}",
                f"{f.n_recommendation_views:,}",
                f"{f.n_recommendation_clicks:,}",
                _percent(click_rate(f)),
            )
            for label, f in zip(labels, figures, strict=True)
        ],
        "No recommendation was delivered on these days. The settings page has the snippet for your shop.",
    )


def _conversion_chart(
    now: Figures,
    before: Figures | None,
    n: int,
    days: list[Any],
    labels: list[str],
    figures: list[Figures],
    per: str,
    when: str,
) -> Chart:
    rate = conversion(now)
    if rate is None or rate.value is None:
        return Chart(
            "conversion",
            "Conversion can't be told for these days",
            "Buyers among the shoppers seen",
            None,
            (),
            [],
            "Only orders came in, no visits. As soon as the shop sends views, this chart compares"
            " those who bought with those who looked.",
        )
    rates = [conversion(f) or Rate(0, 0) for f in figures]
    return Chart(
        "conversion",
        findings.rate_finding(
            "{} of the shoppers seen bought something",
            rate,
            conversion(before) if before else None,
            n,
        ),
        f"Buyers among the shoppers seen per {per}",
        rate_with_interval(days, rates, title="Conversion rate", unit=f"buyers per shopper and {per}"),
        (when, "Shoppers seen", "Buyers", "Conversion rate"),
        [
            (label, f"{f.n_shoppers:,}", f"{f.n_buyers:,}", _percent(rate))
            for label, f, rate in zip(labels, figures, rates, strict=True)
        ],
    )


def _percent(rate: Rate) -> str:
    return "–" if rate.value is None else f"{rate.value * 100:.1f} %"
