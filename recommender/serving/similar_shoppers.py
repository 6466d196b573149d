"""What people like a shopper buy: asked with their history, past and session together."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recommender.engine.online.eligibility import keep
from recommender.engine.online.shopper_neighbours import similar_shoppers
from recommender.engine.types import NO_ROW, Candidates, Float64Array, Int32Array
from recommender.serving.context import Context
from recommender.serving.models import AlikeModel, ProfilesModel

# Chosen on validation parts of Online Retail and MovieLens-1M; see docs/engine.md.
NEIGHBOURS = 100
POPULARITY_DAMPING = 0.25
MAX_PRODUCTS = 100
# Lines "this shopper has that product" that are read before bestsellers are left out of the
# question: 0.1 to 0.2 ms. To share one says little about taste.
MAX_LINES = 60_000
# So many more are looked for than asked, in place of products of the past that may not be shown.
MAX_PAST = 400


def liked_by_similar_shoppers(
    context: Context,
    model: ProfilesModel,
    alike: AlikeModel,
    *,
    session_share: float,
    limit: int,
) -> Candidates:
    """Candidates in snapshot rows; those that may not be shown here are left out.

    Neighbours share most with a shopper, so much of what they have is the shopper's already:
    whether that may be shown is said by the strategy's exclusions, not by the model.
    """
    past = context.history
    rows, weights = _taste(context, model, session_share)
    found = people_like(
        alike,
        rows,
        weights,
        place=NO_ROW if past is None else past.place,
        limit=limit if past is None else limit + min(len(past.rows), MAX_PAST),
        reasons=context.request.explain,
    )
    shown = model.rows.candidates(found, reasons=context.request.explain)
    shown = keep(shown, context.allowed(shown.rows))
    return Candidates(shown.rows[:limit], shown.scores[:limit], shown.because[:limit])


def people_like(
    alike: AlikeModel,
    rows: npt.ArrayLike,
    weights: npt.ArrayLike,
    *,
    place: int,
    limit: int,
    reasons: bool,
) -> Candidates:
    """What those shoppers like who are most like a history, as a shop asks; rows of the model.

    `weights` are `tastes`; `place` is that of the shopper in the profiles, -1 for a stranger.
    """
    return similar_shoppers(
        alike.index,
        rows,
        weights,
        limit=limit,
        k=NEIGHBOURS,
        popularity_damping=POPULARITY_DAMPING,
        excluded_shopper=alike.row_of(place),
        max_history=MAX_PRODUCTS,
        max_lines=MAX_LINES,
        reasons=reasons,
    )


def tastes(weights: npt.NDArray[np.floating]) -> Float64Array:
    """Square roots, as in the index. What is disliked says nothing of whom one is like."""
    roots: Float64Array = np.sqrt(np.maximum(weights, 0), dtype=np.float64)
    return roots


def _taste(
    context: Context, model: ProfilesModel, session_share: float
) -> tuple[Int32Array, Float64Array]:
    """Rows of the model and what they weigh: the session's are the given share of all."""
    past = context.history
    lately, place = np.unique(
        model.rows.from_snapshot.take(context.event_rows), return_inverse=True
    )
    sums: Float64Array = np.bincount(place, context.event_weights, len(lately)).astype(np.float64)
    session = _scaled(sums, session_share)
    if past is None:
        return lately.astype(np.int32), session
    return (
        np.concatenate([past.rows, lately]),
        np.concatenate([_scaled(past.weights, 1 - session_share), session]),
    )


def _scaled(weights: npt.NDArray[np.floating], share: float) -> Float64Array:
    """What is liked, summing to a share."""
    roots = tastes(weights)
    total = float(roots.sum())
    return roots * (share / total) if total > 0 else roots
