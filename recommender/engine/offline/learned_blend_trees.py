"""Trees that correct a learned blend, grown one after the other on what it got wrong.

Gradient boosting under the loss of the blend itself: the cross-entropy between what was wanted and
a softmax over the head of the list, beginning with what the conditional logit says. A library's
trees know neither that start nor that loss; classifying candidates one by one instead, whoever asks,
spends its splits on which queries are easy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from recommender.engine.errors import InvalidInputError
from recommender.engine.online.kernel import DOUBLE, F32, U8, N, helper, kernel
from recommender.engine.online.learned_blend_trees import SymmetricTrees
from recommender.engine.types import Float32Array, Float64Array, Int32Array, Int64Array

DEPTH = 5
MAX_TREES = 300
LEARNING_RATE = 0.15
N_BINS = 32
LEAF_PRIOR = 5.0
"""Added to the curvature of a leaf: ``p (1 - p)`` summed over its candidates, 1/4 each at most."""
LEAST_CURVATURE = 3.0
"""Of both sides of a node, for its division to count."""
SHARE_OF_LESSONS = 0.5
SHARE_OF_FEATURES = 0.3
LEAST_ASKED = 8
HELD_SHARE = 0.2
LEAST_HELD = 20
PATIENCE = 40


@dataclass(frozen=True, slots=True)
class RankedLesson:
    """The head of a blended list, and what was wanted of it.

    Attributes
    ----------
    inputs : float32[n, F]
    said : float32[n]
        What is there before the first tree.
    wanted : float32[n]
        0 and more, with a sum of 1.
    """

    inputs: Float32Array
    said: Float32Array
    wanted: Float32Array


@dataclass(frozen=True, slots=True)
class BoostedTrees:
    """Trees, and what they were worth on lessons that they didn't see.

    Attributes
    ----------
    gain, gain_error : float
        Mean cross-entropy per held lesson without trees minus that with them, in nats, and its
        standard error; 0 without trees.
    """

    trees: SymmetricTrees
    n_lessons: int
    gain: float = 0.0
    gain_error: float = 0.0


def fit_trees(
    lessons: Sequence[RankedLesson],
    *,
    seed: int,
    depth: int = DEPTH,
    max_trees: int = MAX_TREES,
    learning_rate: float = LEARNING_RATE,
) -> BoostedTrees:
    """As many trees as make lessons likelier that none of them was grown on, or none.

    Every tree is grown on a part of the lessons and a part of the inputs, drawn by the seed. A leaf
    adds ``-rate · Σ g / (Σ h + 5)``, with g = p - wanted and h = p (1 - p) of its candidates and p
    their chance so far; a level asks the question with the largest sum of ``(Σ g)² / (Σ h + 5)``
    over what it divides. The last fifth of the lessons only counts the trees: growing ends 40 trees
    after the best number, and that number is kept if the loss fell by more than its standard error.

    Parameters
    ----------
    lessons : sequence of RankedLesson
        Those that belong together (of a session, of a basket) next to each other.
    seed : int
    depth : int, 1 to 7
    max_trees : int
    learning_rate : float > 0

    Notes
    -----
    O(trees · depth · candidates · inputs), a quarter of these per tree. J. Friedman, "Greedy function
    approximation: a gradient boosting machine", 2001, and "Stochastic gradient boosting", 2002;
    symmetric trees as in L. Prokhorenkova et al., "CatBoost", 2018; the loss is that of ListNet,
    Z. Cao et al., 2007.
    """
    if not 1 <= depth <= 7:
        raise InvalidInputError(f"the depth of a tree must be from 1 to 7, not {depth}")
    n_held = max(int(HELD_SHARE * len(lessons)), LEAST_HELD)
    if len(lessons) < 2 * n_held:
        return BoostedTrees(_trees([], depth), len(lessons))
    taught, held = _Table.of(lessons[:-n_held]), _Table.of(lessons[-n_held:])
    edges = _edges(taught.inputs)
    bins, held_bins = _binned(taught.inputs, edges), _binned(held.inputs, edges)
    random = np.random.default_rng(seed)
    grown: list[_Tree] = []
    said, held_said = taught.said.copy(), held.said.copy()
    at_first = _losses(held, held_said)
    best, kept, gains = at_first.mean(), 0, np.zeros(n_held)
    while len(grown) < max_trees and len(grown) - kept < PATIENCE:
        tree = _grow(taught, bins, said, depth, learning_rate, random)
        grown.append(tree)
        said += tree.leaves[_leaf_of(bins, tree)]
        held_said += tree.leaves[_leaf_of(held_bins, tree)]
        losses = _losses(held, held_said)
        if losses.mean() < best:
            best, kept, gains = losses.mean(), len(grown), at_first - losses
    error = float(gains.std() / np.sqrt(n_held))
    if not gains.mean() > error:
        return BoostedTrees(_trees([], depth), len(lessons))
    return BoostedTrees(
        _trees(grown[:kept], depth, edges), len(lessons), float(gains.mean()), error
    )


@dataclass(frozen=True, slots=True)
class _Table:
    """Lessons one after the other."""

    inputs: Float32Array
    said: Float32Array
    wanted: Float32Array
    starts: Int64Array

    @classmethod
    def of(cls, lessons: Sequence[RankedLesson]) -> _Table:
        sizes = [len(lesson.said) for lesson in lessons]
        return cls(
            np.concatenate([lesson.inputs for lesson in lessons]),
            np.concatenate([lesson.said for lesson in lessons], dtype=np.float32),
            np.concatenate([lesson.wanted for lesson in lessons], dtype=np.float32),
            np.cumsum([0, *sizes[:-1]]).astype(np.int64),
        )

    @property
    def owners(self) -> Int64Array:
        return np.repeat(
            np.arange(len(self.starts)), np.diff(np.append(self.starts, len(self.said)))
        )


@dataclass(frozen=True, slots=True)
class _Tree:
    """Questions by bins: is it above?"""

    features: Int32Array
    above: Int32Array
    leaves: Float32Array


def _chances(table: _Table, said: Float32Array) -> tuple[Float32Array, Float64Array]:
    """The softmax of each lesson, and the logarithms of its denominators."""
    owners = table.owners
    top = np.maximum.reduceat(said, table.starts)
    odds = np.exp(said - top[owners])
    sums = np.add.reduceat(odds, table.starts)
    return (odds / sums[owners]).astype(np.float32), np.log(sums).astype(np.float64) + top


def _losses(table: _Table, said: Float32Array) -> Float64Array:
    """The cross-entropy of every lesson, in nats."""
    _, logs = _chances(table, said)
    return logs - np.add.reduceat((table.wanted * said).astype(np.float64), table.starts)


def _edges(inputs: Float32Array) -> list[Float32Array]:
    """Between which values of each input a question may be asked: its quantiles."""
    shares = np.linspace(0, 1, N_BINS + 1)[1:-1]
    some = inputs[:: max(len(inputs) // 50_000, 1)]
    return [np.unique(np.quantile(column, shares).astype(np.float32)) for column in some.T]


def _binned(inputs: Float32Array, edges: Sequence[Float32Array]) -> npt.NDArray[np.uint8]:
    """uint8[F, n]: how many edges are below each value."""
    return np.stack(
        [
            np.searchsorted(own, column, side="left").astype(np.uint8)
            for own, column in zip(edges, inputs.T, strict=True)
        ]
    )


def _grow(
    table: _Table,
    bins: npt.NDArray[np.uint8],
    said: Float32Array,
    depth: int,
    rate: float,
    random: np.random.Generator,
) -> _Tree:
    chances, _ = _chances(table, said)
    drawn = random.random(len(table.starts)) < SHARE_OF_LESSONS
    lines = np.flatnonzero(drawn[table.owners])
    slopes = (chances - table.wanted)[lines]
    curves = (chances * (1 - chances))[lines]
    n_asked = min(max(int(SHARE_OF_FEATURES * len(bins)), LEAST_ASKED), len(bins))
    asked = np.sort(random.permutation(len(bins))[:n_asked])
    own = np.ascontiguousarray(bins[asked][:, lines])
    nodes = np.zeros(len(lines), np.uint8)
    features, above = [], []
    for level in range(depth):
        place, edge = _best_question(
            own.ravel(), nodes, slopes, curves, len(asked), 2**level, LEAF_PRIOR, LEAST_CURVATURE
        )
        if place < 0:
            break
        features.append(asked[place])
        above.append(edge)
        nodes = (2 * nodes + (own[place] > edge)).astype(np.uint8)
    n_leaves = 2 ** len(features)
    leaves = -rate * np.bincount(nodes, slopes, n_leaves)
    leaves /= np.bincount(nodes, curves, n_leaves) + LEAF_PRIOR
    return _Tree(np.array(features, np.int32), np.array(above, np.int32), leaves.astype(np.float32))


def _leaf_of(bins: npt.NDArray[np.uint8], tree: _Tree) -> Int32Array:
    leaf = np.zeros(bins.shape[1], np.int32)
    for feature, above in zip(tree.features, tree.above, strict=True):
        leaf = 2 * leaf + (bins[feature] > above)
    return leaf


def _trees(
    grown: Sequence[_Tree], depth: int, edges: Sequence[Float32Array] = ()
) -> SymmetricTrees:
    """Questions by values instead of bins; a tree that ended early asks nothing at its lower levels."""
    features = np.zeros((len(grown), depth), np.int32)
    thresholds = np.full((len(grown), depth), np.inf, np.float32)
    leaves = np.zeros((len(grown), 2**depth), np.float32)
    for place, tree in enumerate(grown):
        n = len(tree.features)
        features[place, :n] = tree.features
        thresholds[place, :n] = [
            edges[feature][above] for feature, above in zip(tree.features, tree.above, strict=True)
        ]
        leaves[place, :: 2 ** (depth - n)] = tree.leaves
    return SymmetricTrees(features, thresholds, leaves)


@helper
def _add_gains(gains: Any, slopes: Any, curves: Any, prior: Any, least: Any) -> None:
    """What dividing one node at each edge is worth, its sums per bin given; in place."""
    slope, curve = slopes.sum(), curves.sum()
    whole = slope * slope / (curve + prior)
    below_slope, below_curve = 0.0, 0.0
    for edge in range(len(gains)):
        below_slope += slopes[edge]
        below_curve += curves[edge]
        if below_curve >= least and curve - below_curve >= least:
            rest = slope - below_slope
            gains[edge] += below_slope * below_slope / (below_curve + prior)
            gains[edge] += rest * rest / (curve - below_curve + prior) - whole


@kernel(U8, U8, F32, F32, N, N, DOUBLE, DOUBLE)
def _best_question(
    bins: Any,
    nodes: Any,
    slopes: Any,
    curves: Any,
    n_features: int,
    n_nodes: int,
    prior: Any,
    least: Any,
) -> Any:
    """Which input, and above which of its bins; -1 where no question is worth anything."""
    n = len(nodes)
    best, best_feature, best_edge = 1e-9, -1, -1
    sums = np.empty((n_nodes, N_BINS, 2))
    gains = np.empty(N_BINS - 1)
    for feature in range(n_features):
        sums[:] = 0
        start = feature * n
        for line in range(n):
            own = sums[nodes[line], bins[start + line]]
            own[0] += slopes[line]
            own[1] += curves[line]
        gains[:] = 0
        for node in range(n_nodes):
            _add_gains(gains, sums[node, :, 0], sums[node, :, 1], prior, least)
        for edge in range(N_BINS - 1):
            if gains[edge] > best:
                best, best_feature, best_edge = gains[edge], feature, edge
    return best_feature, best_edge
