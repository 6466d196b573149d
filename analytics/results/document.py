"""The results of an experiment as one document: what a worker writes and the page reads.

Everything that the page, the export and the API show is in here, in numbers; words that need
judgement (the verdict sentence) as well, so that they are the same everywhere. Lifts are relative
(0.05 is +5 %) unless the scale says otherwise. Money is in minor units. Days are ISO dates of the
store's time zone, moments ISO with offset. `None` with `missing` beside it is an unknown: never 0.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

import msgspec

from analytics.stats.answers import Advice, Moment, State

FORMAT = 1

Role = Literal["goal", "secondary", "guardrail"]
Scale = Literal["relative", "absolute"]
Alarm = Literal["none", "amber", "red", "unknown"]


class Document(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """Base: frozen, by keyword; unknown fields of later formats are skipped."""


class Arm(Document, frozen=True, kw_only=True):
    """A variant. `share` is its planned share of the participants in the open (or last) phase."""

    variant_id: int
    key: str
    name: str
    position: int
    share: float
    strategies: tuple[str, ...]
    n_shoppers: int
    n_orders: int = 0
    n_buyers: int = 0


class Cell(Document, frozen=True, kw_only=True):
    """A metric of one arm with its raw numbers and the 95 % interval of its value."""

    variant_id: int
    numerator: float | None
    denominator: float | None
    value: float | None
    low: float | None = None
    high: float | None = None
    uncapped: float | None = None
    missing: str | None = None


class Comparison(Document, frozen=True, kw_only=True):
    """A metric of one arm against another.

    Attributes
    ----------
    estimate, low, high
        With the fixed 95 % interval (Welch, or the bootstrap's), on the scale.
    sequence_low, sequence_high
        Of the 95 % confidence sequence, valid at any look.
    p_value, p_adjusted
        Raw, and by Holm over the family (goals: goal × variants; secondary: secondary × variants).
    sequence_p
        Of the confidence sequence.
    chance_to_win, loss_if_shipped, loss_if_kept
        Bayesian, flat prior; on the scale; chance that the arm is better in the metric's direction.
    variance_reduction
        Share of the variance that CUPED took away, None without CUPED.
    per_day
        On the absolute scale: the difference for the whole traffic, per day; of a hold-out for
        those with recommendations.
    missing
        Why there is no estimate.
    """

    variant_id: int
    baseline_id: int
    scale: Scale
    cuped: bool
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    sequence_low: float | None = None
    sequence_high: float | None = None
    p_value: float | None = None
    p_adjusted: float | None = None
    sequence_p: float | None = None
    chance_to_win: float | None = None
    loss_if_shipped: float | None = None
    loss_if_kept: float | None = None
    variance_reduction: float | None = None
    per_day: float | None = None
    missing: str | None = None


class Guard(Document, frozen=True, kw_only=True):
    """A guardrail of one variant against the control: is harm beyond the margin ruled out?"""

    metric: str
    variant_id: int
    margin: float
    state: Literal["safe", "unclear", "harmed"]
    low: float | None = None
    high: float | None = None
    missing: str | None = None


class MetricResult(Document, frozen=True, kw_only=True):
    """One metric: a cell per arm, comparisons for each baseline, scale and with and without CUPED."""

    key: str
    role: Role
    cells: tuple[Cell, ...]
    comparisons: tuple[Comparison, ...]


class VariantVerdict(Document, frozen=True, kw_only=True):
    """What is known about a variant by the locked rule, and what to do.

    Attributes
    ----------
    sentence
        "B lifts revenue per shopper by 4.1 % (95 % interval +0.6 % to +7.6 %). Guardrails are
        fine. Ship B."
    advice
        None of some days only: nothing is decided by them.
    found_at
        When a verdict was found first; it stands from then on.
    """

    variant_id: int
    state: State
    advice: Advice | None
    sentence: str
    found_by: Literal["sequence", "planned_end"] | None = None
    found_at: datetime | None = None
    low: float | None = None
    high: float | None = None
    p_any_look: float | None = None
    p_at_end: float | None = None
    missing: str | None = None
    guards: tuple[Guard, ...] = ()


class SplitPhase(Document, frozen=True, kw_only=True):
    """Who was exposed in one phase, and how many of each arm were to be expected."""

    started_at: datetime
    ended_at: datetime | None
    observed: tuple[int, ...]
    expected: tuple[float, ...]


class Check(Document, frozen=True, kw_only=True):
    """One line of the health strip, in words.

    `key`: split, crossover, bias, duplicates, lost, silent, bots, novelty, minimum.
    """

    key: str
    alarm: Alarm
    title: str
    words: str
    value: float | None = None


class Health(Document, frozen=True, kw_only=True):
    alarm: Alarm
    checks: tuple[Check, ...]
    split_p: float | None
    phases: tuple[SplitPhase, ...]


class ExposureDay(Document, frozen=True, kw_only=True):
    """New participants of a day, per arm in the order of the arms."""

    day: date
    counts: tuple[int, ...]


class Point(Document, frozen=True, kw_only=True):
    """A lift at a day (cumulative from the start) or at an age (days since exposure)."""

    at: int
    day: date | None
    estimate: float | None
    low: float | None
    high: float | None
    sequence_low: float | None = None
    sequence_high: float | None = None
    n_shoppers: int = 0


class Series(Document, frozen=True, kw_only=True):
    metric: str
    variant_id: int
    cumulative: tuple[Point, ...]
    by_age: tuple[Point, ...]


class FunnelArm(Document, frozen=True, kw_only=True):
    """Shoppers who came so far, of all exposed: each step counts who did it at least once."""

    variant_id: int
    exposed: int
    delivered: int
    seen: int
    clicked: int
    carted: int
    bought: int
    n_impressions: int
    n_seen: int
    n_clicks: int


class SegmentResult(Document, frozen=True, kw_only=True):
    """The primary metric within a segment; exploratory, Holm over all segments × variants."""

    dimension: Literal["device", "visitor", "placement"]
    segment: str
    variant_id: int
    n_control: int
    n_variant: int
    control: float | None
    value: float | None
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    p_adjusted: float | None = None
    missing: str | None = None


class PowerWeek(Document, frozen=True, kw_only=True):
    week: int
    n_shoppers: float
    power: float | None
    smallest_lift: float | None


class Power(Document, frozen=True, kw_only=True):
    """How far the test has come.

    Attributes
    ----------
    days_left
        Until the verdict is due: to the planned end, or longer if the rule's minimum takes longer.
        None: it isn't running, that time is over, or it has no end.
    days_to_find
        Until `smallest_lift_planned` is found with a chance of 80 %, at today's traffic. None: out
        of reach, or nothing to say (see `missing`).
    """

    planned_shoppers: int | None
    n_shoppers: int
    planned_days: int
    days: float
    days_left: int | None
    smallest_lift_planned: float
    smallest_lift_now: float | None
    shoppers_per_day: float | None
    progress: float | None
    days_to_find: int | None = None
    weeks: tuple[PowerWeek, ...] = ()
    missing: str | None = None


class Preferred(Document, frozen=True, kw_only=True):
    """Interleaving: whose products were clicked, a shopper being one vote."""

    variant_a: int
    variant_b: int
    wins_a: int
    wins_b: int
    ties: int
    preference: float | None
    p_value: float | None
    sentence: str
    missing: str | None = None


class Results(Document, frozen=True, kw_only=True):
    """All of it.

    Attributes
    ----------
    headline
        The verdict in one sentence, for the top of the page and for a list.
    status
        The badge; "range" if these are some days only, which decide nothing.
    facts_until
        The newest event or impression that is in it; None: there was none.
    left_out
        Who isn't counted and why, with numbers: crossovers, machines.
    """

    experiment_id: int
    key: str
    computed_at: datetime
    facts_until: datetime | None
    first_day: date | None
    last_day: date | None
    days: float
    moment: Moment
    status: Literal[
        "draft",
        "no_data",
        "running",
        "unhealthy",
        "ship",
        "roll_back",
        "review",
        "stopped",
        "paused",
        "range",
    ]
    headline: str
    currency: str
    primary: str
    arms: tuple[Arm, ...]
    metrics: tuple[MetricResult, ...]
    verdicts: tuple[VariantVerdict, ...]
    health: Health
    exposures: tuple[ExposureDay, ...]
    series: tuple[Series, ...]
    funnel: tuple[FunnelArm, ...]
    segments: tuple[SegmentResult, ...]
    power: Power
    preferred: Preferred | None = None
    left_out: str = ""
    format: int = FORMAT


def results_read(document: object) -> Results:
    """A stored document, typed.

    Raises
    ------
    msgspec.ValidationError
        It isn't one.
    """
    return msgspec.convert(document, Results, strict=False)


def comparison_of(
    metric: MetricResult, *, variant_id: int, baseline_id: int, scale: str, cuped: bool
) -> Comparison | None:
    """The one that is asked for; without CUPED where the metric has none with it."""
    found = {
        each.cuped: each
        for each in metric.comparisons
        if each.variant_id == variant_id and each.baseline_id == baseline_id and each.scale == scale
    }
    return found.get(cuped) or found.get(False) or found.get(True)


def results_json(results: Results) -> object:
    """As it is stored: plain dictionaries, dates and moments in ISO format."""
    return msgspec.to_builtins(results)
