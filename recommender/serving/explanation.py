"""What a trace says of products that are shown, and of those that are not."""

from __future__ import annotations

from recommender.serving.context import Context
from recommender.serving.strategy import StrategyDocument
from recommender.serving.trace import Trace


class Chosen:
    """One product of the answer and where it came from."""

    __slots__ = ("because", "parts", "row", "score", "source")

    def __init__(
        self,
        row: int,
        score: float,
        source: str,
        because: int,
        parts: dict[str, tuple[int, float]] | None,
    ) -> None:
        self.row = row
        self.score = score
        self.source = source
        self.because = because
        self.parts = parts


def explain_answer(trace: Trace, context: Context, chosen: list[Chosen]) -> None:
    """Write down where each shown product came from, and what became of those asked about."""
    ids = context.snapshot.external_ids
    for position, entry in enumerate(chosen, start=1):
        trace.products[ids[entry.row]] = {
            "position": position,
            "source": entry.source,
            "score": round(entry.score, 6),
            "because": ids[entry.because] if entry.because >= 0 else None,
            "parts": {
                name: {"rank": rank, "score": round(score, 6)}
                for name, (rank, score) in (entry.parts or {}).items()
            },
        }
    for asked in context.request.why_not:
        if asked not in trace.products:
            trace.drop(asked, "candidates", "no source of this strategy proposed it")


def explain_ineligible(
    trace: Trace, context: Context, strategy: StrategyDocument, excluded: dict[str, list[int]]
) -> None:
    """Write down why products that were asked about may not be shown."""
    snapshot, scope = context.snapshot, context.scope
    for asked in context.request.why_not:
        row = snapshot.row_of_external.get(asked)
        if row is None:
            trace.drop(asked, "catalog", "the catalog has no such product")
        elif not snapshot.eligible[row]:
            trace.drop(asked, "eligibility", "not available, hidden, or without a price")
        elif scope is not None and not scope[snapshot.category_codes[row]]:
            wanted = "not of" if strategy.category == "same" else "of"
            trace.drop(asked, "eligibility", f"{wanted} the category in view")
        else:
            for why, rows in excluded.items():
                if row in rows:
                    trace.drop(asked, "eligibility", why)
