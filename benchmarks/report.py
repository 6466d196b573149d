"""What a benchmark found: figures for machines, tables for people, and where they are kept.

Pure except for the last section, which reads the machine and writes files.
"""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

NAMES = (
    "serving",
    "ingest",
    "freshness",
    "training",
    "console",
    "steering",
    "experiments",
    "insights",
    "blend",
    "lab",
    "soak",
)
RESULTS = Path(__file__).with_name("results")
DOCUMENT = Path(__file__).parents[1] / "docs" / "performance.md"


class BenchmarkError(Exception):
    """What is missing for the measurement, in a sentence."""


@dataclass(frozen=True, slots=True)
class Promise:
    """A number of `docs/performance.md` and the side of it that keeps the promise."""

    at_most: float | None = None
    at_least: float | None = None

    def kept_by(self, value: float) -> bool:
        """Whether a value keeps it; an unknown value (NaN) never does."""
        return (self.at_most is None or value <= self.at_most) and (
            self.at_least is None or value >= self.at_least
        )

    def __str__(self) -> str:
        parts = []
        if self.at_least is not None:
            parts.append(f"≥ {number(self.at_least)}")
        if self.at_most is not None:
            parts.append(f"≤ {number(self.at_most)}")
        return " and ".join(parts)


@dataclass(frozen=True, slots=True)
class Figure:
    """One number with its unit, what was promised, and the floor of the same run.

    `of_floor` is value ÷ floor.
    """

    name: str
    value: float
    unit: str
    promise: str = ""
    kept: bool | None = None
    floor: float | None = None
    of_floor: float | None = None


def figure(
    name: str,
    value: float,
    unit: str,
    *,
    promise: Promise | None = None,
    floor: float | None = None,
) -> Figure:
    """A figure, judged.

    >>> figure("p99", 5.0, "ms", promise=Promise(at_most=7.0)).kept
    True
    """
    return Figure(
        name=name,
        value=value,
        unit=unit,
        promise="" if promise is None else f"{promise} {unit}".strip(),
        kept=None if promise is None else promise.kept_by(value),
        floor=floor,
        of_floor=value / floor if floor and math.isfinite(value) else None,
    )


@dataclass(frozen=True, slots=True)
class Table:
    """Details behind the figures. Cells are texts, numbers, or None for nothing."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str | float | int | None]]


@dataclass(frozen=True, slots=True)
class Report:
    """One benchmark's findings."""

    benchmark: str
    figures: Sequence[Figure]
    tables: Sequence[Table] = ()
    notes: Sequence[str] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    machine: Mapping[str, Any] = field(default_factory=dict)
    took_s: float = 0.0

    @property
    def kept(self) -> bool:
        """Whether every promise that was measured is kept."""
        return all(each.kept is not False for each in self.figures)


# ------------------------------------------------------------------------------------------- numbers


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of all values don't exceed (nearest rank); NaN for none.

    >>> percentile([1.0, 2.0, 3.0, 4.0], 0.5), percentile([1.0, 2.0, 3.0, 4.0], 0.99)
    (2.0, 4.0)
    """
    if not values:
        return math.nan
    ranked = sorted(values)
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)]


def number(value: float | int | str | None) -> str:
    """A number with as many digits as one can use.

    >>> number(12345.6), number(12.345), number(0.1234), number(3), number(None)
    ('12,346', '12.3', '0.12', '3', '')
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if math.isnan(value):
        return "unknown"
    if value == int(value):
        return f"{int(value):,}"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def growth_exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """The slope of log cost over log size by least squares: 1 is linear. NaN below two sizes.

    >>> round(growth_exponent([1, 3, 10], [2, 6, 20]), 3)
    1.0
    """
    points = [
        (math.log(size), math.log(cost))
        for size, cost in zip(sizes, costs, strict=True)
        if size > 0 and cost > 0
    ]
    if len({x for x, _ in points}) < 2:
        return math.nan
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    rise = sum((x - mean_x) * (y - mean_y) for x, y in points)
    return rise / sum((x - mean_x) ** 2 for x, _ in points)


# ------------------------------------------------------------------------------------------ documents


def markdown(report: Report) -> str:
    """The report as Markdown: figures first, then the tables, then the notes."""
    parts = [_markdown_figures(report.figures)]
    for table in report.tables:
        parts += [f"**{table.title}**", markdown_table(table.header, table.rows)]
    parts.append("\n".join(f"* {note}" for note in report.notes))
    return "\n\n".join(part for part in parts if part)


def _markdown_figures(figures: Sequence[Figure]) -> str:
    words = {True: "yes", False: "**no**", None: ""}
    return markdown_table(
        ("figure", "value", "promise", "kept", "floor", "of the floor"),
        [
            (
                each.name,
                f"{number(each.value)} {each.unit}".strip(),
                each.promise,
                words[each.kept],
                "" if each.floor is None else f"{number(each.floor)} {each.unit}".strip(),
                "" if each.of_floor is None else f"{each.of_floor:.0%}",
            )
            for each in figures
        ],
    )


def markdown_table(
    header: Sequence[str], rows: Sequence[Sequence[str | float | int | None]]
) -> str:
    """A Markdown table; all columns but the first are right-aligned."""
    lines = [
        "| " + " | ".join(header) + " |",
        "|---|" + "---:|" * (len(header) - 1),
    ]
    lines += ["| " + " | ".join(number(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def as_object(report: Report) -> dict[str, Any]:
    """The report as one JSON object; unknown numbers are null."""
    found = asdict(report)
    found["kept"] = report.kept
    found["at"] = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return dict(_without_nan(found))


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nan(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def from_object(found: Mapping[str, Any]) -> Report:
    """The report behind `as_object`."""
    return Report(
        benchmark=found["benchmark"],
        figures=[
            Figure(**{**each, "value": math.nan if each["value"] is None else each["value"]})
            for each in found["figures"]
        ],
        tables=[Table(**each) for each in found["tables"]],
        notes=found["notes"],
        options=found["options"],
        machine=found["machine"],
        took_s=found["took_s"],
    )


def section(found: Mapping[str, Any]) -> str:
    """A kept result as a section of the document."""
    on = found["machine"]
    command = " ".join(
        (f"python -m benchmarks.{found['benchmark']}", *_as_options(found["options"]))
    )
    return "\n\n".join(
        (
            (
                f"`{command}`, {found['at'][:10]}, {found['took_s']:.0f} s on {on['cores']} cores"
                f" ({on['cpu']}), {on['memory_gb']:.0f} GB, Python {on['python']}, {on['system']};"
                f" load before: {on['load_before']}."
            ),
            markdown(from_object(found)),
        )
    )


def _as_options(options: Mapping[str, Any]) -> list[str]:
    return [f"--{name.replace('_', '-')} {value}" for name, value in options.items()]


def between_markers(document: str, name: str, text: str) -> str:
    """The document with `text` between the two markers of a benchmark.

    Raises
    ------
    BenchmarkError
        The document lacks them.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, found_begin, rest = document.partition(begin)
    _, found_end, after = rest.partition(end)
    if not (found_begin and found_end):
        raise BenchmarkError(f"The document has no {begin} … {end}.")
    return f"{before}{begin}\n\n{text}\n\n{end}{after}"


# -------------------------------------------------------------------------------------------- keeping


def machine() -> dict[str, Any]:
    """What it is measured on; asked before, so that the load is that of others."""
    return {
        "cores": os.cpu_count() or 1,
        "cpu": _first("/proc/cpuinfo", "model name") or platform.processor() or platform.machine(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "load_before": round(os.getloadavg()[0], 2),
    }


def _first(path: str, label: str) -> str:
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(label)), "")


def write(found: Mapping[str, Any]) -> None:
    """Keep a result as JSON and put it into the document, in place of the one before."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{found['benchmark']}.json"
    path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    document = between_markers(DOCUMENT.read_text(), found["benchmark"], section(found))
    DOCUMENT.write_text(document)
