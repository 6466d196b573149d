"""Lessons of the learned blend: candidates, what was wanted of them, and how likely that looks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse
from threadpoolctl import threadpool_limits

from recommender.engine.types import Float32Array, Float64Array, Int64Array

MAX_RIVALS = 150
STRONGEST_RIVALS = 90
"""Of these; the rest is a sample of all others, each of which stands for several."""
BLOCK_LESSONS = 500
MAX_STEPS = 25

Matrix = sparse.csr_matrix[np.float32]


@dataclass(frozen=True, slots=True)
class Lesson:
    """One query with its candidates.

    Attributes
    ----------
    features : float32[n, F]
    wanted : float32[n]
        How much of the answer each candidate was; 0 and more, not all 0.
    offsets : float32[n]
        Added to the scores and not learned: the logarithm of how many others it stands for.
    weight : float
        What the lesson counts, > 0.
    """

    features: Float32Array
    wanted: Float32Array
    offsets: Float32Array
    weight: float = 1.0


def lesson_of(
    features: Float32Array,
    wanted: npt.NDArray[np.floating],
    weights: Float32Array,
    *,
    weight: float = 1.0,
    random: np.random.Generator,
) -> Lesson | None:
    """Keep what was wanted, its strongest rivals under some weights, and a sample of the others.

    Each of the sample stands for several. Without them nothing would keep what is never a rival
    from being ranked first by the weights that are learned.

    Returns
    -------
    Lesson or None
        None where nothing wanted is among the candidates, or nothing else.
    """
    n = len(wanted)
    sure = np.asarray(wanted) > 0
    offsets = np.zeros(n, np.float32)
    if not sure.any() or sure.all():
        return None
    if n > MAX_RIVALS:
        scores = features @ weights
        sure |= scores >= np.partition(scores, -STRONGEST_RIVALS)[-STRONGEST_RIVALS]
        others = np.flatnonzero(~sure)
        n_sample = max(MAX_RIVALS - int(sure.sum()), 20)
        if len(others) > n_sample:
            offsets[others] = np.log(len(others) / n_sample)
            others = random.permutation(others)[:n_sample]
        kept = np.sort(np.concatenate([np.flatnonzero(sure), others]))
        features, wanted, offsets = features[kept], wanted[kept], offsets[kept]
    return Lesson(features, np.asarray(wanted, np.float32), offsets, weight)


@dataclass(frozen=True, slots=True)
class _Block:
    """Some lessons, their candidates one after the other."""

    features: Float32Array
    offsets: Float32Array
    wanted: Float32Array
    starts: Int64Array
    owner: Int64Array
    totals: Float64Array
    per_lesson: Matrix

    @classmethod
    def of(cls, lessons: Sequence[Lesson]) -> _Block:
        sizes = np.array([len(lesson.wanted) for lesson in lessons])
        starts = np.cumsum(sizes) - sizes
        n = int(sizes.sum())
        wanted = np.concatenate(
            [lesson.wanted * (lesson.weight / lesson.wanted.sum()) for lesson in lessons]
        )
        return cls(
            features=np.concatenate([lesson.features for lesson in lessons]),
            offsets=np.concatenate([lesson.offsets for lesson in lessons]),
            wanted=wanted.astype(np.float32),
            starts=starts,
            owner=np.repeat(np.arange(len(sizes)), sizes),
            totals=np.array([lesson.weight for lesson in lessons]),
            per_lesson=sparse.csr_matrix(
                (np.ones(n, np.float32), np.arange(n), np.append(starts, n)),
                shape=(len(sizes), n),
            ),
        )

    def loss(self, weights: Float64Array) -> tuple[float, Float32Array]:
        """The weighted sum of the cross-entropies, and every candidate's chance."""
        scores = self.features @ weights.astype(np.float32) + self.offsets
        top = np.maximum.reduceat(scores, self.starts)
        odds = np.exp(scores - top[self.owner])
        sums = np.add.reduceat(odds, self.starts)
        value = self.totals @ (np.log(sums) + top) - float(self.wanted @ scores)
        return float(value), (odds / sums[self.owner]).astype(np.float32)

    def slopes(self, chances: Float32Array) -> tuple[Float64Array, Float64Array]:
        """Gradient and Hessian of the sum."""
        weighted = self.features * (chances * self.totals[self.owner])[:, None].astype(np.float32)
        sums = self.per_lesson @ weighted
        slope = (weighted - self.features * self.wanted[:, None]).sum(axis=0, dtype=np.float64)
        means = sums / self.totals[:, None].astype(np.float32)
        return slope, (self.features.T @ weighted - means.T @ sums).astype(np.float64)


class Lessons:
    """All lessons of a fit."""

    def __init__(self, lessons: Sequence[Lesson]) -> None:
        self.n = len(lessons)
        self.total = float(sum(lesson.weight for lesson in lessons))
        self._blocks = [
            _Block.of(lessons[start : start + BLOCK_LESSONS])
            for start in range(0, len(lessons), BLOCK_LESSONS)
        ]

    def loss(self, weights: npt.NDArray[np.floating]) -> float:
        """The mean cross-entropy of a lesson, in nats."""
        given = np.asarray(weights, np.float64)
        return sum(block.loss(given)[0] for block in self._blocks) / max(self.total, 1e-12)

    def spread(self, n_features: int) -> Float64Array:
        """Standard deviation of each feature among the candidates; 1 of one that never varies."""
        n = max(sum(len(block.features) for block in self._blocks), 1)
        sums, squares = np.zeros(n_features), np.zeros(n_features)
        for block in self._blocks:
            sums += block.features.sum(axis=0, dtype=np.float64)
            squares += np.einsum("ij,ij->j", block.features, block.features, dtype=np.float64)
        variance = np.maximum(squares / n - (sums / n) ** 2, 0)
        return np.where(variance > 1e-12, np.sqrt(variance), 1.0)

    def most_likely(
        self, prior: Float64Array, precision: Float64Array
    ) -> tuple[Float64Array, Float64Array]:
        """Minimise ``sum cross-entropy + (w - prior)' precision (w - prior) / 2`` by Newton steps.

        Sources resemble each other, and a gradient method crawls along the valley between them,
        while a Hessian of a hundred features costs no more than some gradients.

        Parameters
        ----------
        prior : float64[F]
        precision : float64[F, F], positive definite

        Returns
        -------
        weights : float64[F]
        precision : float64[F, F]
            The Hessian there: how sure the weights are now (Laplace's approximation).
        """
        with threadpool_limits(limits=1, user_api="blas"):
            weights = prior.copy()
            value, chances = self._value(weights, prior, precision)
            curvature = precision
            for _ in range(MAX_STEPS):
                slope, curvature = self._slopes(chances, weights, prior, precision)
                step = np.linalg.solve(curvature, slope)
                better, new_chances = self._value(weights - step, prior, precision)
                while better > value and np.abs(step).max() > 1e-6:
                    step = step / 2
                    better, new_chances = self._value(weights - step, prior, precision)
                if not better < value - 1e-7 * max(self.total, 1.0):
                    break
                weights, value, chances = weights - step, better, new_chances
            return weights, curvature

    def _value(
        self, weights: Float64Array, prior: Float64Array, precision: Float64Array
    ) -> tuple[float, list[Float32Array]]:
        parts = [block.loss(weights) for block in self._blocks]
        gap = weights - prior
        return sum(part for part, _ in parts) + float(gap @ precision @ gap) / 2, [
            part for _, part in parts
        ]

    def _slopes(
        self,
        chances: Sequence[Float32Array],
        weights: Float64Array,
        prior: Float64Array,
        precision: Float64Array,
    ) -> tuple[Float64Array, Float64Array]:
        slope, curvature = precision @ (weights - prior), precision.copy()
        for block, own in zip(self._blocks, chances, strict=True):
            part, bent = block.slopes(own)
            slope += part
            curvature += bent
        return slope, curvature
