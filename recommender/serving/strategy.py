"""The document of a strategy version: what a merchant can say, validated."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

SOURCE_NAMES = (
    "next_click",
    "session_neighbours",
    "bought_together",
    "also_viewed",
    "for_you",
    "similar_shoppers",
    "similar_content",
    "trending",
    "bestsellers",
    "buy_again",
    "new_arrivals",
    "on_sale",
    "recently_viewed",
    "handpicked",
    "chosen",
)
# Those that start from the products in view and know nothing of the shopper.
CONTEXTUAL_SOURCES = frozenset({"bought_together", "also_viewed", "similar_content"})
# Those that start from what the last training knows of the shopper.
HISTORY_SOURCES = frozenset({"for_you", "similar_shoppers", "buy_again", "chosen"})
FALLBACK_NAMES = ("similar_content", "trending", "bestsellers", "new_arrivals", "on_sale")
# More than this would be a shop window that nobody keeps up by hand.
MAX_HANDPICKED = 100
MAX_EXPLORATION = 0.3

Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Cap = Annotated[int, msgspec.Meta(ge=1, le=100)]
ProductId = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]


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


class PriceBand(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a product may cost, in per cent of the product in view.

    "same" is at most so much cheaper or dearer, "up" dearer by at most so much, "down" cheaper by at
    most so much. Without a priced product in view nothing is asked.
    """

    kind: Literal["none", "same", "up", "down"] = "none"
    percent: Annotated[int, msgspec.Meta(ge=1, le=500)] = 20


class Preference(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is moved up among the candidates. Strength 0 changes nothing."""

    kind: Literal["none", "fresh", "popular"] = "none"
    strength: Share = 0.3


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
    price_band, prefer
        See `PriceBand` and `Preference`.
    exploration
        Share of the slots, 0 to 0.3, that show something from further down, by chance.
    explore_by
        What chance goes by: "score", or with "bandit" the source that deserves the place by what was
        clicked in the same situation, and within it the score. Until that is learned it is as
        "score".
    minimum_relevance
        Candidates that score less than this share of the best one are left out.
    handpicked
        The shop's ids of the products that the source of this name shows, the first first.
    blend
        How the sources become one list. "weights" adds up scaled scores by weight, "reciprocal_rank"
        adds up by place alone, "learned" orders as shoppers' choices taught; until it has learned
        something it does as "weights".
    """

    sources: Annotated[tuple[SourceWeight, ...], msgspec.Meta(min_length=1, max_length=15)]
    diversity: Share = 0.2
    max_per_brand: Cap | None = None
    max_per_category: Cap | None = None
    category: Literal["any", "same", "other"] = "any"
    exclude: Exclusions = Exclusions()
    fallback: tuple[str, ...] = ("trending", "bestsellers")
    price_band: PriceBand = PriceBand()
    prefer: Preference = Preference()
    exploration: Annotated[float, msgspec.Meta(ge=0.0, le=MAX_EXPLORATION)] = 0.0
    minimum_relevance: Share = 0.0
    handpicked: Annotated[tuple[ProductId, ...], msgspec.Meta(max_length=MAX_HANDPICKED)] = ()
    blend: Literal["weights", "reciprocal_rank", "learned"] = "weights"
    explore_by: Literal["score", "bandit"] = "score"


# Fields that documents didn't have from the start. While they say nothing they are no part of the
# digest, so that a document has the digest that it was stored with.
_LATER_FIELDS = (
    "price_band",
    "prefer",
    "exploration",
    "minimum_relevance",
    "handpicked",
    "blend",
    "explore_by",
)
_PLAIN = StrategyDocument(sources=(SourceWeight("bestsellers", 1.0),))


class ServingStrategy:
    """A strategy version with what a request would otherwise work out each time.

    Attributes
    ----------
    names, weights
        The sources, in the document's order; where the blend is learned each once, in the order of
        `SOURCE_NAMES`: by these names the learned weights are found.
    needs_history
        Whether anything in it looks at what the shopper did before this session. What is learned
        of situations, a blend or of chance, does.
    contextual
        Whether its answer follows from what is in view and the models alone, so that it is the same
        for everybody: no other sources, no prices, no dates, no chance, nothing learned of persons.
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

    def __init__(
        self,
        version_id: int,
        document: StrategyDocument,
        *,
        exclude: Mapping[str, bool] | None = None,
    ) -> None:
        """`exclude` is what a placement says otherwise than the document, by exclusion."""
        if exclude:
            changed = msgspec.structs.replace(document.exclude, **exclude)
            document = msgspec.structs.replace(document, exclude=changed)
        self.version_id = version_id
        self.document = document
        self.names = [entry.source for entry in document.sources]
        self.weights = [entry.weight for entry in document.sources]
        learned = document.blend == "learned"
        if learned:
            weights = weights_by_source(document)
            self.names, self.weights = list(weights), list(weights.values())
        from_view = CONTEXTUAL_SOURCES.issuperset(self.names)
        self.contextual = (
            from_view
            and document.price_band.kind == "none"
            and document.prefer.kind == "none"
            and not document.exploration
            and not learned
        )
        situated = learned or explores_by_bandit(document)
        asked = {*self.names, *document.fallback}
        exclude_by = document.exclude
        self.needs_events = exclude_by.viewed or exclude_by.purchased or not from_view or situated
        self.needs_history = (
            exclude_by.purchased or not asked.isdisjoint(HISTORY_SOURCES) or situated
        )


def explores_by_bandit(document: StrategyDocument) -> bool:
    """Whether places are given to chance, and whom they go to is learned."""
    return document.exploration > 0 and document.explore_by == "bandit"


def weights_by_source(document: StrategyDocument) -> dict[str, float]:
    """Each source once with the sum of its weights, in the order of `SOURCE_NAMES`."""
    sums: dict[str, float] = {}
    for entry in sorted(document.sources, key=lambda entry: SOURCE_NAMES.index(entry.source)):
        sums[entry.source] = sums.get(entry.source, 0.0) + entry.weight
    return sums


def strategy_parse(document: Mapping[str, Any]) -> StrategyDocument:
    """Read a stored or submitted document. Those of earlier versions of Vitrine are read as well.

    Raises
    ------
    InvalidStrategyError
        A field is missing, unknown, out of range, or names a source that doesn't exist.
    """
    try:
        parsed = msgspec.convert(document, StrategyDocument)
    except msgspec.ValidationError as error:
        raise InvalidStrategyError(str(error)) from error
    names = [entry.source for entry in parsed.sources]
    for name in names:
        if name not in SOURCE_NAMES:
            raise InvalidStrategyError(f"There is no source {name!r}")
    for name in parsed.fallback:
        if name not in FALLBACK_NAMES:
            raise InvalidStrategyError(
                f"{name!r} can't be a fallback; choose of {', '.join(FALLBACK_NAMES)}"
            )
    if "handpicked" in names and not parsed.handpicked:
        raise InvalidStrategyError("The source 'handpicked' needs at least one product")
    if parsed.price_band.kind in ("same", "down") and parsed.price_band.percent > 100:
        raise InvalidStrategyError("Nothing is cheaper by more than 100 %")
    return parsed


def strategy_digest(document: StrategyDocument) -> str:
    """SHA-256 of the canonical form, fields in their order: equal documents have equal digests."""
    said = msgspec.to_builtins(document)
    for name in _LATER_FIELDS:
        if getattr(document, name) == getattr(_PLAIN, name):
            del said[name]
    return hashlib.sha256(msgspec.json.encode(said)).hexdigest()
