"""A strategy as a merchant reads it."""

from __future__ import annotations

from dataclasses import dataclass

from recommender.serving.sources import SOURCES
from recommender.serving.strategy import StrategyDocument
from recommender.serving.strategy_changes import (
    preference_words,
    price_band_words,
    source_label,
    source_shares,
)

__all__ = ["SourceShare", "StrategyWords", "source_label", "strategy_words"]


@dataclass(frozen=True, slots=True)
class SourceShare:
    """A source with its part of the whole, 0 to 1."""

    label: str
    question: str
    share: float

    @property
    def percent(self) -> float:
        return round(self.share * 100, 1)


@dataclass(frozen=True, slots=True)
class StrategyWords:
    """Everything a strategy says, each line a sentence."""

    sources: list[SourceShare]
    diversity: str
    blend: str
    rules: list[str]
    exclusions: list[str]
    fallback: list[str]


def strategy_words(document: StrategyDocument) -> StrategyWords:
    """Put a document into words; weights become shares of 1."""
    sources = [
        SourceShare(source_label(name), SOURCES[name].question, share)
        for name, share in source_shares(document).items()
    ]
    sources.sort(key=lambda source: -source.share)
    return StrategyWords(
        sources=sources,
        diversity=_diversity_words(document.diversity),
        blend=_BLEND[document.blend],
        rules=_rules(document),
        exclusions=_exclusions(document),
        fallback=[source_label(name) for name in document.fallback],
    )


_BLEND = {
    "weights": "",
    "reciprocal_rank": "By places alone: the first of each list counts the share of its source, the"
    " next ones less, whatever their scores.",
    "learned": "Learned from what shoppers want and click. The shares count until enough is learned.",
}


def _diversity_words(diversity: float) -> str:
    share = f"{diversity * 100:.0f} %"
    if diversity == 0:
        return "None: the best products stand in the order of their scores, however alike they are."
    if diversity < 0.25:
        return f"Low ({share}): of two very similar products the second moves down a little."
    if diversity < 0.5:
        return f"Medium ({share}): similar products are spread out, the best one stays first."
    return f"High ({share}): variety counts as much as the score, or more."


def _rules(document: StrategyDocument) -> list[str]:
    rules = []
    if document.category == "same":
        rules.append(
            "Only products of the category in view, or of the category of the product in view."
        )
    if document.category == "other":
        rules.append("Nothing of the categories in view: it completes, it doesn't repeat.")
    if document.max_per_brand is not None:
        rules.append(f"At most {document.max_per_brand} of one brand.")
    if document.max_per_category is not None:
        rules.append(f"At most {document.max_per_category} of one category.")
    if document.price_band.kind != "none":
        band = price_band_words(document.price_band)
        rules.append(f"Price beside the product in view: {band}.")
    if document.minimum_relevance:
        rules.append(
            f"Nothing that scores below {document.minimum_relevance * 100:.0f} % of the best."
        )
    if document.prefer.kind != "none" and document.prefer.strength:
        rules.append(f"Moves up {preference_words(document.prefer)}.")
    if document.exploration:
        rules.append(
            f"{document.exploration * 100:.0f} % of the places show something from further down,"
            " by chance"
            + (
                "; it learns which source deserves them."
                if document.explore_by == "bandit"
                else "."
            )
        )
    if document.handpicked:
        n = len(document.handpicked)
        rules.append(f"{n} handpicked product{'' if n == 1 else 's'}.")
    return rules


def _exclusions(document: StrategyDocument) -> list[str]:
    exclude = document.exclude
    found = [
        (exclude.in_cart, "what is in the cart"),
        (exclude.purchased, "what the shopper bought before"),
        (exclude.viewed, "what the shopper looked at before"),
    ]
    return [words for applies, words in found if applies]
