"""The editor of a strategy as form fields, and what was typed as a document.

Percentages are typed as people say them: 30 for .3. A source with 0 per cent, or with nothing, is
none of the strategy's.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from django.http import QueryDict

from recommender.serving.sources import SOURCES
from recommender.serving.strategy import (
    FALLBACK_NAMES,
    MAX_EXPLORATION,
    MAX_HANDPICKED,
    SOURCE_NAMES,
    InvalidStrategyError,
    StrategyDocument,
    strategy_parse,
)
from recommender.serving.strategy_changes import source_label, source_shares

SOURCE_FIELD = "source-"
CATEGORIES = {
    "any": "Any category",
    "same": "Only the category in view",
    "other": "Other categories than those in view",
}
PRICE_BANDS = {
    "none": "Any price",
    "same": "About the same price (± so much)",
    "up": "Up-sell: dearer by up to so much",
    "down": "Cheaper by up to so much",
}
BLENDS = {
    "weights": "By their shares: scores are added up",
    "reciprocal_rank": "By their shares and places: scores don't count",
    "learned": "Automatic: as your shoppers' choices teach",
}
PREFERENCES = {
    "none": "None",
    "fresh": "New products first",
    "popular": "What sells first",
}
EXPLORATIONS = {
    "score": "Draw by score",
    "bandit": "Learn which source deserves the places",
}
# In the order that the editor shows them: what starts from the page, from the shopper, from the shop.
_EDITOR_ORDER = (
    "bought_together",
    "also_viewed",
    "similar_content",
    "next_click",
    "session_neighbours",
    "for_you",
    "similar_shoppers",
    "buy_again",
    "recently_viewed",
    "trending",
    "bestsellers",
    "new_arrivals",
    "on_sale",
    "handpicked",
    "chosen",
)
assert set(_EDITOR_ORDER) == set(SOURCE_NAMES)


class StrategyFormRefused(InvalidStrategyError):
    """What was typed is no strategy; `fields` says for each field what is wrong."""

    def __init__(self, fields: dict[str, str]) -> None:
        self.fields = fields
        super().__init__("; ".join(fields.values()))


@dataclass(frozen=True, slots=True)
class SourceField:
    """One source in the editor. `text` is what stands in its field."""

    name: str
    label: str
    question: str
    text: str
    error: str = ""

    @property
    def field(self) -> str:
        return SOURCE_FIELD + self.name

    @property
    def is_used(self) -> bool:
        return self.text not in ("", "0") or bool(self.error)


@dataclass(frozen=True, slots=True)
class StrategyForm:
    """Everything that stands in the editor, as text; `values` by field name."""

    sources: list[SourceField]
    values: dict[str, str]
    fallback: list[str]
    errors: dict[str, str]

    @property
    def used(self) -> list[SourceField]:
        return [each for each in self.sources if each.is_used]

    @property
    def unused(self) -> list[SourceField]:
        return [each for each in self.sources if not each.is_used]

    @property
    def fallback_fields(self) -> list[tuple[int, str]]:
        """(place, chosen source) for as many fields as there are sources for it."""
        chosen = [*self.fallback, *[""] * len(FALLBACK_NAMES)]
        return list(enumerate(chosen[: len(FALLBACK_NAMES)], start=1))


def strategy_document_from_form(post: QueryDict) -> dict[str, Any]:
    """The document that the editor's fields say, ready for `strategy_parse`. Other fields are ignored.

    Shares that don't sum to 100 are brought to it. Raises StrategyFormRefused with the fields.
    """
    wrong: dict[str, str] = {}
    document: dict[str, Any] = {
        "sources": _sources(post, wrong),
        "diversity": _share(post, "diversity", wrong),
        "max_per_brand": _cap(post, "max_per_brand", wrong),
        "max_per_category": _cap(post, "max_per_category", wrong),
        "category": _choice(post, "category", CATEGORIES, wrong),
        "exclude": {name: f"exclude_{name}" in post for name in ("in_cart", "purchased", "viewed")},
        "fallback": _fallback(post, wrong),
        "price_band": {
            "kind": _choice(post, "price_band", PRICE_BANDS, wrong),
            "percent": _whole(post, "price_percent", 1, 500, 20, wrong),
        },
        "prefer": {
            "kind": _choice(post, "prefer", PREFERENCES, wrong),
            "strength": _share(post, "prefer_strength", wrong, default=0.3),
        },
        "exploration": _share(post, "exploration", wrong, highest=MAX_EXPLORATION),
        "explore_by": _choice(post, "explore_by", EXPLORATIONS, wrong),
        "minimum_relevance": _share(post, "minimum_relevance", wrong),
        "handpicked": product_ids_from(post.get("handpicked", "")),
        "blend": _choice(post, "blend", BLENDS, wrong),
    }
    band = document["price_band"]
    if band["kind"] in ("same", "down") and (band["percent"] or 0) > 100:
        wrong["price_percent"] = "Nothing is cheaper by more than 100 %."
    names = [entry["source"] for entry in document["sources"]]
    if len(document["handpicked"]) > MAX_HANDPICKED:
        wrong["handpicked"] = f"At most {MAX_HANDPICKED} products."
    elif any(len(product) > 128 for product in document["handpicked"]):
        wrong["handpicked"] = "A product id has at most 128 characters."
    elif "handpicked" in names and not document["handpicked"]:
        wrong["handpicked"] = "The source “Handpicked” needs at least one product."
    if not names and not any(name.startswith(SOURCE_FIELD) for name in wrong):
        wrong["sources"] = "Give at least one source a share above 0 %."
    if wrong:
        raise StrategyFormRefused(wrong)
    strategy_parse(document)
    return document


def form_of_document(document: StrategyDocument) -> StrategyForm:
    """The editor of a document."""
    shares = source_shares(document)
    values = {
        "diversity": _text(document.diversity * 100),
        "max_per_brand": "" if document.max_per_brand is None else str(document.max_per_brand),
        "max_per_category": ""
        if document.max_per_category is None
        else str(document.max_per_category),
        "category": document.category,
        "price_band": document.price_band.kind,
        "price_percent": str(document.price_band.percent),
        "prefer": document.prefer.kind,
        "prefer_strength": _text(document.prefer.strength * 100),
        "exploration": _text(document.exploration * 100),
        "explore_by": document.explore_by,
        "minimum_relevance": _text(document.minimum_relevance * 100),
        "handpicked": "\n".join(document.handpicked),
        "blend": document.blend,
        **{
            f"exclude_{name}": "on"
            for name in ("in_cart", "purchased", "viewed")
            if getattr(document.exclude, name)
        },
    }
    texts = {name: _text(share * 100) for name, share in shares.items()}
    return StrategyForm(_source_fields(texts, {}), values, list(document.fallback), {})


def form_as_typed(post: QueryDict, errors: dict[str, str]) -> StrategyForm:
    """The editor with what was typed, right or wrong."""
    texts = {name: post.get(SOURCE_FIELD + name, "").strip() for name in SOURCE_NAMES}
    values = {name: post.get(name, "") for name in post if not name.startswith(SOURCE_FIELD)}
    return StrategyForm(_source_fields(texts, errors), values, post.getlist("fallback"), errors)


def product_ids_from(text: str) -> list[str]:
    """Ids as people paste them, by lines or commas, each once, in their order."""
    found = (part.strip() for part in re.split(r"[\n,;]", text))
    return list(dict.fromkeys(part for part in found if part))


def _source_fields(texts: dict[str, str], errors: dict[str, str]) -> list[SourceField]:
    return [
        SourceField(
            name,
            source_label(name),
            SOURCES[name].question,
            texts.get(name, ""),
            errors.get(SOURCE_FIELD + name, ""),
        )
        for name in _EDITOR_ORDER
    ]


def _sources(post: QueryDict, wrong: dict[str, str]) -> list[dict[str, Any]]:
    shares = {}
    for name in _EDITOR_ORDER:
        share = _number(post, SOURCE_FIELD + name, 0.0)
        if share is None or not 0 <= share <= 100:
            wrong[SOURCE_FIELD + name] = "A number from 0 to 100."
        elif share > 0:
            shares[name] = share
    total = sum(shares.values())
    return [{"source": name, "weight": round(share / total, 6)} for name, share in shares.items()]


def _fallback(post: QueryDict, wrong: dict[str, str]) -> list[str]:
    chosen = list(dict.fromkeys(name for name in post.getlist("fallback") if name))
    if not set(chosen) <= set(FALLBACK_NAMES):
        wrong["fallback"] = "Choose of the sources that need to know nothing."
    return chosen


def _share(
    post: QueryDict,
    name: str,
    wrong: dict[str, str],
    *,
    highest: float = 1.0,
    default: float = 0.0,
) -> float:
    percent = _number(post, name, default * 100)
    if percent is None or not 0 <= percent <= highest * 100:
        wrong[name] = f"A number from 0 to {highest * 100:.0f}."
        return 0.0
    return round(percent / 100, 6)


def _cap(post: QueryDict, name: str, wrong: dict[str, str]) -> int | None:
    return _whole(post, name, 1, 100, None, wrong)


def _whole(
    post: QueryDict, name: str, low: int, high: int, default: int | None, wrong: dict[str, str]
) -> int | None:
    number = _number(post, name, default)
    if number is None and not post.get(name, "").strip():
        return default
    if number is None or number != int(number) or not low <= number <= high:
        wrong[name] = f"A whole number from {low} to {high}."
        return default
    return int(number)


def _number(post: QueryDict, name: str, default: float | None) -> float | None:
    """What was typed; the default for nothing, None for what is no number."""
    text = post.get(name, "").strip().removesuffix("%").strip().replace(",", ".")
    if not text:
        return default
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _choice(post: QueryDict, name: str, choices: dict[str, str], wrong: dict[str, str]) -> str:
    first = next(iter(choices))
    chosen = post.get(name) or first
    if chosen not in choices:
        wrong[name] = "Choose one of the list."
        return first
    return chosen


def _text(percent: float) -> str:
    return f"{percent:.1f}".removesuffix(".0")
