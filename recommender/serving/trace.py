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
    STATE_UNAVAILABLE = "state_unavailable"
    EMPTY_CATALOG = "empty_catalog"
    UNKNOWN_PLACEMENT = "unknown_placement"


REASON_WORDS: dict[str, str] = {
    Reason.PLACEMENT_PAUSED: "The placement is paused.",
    Reason.NOT_TRAINED: "No model has been published for these sources yet.",
    Reason.NO_CONTEXT: "The page named no product, cart or category to start from.",
    Reason.UNKNOWN_PRODUCT: "The product in view is not in the catalog.",
    Reason.UNKNOWN_SHOPPER: "Nothing is known of this shopper yet.",
    Reason.TOO_FEW_CANDIDATES: "The sources found too few products.",
    Reason.ALL_EXCLUDED: "Everything that was found is excluded or not available.",
    Reason.STATE_UNAVAILABLE: "The shopper's recent events could not be read.",
    Reason.EMPTY_CATALOG: "The catalog has no product that may be shown.",
    Reason.UNKNOWN_PLACEMENT: "The store has no placement of this name.",
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
        For each product id that was asked about and is not shown: step and why.
    """

    steps: list[dict[str, Any]] = field(default_factory=list)
    products: dict[str, dict[str, Any]] = field(default_factory=dict)
    dropped: dict[str, dict[str, str]] = field(default_factory=dict)

    def step(self, name: str, **facts: Any) -> None:
        self.steps.append({"step": name, **facts})

    def drop(self, product_id: str, step: str, why: str) -> None:
        """Remember the first step at which a product fell out."""
        self.dropped.setdefault(product_id, {"step": step, "why": why})
