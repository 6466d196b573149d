"""The scorecard: one row per metric and variant, out of the document, as a member looks at it."""

from __future__ import annotations

from dataclasses import dataclass

from analytics.charts.bars import IntervalBar, extent_of, interval_bar
from analytics.console.results_look import Look
from analytics.console.results_words import (
    NOT_ENOUGH,
    Sign,
    chance_words,
    definition_of,
    difference_words,
    lift_words,
    loss_words,
    p_words,
    per_day_words,
    raw_words,
    sign_of,
    value_words,
)
from analytics.metrics.definitions import Definition
from analytics.results.document import (
    Arm,
    Cell,
    Comparison,
    Guard,
    MetricResult,
    Results,
    comparison_of,
)
from analytics.results.incremental import n_reached

# What the common axis of relative changes spans at least and at most.
_LEAST, _MOST = 0.02, 0.5
UNPLANNED = "–"
_ROLES = (
    ("goal", "Goals", "what the test is decided by"),
    ("guardrail", "Guardrails", "must not get worse by more than the margin"),
    ("secondary", "Also looked at", "explains the rest; decides nothing"),
)


@dataclass(frozen=True, slots=True)
class Mark:
    """A small sign at a metric's name, with what it means."""

    word: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Side:
    """A metric of one arm: value, what it was worked out from, and if there is none, why."""

    value: str
    raw: str
    interval: str
    uncapped: str
    missing: str


@dataclass(frozen=True, slots=True)
class Row:
    """A metric of a variant beside the baseline.

    Attributes
    ----------
    is_first
        Of its metric: the name is said once, and so are its definition and marks.
    sign
        What the interval says; of a guardrail, whether harm is ruled out.
    bar
        None without an interval; `bar_words` says it for those who don't see it.
    p, p_title
        Adjusted; raw in the title.
    smallest
        Whether the change is as large as was worth finding, in words.
    """

    definition: Definition
    arm: Arm
    is_first: bool
    is_primary: bool
    marks: tuple[Mark, ...]
    baseline: Side
    variant: Side
    change: str
    interval: str
    interval_title: str
    bar: IntervalBar | None
    bar_words: str
    sign: Sign
    sign_title: str
    p: str
    p_title: str
    chance: str
    chance_title: str
    smallest: str
    missing: str
    anchor: str


@dataclass(frozen=True, slots=True)
class Group:
    role: str
    title: str
    about: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Scorecard:
    """`extent` is half the width of the common axis, None if every row has its own."""

    groups: tuple[Group, ...]
    baseline: Arm | None
    extent: str
    has_wings: bool
    n_shown: int


def scorecard_of(results: Results, look: Look, *, is_holdout: bool) -> Scorecard:
    """What the document says, for the arms, scale and method that are looked at."""
    baseline = next((arm for arm in results.arms if arm.key == look.baseline), None)
    if baseline is None:
        return Scorecard((), None, "", False, 0)
    arms = [arm for arm in results.arms if arm.key != look.baseline and arm.key not in look.hidden]
    n = n_reached([arm.n_shoppers for arm in results.arms], is_holdout=is_holdout)
    per_day = n / results.days if results.days > 0 else 0.0
    maker = _Maker(results, look, baseline, _extent(results, look, baseline), per_day)
    groups = []
    for role, title, about in _ROLES:
        rows: list[Row] = []
        for metric in results.metrics:
            if metric.role == role:
                rows += [maker.row(metric, arm, is_first=i == 0) for i, arm in enumerate(arms)]
        if rows:
            groups.append(Group(role, title, about, tuple(rows)))
    return Scorecard(
        tuple(groups),
        baseline,
        "" if maker.extent is None else f"{maker.extent * 100:g} %",
        any(row.bar is not None and row.bar.wing_low is not None for g in groups for row in g.rows),
        len(arms),
    )


def cell_of(metric: MetricResult, variant_id: int) -> Cell:
    found = next((cell for cell in metric.cells if cell.variant_id == variant_id), None)
    return found or Cell(
        variant_id=variant_id, numerator=None, denominator=None, value=None, missing="no figures"
    )


def has_cuped(results: Results) -> bool:
    return any(each.cuped for metric in results.metrics for each in metric.comparisons)


def _extent(results: Results, look: Look, baseline: Arm) -> float | None:
    """Of the axis that all relative changes share; None where each unit has its own."""
    if look.scale != "relative":
        return None
    goals: list[float] = []
    others: list[float] = []
    for metric in results.metrics:
        for each in metric.comparisons:
            if each.scale == "relative" and each.baseline_id == baseline.variant_id:
                ends = [abs(end) for end in (each.low, each.high) if end is not None]
                (goals if metric.role == "goal" else others).extend([max(ends)] if ends else [])
    others.sort()
    # Goals have room; of the others the wildest quarter goes over the edge, as an arrow.
    return extent_of([*goals, *others[: -(-len(others) * 3 // 4)]], least=_LEAST, most=_MOST)


@dataclass(frozen=True, slots=True)
class _Maker:
    results: Results
    look: Look
    baseline: Arm
    extent: float | None
    shoppers_per_day: float

    def row(self, metric: MetricResult, arm: Arm, *, is_first: bool) -> Row:
        definition, look = definition_of(metric.key), self.look
        found = comparison_of(
            metric,
            variant_id=arm.variant_id,
            baseline_id=self.baseline.variant_id,
            scale=look.document_scale,
            cuped=look.cuped,
        )
        guard = self.guard(metric.key, arm)
        low, high = self.ends(found)
        sign = NOT_ENOUGH if found is None else sign_of(low, high, definition.direction)
        sign_title = ""
        if metric.role == "guardrail" and guard is not None:
            sign, sign_title = _guard_sign(guard)
        if metric.role == "goal" and (missing := self.too_early(arm)):
            sign, sign_title = NOT_ENOUGH, missing
        change, interval = self.words(found, low, high, definition)
        bar = self.bar(found, low, high, guard, definition)
        missing = "" if found is not None and found.estimate is not None else _missing(found, guard)
        return Row(
            definition=definition,
            arm=arm,
            is_first=is_first,
            is_primary=metric.key == self.results.primary,
            marks=_marks(found, definition),
            baseline=self.side(cell_of(metric, self.baseline.variant_id), definition),
            variant=self.side(cell_of(metric, arm.variant_id), definition),
            change=change,
            interval=interval,
            interval_title=_interval_title(look),
            bar=bar,
            bar_words=f"{definition.name}, {arm.name}: {change}, 95 % interval {interval}",
            sign=sign,
            sign_title=sign_title,
            p=p_words(_p(found, look)),
            p_title=_p_title(found, look),
            chance=chance_words(found.chance_to_win if found else None),
            chance_title=self.chance_title(found, definition),
            smallest=self.smallest(metric, found, low, high),
            missing=missing,
            anchor=f"{metric.key}-{arm.key}",
        )

    def guard(self, key: str, arm: Arm) -> Guard | None:
        """Guardrails are judged against the control; against another arm nobody did."""
        if not self.results.arms or self.baseline.key != self.results.arms[0].key:
            return None
        for verdict in self.results.verdicts:
            for guard in verdict.guards:
                if guard.metric == key and guard.variant_id == arm.variant_id:
                    return guard
        return None

    def too_early(self, arm: Arm) -> str:
        """What is missing before anything is said about a variant; empty if nothing is."""
        for verdict in self.results.verdicts:
            if verdict.variant_id == arm.variant_id and verdict.state == "not_enough":
                return verdict.missing or "too few shoppers"
        return ""

    def ends(self, found: Comparison | None) -> tuple[float | None, float | None]:
        if found is None:
            return None, None
        if self.look.method == "sequential":
            return found.sequence_low, found.sequence_high
        return found.low, found.high

    def words(
        self, found: Comparison | None, low: float | None, high: float | None, of: Definition
    ) -> tuple[str, str]:
        """The change and its interval."""
        if found is None or found.estimate is None:
            return "", ""
        currency = self.results.currency
        if self.look.scale == "relative":
            said = [lift_words(value) for value in (found.estimate, low, high)]
        elif self.look.scale == "absolute":
            said = [
                difference_words(value, of.unit, currency) for value in (found.estimate, low, high)
            ]
        elif found.per_day is None:
            return "not a sum", ""
        else:
            # The difference of a day has the interval of the difference, stretched alike.
            ends = (None if end is None else end * self.shoppers_per_day for end in (low, high))
            said = [per_day_words(value, of, currency) for value in (found.per_day, *ends)]
        known = low is not None and high is not None
        return said[0], f"{said[1]} to {said[2]}" if known else ""

    def bar(
        self,
        found: Comparison | None,
        low: float | None,
        high: float | None,
        guard: Guard | None,
        of: Definition,
    ) -> IntervalBar | None:
        if found is None or found.estimate is None or low is None or high is None:
            return None
        wings = (found.sequence_low, found.sequence_high)
        if self.look.method == "sequential":
            wings = (None, None)
        extent = self.extent or extent_of([low, high], least=1e-12, most=float("inf"))
        margin = None
        if guard is not None and self.look.scale == "relative":
            margin = -guard.margin if of.direction != "lower" else guard.margin
        return interval_bar(
            found.estimate,
            low,
            high,
            extent=extent,
            wing_low=wings[0],
            wing_high=wings[1],
            margin=margin,
        )

    def side(self, cell: Cell, definition: Definition) -> Side:
        currency = self.results.currency
        interval = ""
        if cell.low is not None and cell.high is not None:
            interval = " to ".join(
                value_words(end, definition.unit, currency) for end in (cell.low, cell.high)
            )
        return Side(
            value_words(cell.value, definition.unit, currency),
            raw_words(cell, definition, currency),
            interval,
            "" if cell.uncapped is None else value_words(cell.uncapped, definition.unit, currency),
            (cell.missing or "") if cell.value is None else "",
        )

    def chance_title(self, found: Comparison | None, definition: Definition) -> str:
        if found is None or found.loss_if_shipped is None:
            return ""
        if self.look.scale == "relative":
            loss = loss_words(found.loss_if_shipped)
        else:
            loss = difference_words(
                found.loss_if_shipped, definition.unit, self.results.currency
            ).lstrip("+")
        return f"Expected loss if you ship it and it is worse after all: {loss}"

    def smallest(
        self, metric: MetricResult, found: Comparison | None, low: float | None, high: float | None
    ) -> str:
        """The plan is about the primary metric alone."""
        if metric.key != self.results.primary or found is None or found.estimate is None:
            return UNPLANNED
        if self.look.scale != "relative" or low is None or high is None:
            return UNPLANNED
        wanted = self.results.power.smallest_lift_planned
        if low >= wanted:
            return f"Yes: all of it above +{wanted * 100:g} %"
        if high < wanted:
            return f"No: below +{wanted * 100:g} %"
        return (
            f"{'Likely' if found.estimate >= wanted else 'Possible'}: +{wanted * 100:g} % is inside"
        )


def _guard_sign(guard: Guard) -> tuple[Sign, str]:
    margin = f"{guard.margin * 100:g} %"
    match guard.state:
        case "safe":
            return Sign("good", "good", "Safe"), f"A harm of {margin} or more is ruled out"
        case "harmed":
            return Sign("bad", "bad", "Harmed"), f"Worse by more than the accepted {margin}"
    if guard.low is None:
        return NOT_ENOUGH, guard.missing or ""
    return Sign("warn", "warn", "Not ruled out"), f"A harm of {margin} can't be ruled out yet"


def _missing(found: Comparison | None, guard: Guard | None) -> str:
    if found is not None and found.missing:
        return found.missing
    if guard is not None and guard.missing:
        return guard.missing
    return "nothing to compare with"


def _marks(found: Comparison | None, definition: Definition) -> tuple[Mark, ...]:
    marks = []
    if found is not None and found.cuped:
        taken = ""
        if found.variance_reduction is not None:
            taken = f" It took away {found.variance_reduction * 100:.0f} % of the variance."
        marks.append(
            Mark(
                "CUPED",
                "Adjusted by what the same shoppers did in the 14 days before exposure, which makes"
                f" the interval narrower and nothing else.{taken}",
            )
        )
    if definition.cap:
        marks.append(Mark("Capped", f"{definition.cap}."))
    return tuple(marks)


def _p(found: Comparison | None, look: Look) -> float | None:
    if found is None:
        return None
    return found.sequence_p if look.method == "sequential" else found.p_adjusted


def _p_title(found: Comparison | None, look: Look) -> str:
    if found is None or found.p_value is None:
        return ""
    if look.method == "sequential":
        return "Of the confidence sequence: it holds however often you look"
    return f"Adjusted by Holm for the number of comparisons; raw {p_words(found.p_value)}"


def _interval_title(look: Look) -> str:
    if look.method == "sequential":
        return "95 % confidence sequence: holds at any look"
    return "95 % interval: right for one look; the thin wings hold at any look"
