"""What is different between two strategy documents, in words. Pure."""

from __future__ import annotations

from recommender.serving.sources import SOURCES
from recommender.serving.strategy import Preference, PriceBand, StrategyDocument

_CATEGORY = {
    "any": "any category",
    "same": "only the category in view",
    "other": "other categories than those in view",
}
BLEND_WORDS = {
    "weights": "by weights",
    "reciprocal_rank": "by places",
    "learned": "learned",
}
EXPLORE_WORDS = {"score": "by score", "bandit": "the source that it learned deserves the place"}
_EXCLUSIONS = (
    ("in_cart", "what is in the cart"),
    ("purchased", "what the shopper bought before"),
    ("viewed", "what the shopper looked at before"),
)


def strategy_changes(before: StrategyDocument, after: StrategyDocument) -> list[str]:
    """One sentence for everything that differs, the sources first; empty for the same meaning.

    Weights are compared as shares of the whole, in tenths of a per cent: 2 and 2 say the same as
    .5 and .5.
    """
    changes = [
        *_sources(before, after),
        *_value("Blend", BLEND_WORDS[before.blend], BLEND_WORDS[after.blend]),
        *_value("Diversity", _percent(before.diversity), _percent(after.diversity)),
        *_value("At most of one brand", _cap(before.max_per_brand), _cap(after.max_per_brand)),
        *_value(
            "At most of one category", _cap(before.max_per_category), _cap(after.max_per_category)
        ),
        *_value("Categories", _CATEGORY[before.category], _CATEGORY[after.category]),
        *_value(
            "Price beside the product in view",
            price_band_words(before.price_band),
            price_band_words(after.price_band),
        ),
        *_value("Preference", preference_words(before.prefer), preference_words(after.prefer)),
        *_value(
            "Places given to chance", _percent(before.exploration), _percent(after.exploration)
        ),
        *_value("Chance draws", EXPLORE_WORDS[before.explore_by], EXPLORE_WORDS[after.explore_by]),
        *_value(
            "Minimum relevance",
            _percent(before.minimum_relevance),
            _percent(after.minimum_relevance),
        ),
    ]
    for name, words in _EXCLUSIONS:
        was, is_now = getattr(before.exclude, name), getattr(after.exclude, name)
        if was != is_now:
            changes.append(f"{'Leaves out' if is_now else 'Shows again'} {words}")
    changes += _value("Fallback", _chain(before.fallback), _chain(after.fallback))
    return changes + _handpicked(before.handpicked, after.handpicked)


def source_label(name: str) -> str:
    """A source's name for members; one that is gone since keeps its technical name."""
    return SOURCES[name].label if name in SOURCES else name.replace("_", " ").capitalize()


def source_shares(document: StrategyDocument) -> dict[str, float]:
    """By source its share of the whole, 0 to 1. One that is named twice counts both times."""
    total = sum(entry.weight for entry in document.sources)
    shares: dict[str, float] = {}
    for entry in document.sources:
        shares[entry.source] = shares.get(entry.source, 0.0) + entry.weight / total
    return shares


def price_band_words(band: PriceBand) -> str:
    if band.kind == "same":
        return f"the same ± {band.percent} %"
    if band.kind == "up":
        return f"dearer by up to {band.percent} %"
    return f"cheaper by up to {band.percent} %" if band.kind == "down" else "any"


def preference_words(prefer: Preference) -> str:
    if prefer.kind == "none" or not prefer.strength:
        return "none"
    what = "new products" if prefer.kind == "fresh" else "what sells"
    return f"{what}, strength {_percent(prefer.strength)}"


def _sources(before: StrategyDocument, after: StrategyDocument) -> list[str]:
    was, is_now = source_shares(before), source_shares(after)
    changes = []
    for name in (*is_now, *(name for name in was if name not in is_now)):
        old, new = _percent(was.get(name, 0.0)), _percent(is_now.get(name, 0.0))
        if name not in was:
            changes.append(f"{source_label(name)} added with {new}")
        elif name not in is_now:
            changes.append(f"{source_label(name)} removed, was {old}")
        elif old != new:
            changes.append(f"{source_label(name)} {old} → {new}")
    return changes


def _value(label: str, before: str, after: str) -> list[str]:
    return [] if before == after else [f"{label}: {before} → {after}"]


def _percent(share: float) -> str:
    return f"{share * 100:.1f}".removesuffix(".0") + " %"


def _cap(cap: int | None) -> str:
    return "no limit" if cap is None else str(cap)


def _chain(names: tuple[str, ...]) -> str:
    return ", then ".join(map(source_label, names)) or "none"


def _handpicked(before: tuple[str, ...], after: tuple[str, ...]) -> list[str]:
    if before == after:
        return []
    added = [name for name in after if name not in before]
    gone = [name for name in before if name not in after]
    if not added and not gone:
        return ["Handpicked products in another order"]
    parts = [
        f"{word} {_some(names)}" for word, names in (("added", added), ("removed", gone)) if names
    ]
    return [f"Handpicked products: {'; '.join(parts)}"]


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"
