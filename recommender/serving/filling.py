"""The fallback chain: what fills an answer that the strategy left too short."""

from __future__ import annotations

from dataclasses import replace

from recommender.engine.types import Candidates
from recommender.serving.context import Context
from recommender.serving.explanation import ChainLink, Chosen, explain_chain
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
    """Step 10: fallback sources in their order until the answer is full."""
    chosen = list(chosen)
    links: list[ChainLink] = []
    first: str | None = None
    taken = {entry.row for entry in chosen}
    # Within the category in view, and then anywhere: an answer beats a category.
    categories = [context.category] if context.category is None else [context.category, None]
    for name in strategy.fallback:
        if len(chosen) >= n_wanted:
            break
        n_before = len(chosen)
        for category in categories:
            if len(chosen) < n_wanted:
                place = context if category == context.category else replace(context, category=None)
                candidates = SOURCES[name].find(place).candidates
                _fill_from(place, name, candidates, chosen, taken, n_wanted)
                links.append(ChainLink(name, category, candidates.rows))
        added = len(chosen) - n_before
        if added and first is None:
            first = name
        if trace is not None:
            trace.step("fallback", source=name, added=added)
    if trace is not None:
        explain_chain(trace, context, strategy.fallback, links, taken)
    return chosen, first


def _fill_from(
    context: Context,
    name: str,
    candidates: Candidates,
    chosen: list[Chosen],
    taken: set[int],
    n_wanted: int,
) -> None:
    if not len(candidates):
        return
    for position in context.allowed(candidates.rows).nonzero()[0].tolist():
        if len(chosen) >= n_wanted:
            break
        row = int(candidates.rows[position])
        if row not in taken:
            taken.add(row)
            score, because = float(candidates.scores[position]), int(candidates.because[position])
            chosen.append(Chosen(row, score, name, because, None))
