"""What a trace says of products that are shown, and of those that are not.

For a product that is not shown, the trace names the first step of the request path that it didn't
get past. A step names only what it did itself: without it, or without the cause it names, the
product would have gone on to the next one. `tests/integration/test_why_not.py` proves that against
the pipeline.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from recommender.engine.online.blending import Blended
from recommender.engine.types import BoolArray, Candidates, Int32Array, Int64Array
from recommender.serving.context import Context
from recommender.serving.sources import CHOSEN, SOURCES
from recommender.serving.strategy import StrategyDocument
from recommender.serving.trace import Step, Trace

_NOT_ON_OFFER = "it is out of stock, hidden, without a price, or deleted"
_ON_PAGE = "shown above on this page"
CATEGORY = "category"
# How the pipeline calls what it takes out, as sentences about one product.
EXCLUSION_WORDS = {
    "in view": "it is the product in view",
    "excluded by the request": "the page asked for it to be left out",
    _ON_PAGE: "a placement above on the same page shows it",
    "hidden by the shopper": "the shopper has hidden it",
    "in the cart": "it is in the cart",
    "viewed": "the shopper has looked at it, and what was viewed is left out",
    "bought": "the shopper has bought it, and what was bought is left out",
}


class Chosen:
    """One product of the answer and where it came from."""

    __slots__ = ("because", "parts", "propensity", "row", "score", "source")

    def __init__(
        self,
        row: int,
        score: float,
        source: str,
        because: int,
        parts: dict[str, tuple[int, float]] | None,
        propensity: float = 1.0,
    ) -> None:
        self.row = row
        self.score = score
        self.source = source
        self.because = because
        self.parts = parts
        self.propensity = propensity


def explain_answer(trace: Trace, context: Context, chosen: Sequence[Chosen]) -> None:
    """Write down where each shown product came from, and what became of those asked about."""
    ids = context.snapshot.external_ids
    for position, entry in enumerate(chosen, start=1):
        shown = ids[entry.row]
        trace.products[shown] = {
            "position": position,
            "source": entry.source,
            "score": round(entry.score, 6),
            "because": (because := ids[entry.because] if entry.because >= 0 else None),
            **_words(context, entry.source, because),
            "parts": {
                name: {
                    "rank": rank,
                    "score": round(score, 6),
                    **(start := trace.starts.get((shown, name), {})),
                    **_words(context, name, start.get("because")),
                }
                for name, (rank, score) in (entry.parts or {}).items()
            },
            "place_by_score": trace.places.get(shown),
            "rules": trace.rules.get(shown, []),
            "preference": trace.preferred.get(shown),
            "propensity": round(entry.propensity, 6),
        }
    for asked in context.request.why_not:
        if asked in trace.products:
            trace.dropped.pop(asked, None)
        elif asked in trace.found:
            trace.drop(asked, Step.BLEND, "a source found it, but none of its score is left")
        else:
            trace.drop(asked, Step.CANDIDATES, "no source of this strategy proposed it")
            _explain_unfilled(trace, asked)


def _words(context: Context, source: str, because: str | None) -> dict[str, str]:
    """Why a source found a product, as a clause; of the Lab's choice in the method's own words."""
    before, otherwise = SOURCES[source].because if source in SOURCES else "", ""
    told: dict[str, str] = {}
    method = context.models.chosen_method
    if source == CHOSEN and method is not None and method.title:
        told["method"], before, otherwise = method.title, method.because, method.otherwise
    row = context.snapshot.row_of_external.get(because) if because is not None else None
    if row is not None and before:
        started = context.snapshot.card(row)["title"]
        return {**told, "words": f"{before[0].lower()}{before[1:]} “{started}”"}
    return {**told, "words": otherwise}


def _explain_unfilled(trace: Trace, asked: str) -> None:
    """Why the fallback chain didn't bring what no source had found, if it wasn't asked at all."""
    told = trace.dropped[asked]
    if told["step"] != Step.CANDIDATES or "chain" in told:
        return
    is_empty = any(step["step"] == "minimum" for step in trace.steps)
    told["chain"] = {"asked": []}
    told["why"] += (
        "; below its minimum this placement shows nothing, so no fallback was asked"
        if is_empty
        else "; no fallback was asked: there were enough products without one"
    )


class ChainLink(NamedTuple):
    """A fallback source that was asked: within which category, and the rows that it named."""

    source: str
    category: str | None
    rows: Int32Array


def explain_chain(
    trace: Trace,
    context: Context,
    chain: Sequence[str],
    links: Sequence[ChainLink],
    taken: Collection[int],
) -> None:
    """Write down how far the fallback chain came, for products that might have been reached by it.

    What it took didn't fall out before. What fell out before the sources were asked is not for the
    chain to show either.
    """
    rows = context.snapshot.row_of_external
    for asked in context.request.why_not:
        row, told = rows.get(asked, -1), trace.dropped.get(asked)
        if row in taken:
            trace.dropped.pop(asked, None)
        elif told is not None and told["step"] in _BEFORE_CHAIN:
            told["why"] += f"; {_chain_words(chain, links, row)}"
            asked_of = list(dict.fromkeys(link.source for link in links))
            told["chain"] = {"asked": asked_of, **_chain_place(links, row)}


# Steps after which the fallback chain may still bring a product.
_BEFORE_CHAIN = (
    Step.CANDIDATES,
    Step.RELEVANCE,
    Step.BLEND,
    Step.CAPS,
    Step.DIVERSITY,
    Step.EXPLORATION,
    Step.PLACES,
)


def _chain_place(links: Sequence[ChainLink], row: int) -> dict[str, Any]:
    """The first list of the chain that has a product, its place there from 1, the list's length."""
    for link in links:
        places = np.flatnonzero(link.rows == row)
        if len(places):
            place, within = int(places[0]) + 1, link.category
            return {"source": link.source, "of": len(link.rows), "place": place, "within": within}
    return {}


def _chain_words(chain: Sequence[str], links: Sequence[ChainLink], row: int) -> str:
    if not chain:
        return "and the strategy has no fallback that could fill up"
    found = _chain_place(links, row)
    if found:
        within = f" within {found['within']}" if found["within"] else ""
        return (
            f"the fallback {_label(found['source'])} has it at place {found['place']} of {found['of']}"
            f"{within}, and every place was filled before it"
        )
    lists = ", ".join(
        f"{_label(link.source)}{f' within {link.category}' if link.category else ''} ({len(link.rows)})"
        for link in links
    )
    left = [name for name in chain if name not in {link.source for link in links}]
    words = f"no fallback has it either: {lists}" if lists else "every place was filled before"
    return f"{words}; {', '.join(map(_label, left))} was not needed" if left and lists else words


def _label(source: str) -> str:
    """A source as the console calls it, within a sentence."""
    label = SOURCES[source].label
    return label[0].lower() + label[1:]


def explain_draft(
    trace: Trace, context: Context, rows: Collection[int], team_of: Mapping[int, int]
) -> None:
    """Write down which of two interleaved strategies picked what, and whose turn didn't come.

    `rows` are those that either strategy alone would show.
    """
    ids = context.snapshot.external_ids
    trace.step("interleaving", teams={ids[row]: team for row, team in team_of.items()})
    for asked in context.snapshot.rows_of_external(context.request.why_not):
        if asked in rows and asked not in team_of:
            trace.dropped.pop(ids[asked], None)
            trace.drop(
                ids[asked],
                Step.PLACES,
                "two strategies take turns in this list, and every place was taken before its turn",
            )


def explain_unanswered(trace: Trace, why_not: Iterable[str], why: str) -> None:
    """The placement answered nobody: that is why nothing of it is shown."""
    for asked in why_not:
        trace.drop(asked, Step.PLACEMENT, why)


def explain_ineligible(
    trace: Trace,
    context: Context,
    strategy: StrategyDocument,
    excluded: dict[str, list[int]],
    mask: BoolArray,
) -> None:
    """Write down why products that were asked about may not be shown: `mask` decides, the lists
    in `excluded` say why."""
    snapshot, scope = context.snapshot, context.scope
    for asked in context.request.why_not:
        row = snapshot.row_of_external.get(asked)
        if row is None:
            trace.drop(asked, Step.CATALOG, "the catalog has no such product")
        elif not snapshot.eligible[row]:
            trace.drop(asked, Step.ELIGIBILITY, _NOT_ON_OFFER)
        else:
            causes = [why for why, rows in excluded.items() if row in rows and not mask[row]]
            words = [EXCLUSION_WORDS.get(why, why) for why in causes]
            if scope is not None and not scope[snapshot.category_codes[row]]:
                causes.append(CATEGORY)
                words.append(_scope_words(context, strategy, row))
            if causes:
                step = Step.PAGE if causes == [_ON_PAGE] else Step.ELIGIBILITY
                trace.drop(asked, step, "; ".join(words), causes=causes)


def _scope_words(context: Context, strategy: StrategyDocument, row: int) -> str:
    own = context.snapshot.category_path(row) or "no category"
    if strategy.category == "same":
        return f"it is of {own}, and only {context.category} is shown here"
    return f"it is of {own}, and what is in view or in the cart is of that category already"


def explain_candidates(
    trace: Trace, context: Context, parts: Sequence[tuple[str, float, Candidates]]
) -> None:
    """Write down which products that were asked about no source has found at all.

    `parts` are what is going to be blended: name, weight and candidates of each source.
    """
    rows = context.snapshot.row_of_external
    for asked in context.request.why_not:
        row = rows.get(asked)
        ranks = _ranks(parts, -1 if row is None else row)
        if ranks:
            trace.found[asked] = ranks
            continue
        lists = ", ".join(f"{_label(name)} ({len(found)})" for name, _, found in parts)
        trace.drop(asked, Step.CANDIDATES, f"no source found it, among what each found: {lists}")


def _ranks(parts: Sequence[tuple[str, float, Candidates]], row: int) -> dict[str, tuple[int, int]]:
    """By source: the place of a product in its list, and how long that is."""
    ranks = {}
    for name, _, found in parts:
        places = np.flatnonzero((found.rows == row) & (found.scores > 0))
        if len(places):
            ranks[name] = (int(places[0]) + 1, len(found))
    return ranks


def explain_blend(
    trace: Trace,
    context: Context,
    blended: Blended,
    *,
    limit: int,
    again: Callable[[int], Blended],
) -> None:
    """Write down which products were found but stand behind the `limit` that are looked at.

    Blends once more without a limit (`again`): only for somebody who asks.
    """
    asked = [each for each in context.request.why_not if each not in trace.dropped]
    if not asked or len(blended) < limit:
        return
    everything = again(1_000_000)
    place_of = {row: place for place, row in enumerate(everything.rows.tolist(), start=1)}
    for each in asked:
        place = place_of.get(context.snapshot.row_of_external.get(each, -1))
        if place is not None and place > limit:
            trace.drop(
                each,
                Step.PLACES,
                f"it stands at place {place} by score ({_score(everything.scores[place - 1])}),"
                f" and only the first {limit} are looked at",
                place=place,
            )


def explain_places(
    trace: Trace,
    context: Context,
    strategy: StrategyDocument,
    blended: Blended,
    positions: Int64Array,
    *,
    n_wanted: int,
) -> None:
    """Write down what diversity and caps changed, and who stands below the last place.

    A product whose brand or category was full fell to the cap. One that scored enough for a place
    fell to diversity. Any other would have needed a better score.
    """
    trace.step(Step.DIVERSITY, trade_off=strategy.diversity, kept=len(positions))
    ids, kept = context.snapshot.external_ids, positions.tolist()
    for place in kept:
        shown = ids[int(blended.rows[place])]
        trace.places[shown] = place + 1
        _explain_starts(trace, context, shown, blended, place)
    asked = set(context.snapshot.rows_of_external(context.request.why_not))
    if not asked:
        return
    caps = _full_codes(context, strategy, blended.rows[positions])
    for place, row in enumerate(blended.rows.tolist()):
        if row not in asked or place in kept:
            continue
        score = _score(blended.scores[place])
        trace.places[ids[row]] = place + 1
        full = _cap_words(context, row, caps)
        if full:
            trace.drop(ids[row], Step.CAPS, full, place=place + 1)
        elif place < n_wanted:
            trace.drop(
                ids[row],
                Step.DIVERSITY,
                f"its score ({score}) is good for place {place + 1}, but it is too much like what"
                f" stands before it (diversity {strategy.diversity * 100:.0f} %)",
                place=place + 1,
            )
        else:
            last = float(blended.scores[min(n_wanted, len(blended)) - 1])
            trace.drop(
                ids[row],
                Step.PLACES,
                f"it stands at place {place + 1} by score, and {n_wanted} are shown: its score is"
                f" {score}, {_score(last - float(blended.scores[place]))} below place {n_wanted}"
                f" ({_score(last)})",
                place=place + 1,
            )


def _explain_starts(
    trace: Trace, context: Context, shown: str, blended: Blended, place: int
) -> None:
    """What each source started from for a product, and how long its list was."""
    ids = context.snapshot.external_ids
    for part, rank, _ in blended.shares(place):
        name, _, found = blended.parts[part]
        because = int(found.because[rank - 1])
        trace.starts[shown, name] = {
            "of": len(found),
            "because": ids[because] if because >= 0 else None,
        }


def _full_codes(
    context: Context, strategy: StrategyDocument, rows: Int32Array
) -> list[tuple[str, Int32Array, list[str], int, set[int]]]:
    """For each cap: word, codes of all products, names, the cap, and the codes that reached it."""
    snapshot = context.snapshot
    found = []
    for word, codes, names, cap in (
        ("brand", snapshot.brand_codes, snapshot.brands.names, strategy.max_per_brand),
        ("category", snapshot.category_codes, snapshot.categories.names, strategy.max_per_category),
    ):
        if cap is not None:
            counts = Counter(code for code in codes[rows].tolist() if code >= 0)
            full = {code for code, n in counts.items() if n >= cap}
            found.append((word, codes, names, cap, full))
    return found


def _cap_words(
    context: Context, row: int, caps: list[tuple[str, Int32Array, list[str], int, set[int]]]
) -> str:
    reasons = [
        f"the {word} {names[int(codes[row])]} has its {cap} place{'s' if cap > 1 else ''} already"
        for word, codes, names, cap, full in caps
        if int(codes[row]) in full
    ]
    return " and ".join(reasons)


def _score(value: float) -> str:
    return f"{float(value):.3f}"
