"""The recommender beside the shop: coverage, diversity, novelty … of each arm, and what it sold."""

from __future__ import annotations

from dataclasses import dataclass

from analytics.charts.bars import Cross, Strip, cross, extent_of, strips
from analytics.console.results_look import Look
from analytics.console.results_scorecard import cell_of
from analytics.console.results_words import (
    NOT_ENOUGH,
    Sign,
    definition_of,
    lift_words,
    raw_words,
    sign_of,
    unbroken,
    value_words,
)
from analytics.metrics.definitions import Definition
from analytics.results.document import Arm, MetricResult, Results, comparison_of

# In the order of the panel: what is sold, what is shown, how it is served.
FAMILIES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("What shoppers did", ("conversion_rate", "revenue_per_shopper", "click_rate")),
    (
        "What they were shown",
        ("coverage", "concentration", "novelty", "diversity", "calibration", "serendipity"),
    ),
    ("How it was served", ("fallback_rate", "empty_rate", "latency")),
)
# Each is drawn against the primary metric.
MAPPED = ("diversity", "coverage", "novelty")
# What is said of an arm when a metric moved up and down, in the sentence above the panel.
_SAID = {
    "coverage": ("shows more of the catalog", "shows less of the catalog"),
    "concentration": ("leans on fewer products", "spreads over more products"),
    "novelty": ("shows less known products", "shows better known products"),
    "diversity": ("has more varied lists", "has more uniform lists"),
    "calibration": ("is further from shoppers' own taste", "is closer to shoppers' own taste"),
    "serendipity": ("surprises more", "surprises less"),
    "fallback_rate": ("falls back more often", "falls back less often"),
    "empty_rate": ("is empty more often", "is empty less often"),
    "latency": ("answers slower", "answers faster"),
}


@dataclass(frozen=True, slots=True)
class Reading:
    """A metric of one arm: value, where it lies, and how it differs from the baseline."""

    arm: Arm
    value: str
    raw: str
    interval: str
    missing: str
    strip: Strip | None
    change: str
    sign: Sign | None


@dataclass(frozen=True, slots=True)
class Dial:
    """A metric of all arms on one axis."""

    definition: Definition
    readings: tuple[Reading, ...]
    is_primary: bool
    better: str


@dataclass(frozen=True, slots=True)
class Family:
    title: str
    dials: tuple[Dial, ...]


@dataclass(frozen=True, slots=True)
class MapPoint:
    arm: Arm
    cross: Cross
    words: str


@dataclass(frozen=True, slots=True)
class TradeOff:
    """The primary metric across, another one up: which corner is a variant in?"""

    across: str
    up: str
    extent_across: str
    extent_up: str
    points: tuple[MapPoint, ...]
    words: str


@dataclass(frozen=True, slots=True)
class Panel:
    finding: str
    families: tuple[Family, ...]
    maps: tuple[TradeOff, ...]


def panel_of(results: Results, look: Look) -> Panel:
    """Out of the document; metrics that it doesn't have are left out."""
    metrics = {metric.key: metric for metric in results.metrics}
    baseline = next((arm for arm in results.arms if arm.key == look.baseline), None)
    if baseline is None:
        return Panel("", (), ())
    arms = [arm for arm in results.arms if arm.key not in look.hidden]
    families = []
    for title, keys in FAMILIES:
        dials = [
            _dial(results, metrics[key], arms, baseline, look) for key in keys if key in metrics
        ]
        if dials:
            families.append(Family(title, tuple(dials)))
    others = [arm for arm in arms if arm is not baseline]
    maps = [
        found
        for key in MAPPED
        if key in metrics
        and results.primary in metrics
        and (found := _map(results, metrics, key, others, baseline, look))
    ]
    return Panel(_finding(results, metrics, others, baseline, look), tuple(families), tuple(maps))


def _dial(
    results: Results, metric: MetricResult, arms: list[Arm], baseline: Arm, look: Look
) -> Dial:
    definition, currency = definition_of(metric.key), results.currency
    cells = [cell_of(metric, arm.variant_id) for arm in arms]
    known = [(cell.value, cell.low, cell.high) for cell in cells if cell.value is not None]
    drawn = iter(strips([(float(value), low, high) for value, low, high in known]))
    readings = []
    for arm, cell in zip(arms, cells, strict=True):
        found = None
        if arm is not baseline:
            found = comparison_of(
                metric,
                variant_id=arm.variant_id,
                baseline_id=baseline.variant_id,
                scale="relative",
                cuped=look.cuped,
            )
        interval = ""
        if cell.low is not None and cell.high is not None:
            ends = (value_words(end, definition.unit, currency) for end in (cell.low, cell.high))
            interval = " to ".join(ends)
        readings.append(
            Reading(
                arm=arm,
                value=value_words(cell.value, definition.unit, currency),
                raw=raw_words(cell, definition, currency),
                interval=interval,
                missing=(cell.missing or "not enough data") if cell.value is None else "",
                strip=next(drawn) if cell.value is not None else None,
                change=lift_words(found.estimate) if found and found.estimate is not None else "",
                sign=None
                if arm is baseline
                else sign_of(found.low, found.high, definition.direction)
                if found
                else NOT_ENOUGH,
            )
        )
    better = {"higher": "higher is better", "lower": "lower is better"}
    return Dial(
        definition,
        tuple(readings),
        metric.key == results.primary,
        better.get(definition.direction, "neither is better"),
    )


def _lift(
    results: Results, metric: MetricResult, arm: Arm, baseline: Arm, look: Look
) -> tuple[float, float, float] | None:
    found = comparison_of(
        metric,
        variant_id=arm.variant_id,
        baseline_id=baseline.variant_id,
        scale="relative",
        cuped=look.cuped,
    )
    if found is None or found.estimate is None or found.low is None or found.high is None:
        return None
    return found.estimate, found.low, found.high


def _map(
    results: Results,
    metrics: dict[str, MetricResult],
    key: str,
    arms: list[Arm],
    baseline: Arm,
    look: Look,
) -> TradeOff | None:
    """None without a variant that has both."""
    pairs = []
    for arm in arms:
        across = _lift(results, metrics[results.primary], arm, baseline, look)
        up = _lift(results, metrics[key], arm, baseline, look)
        if across is not None and up is not None:
            pairs.append((arm, across, up))
    if not pairs:
        return None
    x_extent = extent_of([end for _, x, _ in pairs for end in x], least=0.02, most=1.0)
    y_extent = extent_of([end for _, _, y in pairs for end in y], least=0.02, most=1.0)
    primary, other = definition_of(results.primary), definition_of(key)
    points = tuple(
        MapPoint(
            arm,
            cross(x, y, extent_across=x_extent, extent_up=y_extent),
            f"{arm.name}: {primary.name.lower()} {lift_words(x[0])}, {other.name.lower()}"
            f" {lift_words(y[0])}",
        )
        for arm, x, y in pairs
    )
    return TradeOff(
        primary.name,
        other.name,
        f"{x_extent * 100:g} %",
        f"{y_extent * 100:g} %",
        points,
        "; ".join(point.words for point in points),
    )


def _finding(
    results: Results,
    metrics: dict[str, MetricResult],
    arms: list[Arm],
    baseline: Arm,
    look: Look,
) -> str:
    """One sentence per arm: what it sold, and what is different for sure about what it shows."""
    sentences = []
    for arm in arms:
        said = []
        primary = metrics.get(results.primary)
        lift = _lift(results, primary, arm, baseline, look) if primary else None
        name = definition_of(results.primary).name.lower()
        if lift is not None:
            sign = sign_of(lift[1], lift[2], definition_of(results.primary).direction)
            word = {"good": "raises", "bad": "lowers"}.get(sign.tone)
            said.append(
                f"{word} {name} ({lift_words(lift[0])})"
                if word
                else f"leaves {name} about the same"
            )
        for key, (more, less) in _SAID.items():
            moved = _lift(results, metrics[key], arm, baseline, look) if key in metrics else None
            if moved is not None and not moved[1] <= 0 <= moved[2]:
                said.append(more if moved[1] > 0 else less)
        if said:
            sentences.append(f"{arm.name} {_joined(said)}.")
    return unbroken(" ".join(sentences))


def _joined(parts: list[str]) -> str:
    """
    >>> _joined(["a"]), _joined(["a", "b"]), _joined(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
