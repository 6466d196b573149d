"""The reports of ``manage.py evaluate`` in words; from the same documents that ``--json`` prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def cold_start_text(found: Mapping[str, Any]) -> str:
    """Accuracy by how much is known."""
    lines = ["shoppers by number of events", _group_head("hr@20")]
    lines += [
        _group(group["label"], group["n"], group["metrics"], "hr@20") for group in found["shoppers"]
    ]
    lines += ["", "right answers by interactions of the product", _group_head("recall@20")]
    lines += [
        _group(group["label"], group["n"], group["metrics"], "recall@20")
        for group in found["products"]
    ]
    lines += ["", "the same shoppers, of whom no more events are known than", _group_head("hr@20")]
    lines += [
        _group(str(part["at_most"]), None, part["metrics"], "hr@20")
        for part in found["same_shoppers"]
    ]
    return "\n".join(lines)


def fairness_text(found: Sequence[Mapping[str, Any]]) -> str:
    """Exposure of groups, and the index of each kind."""
    lines: list[str] = []
    for kind in found:
        relevance, catalog = kind["by_relevance"], kind["by_catalog"]
        lines += [
            (
                f"exposure of {kind['of']}: {_interval(relevance)} of 1 by relevance, "
                f"{_interval(catalog)} by catalog (1: every group is seen as much as it should be)"
            ),
            f"{'group':<34}{'items':>8}{'catalog':>10}{'relevant':>10}{'seen':>10}",
        ]
        lines += [
            f"{group['name'][:33]:<34}{group['n_items']:>8,}{group['catalog']:>10.3f}"
            f"{group['relevance']:>10.3f}{group['exposure']:>10.3f}"
            for group in kind["groups"]
        ]
        lines.append("")
    return "\n".join(lines).rstrip()


def _group_head(metric: str) -> str:
    return f"{'events':<10}{'n':>9}{metric:>26}"


def _group(label: str, n: int | None, metrics: Mapping[str, Any], metric: str) -> str:
    figures = _interval(metrics[metric]) if metric in metrics else "–"
    return f"{label:<10}{'' if n is None else f'{n:,}':>9}{figures:>26}"


def _interval(estimate: Mapping[str, float]) -> str:
    return f"{estimate['value']:.3f} ({estimate['low']:.3f} to {estimate['high']:.3f})"
