"""Who takes part in a blend, by what there is to learn from."""

from __future__ import annotations

from dataclasses import dataclass, field

from recommender.engine.methods.base import Parameters
from recommender.engine.methods.inputs import Training


@dataclass(frozen=True, slots=True)
class Member:
    """A method that takes part.

    Attributes
    ----------
    name
        Of the source.
    key
        Of the method.
    given
        Parameters that differ from its defaults.
    kind
        The one kind of event that it looks at; None: all that there is.
    answers_anybody
        It knows nothing of who asks, so it orders and fills, but doesn't answer alone.
    """

    name: str
    key: str
    given: Parameters = field(default_factory=dict)
    kind: str | None = None
    answers_anybody: bool = False


_TOGETHER: Parameters = {"position_decay": 1.0}
BESTSELLERS = Member("bestsellers", "bestsellers", answers_anybody=True)
OF_PURCHASES = (
    Member("buy_again", "buy_again"),
    Member("for_you", "for_you"),
    Member("for_you_als", "for_you_als"),
    Member("bought_together", "bought_together", {"regularisation": 100.0}),
    Member("also_viewed", "also_viewed", _TOGETHER),
    Member("similar_shoppers", "user_knn"),
    Member("light_gcn", "light_gcn"),
    BESTSELLERS,
    Member("trending", "bestsellers", {"half_life_days": 7.0}, answers_anybody=True),
)
OF_SESSIONS = (
    Member("next_click", "next_click"),
    Member("session_neighbours", "session_neighbours"),
    Member("also_viewed", "also_viewed"),
    BESTSELLERS,
)
# What makes a blend better than its best member is that they err in different ways: dense and sparse
# linear weights, short and long factors, spectra, the neighbours of items and of shoppers, texts.
OF_BASKETS = (
    Member("bought_together", "bought_together"),
    Member("slim", "slim", {"candidates": 100}),
    Member("similar_items", "item_knn_jaccard"),
    Member("similar_baskets", "user_knn", {"amplification": 3.0}),
    Member("for_you_als", "for_you_als"),
    Member("svd", "svd"),
    Member("light_gcn", "light_gcn"),
    Member("similar_content", "similar_content"),
    BESTSELLERS,
)
OF_SHOPPERS = (
    Member("for_you", "for_you", {"regularisation": 500.0}),
    Member("slim", "slim"),
    Member("similar_shoppers", "user_knn_pearson"),
    Member("for_you_als", "for_you_als"),
    Member("for_you_als_short", "for_you_als", {"factors": 32, "alpha": 20.0}),
    Member("svd", "svd", {"factors": 64, "item_exponent": 0.5}),
    Member("light_gcn", "light_gcn", {"factors": 64}),
    BESTSELLERS,
)


def members_for(training: Training) -> tuple[Member, ...]:
    """The cheap methods that fit what there is to learn from, as far as they can be fitted."""
    # The registry imports this module.
    from recommender.engine.methods.registry import METHODS, missing_for

    return tuple(
        member
        for member in _wanted_for(training)
        if member.key in METHODS and missing_for(METHODS[member.key], training) is None
    )


def _wanted_for(training: Training) -> tuple[Member, ...]:
    if training.purchases is not None:
        return OF_PURCHASES
    if training.sessions is not None:
        return OF_SESSIONS
    if len(training.shoppers) > 1:
        # A look and a purchase say different things, so each kind has a source of its own too:
        # the cheap one, for a large EASE per kind takes minutes and found hardly more.
        return (
            Member("for_you", "for_you", {"max_items": 12_000}),
            *(
                Member(f"also_viewed {kind}", "also_viewed", _TOGETHER, kind)
                for kind in training.shoppers
            ),
            BESTSELLERS,
        )
    return OF_SHOPPERS if training.shoppers else OF_BASKETS
