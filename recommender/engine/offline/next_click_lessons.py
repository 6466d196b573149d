"""How much each feature counts: a conditional logit over the clicks of the last sessions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import sparse
from threadpoolctl import threadpool_limits

from recommender.engine.offline.next_click_tables import ITEMS, LINKS, NextClickTables
from recommender.engine.online.next_click import (
    MAX_SESSION_CLICKS,
    MAX_SESSION_ITEMS,
    N_NEAR_OF_RETURN,
    N_TIES,
    NEARNESS,
    OLDER,
    POSITION_DECAY,
    REPEATS,
    RETURN,
    SECOND,
    WITHOUT_REPEATS,
    RunningSession,
    known_clicks,
    look_up,
    nearness,
    repeat_features,
)
from recommender.engine.types import (
    BoolArray,
    Float32Array,
    Float64Array,
    Int32Array,
    Int64Array,
    NextClickModel,
    Sessions,
)

MAX_QUERIES = 12_000
MAX_QUERIES_OF_SESSION = 8
"""Or a few orders of hundreds of lines would be all that is learned from."""
MAX_LEARNED_SHARE = 0.1
"""At most this share of the sessions, the last ones, teach the weights."""
MAX_RIVALS = 100
STRONGEST_RIVALS = 60
"""Of these; the rest is a sample of all others, each of which stands for several."""
PRIOR_STRENGTH = 40.0
"""The prior counts as much as about this many queries."""
MIN_SPREAD = 0.2
MAX_STEPS = 20
BLOCK_QUERIES = 1_000

N_LINKS: Final = len(LINKS)
N_BENT: Final = 3 * N_LINKS - 1
RETURN_LINKS: Final = [LINKS.index(name) for name in ("direct", "forward", "two_hop")]
RETURN_ITEMS: Final = [ITEMS.index(name) for name in ("demand_short", "demand_long")]
N_RETURN: Final = len(RETURN_LINKS) + len(RETURN_ITEMS) + N_NEAR_OF_RETURN

NEWEST_PART: Final = slice(0, N_BENT)
SECOND_PART: Final = slice(NEWEST_PART.stop, NEWEST_PART.stop + N_LINKS)
OLDER_PART: Final = slice(SECOND_PART.stop, SECOND_PART.stop + N_LINKS)
ITEM_PART: Final = slice(OLDER_PART.stop, OLDER_PART.stop + len(ITEMS))
NEAR_PART: Final = slice(ITEM_PART.stop, ITEM_PART.stop + len(NEARNESS))
REPEAT_PART: Final = slice(NEAR_PART.stop, NEAR_PART.stop + len(REPEATS))
RETURN_PART: Final = slice(REPEAT_PART.stop, REPEAT_PART.stop + N_RETURN)
N_FEATURES: Final = RETURN_PART.stop

Matrix = sparse.csr_matrix[np.float32]


def publish(tables: NextClickTables, weights: Float32Array) -> NextClickModel:
    """Multiply out what depends on a pair, an item or a vector alone."""
    ties = np.empty((N_TIES, len(tables.partners)), np.float32)
    # In stretches: the bent columns of all pairs at once would be the largest array of all.
    for start in range(0, len(tables.partners), 1 << 18):
        part = slice(start, start + (1 << 18))
        logs = tables.logs[part]
        bent = _bent(logs)
        for first, line in ((0, weights[0]), (WITHOUT_REPEATS, weights[1])):
            ties[first, part] = bent @ line[NEWEST_PART]
            ties[first + SECOND, part] = logs @ line[SECOND_PART]
            ties[first + OLDER, part] = logs @ line[OLDER_PART]
        returning = weights[0, RETURN_PART]
        ties[RETURN, part] = logs[:, RETURN_LINKS] @ returning[: len(RETURN_LINKS)]
    returning = weights[0, RETURN_PART][len(RETURN_LINKS) :]
    near = np.zeros((3, len(NEARNESS)), np.float32)
    near[:2] = weights[:, NEAR_PART]
    near[2, :N_NEAR_OF_RETURN] = returning[len(RETURN_ITEMS) :]
    item_scores = [
        *(tables.items @ line[ITEM_PART] for line in weights),
        tables.items[:, RETURN_ITEMS] @ returning[: len(RETURN_ITEMS)],
    ]
    return NextClickModel(
        offsets=tables.offsets,
        partners=tables.partners,
        ties=ties,
        vectors=tables.vectors,
        item_scores=np.stack(item_scores).astype(np.float32),
        near_weights=near,
        repeat_weights=weights[0, REPEAT_PART].copy(),
        weights=weights,
        popular=tables.popular,
    )


def candidate_features(
    tables: NextClickTables, session_rows: npt.ArrayLike
) -> tuple[Int32Array, Float32Array]:
    """What `next_click` looks at, written out: the weights are learned from this.

    Parameters
    ----------
    tables : NextClickTables
    session_rows : int[n]

    Returns
    -------
    rows : int32[c]
        Candidates, each once.
    features : float32[c, n_features]
        By part: logs of the newest item's links, their squares and their products with the first;
        logs of the second item; sums over the older ones; the item; nearness; repeats; and again
        some links, demand and nearness if the candidate was in the session already. Times the
        weights they are what `next_click` ranks by.
    """
    clicks = known_clicks(session_rows, len(tables.items))[-MAX_SESSION_CLICKS:]
    if not clicks:
        return np.empty(0, np.int32), np.zeros((0, N_FEATURES), np.float32)
    session = RunningSession.of(clicks, len(tables.items))
    found = look_up(tables.offsets, tables.partners, tables.popular, session)
    rows, own = found.rows, found.own
    features = np.zeros((len(rows), N_FEATURES), np.float32)
    end = 0
    for age, (start, stop) in enumerate(found.lines):
        group = found.group[end : end + stop - start]
        logs = tables.logs[start:stop]
        if age == 0:
            features[group, NEWEST_PART] = _bent(logs)
        elif age == SECOND:
            features[group, SECOND_PART] = logs
        else:
            features[group, OLDER_PART] += logs * np.float32(POSITION_DECAY ** (age - OLDER))
        end += stop - start
    features[:, ITEM_PART] = tables.items[rows]
    features[:, NEAR_PART] = nearness(tables.vectors, session, rows)
    features[own, REPEAT_PART] = repeat_features(session)
    features[own, RETURN_PART] = np.concatenate(
        [
            features[own][:, RETURN_LINKS],
            tables.items[rows[own]][:, RETURN_ITEMS],
            features[own, NEAR_PART][:, :N_NEAR_OF_RETURN],
        ],
        axis=1,
    )
    return rows, features


def learn_weights(
    tables: NextClickTables, sessions: Sessions, prior: Float32Array, *, seed: int
) -> Float32Array:
    """Weights under which the clicks of these sessions are likeliest: float32[2, n_features].

    The tables must not have been made from these sessions.
    """
    learned = [Lesson(seed), Lesson(seed)]
    for start, end in queries_of(sessions, seed):
        prefix = sessions.item_rows[start:end]
        rows, features = candidate_features(tables, prefix)
        wanted = rows == sessions.item_rows[end]
        learned[0].add(features, wanted, prior[0])
        new = ~np.isin(rows, prefix)
        learned[1].add(features[new], wanted[new], prior[1])
    with threadpool_limits(limits=1, user_api="blas"):
        return np.stack([lesson.weights(line) for lesson, line in zip(learned, prior, strict=True)])


def lookups_of(sessions: Sessions, seed: int) -> Int64Array:
    """The items whose lines `learn_weights` will read, ascending."""
    read = np.zeros(int(sessions.item_rows.max(initial=-1)) + 1, np.bool_)
    for start, end in queries_of(sessions, seed):
        prefix = sessions.item_rows[max(end - MAX_SESSION_CLICKS, start) : end].tolist()
        read[list(dict.fromkeys(reversed(prefix)))[:MAX_SESSION_ITEMS]] = True
    return np.flatnonzero(read)


def first_lesson(sessions: Sessions) -> int:
    """The first of the last sessions that hold enough queries."""
    n = len(sessions)
    queries = np.clip(np.diff(sessions.offsets) - 1, 0, MAX_QUERIES_OF_SESSION)[::-1].cumsum()
    enough = int(np.searchsorted(queries, MAX_QUERIES)) + 1
    return n - min(enough, int(np.ceil(n * MAX_LEARNED_SHARE)))


def queries_of(sessions: Sessions, seed: int) -> list[tuple[int, int]]:
    """Where the prefix of each query begins and ends, ascending; of long sessions a sample."""
    random = np.random.default_rng(seed)
    begins = np.repeat(sessions.offsets[:-1], np.diff(sessions.offsets))
    ends = np.flatnonzero(np.arange(len(begins)) > begins)
    # Shuffled, then in order of session: the place within the session is a draw without return.
    ends = random.permutation(ends)
    ends = ends[np.argsort(begins[ends], kind="stable")]
    _, firsts, sizes = np.unique(begins[ends], return_index=True, return_counts=True)
    ends = ends[np.arange(len(ends)) - np.repeat(firsts, sizes) < MAX_QUERIES_OF_SESSION]
    if len(ends) > MAX_QUERIES:
        ends = random.choice(ends, MAX_QUERIES, replace=False)
    ends = np.sort(ends)
    return list(zip(begins[ends].tolist(), ends.tolist(), strict=True))


def _bent(logs: Float32Array) -> Float32Array:
    """Logs, their squares, and their products with that of the direct link."""
    scaled = logs * np.float32(1 / 7)
    return np.concatenate([logs, logs * scaled, logs[:, :1] * scaled[:, 1:]], axis=1)


class Lesson:
    """Queries whose answer is among their candidates."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.features: list[Float32Array] = []
        self.shares: list[Float32Array] = []
        self.answers: list[int] = []
        self.sizes: list[int] = []
        self.blocks: list[_Block] = []

    def add(self, features: Float32Array, wanted: BoolArray, weights: Float32Array) -> None:
        """Keep the answer, its strongest rivals, and a sample of the others.

        Each of the sample stands for several. Without them, nothing would keep what is never a
        rival from being ranked first by the weights that are learned.
        """
        n = len(wanted)
        if not wanted.any() or n < 2:
            return
        shares = np.zeros(n, np.float32)
        if n > MAX_RIVALS:
            # What was clicked before is always a rival: there is little of it.
            certain = wanted | features[:, REPEAT_PART].any(axis=1)
            scores = features @ weights
            certain |= scores >= np.partition(scores, -STRONGEST_RIVALS)[-STRONGEST_RIVALS]
            others = np.flatnonzero(~certain)
            n_sample = max(MAX_RIVALS - int(certain.sum()), 10)
            if len(others) > n_sample:
                shares[others] = np.log(len(others) / n_sample)
                others = self.random.permutation(others)[:n_sample]
            kept = np.sort(np.concatenate([np.flatnonzero(certain), others]))
            features, wanted, shares = features[kept], wanted[kept], shares[kept]
        self.features.append(features)
        self.shares.append(shares)
        self.answers.append(int(wanted.argmax()))
        self.sizes.append(len(wanted))

        if len(self.answers) == BLOCK_QUERIES:
            self.close()

    def close(self) -> None:
        """Make a block of what was collected."""
        if self.answers:
            self.blocks.append(
                _Block.of(
                    np.concatenate(self.features),
                    np.concatenate(self.shares),
                    np.array(self.sizes),
                    np.array(self.answers),
                )
            )
        self.features, self.shares, self.sizes, self.answers = [], [], [], []

    def weights(self, prior: Float32Array) -> Float32Array:
        self.close()
        return _conditional_logit(self.blocks, prior) if self.blocks else prior


@dataclass(frozen=True, slots=True)
class _Block:
    """Some queries: their candidates one after the other, and who owns which."""

    features: Float32Array
    shares: Float32Array
    starts: Int64Array
    owner: Int64Array
    wanted: Int64Array
    per_query: Matrix

    @classmethod
    def of(
        cls, features: Float32Array, shares: Float32Array, sizes: Int64Array, answers: Int64Array
    ) -> _Block:
        starts = np.cumsum(sizes) - sizes
        ends = np.append(starts, len(features))
        ones = np.ones(len(features), np.float32)
        return cls(
            features=features,
            shares=shares,
            starts=starts,
            owner=np.repeat(np.arange(len(sizes)), sizes),
            wanted=starts + answers,
            per_query=sparse.csr_matrix(
                (ones, np.arange(len(features)), ends), shape=(len(sizes), len(features))
            ),
        )

    def loss(self, weights: Float64Array) -> tuple[float, Float32Array]:
        """The sum of the negative log-likelihoods, and every candidate's chance."""
        scores = self.features @ weights.astype(np.float32) + self.shares
        top = np.maximum.reduceat(scores, self.starts)
        odds = np.exp(scores - top[self.owner])
        totals = np.add.reduceat(odds, self.starts)
        value = float((np.log(totals) + top - scores[self.wanted]).sum(dtype=np.float64))
        return value, (odds / totals[self.owner]).astype(np.float32)

    def slopes(self, chances: Float32Array) -> tuple[Float64Array, Float64Array]:
        """Gradient and Hessian of the sum."""
        weighted = self.features * chances[:, None]
        means = self.per_query @ weighted
        slope = means.sum(axis=0, dtype=np.float64)
        slope -= self.features[self.wanted].sum(axis=0, dtype=np.float64)
        return slope, (self.features.T @ weighted - means.T @ means).astype(np.float64)


def _conditional_logit(blocks: list[_Block], prior: Float32Array) -> Float32Array:
    """Maximise ``mean log softmax - PRIOR_STRENGTH / n * |(w - prior) * spread|^2 / 2``.

    Newton's method: the logs of six tables resemble each other, and a gradient method crawls along
    their valley, while a Hessian of so few features costs no more than some gradients.
    """
    n = sum(len(block.starts) for block in blocks)
    ridge = PRIOR_STRENGTH / n * _spread(blocks) ** 2

    def fit(weights: Float64Array) -> tuple[float, list[Float32Array]]:
        parts = [block.loss(weights) for block in blocks]
        value = sum(part for part, _ in parts) / n
        return value + float(ridge @ (weights - prior) ** 2) / 2, [part for _, part in parts]

    weights = prior.astype(np.float64)
    value, chances = fit(weights)
    for _ in range(MAX_STEPS):
        slope, curvature = ridge * (weights - prior), np.diag(ridge + 1e-9)
        for block, block_chances in zip(blocks, chances, strict=True):
            block_slope, block_curvature = block.slopes(block_chances)
            slope += block_slope / n
            curvature += block_curvature / n
        step = np.linalg.solve(curvature, slope)
        better, new_chances = fit(weights - step)
        while better > value and np.abs(step).max() > 1e-6:
            step = step / 2
            better, new_chances = fit(weights - step)
        if not better < value - 1e-6:
            break
        weights, value, chances = weights - step, better, new_chances
    return weights.astype(np.float32)


def _spread(blocks: list[_Block]) -> Float64Array:
    """Standard deviation of each feature; one that hardly varies could else take any weight."""
    n = sum(len(block.features) for block in blocks)
    sums = np.zeros(N_FEATURES)
    squares = np.zeros(N_FEATURES)
    for block in blocks:
        sums += block.features.sum(axis=0, dtype=np.float64)
        squares += np.einsum("ij,ij->j", block.features, block.features)
    variance = squares / n - (sums / n) ** 2
    out: Float64Array = np.maximum(np.sqrt(np.maximum(variance, 0)), MIN_SPREAD)
    return out
