"""What a measured method looks like, and the table of all of them: values, and their JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from recommender.engine.methods.base import Family, Value


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over queries with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Row:
    """A method on a task.

    Attributes
    ----------
    metrics
        By name: ``hr@20``, ``recall@20``, ``precision@20``, ``f1@20``, ``ndcg@20``, ``mrr@20``,
        ``map@20``, ``auc``, ``rmse`` (where there are ratings); ``coverage@20``, ``diversity@20``,
        ``novelty@20``, ``gini@20``, ``popularity@20``.
    metrics_without_repeats
        Of the second table, where the protocol has one.
    fit_s, peak_mb, query_us
        Of the fit with the chosen parameters: seconds, what it took at most beyond what was there
        before, and p50 and p99 of a query.
    missing
        Why the method was not measured, as a clause; then everything else is empty.
    n_queries
        How many of the task's queries were asked: a seeded sample where a method is slow.
    tried
        How many settings were compared on the validation cut; 0: the defaults were taken.
    auc_of
        ``"scores"``: exact, of the full ranking; ``"list"``: of the first 1,000 with everything
        else tied behind them.
    """

    key: str
    title: str
    family: Family
    source: str | None = None
    parameters: dict[str, Value] = field(default_factory=dict)
    metrics: dict[str, Estimate] = field(default_factory=dict)
    metrics_without_repeats: dict[str, Estimate] = field(default_factory=dict)
    fit_s: float | None = None
    peak_mb: float | None = None
    query_us: dict[str, float] = field(default_factory=dict)
    missing: str | None = None
    n_queries: int = 0
    tried: int = 0
    auc_of: str | None = None


@dataclass(frozen=True, slots=True)
class Leaderboard:
    """The rows of a protocol on some data, best first by the protocol's objective.

    Attributes
    ----------
    n_set_queries
        Over how many queries, the same for every method, coverage and Gini are measured.
    diversity_of
        What two items are compared by: ``"vectors"``, ``"texts"`` or ``"co-occurrence"``.
    """

    protocol: str
    data: str
    objective: tuple[str, ...]
    n_queries: int
    n_items: int
    seed: int
    took_s: float
    rows: list[Row]
    n_set_queries: int = 0
    diversity_of: str = ""


def worth(row: Row, objective: Sequence[str]) -> float:
    """Sum of the objective's metrics, errors negated; -inf for a row that lacks one.

    Examples
    --------
    >>> row = Row("a", "A", Family.LINEAR, metrics={"rmse": Estimate(0.9, 0.8, 1.0)})
    >>> worth(row, ["rmse"]), worth(row, ["hr@20"])
    (-0.9, -inf)
    """
    if any(name not in row.metrics for name in objective):
        return float("-inf")
    return sum(
        -row.metrics[name].value if name.startswith("rmse") else row.metrics[name].value
        for name in objective
    )


def ordered(rows: Sequence[Row], objective: Sequence[str]) -> list[Row]:
    """Best first; then those without the objective by NDCG; then what is missing, as it came."""

    def place(row: Row) -> tuple[bool, float, float]:
        second = row.metrics.get("ndcg@20")
        return (
            row.missing is not None,
            -worth(row, objective),
            -second.value if second is not None else 0.0,
        )

    return sorted(rows, key=place)


def row_to_document(row: Row) -> dict[str, Any]:
    """A row as JSON holds it."""
    return {**asdict(row), "family": str(row.family)}


def row_from_document(document: Mapping[str, Any]) -> Row:
    """The row that a document was made of."""
    return Row(
        **{
            **document,
            "family": Family(document["family"]),
            "metrics": _estimates(document["metrics"]),
            "metrics_without_repeats": _estimates(document["metrics_without_repeats"]),
        }
    )


def board_to_document(board: Leaderboard) -> dict[str, Any]:
    """A leaderboard as JSON holds it."""
    document = asdict(board)
    return {
        **document,
        "objective": list(board.objective),
        "rows": [row_to_document(row) for row in board.rows],
    }


def board_from_document(document: Mapping[str, Any]) -> Leaderboard:
    """The leaderboard that a document was made of."""
    return Leaderboard(
        **{
            **document,
            "objective": tuple(document["objective"]),
            "rows": [row_from_document(row) for row in document["rows"]],
        }
    )


def _estimates(documents: Mapping[str, Mapping[str, float]]) -> dict[str, Estimate]:
    return {name: Estimate(**values) for name, values in documents.items()}
