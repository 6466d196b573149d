"""What happened to the candidates, step by step, as data."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Reason(StrEnum):
    """Why an answer came from a fallback, or is empty. Part of the API."""

    PLACEMENT_PAUSED = "placement_paused"
    NOT_TRAINED = "not_trained"
    NO_CONTEXT = "no_context"
    UNKNOWN_PRODUCT = "unknown_product"
    UNKNOWN_SHOPPER = "unknown_shopper"
    TOO_FEW_CANDIDATES = "too_few_candidates"
    ALL_EXCLUDED = "all_excluded"
    EXCLUDED_BY_RULES = "excluded_by_rules"
    STATE_UNAVAILABLE = "state_unavailable"
    EMPTY_CATALOG = "empty_catalog"
    UNKNOWN_PLACEMENT = "unknown_placement"
    HELD_OUT = "held_out"


REASON_WORDS: dict[str, str] = {
    Reason.PLACEMENT_PAUSED: "The placement is paused.",
    Reason.NOT_TRAINED: "No model has been published for these sources yet.",
    Reason.NO_CONTEXT: "The page named no product, cart or category to start from.",
    Reason.UNKNOWN_PRODUCT: "The product in view is not in the catalog.",
    Reason.UNKNOWN_SHOPPER: "Nothing is known of this shopper yet.",
    Reason.TOO_FEW_CANDIDATES: "The sources found too few products.",
    Reason.ALL_EXCLUDED: "Everything that was found is excluded or not available.",
    Reason.EXCLUDED_BY_RULES: "The rules left out too many of the products that were found.",
    Reason.STATE_UNAVAILABLE: "The shopper's recent events could not be read.",
    Reason.EMPTY_CATALOG: "The catalog has no product that may be shown.",
    Reason.UNKNOWN_PLACEMENT: "The store has no placement of this name.",
    Reason.HELD_OUT: "The shopper is held out to measure what recommendations earn.",
}


class Step(StrEnum):
    """The steps of the request path at which a product may fall out, as a trace names them."""

    PLACEMENT = "placement"
    CATALOG = "catalog"
    ELIGIBILITY = "eligibility"
    PRICE_BAND = "price_band"
    PAGE = "page"
    RULES = "rules"
    CANDIDATES = "candidates"
    RELEVANCE = "relevance"
    BLEND = "blend"
    CAPS = "caps"
    DIVERSITY = "diversity"
    EXPLORATION = "exploration"
    PLACES = "places"
    PINS = "pins"


STEP_WORDS: dict[str, str] = {
    Step.PLACEMENT: "The placement answers nobody",
    Step.CATALOG: "Not in the catalog",
    Step.ELIGIBILITY: "May not be shown here",
    Step.PRICE_BAND: "Outside the price band",
    Step.PAGE: "Shown elsewhere on the page",
    Step.RULES: "Left out by a rule",
    Step.CANDIDATES: "Found by no source",
    Step.RELEVANCE: "Not relevant enough",
    Step.BLEND: "Lost in the blend",
    Step.CAPS: "Cap reached",
    Step.DIVERSITY: "Too much alike",
    Step.EXPLORATION: "Gave its place to chance",
    Step.PLACES: "Below the last place",
    Step.PINS: "Displaced by a pin",
}


@dataclass(slots=True)
class Trace:
    """Filled by the pipeline only when somebody asked for an explanation.

    Attributes
    ----------
    steps
        `{"step", …}` in the order of the request path, with counts.
    products
        For each shown product id: its sources with rank and score part, what it started from.
    dropped
        For each product id that was asked about and is not shown: step, why, and maybe its place.
    places
        By product id the place that its score alone would give it, from 1.
    starts
        By product id and source: how long the source's list was, what it started from.
    rules
        By product id: what rules did to it, `{"rule", "rule_id", "effect"}` each.
    preferred
        By product id: what its score was multiplied with for being fresh or popular.
    propensities
        By product id: the probability of its place, where places are given to chance.
    found
        For each product id that was asked about: its rank in the list of each source that found it,
        and how long that is.
    """

    steps: list[dict[str, Any]] = field(default_factory=list)
    products: dict[str, dict[str, Any]] = field(default_factory=dict)
    dropped: dict[str, dict[str, Any]] = field(default_factory=dict)
    places: dict[str, int] = field(default_factory=dict)
    starts: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    rules: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    preferred: dict[str, float] = field(default_factory=dict)
    propensities: dict[str, float] = field(default_factory=dict)
    found: dict[str, dict[str, tuple[int, int]]] = field(default_factory=dict)

    def step(self, name: str, **facts: Any) -> None:
        self.steps.append({"step": name, **facts})

    def drop(self, product_id: str, step: str, why: str, **facts: Any) -> None:
        """Remember the first step at which a product fell out."""
        self.dropped.setdefault(product_id, {"step": str(step), "why": why, **facts})
