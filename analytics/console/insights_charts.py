"""The charts of Insights: a finding, a figure with its marks of change, and the table behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from analytics.charts.findings import count_finding, rate_finding
from analytics.charts.lines import Column, counts_and_rate, lines_over_time
from analytics.charts.marks import Mark
from analytics.charts.theme import Figure
from analytics.console.overview_charts import Chart, chart_marked
from analytics.metrics.changes import change
from analytics.metrics.periods import Period
from analytics.metrics.rates import Rate
from analytics.models import Reach
from analytics.selectors.insights import Figures, Span
from catalog.money import CURRENCY_EXPONENTS, money_rounded


@dataclass(frozen=True, slots=True)
class Course:
    """What the charts of a page are drawn from.

    Attributes
    ----------
    now, before
        Sums of the period and of the one before; `before` is None if there is nothing to compare.
    spans, points, earlier
        The points of the period, their figures, and those of the points before them (empty: none).
    thing
        What an impression is here: "recommendations", or "places" of sources and categories.
    """

    period: Period
    now: Figures
    before: Figures | None
    spans: Sequence[Span]
    points: Sequence[Figures]
    earlier: Sequence[Figures]
    marks: tuple[Mark, ...]
    currency: str
    thing: str = "recommendations"

    @property
    def per(self) -> str:
        return "week" if self.spans and self.spans[0].first != self.spans[0].last else "day"

    @property
    def labels(self) -> list[str]:
        return [
            f"{span.first.day} {span.first:%b} – {span.last.day} {span.last:%b %Y}"
            if self.per == "week"
            else f"{span.first.day} {span.first:%b %Y}"
            for span in self.spans
        ]


def overview_charts(course: Course) -> list[Chart]:
    return [chart_marked(chart, course.marks) for chart in (_revenue(course), _clicks(course))]


def _revenue(course: Course) -> Chart:
    now, before, per = course.now, course.before, course.per
    unit = 10 ** CURRENCY_EXPONENTS.get(course.currency, 2)
    known = bool(now.n_clicks or now.n_orders)
    return Chart(
        key="revenue",
        finding=_money_finding(course) if known else "No revenue can be credited yet",
        about=f"Revenue and orders per {per}, credited to the last click on the same product within"
        " 7 days",
        figure=_lines(
            course,
            Column("Attributed revenue", f"{course.currency} per {per}",
                   [f.revenue_minor / unit for f in course.points],
                   [f.revenue_minor / unit for f in course.earlier]),
            Column("Orders", f"orders per {per}", [f.n_orders for f in course.points],
                   [f.n_orders for f in course.earlier]),
        )
        if known
        else None,
        head=(per.capitalize(), "Attributed revenue", "Orders"),
        rows=[
            (label, money_rounded(f.revenue_minor, course.currency), f"{f.n_orders:,}")
            for label, f in zip(course.labels, course.points, strict=True)
        ],
        missing="No recommendation was clicked on these days. Clicks are reported by our script; apps"
        " and servers send recommendation_click with the product and the recommendation_id."
        if not before or not before.n_clicks
        else "No recommendation was clicked on these days, though some were in the days before: look"
        " at Tracking.",
    )  # fmt: skip


def _money_finding(course: Course) -> str:
    n_days = course.period.n_days
    amount = money_rounded(course.now.revenue_minor, course.currency)
    if course.before is None:
        return f"Clicks on recommendations led to {amount} in {n_days} days"
    compared = change(course.now.revenue_minor, course.before.revenue_minor)
    if compared.direction == "even":
        return f"Attributed revenue held steady at {amount}"
    if compared.lift is None:
        return f"{amount} of attributed revenue, after none in the {n_days} days before"
    to = f"against the {n_days} days before, to {amount}"
    if compared.lift >= 2:
        return f"Attributed revenue grew to {compared.lift + 1:.0f} times that of the {n_days} days before"
    verb = "rose" if compared.lift > 0 else "fell"
    return f"Attributed revenue {verb} {abs(compared.lift) * 100:.0f} % {to}"


def _clicks(course: Course) -> Chart:
    now, before, per = course.now, course.before, course.per
    noun = course.thing.capitalize()
    if now.n_seen:
        finding = rate_finding(
            f"Shoppers clicked {{}} of the {course.thing} they saw",
            Rate(now.n_clicks, now.n_seen),
            Rate(before.n_clicks, before.n_seen) if before else None,
            course.period.n_days,
        )
    else:
        finding = count_finding(
            noun, now.n_impressions, before.n_impressions if before else None, course.period.n_days
        )
    return Chart(
        key="clicks",
        finding=finding,
        about=f"{noun} delivered per {per}, and clicks on those seen",
        figure=counts_and_rate(
            [span.first for span in course.spans],
            Column(noun, f"delivered per {per}", [f.n_impressions for f in course.points]),
            Column("Click rate", "clicks per seen", [f.click_rate for f in course.points]),
            today=None,
        )
        if now.n_impressions
        else None,
        head=(
            per.capitalize(),
            "Delivered",
            "Viewable",
            "Clicks",
            "Click rate",
            "Empty",
            "Fallback",
        ),
        rows=[
            (
                label,
                f"{f.n_impressions:,}",
                f"{f.n_seen:,}",
                f"{f.n_clicks:,}",
                "–" if f.click_rate is None else f"{f.click_rate * 100:.1f} %",
                f"{f.n_empty:,}",
                f"{f.n_fallback:,}",
            )
            for label, f in zip(course.labels, course.points, strict=True)
        ],
        missing="No recommendation was delivered on these days. Each placement's page has the tag for"
        " your shop.",
    )


def _lines(course: Course, *columns: Column) -> Figure:
    return lines_over_time(
        [span.first for span in course.spans],
        columns,
        before_label=f"{len(course.spans)} {course.per}s before",
        today=None,
    )


# ------------------------------------------------------------------------------------- diversity


def diversity_charts(
    course: Course, reach: Sequence[Reach | None], visits: Sequence[Rate]
) -> list[Chart]:
    """Diversity beside conversion, coverage beside concentration, novelty beside the click rate."""
    days = [span.first for span in course.spans]
    conversion = [rate.value for rate in visits]
    diversity = [f.diversity for f in course.points]
    novelty = [f.novelty for f in course.points]
    coverage = [None if r is None else r.n_shown / r.n_catalog for r in reach]
    gini = [None if r is None else r.gini for r in reach]
    clicks = [f.click_rate for f in course.points]
    per = course.per
    charts = (
        Chart(
            key="diversity",
            finding=_course_finding("Lists", "varied", diversity, conversion, "conversion"),
            about=f"Diversity of a list per {per}, and visits that ended in an order (a visit is a shopper on a"
            " day)",
            figure=_pair(
                days,
                Column("Diversity", "0 alike – 1 unlike", diversity),
                Column("Conversion rate", "orders per visit", conversion),
            )
            if _any(diversity)
            else None,
            head=(per.capitalize(), "Diversity", "Lists", "Conversion rate"),
            rows=[
                (label, _decimal(value), f"{f.n_diversity:,}", _percent(rate))
                for label, value, f, rate in zip(
                    course.labels, diversity, course.points, conversion, strict=True
                )
            ],
            missing="Diversity needs content embeddings and lists of two products or more. Train"
            " “Content embeddings” under Models.",
        ),
        Chart(
            key="coverage",
            finding=_coverage_finding(coverage, gini),
            about=f"Share of the catalog shown per {per}, and concentration on few products",
            figure=_pair(
                days,
                Column("Coverage", "of the catalog", coverage),
                Column("Concentration", "Gini index", gini),
                percent=frozenset({0}),
            )
            if _any(coverage)
            else None,
            head=(per.capitalize(), "Coverage", "Products shown", "Of", "Gini"),
            rows=[
                (label, _percent(value), f"{r.n_shown:,}" if r else "–",
                 f"{r.n_catalog:,}" if r else "–", _decimal(r.gini if r else None, 3))
                for label, value, r in zip(course.labels, coverage, reach, strict=True)
            ],
            missing="Nothing was shown on these days.",
        ),
        Chart(
            key="novelty",
            finding=_course_finding("Products shown", "novel", novelty, clicks, "click rate"),
            about=f"Novelty of the products shown and click rate per {per}",
            figure=_pair(
                days,
                Column("Novelty", "bits", novelty),
                Column("Click rate", "clicks per seen", clicks),
            )
            if _any(novelty)
            else None,
            head=(per.capitalize(), "Novelty", "Places", "Click rate"),
            rows=[
                (label, _decimal(f.novelty), f"{f.n_novelty:,}", _percent(f.click_rate))
                for label, f in zip(course.labels, course.points, strict=True)
            ],
            missing="Novelty compares what is shown with the views and sales of the four weeks before;"
            " there were none.",
        ),
    )  # fmt: skip
    return [chart_marked(chart, course.marks) for chart in charts]


def _pair(
    days: Sequence[date],
    upper: Column,
    lower: Column,
    *,
    percent: frozenset[int] = frozenset({1}),
) -> Figure:
    drawn = lines_over_time(days, [upper, lower], before_label="", today=None)
    for number, name in ((0, "yaxis"), (1, "yaxis2")):
        if number in percent:
            drawn["layout"][name]["tickformat"] = ".1~%"
            values = (upper, lower)[number].values
            if not _any(values):
                drawn["layout"][name]["range"] = [0, 0.1]
    for trace in drawn["data"]:
        number = 1 if trace["yaxis"] == "y2" else 0
        form = ".1%" if number in percent else ".2f"
        trace["hovertemplate"] = f"%{{y:{form}}} {trace['name'].lower()}<extra></extra>"
    return drawn


def _any(values: Sequence[float | None]) -> bool:
    return any(value is not None for value in values)


def _halves(values: Sequence[float | None]) -> tuple[float, float] | None:
    """Means of the first and the last third; None with too few points."""
    known = [value for value in values if value is not None]
    third = len(known) // 3
    if not third:
        return None
    return sum(known[:third]) / third, sum(known[-third:]) / third


def _moved(values: Sequence[float | None]) -> float | None:
    ends = _halves(values)
    return None if ends is None or not ends[0] else ends[1] / ends[0] - 1


def _course_finding(
    subject: str, adjective: str, values: Sequence[float | None],
    other: Sequence[float | None], other_name: str,
) -> str:  # fmt: skip
    """How a measure went between the first and the last third, and how the other did meanwhile."""
    if not _any(values):
        return f"How {adjective} the {subject.lower()} are can't be told"
    moved, meanwhile = _moved(values), _moved(other)
    if moved is None:
        known = [value for value in values if value is not None]
        return (
            f"{subject}: {sum(known) / len(known):.2f} on average, too short to tell where it goes"
        )
    if abs(moved) < 0.02:
        first = f"{subject} stayed as {adjective} as they were"
    else:
        first = f"{subject} became {abs(moved) * 100:.0f} % {'more' if moved > 0 else 'less'} {adjective}"
    if meanwhile is None:
        return first
    if abs(meanwhile) < 0.02:
        return f"{first}; the {other_name} held steady"
    return f"{first}; the {other_name} {'rose' if meanwhile > 0 else 'fell'} {abs(meanwhile) * 100:.0f} %"


def _coverage_finding(coverage: Sequence[float | None], gini: Sequence[float | None]) -> str:
    known = [value for value in coverage if value is not None]
    if not known:
        return "Nothing was shown on these days"
    middle = sum(known) / len(known)
    uneven = [value for value in gini if value is not None]
    return (
        f"{middle * 100:.1f} % of the catalog shown on average, concentration"
        f" {sum(uneven) / len(uneven):.2f}"
    )


def _decimal(value: float | None, places: int = 2) -> str:
    return "–" if value is None else f"{value:.{places}f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value * 100:.1f} %"
