"""What a page asks for, and what it gets."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

from recommender.serving.placement import Exposed, ServingExperiment, ServingVariant
from recommender.serving.trace import Trace

MAX_LIMIT = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class RecommendationRequest:
    """The context of one page view. Product ids are the shop's own (external ids).

    Attributes
    ----------
    shopper_id
        None when unknown or when consent was denied: then only the context counts.
    cart
        None takes the cart from the shopper's recent events.
    qa
        The token of a link that shows one variant; one that isn't valid is ignored.
    """

    shopper_id: str | None = None
    session_id: str | None = None
    product_ids: tuple[str, ...] = ()
    category: str | None = None
    query: str | None = None
    cart: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()
    locale: str | None = None
    device: str | None = None
    explain: bool = False
    why_not: tuple[str, ...] = ()
    qa: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementRequest:
    """One placement of the page."""

    slug: str
    limit: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """One answer.

    Attributes
    ----------
    experiment, variant
        What the shopper takes part in here, None if in nothing. No variant where two are
        interleaved.
    rows, sources, scores
        Snapshot rows in order of position, the source that weighed most for each, its blended
        score.
    propensities
        Probability with which each product was put at its position; 1 while nothing is random.
    fallback
        The first fallback source that had to fill, None if the strategy did it alone.
    reason
        Why the strategy alone was not enough, or why the answer is empty. See `Reason`.
    rule_id
        The rule that left out most of what was found, where rules are the reason; else None.
    exposures
        Everything that the shopper takes part in by this answer: a hold-out beside the experiment.
    teams
        Of an interleaved answer, per product the position of the variant that picked it;
        `engine.online.interleaving.NOBODY` for what a rule put in or moved, and for a fallback's.
    situation
        Where whom chance draws is learned: the number of the situation that it went by.
    is_look
        A member looks at the variant: nothing is logged.
    """

    recommendation_id: uuid.UUID
    placement_slug: str
    placement_id: int
    strategy_version_id: int
    experiment: ServingExperiment | None
    variant: ServingVariant | None
    title: str
    rows: list[int]
    sources: list[str]
    scores: list[float]
    propensities: list[float]
    fallback: str | None
    reason: str | None
    took_us: int
    trace: Trace | None = field(default=None)
    rule_id: int | None = None
    exposures: tuple[Exposed, ...] = ()
    teams: list[int] | None = None
    situation: int | None = None
    is_look: bool = False
