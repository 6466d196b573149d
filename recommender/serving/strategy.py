"""The document of a strategy version: what a merchant can say, validated."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Literal

import msgspec

SOURCE_NAMES = (
    "next_click",
    "session_neighbours",
    "bought_together",
    "also_viewed",
    "for_you",
    "similar_content",
    "trending",
    "bestsellers",
    "buy_again",
    "new_arrivals",
    "recently_viewed",
)
# Those that start from the products in view and know nothing of the shopper.
CONTEXTUAL_SOURCES = frozenset({"bought_together", "also_viewed", "similar_content"})
# Those that start from what the last training knows of the shopper.
HISTORY_SOURCES = frozenset({"for_you", "buy_again"})
FALLBACK_NAMES = ("similar_content", "trending", "bestsellers", "new_arrivals")

Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Cap = Annotated[int, msgspec.Meta(ge=1, le=100)]


class InvalidStrategyError(ValueError):
    """The document can't be a strategy; the message says where and why."""


class SourceWeight(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much a source says. Weights are relative: 2 and 2 are the same as .5 and .5."""

    source: str
    weight: Annotated[float, msgspec.Meta(gt=0.0, le=100.0)]


class Exclusions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Products that a shopper should not be shown here."""

    in_cart: bool = True
    purchased: bool = False
    viewed: bool = False


class StrategyDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a placement does.

    Attributes
    ----------
    sources
        With their weights; at least one.
    diversity
        0 orders by relevance alone, 1 by difference alone (MMR's trade-off).
    max_per_brand, max_per_category
        Caps on the answer; None means no cap. A category is the deepest level of the path.
    category
        "same" shows only products of the category in view (the request's, or that of the product
        in view); "other" shows none of it, so that a basket is completed instead of repeated.
    exclude
        See `Exclusions`.
    fallback
        Sources that fill an answer below the placement's minimum, in this order.
    """

    sources: Annotated[tuple[SourceWeight, ...], msgspec.Meta(min_length=1, max_length=12)]
    diversity: Share = 0.2
    max_per_brand: Cap | None = None
    max_per_category: Cap | None = None
    category: Literal["any", "same", "other"] = "any"
    exclude: Exclusions = Exclusions()
    fallback: tuple[str, ...] = ("trending", "bestsellers")


class ServingStrategy:
    """A strategy version with what a request would otherwise work out each time.

    Attributes
    ----------
    names, weights
        The sources, in the document's order.
    needs_history
        Whether anything in it looks at what the shopper did before this session.
    contextual
        Whether its sources look at nothing but what is in view.
    needs_events
        Whether anything looks at the recent events when products are in view.
    """

    __slots__ = (
        "contextual",
        "document",
        "names",
        "needs_events",
        "needs_history",
        "version_id",
        "weights",
    )

    def __init__(self, version_id: int, document: StrategyDocument) -> None:
        self.version_id = version_id
        self.document = document
        self.names = [entry.source for entry in document.sources]
        self.weights = [entry.weight for entry in document.sources]
        self.contextual = CONTEXTUAL_SOURCES.issuperset(self.names)
        asked = {*self.names, *document.fallback}
        exclude = document.exclude
        self.needs_events = exclude.viewed or exclude.purchased or not self.contextual
        self.needs_history = document.exclude.purchased or not asked.isdisjoint(HISTORY_SOURCES)


def strategy_parse(document: dict[str, Any]) -> StrategyDocument:
    """Read a stored or submitted document.

    Raises
    ------
    InvalidStrategyError
        A field is missing, unknown, out of range, or names a source that doesn't exist.
    """
    try:
        parsed = msgspec.convert(document, StrategyDocument)
    except msgspec.ValidationError as error:
        raise InvalidStrategyError(str(error)) from error
    for entry in parsed.sources:
        if entry.source not in SOURCE_NAMES:
            raise InvalidStrategyError(f"There is no source {entry.source!r}")
    for name in parsed.fallback:
        if name not in FALLBACK_NAMES:
            raise InvalidStrategyError(
                f"{name!r} can't be a fallback; choose of {', '.join(FALLBACK_NAMES)}"
            )
    return parsed


def strategy_digest(document: StrategyDocument) -> str:
    """SHA-256 of the canonical form: equal documents have equal digests."""
    return hashlib.sha256(msgspec.json.encode(document, order="deterministic")).hexdigest()
