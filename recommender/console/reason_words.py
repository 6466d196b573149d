"""Why a product is shown or not, as a merchant reads it: words with their numbers.

Reads the trace of an answer (`recommender.serving.trace`); the same words stand in the preview and
wherever else an answer is explained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from catalog.money import money_text
from recommender.console.strategy_words import source_label
from recommender.serving.request import Recommendation
from recommender.serving.snapshot import CatalogSnapshot
from recommender.serving.trace import STEP_WORDS


@dataclass(frozen=True, slots=True)
class ShownProduct:
    """One product of an answer.

    Attributes
    ----------
    mark
        "new", "gone", "up", "down" or "same" against the other answer; empty without one.
    change
        The same in words; empty for "same".
    reasons
        Why it is here, each a sentence.
    """

    product_id: int
    external_id: str
    title: str
    image_url: str
    price: str
    brand: str
    position: int
    source: str
    mark: str
    change: str
    reasons: list[str]


def shown_products(
    answer: Recommendation,
    snapshot: CatalogSnapshot,
    *,
    other: Recommendation | None = None,
    is_edit: bool = False,
) -> list[ShownProduct]:
    """The products of an answer in their order, each with its reasons.

    `other` is the answer to compare with; `is_edit` tells the one with the edit from the one of now.
    """
    places = {row: n for n, row in enumerate(other.rows, start=1)} if other is not None else None
    shown = []
    for position, (row, source) in enumerate(zip(answer.rows, answer.sources, strict=True), 1):
        card, price = snapshot.card(row), int(snapshot.price_minor[row])
        mark, change = _change(position, None if places is None else places.get(row), is_edit)
        if places is None or (not is_edit and mark != "gone"):
            mark, change = "", ""
        shown.append(
            ShownProduct(
                product_id=int(snapshot.product_ids[row]),
                external_id=card["product_id"],
                title=card["title"],
                image_url=card["image_url"],
                price="" if price < 0 else money_text(price, card["currency"]),
                brand=card["brand"],
                position=position,
                source=source_label(source),
                mark=mark,
                change=change,
                reasons=_reasons(answer, card["product_id"]),
            )
        )
    return shown


def _change(position: int, before: int | None, is_edit: bool) -> tuple[str, str]:
    if before is None:
        return ("new", "New here") if is_edit else ("gone", "Gone with your edit")
    if before == position:
        return "same", ""
    if position < before:
        return "up", f"Up {before - position}, was {before}"
    return "down", f"Down {position - before}, was {before}"


def change_words(now: Recommendation, then: Recommendation) -> str:
    """How two answers differ, in one sentence."""
    if now.rows == then.rows:
        return "Your edit changes nothing here." if now.rows else "Both are empty."
    before, after = set(now.rows), set(then.rows)
    n_new, n_gone = len(after - before), len(before - after)
    stayed_now = [row for row in now.rows if row in after]
    stayed_then = [row for row in then.rows if row in before]
    n_moved = sum(a != b for a, b in zip(stayed_now, stayed_then, strict=True))
    parts = [
        f"{n} {words}"
        for n, words in ((n_new, "new"), (n_gone, "gone"), (n_moved, "in another order"))
        if n
    ]
    return f"Your edit changes this: {', '.join(parts)}."


def _reasons(answer: Recommendation, external_id: str) -> list[str]:
    if answer.trace is None:
        return []
    told = answer.trace.products.get(external_id)
    if told is None:
        return []
    parts: Mapping[str, Mapping[str, Any]] = told["parts"]
    total = sum(part["score"] for part in parts.values())
    reasons = [
        _part_words(name, part, total)
        for name, part in sorted(parts.items(), key=lambda entry: -entry[1]["score"])
    ]
    if not parts:
        reasons.append(_unblended_words(told, answer))
    place = told.get("place_by_score")
    if place is not None:
        reasons.append(_place_words(told, place))
    reasons += [_rule_words(touch) for touch in told.get("rules", ())]
    return reasons


def _part_words(name: str, part: Mapping[str, Any], total: float) -> str:
    start = f"{part['words']}, " if part["words"] else ""
    share = f", {part['score'] / total * 100:.0f} % of its score" if total > 0 else ""
    among = f" of {part['of']}" if part.get("of") else ""
    return (
        f"{_finder(name, part)}: {start}place {part['rank']}{among} there,"
        f" adds {part['score']:.3f}{share}."
    )


def _unblended_words(told: Mapping[str, Any], answer: Recommendation) -> str:
    filled = answer.fallback is not None
    why = "Filled in by the fallback" if filled else "From"
    words = f": {told['words']}" if told["words"] else ""
    return f"{why} {_finder(told['source'], told)}{words}."


def _finder(source: str, told: Mapping[str, Any]) -> str:
    """A source, and of the Lab's choice the method that it is now."""
    method = f" ({told['method']})" if "method" in told else ""
    return f"{source_label(source)}{method}"


def _place_words(told: Mapping[str, Any], place: int) -> str:
    position, score = told["position"], told["score"]
    if place == position:
        return f"Its score of {score:.3f} makes it number {place}."
    moved = "up" if position < place else "down"
    return (
        f"Its score of {score:.3f} would make it number {place}; diversity, caps and rules moved it"
        f" {moved} to {position}."
    )


def _rule_words(touch: Mapping[str, Any]) -> str:
    return f"Rule “{touch['rule']}”: {touch['effect']}."


@dataclass(frozen=True, slots=True)
class WhyNot:
    """The answer to “why not …?”: the step at which a product fell out, and why.

    `found` says which sources had found it and which rules moved it, each a sentence.
    """

    title: str
    step: str
    why: str
    found: Sequence[str]


def why_not_words(
    dropped: Mapping[str, Any],
    title: str,
    *,
    found: Mapping[str, tuple[int, int]],
    rules: Sequence[Mapping[str, Any]] = (),
) -> WhyNot:
    """Put what a trace says of a missing product into words; `rules` are those that touched it."""
    return WhyNot(
        title=title,
        step=STEP_WORDS.get(dropped["step"], dropped["step"]),
        why=dropped["why"],
        found=[
            *(
                f"{source_label(name)} had it at place {rank} of {n}."
                for name, (rank, n) in found.items()
            ),
            *map(_rule_words, rules),
        ],
    )
