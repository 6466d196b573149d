"""The fallback chain: what fills an answer that the strategy left too short."""

from __future__ import annotations

from dataclasses import replace

from recommender.serving.context import Context
from recommender.serving.explanation import Chosen
from recommender.serving.sources import SOURCES
from recommender.serving.strategy import StrategyDocument
from recommender.serving.trace import Trace


def answer_filled(
    context: Context,
    strategy: StrategyDocument,
    chosen: list[Chosen],
    n_wanted: int,
    trace: Trace | None,
) -> tuple[list[Chosen], str | None]:
    """Step 9: fallback sources in their order until the answer is full."""
    chosen = list(chosen)
    first: str | None = None
    taken = {entry.row for entry in chosen}
    for name in strategy.fallback:
        if len(chosen) >= n_wanted:
            break
        # Within the category in view, and then anywhere: an answer beats a category.
        added = _fill_from(context, name, chosen, taken, n_wanted)
        if len(chosen) < n_wanted and context.category is not None:
            anywhere = replace(context, category=None)
            added += _fill_from(anywhere, name, chosen, taken, n_wanted)
        if added and first is None:
            first = name
        if trace is not None:
            trace.step("fallback", source=name, added=added)
    return chosen, first


def _fill_from(
    context: Context, name: str, chosen: list[Chosen], taken: set[int], n_wanted: int
) -> int:
    candidates = SOURCES[name].find(context).candidates
    if not len(candidates):
        return 0
    added = 0
    for position in context.allowed(candidates.rows).nonzero()[0].tolist():
        if len(chosen) >= n_wanted:
            break
        row = int(candidates.rows[position])
        if row not in taken:
            taken.add(row)
            score, because = float(candidates.scores[position]), int(candidates.because[position])
            chosen.append(Chosen(row, score, name, because, None))
            added += 1
    return added
