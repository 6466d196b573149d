"""The charts of the overview: a finding, a figure, and the table behind it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta

from analytics.charts.findings import count_finding, rate_finding
from analytics.charts.lines import Column, counts_and_rate, lines_over_time, rate_with_interval
from analytics.charts.marks import Mark, marked
from analytics.charts.theme import Figure
from analytics.metrics.periods import Period
from analytics.metrics.rates import Rate
from analytics.selectors.overview import Bucket, Figures

# A chart of a year has a point per week: 365 jagged days hide what happened.
_DAYS_PER_POINT = {365: 7}


@dataclass(frozen=True, slots=True)
class Chart:
    """A figure with the finding as its title; without a figure, `missing` says what to do.

    `marks` are the changes that are drawn into it.
    """

    key: str
    finding: str
    about: str
    figure: Figure | None
    head: tuple[str, ...]
    rows: list[tuple[str, ...]]
    missing: str
    marks: tuple[Mark, ...] = ()

    @property
    def data_id(self) -> str:
        return f"chart-{self.key}-data"


@dataclass(frozen=True, slots=True)
class OverTime:
    """What the charts are drawn from.

    Attributes
    ----------
    now, before
        Sums of the period and of the one before; `before` is None if the store has no such days.
    buckets
        Both periods, as `bucket_figures` gives them.
    so_far
        Today, if the period ends yesterday.
    marks
        What changed meanwhile.
    """

    period: Period
    now: Figures
    before: Figures | None
    buckets: list[Bucket]
    so_far: Figures | None
    marks: tuple[Mark, ...] = ()

    @property
    def weekly(self) -> bool:
        return bucket_days_of(self.period) > 1

    @property
    def per(self) -> str:
        return "week" if self.weekly else "day"

    @property
    def current(self) -> list[Bucket]:
        return self.buckets[len(self.buckets) // 2 :]

    @property
    def earlier(self) -> list[Bucket]:
        return self.buckets[: len(self.buckets) // 2] if self.before else []

    @property
    def days(self) -> list[date]:
        return [bucket.first for bucket in self.current]

    @property
    def today(self) -> date | None:
        """The day of `so_far`; a chart of weeks has no place for a day."""
        return None if self.weekly or self.so_far is None else self.period.last + timedelta(days=1)

    @property
    def labels(self) -> list[str]:
        return [
            f"{b.first.day} {b.first:%b} – {b.last.day} {b.last:%b %Y}"
            if self.weekly
            else f"{b.first.day} {b.first:%b %Y}"
            for b in self.current
        ]


def bucket_days_of(period: Period) -> int:
    """How many days one point of a chart stands for."""
    return _DAYS_PER_POINT.get(period.n_days, 1)


def charts_of(time: OverTime) -> list[Chart]:
    charts = (_orders(time), _recommendations(time), _conversion(time))
    return [chart_marked(chart, time.marks) for chart in charts]


def chart_marked(chart: Chart, marks: tuple[Mark, ...]) -> Chart:
    """With a line for each change, if there is anything to draw into."""
    if chart.figure is None:
        return chart
    return replace(chart, figure=marked(chart.figure, marks), marks=marks)


def _orders(time: OverTime) -> Chart:
    figures = [bucket.figures for bucket in time.current]
    earlier = [bucket.figures for bucket in time.earlier]
    so_far = time.so_far
    columns = [
        Column(
            "Orders",
            f"orders per {time.per}",
            [f.n_orders for f in figures],
            [f.n_orders for f in earlier],
            so_far.n_orders if so_far else None,
        ),
        Column(
            "Events",
            f"events per {time.per}",
            [f.n_events for f in figures],
            [f.n_events for f in earlier],
            so_far.n_events if so_far else None,
        ),
    ]
    return Chart(
        key="orders",
        finding=count_finding(
            "Orders",
            time.now.n_orders,
            time.before.n_orders if time.before else None,
            time.period.n_days,
        ),
        about=f"Orders and events per {time.per}",
        figure=lines_over_time(
            time.days,
            columns,
            before_label=f"{time.period.n_days} days before",
            today=time.today,
        )
        if time.now.n_events or (so_far and so_far.n_events)
        else None,
        head=(time.per.capitalize(), "Orders", "Units", "Events"),
        rows=[
            (label, f"{f.n_orders:,}", f"{f.n_units:,}", f"{f.n_events:,}")
            for label, f in zip(time.labels, figures, strict=True)
        ],
        missing="No event was received for these days.",
    )


def _recommendations(time: OverTime) -> Chart:
    figures = [bucket.figures for bucket in time.current]
    now, before, so_far = time.now, time.before, time.so_far
    if now.n_recommendation_views:
        finding = rate_finding(
            "Shoppers clicked {} of the recommendations they saw",
            _clicks(now),
            _clicks(before) if before else None,
            time.period.n_days,
        )
    else:
        finding = count_finding(
            "Recommendations",
            now.n_recommendations,
            before.n_recommendations if before else None,
            time.period.n_days,
        )
    counts = Column(
        "Recommendations",
        f"delivered per {time.per}",
        [f.n_recommendations for f in figures],
        so_far=so_far.n_recommendations if so_far else None,
    )
    rate = Column(
        "Click rate",
        "clicks per seen",
        [_clicks(f).value for f in figures],
        so_far=_clicks(so_far).value if so_far else None,
    )
    return Chart(
        key="recommendations",
        finding=finding,
        about=f"Recommendations delivered per {time.per}, and clicks on those seen",
        figure=counts_and_rate(time.days, counts, rate, today=time.today)
        if now.n_recommendations or (so_far and so_far.n_recommendations and time.today)
        else None,
        head=(time.per.capitalize(), "Delivered", "Seen", "Clicks", "Click rate"),
        rows=[
            (
                label,
                f"{f.n_recommendations:,}",
                f"{f.n_recommendation_views:,}",
                f"{f.n_recommendation_clicks:,}",
                _percent(_clicks(f)),
            )
            for label, f in zip(time.labels, figures, strict=True)
        ],
        missing="No recommendation was delivered on these days."
        " Each placement's page has the tag for your shop.",
    )


def _conversion(time: OverTime) -> Chart:
    figures = [bucket.figures for bucket in time.current]
    rates = [Rate(f.n_converted, f.n_visitors) for f in figures]
    now, before = time.now, time.before
    known = now.n_visitors > 0
    return Chart(
        key="conversion",
        finding=rate_finding(
            "{} of the visitors bought something",
            Rate(now.n_converted, now.n_visitors),
            Rate(before.n_converted, before.n_visitors) if before else None,
            time.period.n_days,
        )
        if known
        else "Conversion can't be told for these days",
        about=f"Buyers among the visitors of a {time.per}, with the range in which the rate lies",
        figure=rate_with_interval(
            time.days, rates, title="Conversion rate", unit="buyers per visitor"
        )
        if known
        else None,
        head=(time.per.capitalize(), "Visitors", "Buyers", "Conversion rate"),
        rows=[
            (label, f"{r.denominator:,}", f"{r.numerator:,}", _percent(r))
            for label, r in zip(time.labels, rates, strict=True)
        ],
        missing="No visit was recorded for these days. As soon as the shop sends views, those who bought"
        " are compared with those who looked.",
    )


def _clicks(figures: Figures) -> Rate:
    """Clicks per recommendation that was seen for a second."""
    return Rate(figures.n_recommendation_clicks, figures.n_recommendation_views)


def _percent(rate: Rate) -> str:
    return "–" if rate.value is None else f"{rate.value * 100:.1f} %"
