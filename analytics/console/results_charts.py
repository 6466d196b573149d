"""The charts of an experiment: the finding as title, a figure, and the table behind it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import accumulate

from analytics.charts.exposures import exposures_by_day
from analytics.charts.funnel import funnel_by_arm
from analytics.charts.intervals import LiftLine, LiftPoint, lifts_by_age, lifts_over_days
from analytics.charts.weights import weights_over_time
from analytics.console.overview_charts import Chart
from analytics.console.results_words import UNKNOWN, definition_of, lift_words
from analytics.results.document import Arm, Point, Results, Series
from recommender.models import ExperimentPhase

STEPS = (
    ("Exposed", "exposed"),
    ("Delivered", "delivered"),
    ("Seen", "seen"),
    ("Clicked", "clicked"),
    ("Put in cart", "carted"),
    ("Bought", "bought"),
)


def exposure_chart(results: Results) -> Chart:
    """New shoppers by day and so far, beside what the split lets expect."""
    arms, days = results.arms, results.exposures
    totals = [sum(day.counts[i] for day in days) for i in range(len(arms))]
    n = sum(totals)
    shares = _expected_shares(results)
    sums = [list(accumulate(day.counts[i] for day in days)) for i in range(len(arms))]
    finding = "No shopper has been exposed yet"
    if n:
        got = " to ".join(f"{total / n * 100:.1f}" for total in totals)
        planned = " to ".join(f"{share * 100:.1f}" for share in shares)
        finding = f"{n:,} shoppers so far, {got} % · expected {planned} %"
    return Chart(
        key="exposures",
        finding=finding,
        about="New shoppers per day above, all of them so far below, by variant",
        figure=exposures_by_day(
            [day.day for day in days],
            [arm.name for arm in arms],
            [day.counts for day in days],
            shares,
        )
        if n
        else None,
        head=(
            "Day",
            *(f"{arm.name}, new" for arm in arms),
            *(f"{arm.name}, so far" for arm in arms),
        ),
        rows=[
            (
                f"{day.day.day} {day.day:%b %Y}",
                *(f"{count:,}" for count in day.counts),
                *(f"{sums[i][row]:,}" for i in range(len(arms))),
            )
            for row, day in enumerate(days)
        ],
        missing="Shoppers are exposed when they see a placement of the test for the first time.",
    )


def _expected_shares(results: Results) -> list[float]:
    """Over all phases; the planned shares where no phase says."""
    sums = [
        sum(phase.expected[i] for phase in results.health.phases if i < len(phase.expected))
        for i in range(len(results.arms))
    ]
    total = sum(sums)
    return [each / total for each in sums] if total else [arm.share for arm in results.arms]


def lift_charts(results: Results, metric: str, hidden: frozenset[str]) -> list[Chart]:
    """The lift of a metric over the days, and by days since exposure."""
    arms = {arm.variant_id: arm for arm in results.arms}
    shown = [
        (arms[series.variant_id], series)
        for series in results.series
        if series.metric == metric
        and series.variant_id in arms
        and arms[series.variant_id].key not in hidden
    ]
    name = definition_of(metric).name
    control = results.arms[0].name if results.arms else ""
    over_days = [_line(arm, series.cumulative) for arm, series in shown]
    by_age = [_line(arm, series.by_age) for arm, series in shown]
    return [
        Chart(
            key="lift-days",
            finding=_settled(name, shown),
            about=f"{name}: change against {control} of everything up to each day, with its 95 %"
            " interval; dotted: the interval that holds at any look",
            figure=lifts_over_days(over_days, unit=f"change against {control}")
            if _any(over_days)
            else None,
            head=_lift_head("Up to", shown),
            rows=_lift_rows([series.cumulative for _, series in shown], by_age=False),
            missing="There are no two days with enough shoppers yet.",
        ),
        Chart(
            key="lift-ages",
            finding=_lasts(name, shown),
            about=f"{name}: change against {control} by days since a shopper's first exposure. A"
            " change that fades was novelty",
            figure=lifts_by_age(by_age, unit=f"change against {control}") if _any(by_age) else None,
            head=_lift_head("Days since exposure", shown),
            rows=_lift_rows([series.by_age for _, series in shown], by_age=True),
            missing="Too few shoppers have been in for more than a day.",
        ),
    ]


def _line(arm: Arm, points: Sequence[Point]) -> LiftLine:
    return LiftLine(
        arm.name,
        arm.position,
        [
            LiftPoint(
                point.at,
                point.day,
                point.estimate,
                point.low,
                point.high,
                point.sequence_low,
                point.sequence_high,
            )
            for point in points
        ],
    )


def _any(lines: Sequence[LiftLine]) -> bool:
    return any(point.estimate is not None for line in lines for point in line.points)


def _settled(name: str, shown: Sequence[tuple[Arm, Series]]) -> str:
    """Where the lift of the first variant is, and since when its interval leaves zero out."""
    for arm, series in shown:
        known = [p for p in series.cumulative if p.estimate is not None and p.low is not None]
        if not known:
            continue
        last = known[-1]
        since = None
        for point in reversed(known):
            if point.low is None or point.high is None or point.low <= 0 <= point.high:
                break
            since = point
        said = f"{name}: {arm.name} stands at {lift_words(last.estimate)}"
        if since is None:
            return f"{said}, and zero is still inside its interval"
        if since.day is None:
            return f"{said}, clear of zero"
        return f"{said}, clear of zero since {since.day.day} {since.day:%b}"
    return f"{name}: not enough data to draw its course"


def _lasts(name: str, shown: Sequence[tuple[Arm, Series]]) -> str:
    for arm, series in shown:
        known = [p for p in series.by_age if p.estimate is not None]
        if len(known) < 2:
            continue
        first, last = known[0], known[-1]
        return (
            f"{name}: {arm.name} {lift_words(first.estimate)} on day {first.at},"
            f" {lift_words(last.estimate)} after {last.at} days"
        )
    return f"{name} by days since exposure: not enough data"


def _lift_head(first: str, shown: Sequence[tuple[Arm, Series]]) -> tuple[str, ...]:
    names: list[str] = []
    for arm, _ in shown:
        names += [f"{arm.name}, change", f"{arm.name}, 95 % interval", f"{arm.name}, shoppers"]
    return (first, *names)


def _lift_rows(columns: Sequence[Sequence[Point]], *, by_age: bool) -> list[tuple[str, ...]]:
    by_time: dict[int, list[Point | None]] = {}
    for i, points in enumerate(columns):
        for point in points:
            by_time.setdefault(point.at, [None] * len(columns))[i] = point
    rows = []
    for at in sorted(by_time):
        cells: list[str] = []
        day = None
        for found in by_time[at]:
            if found is None:
                cells += [UNKNOWN] * 3
                continue
            day = found.day or day
            interval = UNKNOWN
            if found.low is not None and found.high is not None:
                interval = f"{lift_words(found.low)} to {lift_words(found.high)}"
            cells += [lift_words(found.estimate), interval, f"{found.n_shoppers:,}"]
        label = str(at) if by_age or day is None else f"{day.day} {day:%b %Y}"
        rows.append((label, *cells))
    return rows


def funnel_chart(results: Results) -> Chart:
    """How many of the exposed shoppers of each arm came how far."""
    arms = {arm.variant_id: arm for arm in results.arms}
    known = [(arms[each.variant_id], each) for each in results.funnel if each.variant_id in arms]
    counts = [[int(getattr(each, field)) for _, field in STEPS] for _, each in known]
    has_any = any(row[0] for row in counts)
    said = ", ".join(
        f"{row[-1] / row[0] * 100:.1f} % of {arm.name}"
        for (arm, _), row in zip(known, counts, strict=True)
        if row[0]
    )
    rows = [
        (
            step,
            *(
                f"{row[i]:,} ({row[i] / row[0] * 100:.1f} %)" if row[0] else UNKNOWN
                for row in counts
            ),
        )
        for i, (step, _) in enumerate(STEPS)
    ]
    rows += [
        (label, *(f"{getattr(each, field):,}" for _, each in known))
        for label, field in (
            ("Lists delivered", "n_impressions"),
            ("Lists seen for a second", "n_seen"),
            ("Clicks on them", "n_clicks"),
        )
    ]
    return Chart(
        key="funnel",
        finding=f"Who bought: {said}" if has_any else "Nobody has been exposed yet",
        about="Shoppers who came so far at least once, of all exposed shoppers of the variant",
        figure=funnel_by_arm([s for s, _ in STEPS], [arm.name for arm, _ in known], counts)
        if has_any
        else None,
        head=("Step", *(arm.name for arm, _ in known)),
        rows=rows[::-1],
        missing="The funnel begins with the first shopper who is exposed.",
    )


def weight_chart(
    results: Results, phases: Sequence[ExperimentPhase], *, until: datetime
) -> Chart | None:
    """How a bandit divided the shoppers; None if there is nothing to see."""
    names = [arm.name for arm in results.arms]
    known = [phase for phase in phases if len(phase.weights) == len(names) and any(phase.weights)]
    if not known:
        return None
    shares = [[weight / sum(phase.weights) for weight in phase.weights] for phase in known]
    best = max(range(len(names)), key=lambda i: shares[-1][i])
    moments = [phase.started_at.isoformat() for phase in known]
    end = known[-1].ended_at or until
    return Chart(
        key="weights",
        finding=f"{names[best]} gets {shares[-1][best] * 100:.0f} % of the shoppers now,"
        f" {shares[0][best] * 100:.0f} % at the start",
        about="Share of new shoppers by variant, as the bandit divided them",
        figure=weights_over_time([*moments, end.isoformat()], names, [*shares, shares[-1]]),
        head=("From", *names),
        rows=[
            (
                f"{phase.started_at.day} {phase.started_at:%b %Y, %H:%M}",
                *(f"{share * 100:.1f} %" for share in row),
            )
            for phase, row in zip(known, shares, strict=True)
        ],
        missing="",
    )
