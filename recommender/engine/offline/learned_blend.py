"""How much each source counts, learned: from a time cut of history, or from logged impressions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from recommender.engine.errors import InvalidInputError
from recommender.engine.offline.learned_blend_features import (
    Catalog,
    blend_features,
    standardisation,
)
from recommender.engine.offline.learned_blend_lessons import Lesson, Lessons, lesson_of
from recommender.engine.online.learned_blend import N_LINE, BlendModel, Situation
from recommender.engine.types import Candidates, Float32Array, Float64Array, Int32Array

PRIOR_LINE = (3.0, 3.0, 3.0, 1.0, 0.0)
"""Of `LINE_FEATURES`, divided by the number of sources: what several data sets taught in sum."""
PRIOR_STRENGTH = 20.0
"""The prior counts as much as about this many lessons."""
MIN_SPREAD = 0.1
"""A feature that hardly varies could else take any weight."""


@dataclass(frozen=True, slots=True)
class Query:
    """What the sources answered once, and what turned out to be wanted.

    Attributes
    ----------
    parts : sequence of (source name, candidates)
        All of the model's sources, in its order.
    situation : Situation
    wanted : int32[w]
        Item rows; those that no source named teach nothing.
    """

    parts: Sequence[tuple[str, Candidates]]
    situation: Situation
    wanted: Int32Array


@dataclass(frozen=True, slots=True)
class LearnedBlend:
    """Weights, and how sure they are.

    Attributes
    ----------
    model : BlendModel
    precision : float64[F, F]
        Inverse covariance of the weights; what an update starts from.
    n_lessons : int
        Queries that taught something.
    """

    model: BlendModel
    precision: Float64Array
    n_lessons: int


def blend_prior(
    sources: Sequence[str],
    *,
    context: Sequence[str] = (),
    product: Sequence[str] = (),
    personal: Sequence[str] = (),
    tops: Float32Array | None = None,
    means: Float32Array | None = None,
    scales: Float32Array | None = None,
) -> BlendModel:
    """The blend before anything is known: every source counts the same, nothing else does."""
    n_inputs = len(context) + len(product) + len(personal)
    n_crossed = 2 * len(context) * len(sources)
    line = np.tile(np.array(PRIOR_LINE, np.float32) / max(len(sources), 1), len(sources))
    others = np.zeros(n_crossed + len(product) + len(personal) + 2, np.float32)
    return BlendModel(
        sources=tuple(sources),
        context=tuple(context),
        product=tuple(product),
        personal=tuple(personal),
        tops=np.ones(len(sources), np.float32) if tops is None else tops,
        means=np.zeros(n_inputs, np.float32) if means is None else means,
        scales=np.ones(n_inputs, np.float32) if scales is None else scales,
        weights=np.concatenate([line, others]),
    )


def fit_blend(
    queries: Sequence[Query],
    catalog: Catalog,
    *,
    sources: Sequence[str],
    context: Sequence[str] = (),
    product: Sequence[str] = (),
    personal: Sequence[str] = (),
    prior_strength: float = PRIOR_STRENGTH,
    seed: int = 0,
) -> LearnedBlend:
    """Weights under which what was wanted is likeliest.

    The mean over queries of the cross-entropy between what was wanted, each of it the same, and a
    softmax over all candidates of the query; with a Gaussian prior around `blend_prior`, whose
    width is measured in standard deviations of a feature. With few queries the prior decides.

    Parameters
    ----------
    queries : sequence of Query
        The sources must not have been fitted on what was wanted.
    catalog : Catalog
        Its columns are `product`.
    sources, context, product, personal : sequences of names
    prior_strength : float > 0
    seed : int
        Decides which rivals teach.

    Raises
    ------
    InvalidInputError
        If the strength isn't above 0.

    Notes
    -----
    A conditional logit; D. McFadden, "Conditional logit analysis of qualitative choice behavior",
    1974. O(queries · rivals · F²) per Newton step, of which there are about 8.
    """
    if not prior_strength > 0:
        raise InvalidInputError(f"the strength of the prior must be above 0, not {prior_strength}")
    did = [query.situation.did for query in queries if len(query.situation.rows)]
    means, scales = standardisation(
        _stacked([query.situation.context[None] for query in queries], len(context)),
        catalog.products,
        _stacked(did, len(personal)),
    )
    start = blend_prior(
        sources,
        context=context,
        product=product,
        personal=personal,
        tops=_tops(queries, len(sources)),
        means=means,
        scales=scales,
    )
    lessons = lessons_of(start, queries, catalog, seed=seed)
    n = len(start.weights)
    if not lessons:
        return LearnedBlend(start, np.eye(n) * prior_strength, 0)
    together = Lessons(lessons)
    width = np.maximum(together.spread(n), MIN_SPREAD)
    weights, precision = together.most_likely(
        start.weights.astype(np.float64), np.diag(prior_strength * width**2)
    )
    return LearnedBlend(
        replace(start, weights=weights.astype(np.float32), version=1), precision, len(lessons)
    )


def source_weights(
    queries: Sequence[Query], *, sources: Sequence[str], prior_strength: float = 5.0, seed: int = 0
) -> list[float]:
    """The weights of a plain weighted sum of scores over the largest: none below 0, the largest 1.

    The conditional logit on that one feature of each source; a source that would weigh less than
    nothing is left out and the others learn again. Without queries all weigh 1.

    Examples
    --------
    >>> source_weights([], sources=["a", "b"])
    [1.0, 1.0]
    """
    start = blend_prior(sources)
    nothing = Situation()
    bare = [replace(query, situation=nothing) for query in queries]
    n_items = 1 + max(
        (int(part.rows.max(initial=0)) for query in bare for _, part in query.parts), default=0
    )
    catalog = Catalog(np.empty((n_items, 0), np.float32))
    lessons = lessons_of(start, bare, catalog, seed=seed)
    kept = list(range(len(sources)))
    while lessons and kept:
        columns = [N_LINE * source for source in kept]
        own = Lessons([replace(lesson, features=lesson.features[:, columns]) for lesson in lessons])
        prior = np.full(len(kept), PRIOR_LINE[0] / len(sources))
        weights, _ = own.most_likely(prior, np.eye(len(kept)) * prior_strength)
        if (weights > 0).all():
            out = np.zeros(len(sources))
            out[kept] = weights / weights.max()
            return [float(weight) for weight in out]
        kept = [source for source, weight in zip(kept, weights.tolist(), strict=True) if weight > 0]
    return [1.0] * len(sources)


def lessons_of(
    model: BlendModel, queries: Sequence[Query], catalog: Catalog, *, seed: int
) -> list[Lesson]:
    """Candidates with features, for every query of which a source named what was wanted."""
    random = np.random.default_rng(seed)
    out = []
    for query in queries:
        rows, features = blend_features(model, query.parts, query.situation, catalog)
        wanted = np.isin(rows, query.wanted).astype(np.float32)
        lesson = lesson_of(features, wanted, model.weights, random=random)
        if lesson is not None:
            out.append(lesson)
    return out


def _stacked(parts: Sequence[Float32Array], width: int) -> Float32Array:
    return np.concatenate([*parts, np.empty((0, width), np.float32)], dtype=np.float32)


def _tops(queries: Sequence[Query], n_sources: int) -> Float32Array:
    """The median of what the lists of each source begin with; 1 where it never had any."""
    out = np.ones(n_sources, np.float32)
    for source in range(n_sources):
        first = [
            float(query.parts[source][1].scores[0])
            for query in queries
            if len(query.parts[source][1])
        ]
        first = [score for score in first if score > 0]
        if first:
            out[source] = np.median(first)
    return out
