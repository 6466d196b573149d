"""Learning the next-click model: tables and vectors from counts, weights from the last sessions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse
from threadpoolctl import threadpool_limits

from recommender.engine.errors import InvalidInputError
from recommender.engine.offline.next_click_counts import (
    count_clicks,
    extend_counts,
    pair_keys,
    row_offsets,
    sum_by_key,
)
from recommender.engine.offline.next_click_prior import PRIOR_WEIGHTS
from recommender.engine.offline.sessions import take_sessions
from recommender.engine.online.next_click import (
    LINKS,
    N_FEATURES,
    NEWEST,
    OF_ITEM,
    REPEAT,
    SECOND,
    SESSION,
    candidate_features,
    curves,
)
from recommender.engine.types import (
    BoolArray,
    Float32Array,
    Float64Array,
    Int64Array,
    NextClickCounts,
    NextClickModel,
    Sessions,
)

MAX_PARTNERS = 150
"""Lines of an item that are kept. It bounds the work of a query."""
HOP_PARTNERS = 20
"""Best partners of an item from which the second step goes on."""
TWO_HOP_PARTNERS = 80
DIMENSIONS = 64
POWER_ITERATIONS = 4
OVERSAMPLING = 16
DAMPING = 0.5
"""Added to every sum that a count is divided by: one click is no certainty."""
VECTOR_DAMPING = 3.0
N_POPULAR = 50
PRUNING = np.array([1.0, 1.0, 0.5, 1.0, 2.0, 0.5])
"""How much each column of the tables counts when the partners of an item are chosen."""

MAX_QUERIES = 12_000
MAX_LEARNED_SHARE = 0.1
"""At most this share of the sessions, the last ones, teach the weights."""
MAX_RIVALS = 120
PRIOR_STRENGTH = 40.0
"""The prior counts as much as about this many queries."""
MIN_SPREAD = 0.2
ROOT_STIFFNESS = 10.0
"""Roots differ so little from item to item that they'd invite enormous weights of both signs."""
MAX_STEPS = 20

Matrix = sparse.csr_matrix[np.float32]

_STIFFNESS = np.ones(N_FEATURES)
for _part in (NEWEST, SECOND, SESSION):
    _STIFFNESS[_part.start + len(LINKS) : _part.stop] = ROOT_STIFFNESS


def fit_next_click(
    sessions: Sessions,
    *,
    n_items: int,
    now_s: int | None = None,
    half_lives_s: npt.ArrayLike | None = None,
    seed: int = 0,
) -> tuple[NextClickCounts, NextClickModel]:
    """Learn the weights on the last sessions, and the tables on all of them.

    1. Tables of the earlier sessions are made, and clicks of the last ones are asked for, up to
       12,000: what came before each is the query.
    2. The weights maximise the mean log-likelihood of the click under a softmax over the query's
       candidates, once with repeats and once without, with a Gaussian prior around weights that
       were learned on other data. With few sessions the prior decides.
    3. The last sessions join the counts, and the tables are made again.

    Parameters
    ----------
    sessions : Sessions
        Ordered by time, closed; rows at least 0. Where no clock is known, ascending numbers do.
    n_items : int
    now_s : int or None
        ``None``: the end of the last session.
    half_lives_s : float[4] or None
        See `count_clicks`.
    seed : int
        Decides which queries teach, and where the vectors start.

    Returns
    -------
    counts : NextClickCounts
        What `next_click_extend` needs.
    model : NextClickModel

    Raises
    ------
    InvalidInputError
        If sessions aren't ordered by time, or a row is outside the catalog.

    Notes
    -----
    The weights are those of a conditional logit (D. McFadden, 1974).

    Examples
    --------
    >>> from recommender.engine.offline.sessions import segment_sessions
    >>> sessions = segment_sessions([1, 1, 2, 2], [0, 9, 10, 19], [0, 1, 0, 1])
    >>> counts, model = fit_next_click(sessions, n_items=2)
    >>> counts.pair_offsets.tolist(), counts.pair_items.tolist(), len(model.partners)
    ([0, 1, 1], [1], 2)
    """
    times = sessions.times_s
    if len(times) and bool((np.diff(times) < 0).any()):
        raise InvalidInputError("sessions must be ordered by time")
    now = (int(times[-1]) if len(times) else 0) if now_s is None else now_s
    cut = _cut(sessions)
    earlier = take_sessions(sessions, 0, cut)
    later = take_sessions(sessions, cut, len(sessions))
    cut_s = int(times[cut]) if cut < len(times) else now
    if half_lives_s is None:
        half_lives_s = count_clicks(sessions, n_items=n_items, now_s=now).half_lives_s
    counts = count_clicks(earlier, n_items=n_items, now_s=cut_s, half_lives_s=half_lives_s)
    weights = PRIOR_WEIGHTS
    if len(earlier) and len(later):
        weights = learn_weights(next_click_model(counts, weights, seed=seed), later, seed=seed)
    counts = extend_counts(counts, later, n_items=n_items, now_s=max(now, cut_s))
    return counts, next_click_model(counts, weights, seed=seed)


def next_click_extend(
    counts: NextClickCounts,
    model: NextClickModel,
    new_sessions: Sessions,
    *,
    n_items: int,
    now_s: int,
    seed: int = 0,
) -> tuple[NextClickCounts, NextClickModel]:
    """Let new sessions join: the counts are added to, the tables made again, the weights kept.

    Counts, and tables before pruning, are those of a fit over everything with the same half-lives
    and weights, up to rounding. Pruning may break ties between partners differently.

    Parameters
    ----------
    counts, model
        As `fit_next_click` or an earlier extension returned them.
    new_sessions : Sessions
        Closed and not counted before. A session that goes on after it was counted can't be taken
        back: wait until it is closed (`closed_before`).
    n_items : int
        New items are rows at the end.
    now_s : int

    Returns
    -------
    counts : NextClickCounts
    model : NextClickModel
        New arrays; the old ones stay as they are.
    """
    grown = extend_counts(counts, new_sessions, n_items=n_items, now_s=now_s)
    return grown, next_click_model(grown, model.weights, seed=seed)


def learn_weights(model: NextClickModel, sessions: Sessions, *, seed: int) -> Float32Array:
    """Weights under which the clicks of these sessions are likeliest: float32[2, n_features].

    The model must not have been made from these sessions.
    """
    learned = [_Lesson(), _Lesson()]
    for start, end in _queries(sessions, seed):
        prefix = sessions.item_rows[start:end]
        rows, features = candidate_features(model, prefix)
        wanted = rows == sessions.item_rows[end]
        learned[0].add(features, wanted, model.weights[0])
        new = ~np.isin(rows, prefix)
        learned[1].add(features[new], wanted[new], model.weights[1])
    with threadpool_limits(limits=1, user_api="blas"):
        return np.stack(
            [lesson.weights(prior) for lesson, prior in zip(learned, model.weights, strict=True)]
        )


class _Lesson:
    """Queries whose answer is among their candidates."""

    def __init__(self) -> None:
        self.features: list[Float32Array] = []
        self.answers: list[int] = []
        self.sizes: list[int] = []

    def add(self, features: Float32Array, wanted: BoolArray, weights: Float32Array) -> None:
        """Keep the answer and its strongest rivals: the others have hardly a share."""
        if not wanted.any() or len(wanted) < 2:
            return
        if len(wanted) > MAX_RIVALS:
            scores = features @ weights
            kept = scores >= np.partition(scores, -MAX_RIVALS)[-MAX_RIVALS]
            # What was clicked before is always a rival, or its weight would rest on chance.
            kept |= wanted | features[:, REPEAT].any(axis=1)
            features, wanted = features[kept], wanted[kept]
        self.features.append(features)
        self.answers.append(int(wanted.argmax()))
        self.sizes.append(len(wanted))

    def weights(self, prior: Float32Array) -> Float32Array:
        if not self.sizes:
            return prior
        return _conditional_logit(
            np.concatenate(self.features), np.array(self.sizes), np.array(self.answers), prior
        )


def _conditional_logit(
    features: Float32Array, sizes: Int64Array, answers: Int64Array, prior: Float32Array
) -> Float32Array:
    """Maximise ``mean log softmax - PRIOR_STRENGTH / n * |(w - prior) * spread|^2 / 2``.

    Newton's method: the logs of six tables resemble each other, and a gradient method crawls along
    their valley, while a Hessian of so few features costs no more than some gradients.
    """
    n = len(sizes)
    starts = np.cumsum(sizes) - sizes
    owner = np.repeat(np.arange(n), sizes)
    wanted = starts + answers
    # A column that hardly varies would otherwise be free to take any weight.
    spread = np.maximum(features.std(axis=0, dtype=np.float64), MIN_SPREAD)
    ridge = PRIOR_STRENGTH / n * spread**2 * _STIFFNESS
    seen = features[wanted].sum(axis=0, dtype=np.float64)
    shape = (n, len(features))
    per_query: Matrix = sparse.csr_matrix(
        (
            np.ones(len(features), np.float32),
            np.arange(len(features)),
            np.append(starts, len(features)),
        ),
        shape=shape,
    )

    def fit(weights: Float64Array) -> tuple[float, Float32Array]:
        scores = features @ weights.astype(np.float32)
        top = np.maximum.reduceat(scores, starts)
        odds = np.exp(scores - top[owner])
        totals = np.add.reduceat(odds, starts)
        value = float((np.log(totals) + top - scores[wanted]).mean(dtype=np.float64))
        chances = (odds / totals[owner]).astype(np.float32)
        return value + float(ridge @ (weights - prior) ** 2) / 2, chances

    weights = prior.astype(np.float64)
    value, chances = fit(weights)
    for _ in range(MAX_STEPS):
        weighted = features * chances[:, None]
        means = per_query @ weighted
        slope = (means.sum(axis=0, dtype=np.float64) - seen) / n + ridge * (weights - prior)
        curvature = (features.T @ weighted - means.T @ means).astype(np.float64) / n
        step = np.linalg.solve(curvature + np.diag(ridge + 1e-9), slope)
        better, new_chances = fit(weights - step)
        while better > value and np.abs(step).max() > 1e-6:
            step = step / 2
            better, new_chances = fit(weights - step)
        if not better < value - 1e-6:
            break
        weights, value, chances = weights - step, better, new_chances
    return weights.astype(np.float32)


def _cut(sessions: Sessions) -> int:
    """The first of the last sessions that hold enough queries."""
    n = len(sessions)
    queries = np.maximum(np.diff(sessions.offsets) - 1, 0)[::-1].cumsum()
    enough = int(np.searchsorted(queries, MAX_QUERIES)) + 1
    return n - min(enough, int(np.ceil(n * MAX_LEARNED_SHARE)))


def _queries(sessions: Sessions, seed: int) -> list[tuple[int, int]]:
    """Where the prefix of each query begins and ends, ascending."""
    begins = np.repeat(sessions.offsets[:-1], np.diff(sessions.offsets))
    ends = np.flatnonzero(np.arange(len(begins)) > begins)
    if len(ends) > MAX_QUERIES:
        ends = np.sort(np.random.default_rng(seed).choice(ends, MAX_QUERIES, replace=False))
    return list(zip(begins[ends].tolist(), ends.tolist(), strict=True))


def next_click_model(
    counts: NextClickCounts, weights: Float32Array, *, seed: int = 0
) -> NextClickModel:
    """Everything that follows from counts and weights."""
    n = counts.n_items
    keys, links, similarity = link_tables(counts)
    # Products of tall matrices: a second BLAS thread only waits for the first.
    with threadpool_limits(limits=1, user_api="blas"):
        vectors = _vectors(similarity, seed)
    first = keys // n
    kept = _best_of_each(first, links @ PRUNING, n, MAX_PARTNERS)
    keys, strongest = keys[kept], links[kept].astype(np.float32)
    bent = curves(strongest)
    items = _item_features(counts)
    demand = counts.item_counts[:, 4]
    popular = np.argsort(-demand, kind="stable")[:N_POPULAR]
    return NextClickModel(
        offsets=row_offsets(keys // n, n),
        partners=(keys % n).astype(np.int32),
        links=strongest,
        alone=np.stack([bent @ w[part] for w in weights for part in (NEWEST, SECOND)], axis=1),
        vectors=vectors,
        items=items,
        item_scores=(items @ weights[:, OF_ITEM].T).astype(np.float32),
        weights=weights,
        popular=popular[demand[popular] > 0].astype(np.int32),
    )


def link_tables(counts: NextClickCounts) -> tuple[Int64Array, Float64Array, Matrix]:
    """All links before pruning.

    With ``F`` the forward counts, ``out(a)`` and ``in(a)`` the sums of line and column ``a`` plus 0.5:

    * direct ``D(a, b) / out_D(a)`` and forward ``F(a, b) / out(a)``: what comes after ``a``,
    * backward ``F(b, a) / in(a)``: what comes before it,
    * together: cosine of ``S + S'`` with its sums,
    * two_hop ``P P`` with ``P`` the 20 best partners by the cosine of ``F + F'``,
    * two_hop_forward ``Q Q`` with ``Q`` the 20 best of forward.

    Returns
    -------
    keys : int64[p]
        ``a * n_items + b``, ascending.
    links : float64[p, 6]
    similarity : csr_matrix of float32[n_items, n_items]
        The damped cosine of ``F + F'`` without diagonal: what the vectors are made of.
    """
    n = counts.n_items
    one_way = pair_keys(counts, n)
    a, b = one_way // n, one_way % n
    values = counts.pair_counts.astype(np.float64)
    mirrored = np.zeros((2 * len(one_way), 5))
    mirrored[: len(a), :3] = values
    mirrored[len(a) :, 3:] = values[:, 1:]
    keys, columns = sum_by_key(np.concatenate([one_way, b * n + a]), mirrored)
    i, j = keys // n, keys % n
    direct, forward, together, backward, together_back = columns.T
    out_direct = np.bincount(a, values[:, 0], n) + DAMPING
    out_forward = np.bincount(a, values[:, 1], n) + DAMPING
    in_forward = np.bincount(b, values[:, 1], n) + DAMPING
    in_both = np.bincount(a, values[:, 2], n) + np.bincount(b, values[:, 2], n) + DAMPING
    degree = out_forward + in_forward - DAMPING
    links = np.zeros((len(keys), len(LINKS)))
    links[:, 0] = direct / out_direct[i]
    links[:, 1] = forward / out_forward[i]
    links[:, 2] = backward / in_forward[i]
    links[:, 3] = (together + together_back) / np.sqrt(in_both[i] * in_both[j])
    apart = i != j
    both_ways = (forward + backward) * apart
    parts = [(keys, links)]
    for column, step in (
        (4, both_ways / np.sqrt(degree[i] * degree[j])),
        (5, links[:, 1] * apart),
    ):
        far_keys, far = _two_hops(i, j, step, n)
        part = np.zeros((len(far), len(LINKS)))
        part[:, column] = far
        parts.append((far_keys, part))
    keys, links = sum_by_key(
        np.concatenate([part_keys for part_keys, _ in parts]),
        np.concatenate([part for _, part in parts]),
    )
    damped = degree + VECTOR_DAMPING
    similarity = sparse.csr_matrix(
        ((both_ways / np.sqrt(damped[i] * damped[j])).astype(np.float32), (i, j)), shape=(n, n)
    )
    return keys, links, similarity


def _two_hops(
    i: Int64Array, j: Int64Array, step: Float64Array, n: int
) -> tuple[Int64Array, Float32Array]:
    """Keys and values of the best entries of the square of the pruned matrix, diagonal left out."""
    kept = _best_of_each(i, step, n, HOP_PARTNERS)
    matrix: Matrix = sparse.csr_matrix(
        (step[kept].astype(np.float32), (i[kept], j[kept])), shape=(n, n)
    )
    keys: list[Int64Array] = [np.empty(0, np.int64)]
    values: list[Float32Array] = [np.empty(0, np.float32)]
    # In blocks of rows: the square has hundreds of entries a row before it is pruned.
    for start in range(0, n, 8192):
        square = (matrix[start : start + 8192] @ matrix).tocoo()
        rows = square.row.astype(np.int64) + start
        scores = square.data * (rows != square.col)
        kept = _best_of_each(rows, scores, n, TWO_HOP_PARTNERS)
        keys.append(rows[kept] * n + square.col[kept])
        values.append(scores[kept])
    return np.concatenate(keys), np.concatenate(values)


def _best_of_each(
    groups: npt.NDArray[np.integer],
    scores: npt.NDArray[np.floating],
    n_groups: int,
    at_most: int,
) -> Int64Array:
    """Positions, ascending, of the best positive scores of every group; groups must ascend.

    Scores equal to the last one that fits (to 1e-9 of the largest) are all kept.
    """
    if not len(groups):
        return np.empty(0, np.int64)
    # Sorting plain numbers is several times faster than finding their order: group and score share
    # one number, and the one that stands in the last place of its group is the threshold.
    ranked = groups + 0.999 * (1.0 - scores / max(float(scores.max()), 1e-30))
    ordered = np.sort(ranked)
    sizes = np.bincount(groups, minlength=n_groups)
    last_kept = np.cumsum(sizes) - sizes + np.minimum(sizes, at_most) - 1
    threshold = ordered[np.maximum(last_kept, 0)]
    return np.flatnonzero((ranked <= threshold[groups]) & (scores > 0))


def _vectors(similarity: Matrix, seed: int) -> Float32Array:
    """The leading eigenvectors, scaled by the roots of their eigenvalues, lines of length 1.

    Subspace iteration from a random start (N. Halko, P. Martinsson, J. Tropp, "Finding structure
    with randomness", 2011). Two items are near each other if they share partners of partners, also
    where the tables have nothing. Costs ``5 * nnz * 80`` products.
    """
    n = similarity.shape[0]
    width = min(DIMENSIONS + OVERSAMPLING, n)
    basis = np.random.default_rng(seed).standard_normal((n, width)).astype(np.float32)
    for _ in range(POWER_ITERATIONS):
        basis = _orthonormal(similarity @ basis)
    values, turn = np.linalg.eigh(basis.T @ (similarity @ basis))
    best = np.argsort(-values, kind="stable")[: min(DIMENSIONS, n)]
    vectors = (basis @ turn[:, best]) * np.sqrt(np.maximum(values[best], 0))
    lengths = np.square(vectors).sum(axis=1)
    typical = float(np.median(lengths[lengths > 1e-12])) if (lengths > 1e-12).any() else 1.0
    out: Float32Array = (vectors / np.sqrt(lengths + 1e-3 * typical)[:, None]).astype(np.float32)
    return out


def _orthonormal(columns: Float32Array) -> Float32Array:
    """A basis of the same space, by the Cholesky factor of the Gram matrix: one product, no QR."""
    gram = (columns.T @ columns).astype(np.float64)
    # Fewer independent columns than there are: a little on the diagonal keeps the factor real.
    gram[np.diag_indices_from(gram)] += 1e-6 * float(np.trace(gram)) / len(gram) + 1e-30
    turn = np.linalg.inv(np.linalg.cholesky(gram)).T
    basis: Float32Array = columns @ turn.astype(np.float32)
    return basis


def _item_features(counts: NextClickCounts) -> Float32Array:
    """Logarithms of demand against the mean, and of the shares of clicks that begin or end."""
    clicks = counts.item_counts.astype(np.float64)
    windows = clicks[:, 3:]
    demand = np.log(windows + 0.1) - np.log(windows.mean(axis=0) + 0.1)
    ends = np.log((clicks[:, 1:3] + 1) / (clicks[:, :1] + 3))
    return np.concatenate([demand, ends], axis=1).astype(np.float32)
