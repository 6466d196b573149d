"""The learned blend and what was clicked: weights from logged impressions, guarded against drift."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from recommender.engine.errors import InvalidInputError
from recommender.engine.offline.learned_blend import MIN_SPREAD, PRIOR_STRENGTH, LearnedBlend
from recommender.engine.offline.learned_blend_features import Catalog, blend_features
from recommender.engine.offline.learned_blend_lessons import Lesson, Lessons
from recommender.engine.online.learned_blend import BlendModel, Situation
from recommender.engine.types import BoolArray, Candidates, Float32Array, Float64Array, Int32Array

MAX_WEIGHT = 10.0
"""A click on what had a chance of 1 in 1,000 must not count as a thousand clicks."""
N_POSITION = 2
"""Columns for the place in the list: learned beside the others, and not served."""
POSITION_PRIOR = 1.0
TAIL_SHARE = 0.2
MIN_TAIL = 20
MAX_STEP = 0.5
MAX_WORSE = 0.01
FORGETTING = 0.95


@dataclass(frozen=True, slots=True)
class Impression:
    """What was shown to whom, and what was clicked.

    Attributes
    ----------
    parts : sequence of (source name, candidates)
        What the sources had answered: all of the model's, in its order.
    situation : Situation
    shown : int32[m]
        Item rows by place, the first place first.
    clicked : bool[m]
    propensities : float32[m], in (0, 1]
        The chance that the product had of being shown at its place; 1 where nothing was left to
        chance.
    """

    parts: Sequence[tuple[str, Candidates]]
    situation: Situation
    shown: Int32Array
    clicked: BoolArray
    propensities: Float32Array

    def __post_init__(self) -> None:
        if not len(self.shown) == len(self.clicked) == len(self.propensities):
            raise InvalidInputError(
                f"shown, clicked and propensities differ in length: {len(self.shown)}, "
                f"{len(self.clicked)}, {len(self.propensities)}"
            )
        if len(self.propensities) and not (
            self.propensities.min() > 0 and self.propensities.max() <= 1
        ):
            raise InvalidInputError("a propensity is above 0 and at most 1")


@dataclass(frozen=True, slots=True)
class BlendUpdate:
    """What new impressions did to the weights.

    Attributes
    ----------
    learned : LearnedBlend
        The new one, or the old one where the update was refused.
    refused : str or None
        Why the old weights stay, as a clause.
    loss_before, loss_after : float
        Mean cross-entropy in nats of the held-out newest impressions; NaN if there were too few.
    step : float
        The largest change of a weight, in the spread of its feature.
    shortened : float
        The part of the whole step that was taken, 1: all of it.
    n_lessons : int
        Impressions that taught something.
    """

    learned: LearnedBlend
    refused: str | None
    loss_before: float
    loss_after: float
    step: float
    shortened: float
    n_lessons: int


def impression_lessons(
    model: BlendModel, impressions: Sequence[Impression], catalog: Catalog
) -> list[Lesson]:
    """A choice between the products shown, for every impression with a click.

    A click counts by its inverse propensity, at most `MAX_WEIGHT`; the weights are then divided by
    their mean, so that exploring more doesn't make the prior weaker. The last two columns are the
    place: ``log2(place + 1)`` and whether it is the first. What no source had named (pinned
    products, fallbacks) is left out.
    """
    out = []
    for impression in impressions:
        rows, features = blend_features(model, impression.parts, impression.situation, catalog)
        if not len(rows) or not impression.clicked.any():
            continue
        place = np.minimum(np.searchsorted(rows, impression.shown), len(rows) - 1)
        kept = rows[place] == impression.shown
        at = np.arange(1, len(kept) + 1)[kept]
        counts = np.minimum(1.0 / impression.propensities[kept], MAX_WEIGHT)
        wanted = np.where(impression.clicked[kept], counts, 0).astype(np.float32)
        if not wanted.any() or wanted.all():
            continue
        where = np.stack([np.log2(at + 1.0), at == 1], axis=1)
        out.append(
            Lesson(
                np.concatenate([features[place[kept]], where], axis=1, dtype=np.float32),
                wanted,
                np.zeros(len(wanted), np.float32),
                float(wanted.sum()),
            )
        )
    mean = float(np.mean([lesson.weight for lesson in out])) if out else 1.0
    return [replace(lesson, weight=lesson.weight / mean) for lesson in out]


def fit_blend_on_impressions(
    start: BlendModel,
    impressions: Sequence[Impression],
    catalog: Catalog,
    *,
    prior_strength: float = PRIOR_STRENGTH,
) -> LearnedBlend:
    """Weights from a log alone, with a Gaussian prior around those of `start`.

    Parameters
    ----------
    start : BlendModel
        Such as `blend_prior` makes it.
    impressions : sequence of Impression
    catalog : Catalog
    prior_strength : float > 0
        So many clicks are as much as the prior.
    """
    lessons = impression_lessons(start, impressions, catalog)
    n = len(start.weights)
    if not lessons:
        return LearnedBlend(start, np.eye(n) * prior_strength, 0)
    together = Lessons(lessons)
    width = np.maximum(together.spread(n + N_POSITION)[:n], MIN_SPREAD)
    weights, precision = _learned(together, start.weights, np.diag(prior_strength * width**2))
    model = replace(start, weights=weights[:n].astype(np.float32), version=start.version + 1)
    return LearnedBlend(model, precision, len(lessons))


def update_blend(
    learned: LearnedBlend,
    impressions: Sequence[Impression],
    catalog: Catalog,
    *,
    max_step: float = MAX_STEP,
    max_worse: float = MAX_WORSE,
    tail_share: float = TAIL_SHARE,
    min_tail: int = MIN_TAIL,
    forgetting: float = FORGETTING,
) -> BlendUpdate:
    """Let new impressions change the weights, a little and only if it doesn't hurt.

    The old weights with their certainty are the prior; Newton's method finds the likeliest ones
    given the earlier impressions. No weight moves by more than `max_step` in the spread of its
    feature (the whole step is shortened), and the newest impressions, from which nothing was
    learned, must not become less likely by more than `max_worse`.

    Parameters
    ----------
    learned : LearnedBlend
    impressions : sequence of Impression
        By time, none of which was learned from before.
    catalog : Catalog
    max_step : float > 0
    max_worse : float >= 0, nats
    tail_share : float in 0..1
    min_tail : int
        Fewer held-out impressions with clicks than this can't speak against anything.
    forgetting : float in 0..1
        What is left of the old certainty: shops change.

    Returns
    -------
    BlendUpdate
        Refused, the old object is returned in it.

    Examples
    --------
    >>> from recommender.engine.offline.learned_blend import blend_prior
    >>> old = LearnedBlend(blend_prior(["a"]), np.eye(7), 0)
    >>> update_blend(old, [], Catalog(np.empty((0, 0), np.float32))).refused
    'none of the impressions has a click that teaches anything'
    """
    lessons = impression_lessons(learned.model, impressions, catalog)

    def refused(why: str, before: float = np.nan, after: float = np.nan) -> BlendUpdate:
        return BlendUpdate(learned, why, before, after, 0.0, 0.0, len(lessons))

    if not lessons:
        return refused("none of the impressions has a click that teaches anything")
    n_tail = int(np.ceil(tail_share * len(lessons)))
    if n_tail < min_tail:
        return refused(
            f"{n_tail} held-out impressions with clicks are too few, {min_tail} are enough"
        )
    if n_tail == len(lessons):
        return refused("everything is held out, so there is nothing to learn from")
    earlier, tail = Lessons(lessons[:-n_tail]), Lessons(lessons[-n_tail:])
    old = learned.model.weights
    n = len(old)
    weights, precision = _learned(earlier, old, learned.precision * forgetting)
    width = np.maximum(earlier.spread(n + N_POSITION)[:n], MIN_SPREAD)
    largest = float((np.abs(weights[:n] - old) * width).max())
    shortened = min(1.0, max_step / largest) if largest > 0 else 1.0
    new = (old + (weights[:n] - old) * shortened).astype(np.float32)
    # Both are judged with the same idea of what a place is worth.
    before = tail.loss(np.concatenate([old, weights[n:]]))
    after = tail.loss(np.concatenate([new, weights[n:]]))
    if not after <= before + max_worse:
        return refused(
            f"the held-out impressions would be less likely: {after:.4f} nats a click instead of "
            f"{before:.4f}, and {max_worse:g} more is the limit",
            before,
            after,
        )
    model = replace(learned.model, weights=new, version=learned.model.version + 1)
    return BlendUpdate(
        LearnedBlend(model, precision, learned.n_lessons + len(lessons) - n_tail),
        None,
        before,
        after,
        largest * shortened,
        shortened,
        len(lessons),
    )


def _learned(
    lessons: Lessons, prior: npt.NDArray[np.floating], precision: Float64Array
) -> tuple[Float64Array, Float64Array]:
    """Weights with those of the places at the end, and the precision without them."""
    n = len(prior)
    wide = np.eye(n + N_POSITION) * POSITION_PRIOR
    wide[:n, :n] = precision
    start = np.concatenate([np.asarray(prior, np.float64), np.zeros(N_POSITION)])
    weights, found = lessons.most_likely(start, wide)
    # What the places explain is not known of the others: the Schur complement leaves them out.
    across = found[:n, n:]
    return weights, found[:n, :n] - across @ np.linalg.solve(found[n:, n:], across.T)
