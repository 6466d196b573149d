"""A comparison as a member reads it: out of the document that the worker keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from recommender.models import LabRun
from recommender.services.lab import CHOSEN, parameter_words
from recommender.services.lab_shelf import PROTOCOL_OF, Protocol
from recommender.serving.strategy import SOURCE_NAMES
from recommender.serving.strategy_changes import source_label

STATE_BADGES: dict[str, tuple[str, str]] = {
    LabRun.State.QUEUED: ("active", "clock"),
    LabRun.State.RUNNING: ("active", "retrain"),
    LabRun.State.DONE: ("good", "good"),
    LabRun.State.FAILED: ("bad", "bad"),
    LabRun.State.CANCELLED: ("neutral", "close"),
}
UNKNOWN = "–"


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure of the table.

    Attributes
    ----------
    places
        Behind the point.
    better
        "more", "less", or "" where neither is.
    """

    key: str
    label: str
    meaning: str
    better: str = "more"
    places: int = 3


METRICS: tuple[Metric, ...] = (
    Metric("recall@20", "Recall", "Share of what was right that is among the 20."),
    Metric("hr@20", "Hit rate", "Share of the questions with a right answer among the 20."),
    Metric("mrr@20", "MRR", "How far up the first right answer is: 1 / its place, 0 without one."),
    Metric("ndcg@20", "NDCG", "Right answers, those further up counting more; 1 is perfect."),
    Metric("precision@20", "Precision", "Share of the 20 that is right."),
    Metric("f1@20", "F1", "Between precision and recall."),
    Metric("map@20", "MAP", "Precision at each right answer, averaged."),
    Metric("auc", "AUC", "How often a right product stands before one by chance; 0.5 is guessing."),
    Metric("coverage@20", "Coverage", "Share of the products that are in anybody's 20."),
    Metric(
        "diversity@20",
        "Diversity",
        "How different the products of one list are: 0 all alike, 1 nothing in common.",
    ),
    Metric(
        "novelty@20", "Novelty", "Surprise in bits: how seldom the products are bought.", places=1
    ),
    Metric(
        "gini@20",
        "Gini",
        "0: every product is shown as often; near 1: a few products take every place.",
        "less",
    ),
    Metric(
        "popularity@20",
        "Popularity",
        "Mean place of the answers among all products by sales; 0.5 is blind to sales.",
        "",
    ),
)
_METRIC_OF = {metric.key: metric for metric in METRICS}
# In the table at first sight, beside the figure that decides; the others stand in the full table.
_SHOWN = ("ndcg@20", "coverage@20", "diversity@20", "novelty@20", "gini@20")
COST_MEANINGS = (
    ("Fit", "Seconds to learn from the history before the cut, with the chosen parameters."),
    ("Memory", "Megabytes that learning took at most, beyond what was there before."),
    ("Answer", "Microseconds that half of the answers take at most, in one process."),
)


@dataclass(frozen=True, slots=True)
class Cell:
    """A value and half the width of its 95 % interval."""

    label: str
    value: str
    half: str = ""


@dataclass(frozen=True, slots=True)
class TableRow:
    """A measured method.

    Attributes
    ----------
    standing
        "best", "tie" (its interval reaches into that of the best), or "".
    share
        Of the best figure, in per cent, for a bar.
    cells
        In the order of `Table.head`.
    again
        The deciding figure without repeats; None where the question has no such table.
    parameters
        As they were chosen.
    how
        By what "use this" serves it.
    """

    key: str
    title: str
    standing: str
    figure: Cell
    share: float
    cells: list[Cell]
    again: Cell | None
    all_cells: list[Cell]
    fit: str
    memory: str
    answer: str
    n_queries: int
    parameters: str
    tried: int
    how: str


@dataclass(frozen=True, slots=True)
class Table:
    """What was measured, best first, and what wasn't."""

    figure: Metric
    head: list[Metric]
    all_head: list[Metric]
    rows: list[TableRow]
    missing: list[tuple[str, str]]
    has_again: bool

    @property
    def best(self) -> TableRow | None:
        return self.rows[0] if self.rows else None


@dataclass(frozen=True, slots=True)
class GroupRow:
    """Accuracy of a group of shoppers or products; `value` is "–" where there is nobody."""

    label: str
    n: int | None
    value: str
    half: str
    percent: float


@dataclass(frozen=True, slots=True)
class Fairness:
    of: str
    by_relevance: str
    by_catalog: str
    groups: list[tuple[str, int, str, str, str]]


@dataclass(frozen=True, slots=True)
class Report:
    """Who is served well by one method."""

    key: str
    title: str
    n_queries: int
    figure: str
    shoppers: list[GroupRow]
    same_shoppers: list[GroupRow]
    products: list[GroupRow]
    fairness: list[Fairness]


@dataclass(frozen=True, slots=True)
class History:
    """What the comparison was made of."""

    first_at: datetime
    cut_at: datetime
    last_at: datetime
    n_events: int
    n_items: int
    n_queries: int
    untuned: str
    diversity_of: str


def table_of(run: LabRun) -> Table | None:
    """None while nothing is known."""
    board = run.document.get("board")
    if board is None:
        return None
    protocol = PROTOCOL_OF[run.settings["protocol"]]
    rows: list[Mapping[str, Any]] = board["rows"]
    measured = [row for row in rows if row["missing"] is None and protocol.figure in row["metrics"]]
    first = measured[0]["metrics"][protocol.figure] if measured else None
    there = {name for row in measured for name in row["metrics"]}
    return Table(
        figure=_METRIC_OF[protocol.figure],
        head=[_METRIC_OF[name] for name in _SHOWN if name in there],
        all_head=[metric for metric in METRICS if metric.key in there],
        rows=[_row(row, number, protocol, first, there) for number, row in enumerate(measured)],
        missing=[
            (row["title"], row["missing"] or "it was asked too little")
            for row in rows
            if row not in measured
        ],
        has_again=any(row["metrics_without_repeats"] for row in measured),
    )


def _row(
    row: Mapping[str, Any],
    number: int,
    protocol: Protocol,
    first: Mapping[str, float] | None,
    there: set[str],
) -> TableRow:
    own = row["metrics"][protocol.figure]
    best = first or own
    again = row["metrics_without_repeats"].get(protocol.figure)
    source = row["source"] if row["source"] in SOURCE_NAMES else CHOSEN
    return TableRow(
        key=row["key"],
        title=row["title"],
        standing="best" if not number else "tie" if own["high"] >= best["low"] else "",
        figure=_cell(_METRIC_OF[protocol.figure], own),
        share=100 * own["value"] / best["value"] if best["value"] else 0.0,
        cells=[
            _cell(_METRIC_OF[name], row["metrics"].get(name)) for name in _SHOWN if name in there
        ],
        again=None if again is None else _cell(_METRIC_OF[protocol.figure], again),
        all_cells=[
            _cell(metric, row["metrics"].get(metric.key))
            for metric in METRICS
            if metric.key in there
        ],
        fit=_seconds(row["fit_s"]),
        memory=UNKNOWN if row["peak_mb"] is None else f"{row['peak_mb']:,.0f} MB",
        answer=f"{row['query_us']['p50']:,.0f} µs" if row["query_us"] else UNKNOWN,
        n_queries=row["n_queries"],
        parameters=parameter_words(row["parameters"]),
        tried=row["tried"],
        how=source_label(source),
    )


def _seconds(seconds: float | None) -> str:
    """
    >>> _seconds(1.25), _seconds(0.0123), _seconds(None)
    ('1.2 s', '12 ms', '–')
    """
    if seconds is None:
        return UNKNOWN
    return f"{seconds:,.1f} s" if seconds >= 1 else f"{1000 * seconds:.0f} ms"


def _cell(metric: Metric, estimate: Mapping[str, float] | None) -> Cell:
    if estimate is None:
        return Cell(metric.label, UNKNOWN)
    half = (estimate["high"] - estimate["low"]) / 2
    return Cell(
        metric.label, f"{estimate['value']:.{metric.places}f}", f"± {half:.{metric.places}f}"
    )


def reports_of(run: LabRun) -> list[Report]:
    protocol = PROTOCOL_OF[run.settings["protocol"]]
    return [
        Report(
            key=report["key"],
            title=report["title"],
            n_queries=report["n_queries"],
            figure=_METRIC_OF[protocol.figure].label,
            shoppers=[_group(group, protocol.figure) for group in report["shoppers"]],
            same_shoppers=[
                _group(
                    {**part, "label": f"at most {part['at_most']}"},
                    protocol.figure,
                )
                for part in report["same_shoppers"]
            ],
            products=[_group(group, "recall@20") for group in report["products"]],
            fairness=[_fairness(found) for found in report["fairness"]],
        )
        for report in run.document.get("reports", ())
    ]


def _group(group: Mapping[str, Any], figure: str) -> GroupRow:
    estimate = group["metrics"].get(figure)
    if estimate is None:
        return GroupRow(group["label"], group["n"], UNKNOWN, "", 0.0)
    half = (estimate["high"] - estimate["low"]) / 2
    return GroupRow(
        group["label"],
        group["n"],
        f"{100 * estimate['value']:.1f} %",
        f"± {100 * half:.1f}",
        100 * estimate["value"],
    )


def _fairness(found: Mapping[str, Any]) -> Fairness:
    return Fairness(
        of=found["of"],
        by_relevance=f"{found['by_relevance']['value']:.2f}",
        by_catalog=f"{found['by_catalog']['value']:.2f}",
        groups=[
            (
                group["name"],
                group["n_items"],
                *(f"{100 * group[name]:.1f} %" for name in ("catalog", "relevance", "exposure")),
            )
            for group in found["groups"]
        ],
    )


def history_words(run: LabRun) -> History | None:
    found = run.document.get("history")
    board = run.document.get("board")
    if found is None or board is None:
        return None
    return History(
        first_at=datetime.fromisoformat(found["first_at"]),
        cut_at=datetime.fromisoformat(found["cut_at"]),
        last_at=datetime.fromisoformat(found["last_at"]),
        n_events=found["n_events"],
        n_items=board["n_items"],
        n_queries=board["n_queries"],
        untuned=found["untuned"],
        diversity_of={
            "vectors": "your own vectors of the products",
            "texts": "what is written about the products",
        }.get(board["diversity_of"], "who bought both"),
    )


def finding_of(table: Table) -> str:
    """The best in a sentence; empty while nothing was measured."""
    if table.best is None:
        return ""
    ties = [row.title for row in table.rows if row.standing == "tie"]
    best = f"{table.best.title} finds the most"
    if not ties:
        return f"{best}." if len(table.rows) > 1 else f"Only {table.best.title} was measured."
    if len(ties) > 2:
        return f"{best}; {len(ties)} others are about as good."
    return f"{best}; {' and '.join(ties)} {'is' if len(ties) == 1 else 'are'} about as good."
