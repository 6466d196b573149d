"""The chance of a purchase, by what is known of shopper and product: naive Bayes, linear SVM."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from scipy.sparse import csr_matrix

from recommender.engine.methods.base import (
    Family,
    Method,
    Need,
    Parameters,
    ScoringModel,
    number,
    whole,
)
from recommender.engine.methods.histories import group_matrix
from recommender.engine.methods.inputs import Matrix, Purchases, Query, Training
from recommender.engine.methods.vectors import BoolArray
from recommender.engine.offline.interactions import group_items_matrix
from recommender.engine.offline.popularity import decayed_counts
from recommender.engine.offline.propensity import (
    BinnedEvidence,
    Hyperplane,
    Pairs,
    Propensity,
    both_outcomes,
    calibrated,
    fit_linear_svm,
    fit_naive_bayes,
    split_by_shopper,
)
from recommender.engine.offline.propensity_features import (
    CatalogProfile,
    ShopperFacts,
    days_between,
    fit_catalog_profile,
    pair_features,
    strongest_speakers,
)
from recommender.engine.selection import best_positions
from recommender.engine.types import SECONDS_PER_DAY, Float32Array, Int32Array, Int64Array

Learn: TypeAlias = Callable[[Pairs], BinnedEvidence | Hyperplane]

SHOPPERS = 2_500
"""Histories that are learned from, drawn by the seed."""
OTHERS = 40
"""Pairs without a purchase per history, all products alike.

More of the neighbours of a history teach that neighbours aren't bought: measured on first purchases
of Online Retail, half of the pairs among the 200 nearest halved the recall of the plane.
"""
HORIZON_DAYS = 30
ENOUGH = 60
"""Purchases of the last month that a model of them takes."""
CALIBRATION_SHARE = 0.3


@dataclass(frozen=True, slots=True)
class _Lesson:
    """A history, and what was bought next."""

    shopper: ShopperFacts
    targets: Int32Array


class PurchaseChances(ScoringModel):
    """Products by the chance that the shopper buys them next.

    First purchases and repeats follow different rules, so each has a model of its own; as both
    speak of chances they stand in one list. Without times nothing is known of repeats, and what a
    shopper has bought is no answer.
    """

    def __init__(
        self,
        profile: CatalogProfile,
        first: Propensity,
        again: Propensity | None,
        *,
        now_s: int,
        candidates: int,
    ) -> None:
        self._profile = profile
        self._first = first
        self._again = again
        self._now_s = now_s
        n_items = len(profile.popularity)
        self._popular = (
            None if n_items <= candidates else best_positions(profile.popularity, candidates)
        )
        self._answering = profile.known

    def scores(self, query: Query) -> Float32Array | None:
        shopper = self._facts_of(query)
        if not len(shopper.rows):
            return None
        scores = np.full(len(self._answering), -np.inf, np.float32)
        bought = shopper.rows[shopper.bought > 0]
        others = self._answering.copy()
        others[bought] = False
        if self._popular is not None:
            others &= self._near(shopper)
        rows = np.flatnonzero(others).astype(np.int32)
        features = pair_features(self._profile, shopper)
        scores[rows] = self._first.chances(features[rows])
        if self._again is not None and query.repeats_allowed:
            scores[bought] = self._again.chances(features[bought])
        return scores

    def because(self, query: Query, rows: Int32Array) -> Int32Array:
        """The item of the history that is most often together with the answer."""
        return strongest_speakers(self._profile.neighbours, self._facts_of(query).rows, rows)

    def _near(self, shopper: ShopperFacts) -> BoolArray:
        """Bestsellers, neighbours of the history, and the history itself."""
        near = np.zeros(len(self._answering), np.bool_)
        near[self._popular] = True
        lists = self._profile.neighbours.indices[shopper.rows]
        near[lists[lists >= 0]] = True
        near[shopper.rows] = True
        return near

    def _facts_of(self, query: Query) -> ShopperFacts:
        now_s = query.at_s or self._now_s
        kept = query.rows >= 0
        kept[kept] = self._profile.known[query.rows[kept]]
        rows, places = np.unique(query.rows[kept], return_index=True)
        if query.kinds:
            flags = {kind: np.isin(rows, of_kind) for kind, of_kind in query.kinds}
            return _of_kinds(rows, flags)
        counts = np.ones(len(rows), np.float32)
        if len(query.counts):
            counts = query.counts[kept][places].astype(np.float32)
        days = np.full(len(rows), np.nan, np.float32)
        if len(query.last_at_s) and now_s:
            days = days_between(query.last_at_s[kept][places], now_s)
        no = np.zeros(len(rows), np.bool_)
        return ShopperFacts(rows, counts, days, no, no)


def _of_kinds(rows: Int32Array, flags: dict[str, BoolArray]) -> ShopperFacts:
    """A history whose events are told apart; without purchases among them it is all looked at."""
    no = np.zeros(len(rows), np.bool_)
    return ShopperFacts(
        rows,
        flags.get("purchase", flags.get("any", no)).astype(np.float32),
        np.full(len(rows), np.nan, np.float32),
        flags.get("add_to_cart", no),
        flags.get("view_item", no),
    )


def _fit(training: Training, parameters: Parameters, seed: int, learn: Learn) -> PurchaseChances:
    groups = group_matrix(training) if not training.shoppers else _everything(training)
    held, lessons = _held_out(training, groups, seed)
    first = _learned(_pairs(held, lessons, seed, again=False), seed, learn)
    again = None
    bought = training.purchases
    if bought is not None and len(bought.times_s):
        earlier, dated = _later_purchases(training, bought, seed)
        pairs = _pairs(earlier, dated, seed, again=False)
        if both_outcomes(pairs, ENOUGH):
            first = _learned(pairs, seed, learn)
        pairs = _pairs(earlier, dated, seed, again=True)
        if both_outcomes(pairs, ENOUGH):
            again = _learned(pairs, seed, learn)
    return PurchaseChances(
        _profile(training, groups, bought, training.now_s),
        first,
        again,
        now_s=training.now_s,
        candidates=whole(parameters, "candidates"),
    )


def fit_bayes(training: Training, parameters: Parameters, seed: int) -> PurchaseChances:
    """See `engine.offline.propensity.fit_naive_bayes`."""
    bins, smoothing = whole(parameters, "bins"), number(parameters, "smoothing")
    return _fit(
        training,
        parameters,
        seed,
        lambda pairs: fit_naive_bayes(pairs, bins=bins, smoothing=smoothing),
    )


def fit_svm(training: Training, parameters: Parameters, seed: int) -> PurchaseChances:
    """See `engine.offline.propensity.fit_linear_svm`."""
    cost = number(parameters, "cost")
    return _fit(training, parameters, seed, lambda pairs: fit_linear_svm(pairs, cost=cost))


def _learned(pairs: Pairs, seed: int, learn: Learn) -> Propensity:
    """Fitted on most shoppers and calibrated on the others; on all twice where they are few."""
    most, others = split_by_shopper(pairs, share=CALIBRATION_SHARE, seed=seed)
    if not (both_outcomes(most) and both_outcomes(others)):
        most = others = pairs
    return calibrated(learn(most), others)


def _everything(training: Training) -> Matrix:
    """Shoppers × items, 1 where there was any event."""
    first, *others = training.shoppers.values()
    seen = csr_matrix(first)
    for other in others:
        seen = csr_matrix(seen.maximum(other))
    seen = seen.copy()
    seen.data = np.ones_like(seen.data)
    return seen


def _profile(
    training: Training, groups: Matrix, bought: Purchases | None, now_s: int
) -> CatalogProfile:
    facts = training.facts
    demand = None
    if bought is not None:
        demand = decayed_counts(
            bought.item_rows,
            bought.times_s,
            now_s=now_s,
            half_life_days=float(HORIZON_DAYS),
            n_items=training.n_items,
        )
    return fit_catalog_profile(
        groups,
        demand=demand,
        category_codes=facts.category_codes,
        brand_codes=facts.brand_codes,
        prices=facts.prices,
    )


def _held_out(
    training: Training, groups: Matrix, seed: int
) -> tuple[CatalogProfile, list[_Lesson]]:
    """A fifth of some histories' purchases hidden, and a profile that doesn't know them."""
    rng = np.random.default_rng(seed)
    kinds = {kind: matrix.tocsr() for kind, matrix in training.shoppers.items()}
    bought = kinds.get("purchase", groups)
    many = np.flatnonzero((np.diff(bought.indptr) > 0) & (np.diff(groups.indptr) > 1))
    owners, hidden, lessons, unsold = [], [], [], []
    for line in rng.permutation(many)[:SHOPPERS].tolist():
        mine = bought.indices[bought.indptr[line] : bought.indptr[line + 1]]
        targets = rng.permutation(mine)[: max(len(mine) // 5, 1)].astype(np.int32)
        rows = np.sort(groups.indices[groups.indptr[line] : groups.indptr[line + 1]])
        flags = {
            kind: np.isin(rows, matrix.indices[matrix.indptr[line] : matrix.indptr[line + 1]])
            for kind, matrix in kinds.items()
        } or {"any": np.ones(len(rows), np.bool_)}
        if "purchase" in flags:
            flags["purchase"] = flags["purchase"] & ~np.isin(rows, targets)
        # What was looked at before it was bought stays a part of the history.
        left = np.any(
            [
                has if kind != "any" else has & ~np.isin(rows, targets)
                for kind, has in flags.items()
            ],
            axis=0,
        )
        if not left.any():
            continue
        shopper = _of_kinds(rows[left], {kind: has[left] for kind, has in flags.items()})
        lessons.append(_Lesson(shopper, targets))
        unsold.append(line * np.int64(training.n_items) + targets)
        gone = rows[~left]
        owners.append(np.full(len(gone), line))
        hidden.append(gone)
    out = group_items_matrix(
        np.concatenate([np.empty(0, np.int64), *owners]),
        np.concatenate([np.empty(0, np.int32), *hidden]),
        n_groups=int(groups.shape[0]),
        n_items=training.n_items,
        binary=True,
    )
    rest = csr_matrix(groups - groups.multiply(out))
    rest.eliminate_zeros()
    bought_then = training.purchases
    if bought_then is not None and kinds:
        pairs = bought_then.shopper_rows.astype(np.int64) * training.n_items + bought_then.item_rows
        known = ~np.isin(pairs, np.concatenate([np.empty(0, np.int64), *unsold]))
        bought_then = _taken(bought_then, known)
    return _profile(training, rest, bought_then, training.now_s), lessons


def _later_purchases(
    training: Training, bought: Purchases, seed: int
) -> tuple[CatalogProfile, list[_Lesson]]:
    """What shoppers bought in the last month, and all that was known before."""
    cut_s = int(bought.times_s.max()) + 1 - HORIZON_DAYS * SECONDS_PER_DAY
    early = bought.times_s < cut_s
    before, after = _taken(bought, early), _taken(bought, ~early)
    n_shoppers = int(bought.shopper_rows.max()) + 1
    groups = group_items_matrix(
        before.shopper_rows,
        before.item_rows,
        n_groups=n_shoppers,
        n_items=training.n_items,
        binary=True,
    )
    both = np.intersect1d(before.shopper_rows, after.shopper_rows)
    some = np.random.default_rng(seed).permutation(both)[:SHOPPERS]
    lessons = list(_dated(before, after, some, cut_s))
    return _profile(training, groups, before, cut_s), lessons


def _dated(
    before: Purchases, after: Purchases, shoppers: Int32Array, cut_s: int
) -> Iterator[_Lesson]:
    then = _by_shopper(before)
    later = _by_shopper(after)
    for shopper in shoppers.tolist():
        items, times = then[shopper]
        rows, counts = np.unique(items, return_counts=True)
        # Lines of a shopper ascend by time: the last one that is written stays.
        last = np.zeros(len(rows), np.int64)
        last[np.searchsorted(rows, items)] = times
        no = np.zeros(len(rows), np.bool_)
        history = ShopperFacts(rows, counts.astype(np.float32), days_between(last, cut_s), no, no)
        yield _Lesson(history, np.unique(later[shopper][0]))


def _by_shopper(
    bought: Purchases,
) -> dict[int, tuple[Int32Array, Int64Array]]:
    order = np.lexsort((bought.times_s, bought.shopper_rows))
    shoppers, starts = np.unique(bought.shopper_rows[order], return_index=True)
    items = np.split(bought.item_rows[order], starts[1:])
    times = np.split(bought.times_s[order], starts[1:])
    return dict(zip(shoppers.tolist(), zip(items, times, strict=True), strict=True))


def _taken(bought: Purchases, kept: BoolArray) -> Purchases:
    return Purchases(bought.shopper_rows[kept], bought.item_rows[kept], bought.times_s[kept])


def _pairs(profile: CatalogProfile, lessons: list[_Lesson], seed: int, *, again: bool) -> Pairs:
    """Purchases of the lessons and a sample of what was not bought, of new products or of old."""
    rng = np.random.default_rng(seed)
    parts: list[Pairs] = []
    for place, lesson in enumerate(lessons):
        features = pair_features(profile, lesson.shopper)
        old = np.zeros(len(features), np.bool_)
        old[lesson.shopper.rows[lesson.shopper.bought > 0]] = True
        candidates = old if again else profile.known & ~old
        is_target = np.zeros(len(features), np.bool_)
        is_target[lesson.targets] = True
        right = np.flatnonzero(candidates & is_target)
        others = np.flatnonzero(candidates & ~is_target)
        rows = rng.permutation(others)[:OTHERS]
        weights = np.full(len(rows), len(others) / max(len(rows), 1), np.float32)
        chosen = np.concatenate([right, rows])
        parts.append(
            Pairs(
                features[chosen],
                np.repeat(np.array([1, 0], np.float32), [len(right), len(rows)]),
                np.concatenate([np.ones(len(right), np.float32), weights]),
                np.full(len(chosen), place),
            )
        )
    if not parts:
        empty = np.empty(0, np.float32)
        return Pairs(np.empty((0, 0), np.float32), empty, empty, np.empty(0, np.int64))
    return Pairs(
        np.concatenate([part.features for part in parts]),
        np.concatenate([part.bought for part in parts]),
        np.concatenate([part.weights for part in parts]),
        np.concatenate([part.shoppers for part in parts]),
    )


HISTORIES = frozenset({Need.SHOPPERS, Need.BASKETS, Need.SESSIONS})

METHODS = (
    Method(
        key="naive_bayes",
        title="Naive Bayes",
        family=Family.PROPENSITY,
        needs=HISTORIES,
        fit=fit_bayes,
        defaults={"bins": 12, "smoothing": 1.0, "candidates": 5000},
        grid={"bins": (6, 12, 24), "smoothing": (1.0, 10.0)},
        because="often bought by those who bought",
        otherwise="likely to be your next purchase",
    ),
    Method(
        key="linear_svm",
        title="Linear SVM",
        family=Family.PROPENSITY,
        needs=HISTORIES,
        fit=fit_svm,
        defaults={"cost": 0.1, "candidates": 5000},
        grid={"cost": (0.01, 0.1, 1.0)},
        because="often bought by those who bought",
        otherwise="likely to be your next purchase",
    ),
)
