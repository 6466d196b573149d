"""What a learned blend has learned, as a merchant reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from catalog.models import Store
from recommender.selectors.blend import learned_blend_status
from recommender.serving.request import Recommendation
from recommender.serving.strategy import StrategyDocument, weights_by_source
from recommender.serving.strategy_changes import source_label
from recommender.serving.trace import Step

_FEATURES = {
    "sold_lately": ("Sold lately", "in the last days"),
    "sold": ("Sells well", "in the last weeks"),
    "price": ("Price", "a dearer product moves up, with a minus down"),
    "age": ("Time in the catalog", "an older product moves up, with a minus down"),
    "viewed": ("Looked at before", "by the same shopper"),
    "viewed_now": ("Looked at today", "by the same shopper"),
    "carted": ("Put into the cart", "by the same shopper"),
    "bought": ("Bought before", "by the same shopper"),
    "bought_times": ("Bought often", "by the same shopper"),
    "bought_days_ago": ("Bought long ago", "by the same shopper"),
    "dearer": ("Dearer than usual", "than what the shopper otherwise looks at and buys"),
}
_SOURCE_NOTE = "what its first product gains"
# Smaller ones change hardly any order.
LEAST = 0.02
_WHEN = (
    "It learns every night from later page views, which it asks again with what was known before,"
    " and from clicks where there are enough. A source may count below zero where the others say the"
    " same and better."
)


@dataclass(frozen=True, slots=True)
class Bar:
    """One thing that counts: `text` is its size with a sign, `percent` of the largest one."""

    label: str
    note: str
    text: str
    percent: float


@dataclass(frozen=True, slots=True)
class LearnedWords:
    """What was learned and when, or why nothing is."""

    is_learned: bool
    why: str = ""
    how: str = _WHEN
    effect: str = ""
    learned_at: datetime | None = None
    bars: Sequence[Bar] = ()


def learned_words(store: Store, document: StrategyDocument | None) -> LearnedWords | None:
    """For a strategy with a learned blend; None for any other."""
    if document is None or document.blend != "learned":
        return None
    status = learned_blend_status(store_id=store.pk, sources=list(weights_by_source(document)))
    if status.said is None:
        return LearnedWords(False, status.why)
    said = status.said
    return LearnedWords(
        is_learned=True,
        effect=_effect(said["hits"]),
        how=f"Learned from {_amount(said)}. {_WHEN}",
        learned_at=status.learned_at,
        bars=_bars(said["counts"]),
    )


def blend_told(answer: Recommendation) -> str:
    """What put the sources of an explained answer in order, where the strategy asks for a learned
    blend."""
    steps = answer.trace.steps if answer.trace is not None else []
    told = next((each for each in steps if each["step"] == Step.BLEND), {})
    if told.get("blend") != "learned":
        return ""
    if told["by"] == "learned":
        return f"In the order that was learned: version {told['version']} of the weights."
    return "Nothing is learned for these sources yet, so their shares decide."


def _effect(hits: dict[str, float]) -> str:
    if not hits["n"]:
        return "Too few page views were held out to say what it gains."
    return (
        f"Of {hits['n']:,.0f} later page views that it hadn't learned from, something that was wanted"
        f" was among the first ten in {hits['learned']:.1%}; with equal weights in"
        f" {hits['equal']:.1%}, with the shares of this strategy in {hits['own']:.1%}."
    )


def _amount(said: dict[str, Any]) -> str:
    choices = f"{said['lessons']:,} choices"
    return f"{choices}, {said['clicks']:,} of them clicks" if said["clicks"] else choices


def _bars(counts: Sequence[Sequence[Any]]) -> list[Bar]:
    largest = max((abs(size) for _, _, size in counts), default=0.0)
    bars = []
    for kind, name, size in counts:
        if kind == "source":
            label, note = source_label(name), _SOURCE_NOTE
        elif abs(size) >= LEAST and name in _FEATURES:
            label, note = _FEATURES[name]
        else:
            continue
        percent = round(100 * abs(size) / largest, 1) if largest else 0.0
        bars.append(Bar(label, note, f"{size:+.2f}".replace("-", "−"), percent))
    return bars
