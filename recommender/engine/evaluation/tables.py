"""Leaderboards as text for people: a terminal, and a document."""

from __future__ import annotations

import re
from collections.abc import Sequence

from recommender.engine.evaluation.results import Estimate, Leaderboard, Row
from recommender.engine.methods.base import Method

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
_RESULT = re.compile(r"<!-- result:(?P<key>\w+) -->.*?<!-- /result -->", re.DOTALL)
_BEYOND = ("coverage@20", "diversity@20", "novelty@20", "gini@20", "popularity@20")
_SHORT = {
    "coverage@20": "coverage",
    "diversity@20": "diversity",
    "novelty@20": "novelty, bits",
    "gini@20": "Gini",
    "popularity@20": "popularity",
}


def text_table(board: Leaderboard) -> str:
    """A leaderboard for a terminal."""
    names = columns(board)
    head = ["method", *names, "fit s", "MB", "µs", "queries"]
    lines = [
        [
            row.key,
            *(_with_interval(row.metrics.get(name)) for name in names),
            _number(row.fit_s, 2),
            _number(row.peak_mb, 0),
            _number(row.query_us.get("p50"), 0),
            f"{row.n_queries:,}",
        ]
        for row in board.rows
        if row.missing is None
    ]
    widths = [max(len(line[i]) for line in [head, *lines]) for i in range(len(head))]
    out = [title_of(board), ""]
    for line in [head, *lines]:
        cells = [line[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        out.append("  ".join(cells).rstrip())
    if missing := [f"{row.key}: {row.missing}" for row in board.rows if row.missing is not None]:
        out += ["", "Not measured:", *missing]
    return "\n".join(out)


def title_of(board: Leaderboard) -> str:
    """What was measured, in a line."""
    return (
        f"{board.data}, {board.protocol}: {board.n_queries:,} queries, {board.n_items:,} items, "
        f"best first by {' + '.join(board.objective)}"
    )


def columns(board: Leaderboard) -> list[str]:
    """The metrics that a table of this protocol shows: what it is judged by, and a few others."""
    names = [*board.objective, "ndcg@20", "auc", *_BEYOND]
    return [name for name in dict.fromkeys(names) if any(name in row.metrics for row in board.rows)]


def markdown_results(boards: Sequence[Leaderboard], methods: Sequence[Method]) -> str:
    """The table of all methods on all data sets, then one table per data set."""
    parts = [overview(boards, methods)]
    for board in boards:
        parts += [f"### {board.data}, {board.protocol}", "", board_table(board)]
    return "\n".join(parts)


def overview(boards: Sequence[Leaderboard], methods: Sequence[Method]) -> str:
    """Methods × data sets by the first objective of each, with half the width of the interval."""
    head = ["method", *(f"{board.data}, {board.objective[0]}" for board in boards)]
    out = [_line(head), _line(["---", *["---:"] * len(boards)])]
    best = {id(board): _best(board) for board in boards}
    by_key = [{row.key: row for row in board.rows} for board in boards]
    for method in methods:
        cells = [f"[{method.title}](#{method.key})"]
        for board, rows in zip(boards, by_key, strict=True):
            estimate = _objective(rows.get(method.key), board)
            text = _with_interval(estimate)
            is_best = estimate is not None and rows[method.key].key == best[id(board)]
            cells.append(f"**{text}**" if is_best else text)
        out.append(_line(cells))
    return "\n".join([*out, ""])


def board_table(board: Leaderboard) -> str:
    """One data set in full."""
    names = columns(board)
    shown = [_SHORT.get(name, name) for name in names]
    again = "without repeats" if any(row.metrics_without_repeats for row in board.rows) else None
    head = ["method", *shown[: len(board.objective)], *([again] if again else [])]
    head += [*shown[len(board.objective) :], "fit, s", "peak, MB", "query, µs", "queries"]
    out = [
        (
            f"{board.n_queries:,} queries, {board.n_items:,} items; diversity by {board.diversity_of}, "
            f"coverage and Gini over {board.n_set_queries:,} queries."
        ),
        "",
        _line(head),
        _line(["---", *["---:"] * (len(head) - 1)]),
    ]
    for row in board.rows:
        if row.missing is not None:
            continue
        cells = [f"`{row.key}`"]
        cells += [_with_interval(row.metrics.get(name)) for name in board.objective]
        if again:
            second = row.metrics_without_repeats.get(board.objective[0])
            cells.append(_with_interval(second))
        for name in names[len(board.objective) :]:
            estimate = row.metrics.get(name)
            cells.append(_number(None if estimate is None else estimate.value, _digits(name)))
        cells += [
            _number(row.fit_s, 2),
            _number(row.peak_mb, 0),
            _number(row.query_us.get("p50"), 0),
            f"{row.n_queries:,}",
        ]
        out.append(_line(cells))
    if missing := [f"`{row.key}` ({row.missing})" for row in board.rows if row.missing]:
        out += ["", f"Not measured: {', '.join(missing)}."]
    return "\n".join([*out, ""])


def result_line(key: str, boards: Sequence[Leaderboard]) -> str:
    """What one method reached everywhere, in a sentence."""
    parts: list[str] = []
    for board in boards:
        rows = [row for row in board.rows if row.missing is None]
        for place, row in enumerate(rows, start=1):
            estimate = _objective(row, board)
            if row.key == key and estimate is not None:
                parts.append(
                    f"{board.data} {board.objective[0]} {_with_interval(estimate)} "
                    f"(place {place} of {len(rows)})"
                )
    return "; ".join(parts) or "none of these data sets has what it needs"


def written_into(text: str, boards: Sequence[Leaderboard], methods: Sequence[Method]) -> str:
    """A document with its generated parts made anew; the rest stays as it is.

    Between ``<!-- results:begin -->`` and ``<!-- results:end -->`` stand the tables, between
    ``<!-- result:KEY -->`` and ``<!-- /result -->`` the sentence of a method. A document without
    the first pair gets it at its end.
    """
    block = f"{BEGIN}\n\n{markdown_results(boards, methods)}\n{END}"
    if BEGIN in text and END in text:
        before, _, rest = text.partition(BEGIN)
        _, _, after = rest.partition(END)
        text = f"{before}{block}{after}"
    else:
        text = f"{text.rstrip()}\n\n{block}\n"
    return _RESULT.sub(
        lambda found: (
            f"<!-- result:{found['key']} -->{result_line(found['key'], boards)}<!-- /result -->"
        ),
        text,
    )


def _best(board: Leaderboard) -> str | None:
    return next((row.key for row in board.rows if row.missing is None), None)


def _objective(row: Row | None, board: Leaderboard) -> Estimate | None:
    return None if row is None else row.metrics.get(board.objective[0])


def _digits(name: str) -> int:
    return 1 if name.startswith("novelty") else 3


def _with_interval(estimate: Estimate | None) -> str:
    """``.417 ± .019``: half the width of the interval, which is nearly symmetric.

    Examples
    --------
    >>> _with_interval(Estimate(0.4172, 0.398, 0.436)), _with_interval(None)
    ('.417 ± .019', '–')
    """
    if estimate is None:
        return "–"
    return f"{_number(estimate.value, 3)} ± {_number((estimate.high - estimate.low) / 2, 3)}"


def _number(value: float | None, digits: int) -> str:
    """Without the zero before the point, as tables of shares have it."""
    if value is None:
        return "–"
    text = f"{value:,.{digits}f}"
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
