"""Who gets to be seen: exposure of groups of products against their share of what could be shown.

A slot of rank r is worth ``1 / log2(r + 1)``, as in NDCG: who stands first is seen most.

A. Singh, T. Joachims, "Fairness of Exposure in Rankings", KDD 2018, for exposure against merit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recommender.engine.evaluation.asking import Lists
from recommender.engine.evaluation.intervals import HALF_WIDTH, SET_DRAWS
from recommender.engine.evaluation.results import Estimate
from recommender.engine.evaluation.tasks import Task
from recommender.engine.methods.inputs import Training
from recommender.engine.types import SECONDS_PER_DAY, Float64Array, Int32Array

NEW_DAYS = 30.0
HEAD_SHARE = 0.5
"""Of all interactions: the most popular products that make up half of them are the head."""
OTHERS = "all others"


@dataclass(frozen=True, slots=True)
class Share:
    """A group of products.

    Attributes
    ----------
    catalog, relevance, exposure
        Its shares of the products, of the right answers, and of what was seen; in 0..1.
    """

    name: str
    n_items: int
    catalog: float
    relevance: float
    exposure: float


@dataclass(frozen=True, slots=True)
class Fairness:
    """How exposure is spread over groups of one kind.

    Attributes
    ----------
    of
        ``"brands"``, ``"new products"`` or ``"popularity"``.
    groups
        The largest by products, and the rest together.
    by_relevance, by_catalog
        ``1 - ½ Σ |exposure - share|`` over all groups, none of them put together: 1 if every group
        is seen as much as it is relevant (or large), 0 if only groups are seen that never are.
    """

    of: str
    groups: list[Share]
    by_relevance: Estimate
    by_catalog: Estimate


def exposure(rows: Int32Array, group_of: Int32Array, n_groups: int) -> Float64Array:
    """Share of the weight of all slots that each group has; zeros where nothing is recommended.

    Examples
    --------
    >>> exposure(np.array([[0, 1]]), np.array([0, 1], np.int32), 2).round(3).tolist()
    [0.613, 0.387]
    """
    weights = np.broadcast_to(1.0 / np.log2(np.arange(2, rows.shape[1] + 2)), rows.shape)
    there = rows >= 0
    seen = np.bincount(group_of[rows[there]], weights[there], minlength=n_groups)
    return seen / max(float(seen.sum()), 1e-12)


def overlap(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """``1 - ½ Σ |a - b|`` of two divisions of one whole: what both give to the same groups.

    1 minus their total variation distance.

    Examples
    --------
    >>> overlap([0.5, 0.5], [0.5, 0.5]), overlap([1, 0], [0, 1]), overlap([0.75, 0.25], [0.5, 0.5])
    (1.0, 0.0, 0.75)
    """
    return 1.0 - 0.5 * float(np.abs(np.asarray(a, np.float64) - np.asarray(b, np.float64)).sum())


def fairness_of(
    task: Task,
    lists: Lists,
    of: str,
    group_of: npt.ArrayLike,
    names: Sequence[str],
    *,
    seed: int,
    shown: int = 10,
) -> Fairness:
    """Exposure of groups of products.

    Parameters
    ----------
    group_of : int[n_items]
        The group of every product; all are in one.
    names : sequence of str
        Of the groups.
    seed : int
        Of the intervals, which draw queries again and are laid around the estimate.
    shown : int
        Groups that stand alone in the table.
    """
    groups = np.asarray(group_of, np.int32)
    n = len(names)
    catalog = np.bincount(groups, minlength=n) / max(len(groups), 1)
    relevant = [task.relevant[position] for position in lists.positions.tolist()]
    line = np.repeat(np.arange(len(relevant)), [len(rows) for rows in relevant])
    flat = np.concatenate([*relevant, np.empty(0, np.int32)]).astype(np.int64)
    line, flat = line[flat >= 0], flat[flat >= 0]

    def shares(chosen: npt.NDArray[np.integer]) -> tuple[Float64Array, Float64Array]:
        times = np.bincount(chosen, minlength=len(lists))
        right = np.bincount(groups[flat], times[line].astype(np.float64), minlength=n)
        seen = exposure(lists.rows[chosen], groups, n)
        return seen, right / max(float(right.sum()), 1e-12)

    seen, right = shares(np.arange(len(lists)))
    rng = np.random.default_rng(seed)
    drawn = [shares(rng.integers(len(lists), size=len(lists))) for _ in range(SET_DRAWS)]
    order = np.argsort(-catalog, kind="stable")
    table = [
        Share(
            names[g], int((groups == g).sum()), float(catalog[g]), float(right[g]), float(seen[g])
        )
        for g in order[:shown].tolist()
    ]
    if rest := order[shown:].tolist():
        table.append(
            Share(
                OTHERS,
                int(np.isin(groups, rest).sum()),
                float(catalog[rest].sum()),
                float(right[rest].sum()),
                float(seen[rest].sum()),
            )
        )
    return Fairness(
        of,
        table,
        _around(overlap(seen, right), [overlap(s, r) for s, r in drawn]),
        _around(overlap(seen, catalog), [overlap(s, catalog) for s, _ in drawn]),
    )


def fairness(
    task: Task,
    lists: Lists,
    counts: npt.ArrayLike,
    *,
    seed: int,
    brand_names: Sequence[str] | None = None,
) -> list[Fairness]:
    """Of every kind of group that the training part knows: brands, new products, popularity."""
    out: list[Fairness] = []
    for of, (groups, names) in groupings(task.training, counts, brand_names).items():
        out.append(fairness_of(task, lists, of, groups, names, seed=seed))
    return out


def groupings(
    training: Training, counts: npt.ArrayLike, brand_names: Sequence[str] | None = None
) -> Mapping[str, tuple[Int32Array, list[str]]]:
    """Groups of products by what they are called."""
    found: dict[str, tuple[Int32Array, list[str]]] = {}
    brands = training.facts.brand_codes
    if brands is not None and (brands >= 0).any():
        n = int(brands.max()) + 1
        names = [f"brand {code}" for code in range(n)] if brand_names is None else [*brand_names]
        found["brands"] = (
            np.where(brands < 0, n, brands).astype(np.int32),
            [*names[:n], "no brand"],
        )
    since = first_seen(training)
    if since is not None:
        new = since > training.now_s - NEW_DAYS * SECONDS_PER_DAY
        if new.any() and not new.all():
            names = ["older", f"new in the last {NEW_DAYS:.0f} days"]
            found["new products"] = (new.astype(np.int32), names)
    found["popularity"] = (
        is_tail(counts).astype(np.int32),
        ["head (half of all interactions)", "tail (the other half)"],
    )
    return found


def first_seen(training: Training) -> npt.NDArray[np.int64] | None:
    """When each product came: as the catalog says, else its first purchase; None if unknown."""
    if training.facts.since_s is not None:
        return training.facts.since_s
    bought = training.purchases
    if bought is None:
        return None
    since = np.full(training.n_items, training.now_s, np.int64)
    np.minimum.at(since, bought.item_rows, bought.times_s)
    return since


def is_tail(counts: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Products beyond the most popular ones that make up half of all interactions.

    Examples
    --------
    >>> is_tail([1, 6, 2, 1, 0]).tolist()
    [True, False, True, True, True]
    """
    seen = np.asarray(counts, np.float64)
    order = np.argsort(-seen, kind="stable")
    before = np.cumsum(seen[order]) - seen[order]
    out = np.ones(len(seen), np.bool_)
    out[order] = before >= HEAD_SHARE * seen.sum()
    return out


def _around(value: float, drawn: list[float]) -> Estimate:
    half = HALF_WIDTH * float(np.std(drawn, ddof=1))
    return Estimate(value, max(value - half, 0.0), min(value + half, 1.0))
