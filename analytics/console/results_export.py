"""The results as a table for spreadsheets: what the page shows, and what it rounds."""

from __future__ import annotations

from collections.abc import Iterator

from analytics.console.results_scorecard import cell_of
from analytics.console.results_words import definition_of
from analytics.results.document import Results

COLUMNS = (
    "experiment", "first day", "last day", "computed at", "metric", "name", "role", "variant",
    "numerator", "denominator", "value", "value low", "value high", "uncapped", "unit",
    "baseline", "scale", "cuped", "estimate", "low", "high", "sequence low", "sequence high",
    "p", "p adjusted", "sequence p", "chance to win", "loss if shipped", "loss if kept", "per day",
    "missing",
)  # fmt: skip
_UNITS = {"percent": "share", "milliseconds": "milliseconds", "number": "number"}


def results_rows(results: Results) -> Iterator[tuple[object, ...]]:
    """One line per metric, variant and comparison; a metric that has none has one line per variant.

    Money is in minor units, changes are shares: 0.05 is +5 %.
    """
    yield COLUMNS
    arms = {arm.variant_id: arm for arm in results.arms}
    head = (
        results.key,
        results.first_day,
        results.last_day,
        results.computed_at.isoformat(),
    )
    for metric in results.metrics:
        definition = definition_of(metric.key)
        unit = _UNITS.get(definition.unit, f"{results.currency} minor units")
        for arm in results.arms:
            cell = cell_of(metric, arm.variant_id)
            left = (
                *head, metric.key, definition.name, metric.role, arm.name, cell.numerator,
                cell.denominator, cell.value, cell.low, cell.high, cell.uncapped, unit,
            )  # fmt: skip
            compared = [c for c in metric.comparisons if c.variant_id == arm.variant_id]
            if not compared:
                yield (*left, *[None] * 15, cell.missing)
            for each in compared:
                baseline = arms.get(each.baseline_id)
                yield (
                    *left, baseline.name if baseline else None, each.scale,
                    "yes" if each.cuped else "no", each.estimate, each.low, each.high,
                    each.sequence_low, each.sequence_high, each.p_value, each.p_adjusted,
                    each.sequence_p, each.chance_to_win, each.loss_if_shipped, each.loss_if_kept,
                    each.per_day, each.missing or cell.missing,
                )  # fmt: skip
