"""The smaller parts of the results page: verdict, health, segments, power, hold-out, votes."""

from __future__ import annotations

from dataclasses import dataclass

from analytics.charts.bars import WIDTH, IntervalBar, extent_of, interval_bar
from analytics.console.results_words import (
    ADVICE_SIGNS,
    ALARM_SIGNS,
    NO_VERDICT,
    NOT_ENOUGH,
    Sign,
    chance_words,
    definition_of,
    difference_words,
    lift_words,
    loss_words,
    p_words,
    sign_of,
    unbroken,
    value_words,
)
from analytics.results.document import (
    Arm,
    Check,
    Comparison,
    MetricResult,
    Preferred,
    Results,
    SegmentResult,
    VariantVerdict,
    comparison_of,
)
from analytics.results.incremental import gain_of
from catalog.money import money_rounded

_ALARM_ORDER = ("red", "amber", "unknown", "none")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known about one variant, large."""

    arm: Arm | None
    verdict: VariantVerdict
    sentence: str
    sign: Sign
    change: str
    interval: str
    interval_name: str
    bar: IntervalBar | None
    extent: str
    chance: str
    loss: str


def verdicts_of(results: Results, *, cuped: bool) -> list[Verdict]:
    """By the primary metric and against the control, as planned; toggles don't change them."""
    arms = {arm.variant_id: arm for arm in results.arms}
    primary = next((each for each in results.metrics if each.key == results.primary), None)
    found = [(each, _planned(primary, each, results, cuped)) for each in results.verdicts]
    ends: list[float | None] = []
    for verdict, comparison in found:
        ends += [verdict.low, verdict.high]
        if comparison is not None:
            ends += [comparison.sequence_low, comparison.sequence_high]
    extent = extent_of(ends, least=0.02, most=1.0)
    return [
        _verdict(arms.get(verdict.variant_id), verdict, comparison, results, extent)
        for verdict, comparison in found
    ]


def _planned(
    primary: MetricResult | None, verdict: VariantVerdict, results: Results, cuped: bool
) -> Comparison | None:
    if primary is None or not results.arms:
        return None
    return comparison_of(
        primary,
        variant_id=verdict.variant_id,
        baseline_id=results.arms[0].variant_id,
        scale="relative",
        cuped=cuped,
    )


def _verdict(
    arm: Arm | None,
    verdict: VariantVerdict,
    found: Comparison | None,
    results: Results,
    extent: float,
) -> Verdict:
    estimate = found.estimate if found is not None else None
    low, high = verdict.low, verdict.high
    name = "interval of the verdict" if verdict.advice else "95 % interval"
    if (low is None or high is None) and found is not None:
        low, high, name = found.low, found.high, "95 % interval"
    bar = None
    known = verdict.state != "not_enough" and low is not None and high is not None
    if known and found is not None and estimate is not None:
        assert low is not None
        assert high is not None
        bar = interval_bar(
            estimate,
            low,
            high,
            extent=extent,
            wing_low=found.sequence_low,
            wing_high=found.sequence_high,
        )
    loss = ""
    if found is not None and found.loss_if_shipped is not None:
        loss = loss_words(found.loss_if_shipped)
    return Verdict(
        arm=arm,
        verdict=verdict,
        sentence=unbroken(verdict.sentence),
        sign=ADVICE_SIGNS.get(verdict.advice, NO_VERDICT) if verdict.advice else NO_VERDICT,
        change=lift_words(estimate),
        interval=f"{lift_words(low)} to {lift_words(high)}" if bar is not None else "",
        interval_name=name,
        bar=bar,
        extent=f"{extent * 100:g} %",
        chance=chance_words(found.chance_to_win if found else None),
        loss=loss,
    )


@dataclass(frozen=True, slots=True)
class HealthLine:
    check: Check
    sign: Sign

    @property
    def is_open(self) -> bool:
        """What needs somebody is said at once, the rest when asked for."""
        return self.check.alarm in ("amber", "red")


@dataclass(frozen=True, slots=True)
class HealthStrip:
    sign: Sign
    words: str
    lines: tuple[HealthLine, ...]


def health_of(results: Results) -> HealthStrip:
    """The checks, what is worst first."""
    checks = sorted(results.health.checks, key=lambda check: _ALARM_ORDER.index(check.alarm))
    counts = {alarm: sum(check.alarm == alarm for check in checks) for alarm in _ALARM_ORDER}
    parts = [
        f"{counts[alarm]} {words}"
        for alarm, words in (
            ("red", "alarm" if counts["red"] == 1 else "alarms"),
            ("amber", "to look at"),
            ("unknown", "not known yet"),
            ("none", "fine"),
        )
        if counts[alarm]
    ]
    return HealthStrip(
        ALARM_SIGNS[results.health.alarm],
        ", ".join(parts) if parts else "nothing checked yet",
        tuple(HealthLine(check, ALARM_SIGNS[check.alarm]) for check in checks),
    )


@dataclass(frozen=True, slots=True)
class SegmentRow:
    segment: SegmentResult
    arm: Arm | None
    control: str
    value: str
    change: str
    interval: str
    bar: IntervalBar | None
    sign: Sign
    p: str


@dataclass(frozen=True, slots=True)
class SegmentGroup:
    title: str
    rows: tuple[SegmentRow, ...]


_DIMENSIONS = {"device": "Device", "visitor": "New or returning", "placement": "Placement"}


def segments_of(results: Results, hidden: frozenset[str]) -> tuple[list[SegmentGroup], str]:
    """By dimension, and half the width of their common axis in words."""
    arms = {arm.variant_id: arm for arm in results.arms}
    shown = [
        each
        for each in results.segments
        if each.variant_id in arms and arms[each.variant_id].key not in hidden
    ]
    extent = extent_of([end for s in shown for end in (s.low, s.high)], least=0.02, most=0.5)
    groups = [
        SegmentGroup(
            title,
            tuple(
                _segment_row(each, arms.get(each.variant_id), results, extent)
                for each in shown
                if each.dimension == dimension
            ),
        )
        for dimension, title in _DIMENSIONS.items()
    ]
    return [group for group in groups if group.rows], f"{extent * 100:g} %"


def _segment_row(
    segment: SegmentResult, arm: Arm | None, results: Results, extent: float
) -> SegmentRow:
    definition = definition_of(results.primary)
    bar, sign = None, NOT_ENOUGH
    if segment.estimate is not None and segment.low is not None and segment.high is not None:
        bar = interval_bar(segment.estimate, segment.low, segment.high, extent=extent)
        sign = sign_of(segment.low, segment.high, definition.direction)
    return SegmentRow(
        segment=segment,
        arm=arm,
        control=value_words(segment.control, definition.unit, results.currency),
        value=value_words(segment.value, definition.unit, results.currency),
        change=lift_words(segment.estimate),
        interval=f"{lift_words(segment.low)} to {lift_words(segment.high)}" if bar else "",
        bar=bar,
        sign=sign,
        p=p_words(segment.p_adjusted),
    )


@dataclass(frozen=True, slots=True)
class PowerPanel:
    """`percent` of what it takes to find the lift worth finding, 0 to 100; None if unknown.

    `to_find`: when that will be, at today's traffic; empty if it can't be told.
    """

    percent: float | None
    planned: str
    now: str
    left: str
    to_find: str
    smallest_planned: str
    smallest_now: str
    per_day: str
    weeks: tuple[tuple[str, str, str, str, float], ...]


def power_of(results: Results) -> PowerPanel:
    power = results.power
    left = "–"
    if power.days_left:
        left = f"about {_days(power.days_left)}"
    elif results.moment != "running":
        left = "The planned time is over"
    to_find = ""
    if power.days_to_find:
        to_find = f"in about {_days(power.days_to_find)}"
    elif power.days_to_find == 0:
        to_find = "by now"
    return PowerPanel(
        percent=None if power.progress is None else round(min(power.progress, 1.0) * 100, 1),
        planned="–" if power.planned_shoppers is None else f"{power.planned_shoppers:,}",
        now=f"{power.n_shoppers:,}",
        left=left,
        to_find=to_find,
        smallest_planned=f"±{power.smallest_lift_planned * 100:g} %",
        smallest_now="–"
        if power.smallest_lift_now is None
        else f"±{power.smallest_lift_now * 100:.1f} %",
        per_day="–" if power.shoppers_per_day is None else f"{power.shoppers_per_day:,.0f}",
        weeks=tuple(
            (
                f"Week {week.week}",
                f"{week.n_shoppers:,.0f}",
                "–" if week.power is None else f"{week.power * 100:.0f} %",
                "–" if week.smallest_lift is None else f"±{week.smallest_lift * 100:.1f} %",
                round((week.power or 0.0) * 100, 1),
            )
            for week in power.weeks
        ),
    )


def _days(n: int) -> str:
    return f"{n:,} day{'' if n == 1 else 's'}"


@dataclass(frozen=True, slots=True)
class Incremental:
    """What the recommendations brought on top of the hold-out's baseline."""

    words: str
    total: str
    interval: str
    per_day: str
    per_shopper: str
    sign: Sign
    missing: str
    n_held_out: str
    n_with: str


def incremental_of(results: Results, *, cuped: bool) -> Incremental | None:
    """Of a hold-out: the revenue of everybody with recommendations, less what it would have been."""
    if len(results.arms) < 2:
        return None
    gain = gain_of(results, cuped=cuped)
    held_out, others = results.arms[0], results.arms[1]
    counts = (f"{held_out.n_shoppers:,}", f"{others.n_shoppers:,}")
    if isinstance(gain, str):
        return Incremental(
            "It can't be told yet what recommendations bring on top",
            "",
            "",
            "",
            "",
            NOT_ENOUGH,
            gain,
            *counts,
        )
    currency = results.currency
    low, middle, high = (
        _with_sign(round(end), currency) for end in (gain.low, gain.total, gain.high)
    )
    sign = sign_of(gain.low, gain.high, "higher")
    words = {
        "good": f"Recommendations brought {middle.lstrip('+')} that would not have come without them",
        "bad": f"With recommendations the shop took {middle.lstrip('−')} less than without them",
    }.get(sign.tone, f"It can't be told apart from nothing: {middle} on top, give or take")
    return Incremental(
        words,
        middle,
        f"{low} to {high}",
        "–" if gain.per_day is None else _with_sign(round(gain.per_day), currency),
        difference_words(gain.per_shopper, "money", currency),
        sign,
        "",
        *counts,
    )


def _with_sign(minor: int, currency: str) -> str:
    return f"{'+' if minor > 0 else ''}{money_rounded(minor, currency)}"


@dataclass(frozen=True, slots=True)
class Votes:
    """Interleaving: widths of a bar of `WIDTH` for the wins of a, ties, wins of b."""

    preferred: Preferred
    a: Arm | None
    b: Arm | None
    x_ties: float
    x_b: float
    width_ties: float
    width_b: float
    p: str
    preference: str
    winner: str


def votes_of(results: Results) -> Votes | None:
    preferred = results.preferred
    if preferred is None:
        return None
    arms = {arm.variant_id: arm for arm in results.arms}
    share_of_a = preferred.preference
    winner = arms.get(preferred.variant_a if (share_of_a or 0.0) > 0 else preferred.variant_b)
    n = preferred.wins_a + preferred.wins_b + preferred.ties
    share = WIDTH / n if n else 0.0
    return Votes(
        preferred=preferred,
        a=arms.get(preferred.variant_a),
        b=arms.get(preferred.variant_b),
        x_ties=round(preferred.wins_a * share, 2),
        x_b=round((preferred.wins_a + preferred.ties) * share, 2),
        width_ties=round(preferred.ties * share, 2),
        width_b=round(preferred.wins_b * share, 2),
        p=p_words(preferred.p_value),
        preference="–" if share_of_a is None else f"{abs(share_of_a) * 100:.1f} %",
        winner=winner.name if share_of_a and winner is not None else "",
    )
