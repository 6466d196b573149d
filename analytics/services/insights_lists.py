"""What the lists of some days were like: how varied, how well known, how much of the catalog."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from django.db import connection

from analytics.metrics.lists import list_diversity, self_information, starts_of
from analytics.models import ProductDay, ProductMonth, Reach, RecommendationDay
from analytics.selectors.content_vectors import ContentVectors, content_vectors
from analytics.selectors.insights_products import concentration
from analytics.selectors.product_totals import ProductTotals, totals_packed, totals_unpacked
from analytics.services.insights_counting import STRATEGY_VERSION
from catalog.memory import Bounded
from catalog.models import EventType, Store
from catalog.selectors.showable import n_of_catalog, showable_ids

Int64Array: TypeAlias = npt.NDArray[np.int64]
Float64Array: TypeAlias = npt.NDArray[np.float64]

# How known a product is: its share of views and sales of this many days before the week of a list.
KNOWN_FOR_DAYS = 28
# Today is counted every minute; four weeks of events aren't.
_KNOWN_FRESH_S = 3600.0


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """Products with views or sales, ids ascending, and the bits of each; `unheard` those of others."""

    product_ids: Int64Array
    bits: Float64Array
    unheard: float

    def bits_of(self, product_ids: Int64Array) -> Float64Array:
        n = len(self.product_ids)
        if not n:
            return np.full(len(product_ids), np.nan)
        places = np.minimum(np.searchsorted(self.product_ids, product_ids), n - 1)
        return np.where(self.product_ids[places] == product_ids, self.bits[places], self.unheard)


_known: Bounded[tuple[int, date, str], Known] = Bounded(64, _KNOWN_FRESH_S)


def known_forget() -> None:
    """Count views and sales anew at the next look: for a rebuild, and for tests."""
    _known.clear()


_LISTS = f"""
SELECT (i.delivered_at AT TIME ZONE %(zone)s)::date AS day, i.placement_id, {STRATEGY_VERSION},
  i.product_ids
FROM recommender_impression i
WHERE i.store_id = %(store)s AND i.delivered_on BETWEEN %(first)s::date - 1 AND %(last)s::date + 1
  AND i.delivered_at >= %(first)s::timestamp AT TIME ZONE %(zone)s
  AND i.delivered_at < (%(last)s::date + 1)::timestamp AT TIME ZONE %(zone)s
  AND (i.delivered_at AT TIME ZONE %(zone)s)::date = ANY(%(days)s)
  AND cardinality(i.product_ids) > 0
"""

_KNOWN = f"""
SELECT product_id, count(*) FROM catalog_event
WHERE store_id = %(store)s AND NOT is_bot AND product_id IS NOT NULL
  AND type IN ({EventType.VIEW_ITEM.value}, {EventType.PURCHASE.value})
  AND occurred_at >= %(first)s::timestamp AT TIME ZONE %(zone)s
  AND occurred_at < %(until)s::timestamp AT TIME ZONE %(zone)s
GROUP BY product_id ORDER BY product_id
"""


def lists_measure(*, store: Store, days: list[date]) -> None:
    """Diversity and novelty of the lists of some days, into their rows, which must be there.

    A list of fewer than two products with content has no diversity; without views or sales before
    it there is no novelty. Both are then unknown, not zero.
    """
    vectors = content_vectors(store_id=store.pk)
    for _, week in groupby(days, key=_monday):
        rows = _measured(store, list(week), vectors)
        RecommendationDay.objects.bulk_update(
            rows, ["diversity_sum", "n_diversity", "novelty_sum", "n_novelty"], batch_size=500
        )


def _measured(
    store: Store, days: list[date], vectors: ContentVectors | None
) -> list[RecommendationDay]:
    """The rows of some days of one week with their sums."""
    keys, lists = _lists(store, days)
    if not lists:
        return []
    slots = np.concatenate(lists)
    starts = starts_of([len(each) for each in lists])
    diversity = np.full(len(lists), np.nan)
    if vectors is not None:
        diversity = list_diversity(vectors.vectors, vectors.rows_of(slots), starts)
    bits = _known_before(store, _monday(days[0])).bits_of(slots)
    rows = {
        (row.day, row.placement_id, row.strategy_version_id): row
        for row in RecommendationDay.objects.filter(store=store, day__in=days)
    }
    number_of = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    of_list = np.array([number_of[key] for key in keys])
    diversity_sums, n_diversity = _known_sums(diversity, of_list, len(number_of))
    of_slot = np.repeat(of_list, np.diff(starts))
    novelty_sums, n_novelty = _known_sums(bits, of_slot, len(number_of))
    for key, number in number_of.items():
        row = rows.get(key)
        if row is None:
            # The first list of its kind came in since the rows were counted: the next refresh
            # counts it.
            continue
        row.diversity_sum = float(diversity_sums[number])
        row.n_diversity = int(n_diversity[number])
        row.novelty_sum, row.n_novelty = float(novelty_sums[number]), int(n_novelty[number])
    return list(rows.values())


def _known_sums(
    values: Float64Array, groups: Int64Array, n_groups: int
) -> tuple[Float64Array, Int64Array]:
    """Sum and number of the known values of each group."""
    known = ~np.isnan(values)
    sums = np.bincount(groups[known], weights=values[known], minlength=n_groups)
    counts = np.bincount(groups[known], minlength=n_groups)
    return sums.astype(np.float64), counts.astype(np.int64)


def _lists(store: Store, days: list[date]) -> tuple[list[tuple[date, int, int]], list[Int64Array]]:
    keys, lists = [], []
    with connection.cursor() as cursor:
        cursor.execute(
            _LISTS,
            {
                "store": store.pk,
                "zone": store.time_zone,
                "days": days,
                "first": min(days),
                "last": max(days),
            },
        )
        for day, placement_id, strategy_version_id, product_ids in cursor.fetchall():
            keys.append((day, placement_id, strategy_version_id))
            lists.append(np.array(product_ids, np.int64))
    return keys, lists


def _known_before(store: Store, monday: date) -> Known:
    key = (store.pk, monday, store.time_zone)
    found = _known.get(key)
    if found is not None:
        return found
    with connection.cursor() as cursor:
        cursor.execute(
            _KNOWN,
            {
                "store": store.pk,
                "zone": store.time_zone,
                "first": monday - timedelta(days=KNOWN_FOR_DAYS),
                "until": monday,
            },
        )
        rows = np.array(cursor.fetchall(), np.int64).reshape(-1, 2)
    counts = rows[:, 1]
    # A product nobody saw counts as one seen once: the most surprising that can be known of.
    unheard = float(np.log2(counts.sum())) if len(counts) else float("nan")
    found = Known(rows[:, 0], self_information(counts), unheard)
    _known.put(key, found)
    return found


# ------------------------------------------------------------------------------------- the catalog


def months_sum(*, store: Store, days: list[date], looked_on: date | None, today: date) -> None:
    """Sum the months of some days, and those that have ended since the last look.

    The running month isn't: nobody reads the sum of one before it is over, and it would be made anew
    every minute.
    """
    running = today.replace(day=1)
    months = {day.replace(day=1) for day in days}
    ended = looked_on.replace(day=1) if looked_on else running
    while ended < running:
        months.add(ended)
        ended = _next(ended)
    over = sorted(month for month in months if month < running)
    if not over:
        return
    ProductMonth.objects.filter(store=store, month__in=over).delete()
    for month in over:
        days_of_month = ProductDay.objects.filter(store=store, day__gte=month, day__lt=_next(month))
        totals = totals_unpacked(days_of_month.values_list("totals", flat=True))
        if len(totals.product_ids):
            ProductMonth.objects.create(store=store, month=month, totals=totals_packed(totals))


def _next(month: date) -> date:
    return (month + timedelta(days=32)).replace(day=1)


def reach_measure(*, store: Store, days: list[date]) -> None:
    """Count again how much of the catalog the days, and their weeks, have shown."""
    if not days:
        return
    showable = showable_ids(store_id=store.pk)
    for step, firsts, width in (
        (Reach.Step.DAY, days, 1),
        (Reach.Step.WEEK, sorted({_monday(day) for day in days}), 7),
    ):
        Reach.objects.filter(store=store, step=step, first__in=firsts).delete()
        Reach.objects.bulk_create(
            Reach(
                store=store,
                step=step,
                first=first,
                n_shown=len(totals.shown_ids),
                n_catalog=(n_catalog := n_of_catalog(showable, totals.shown_ids)),
                gini=concentration(totals.n_shown[totals.n_shown > 0], n_catalog),
            )
            for first, totals in _shown(store, firsts, width)
        )


def _shown(store: Store, firsts: list[date], width: int) -> Iterator[tuple[date, ProductTotals]]:
    """How often each product was shown in the days from each first one on, where any was."""
    days = ProductDay.objects.filter(
        store=store, day__gte=firsts[0], day__lt=firsts[-1] + timedelta(days=width)
    )
    packed = dict(days.values_list("day", "totals"))
    for first in firsts:
        span = (first + timedelta(days=n) for n in range(width))
        totals = totals_unpacked(packed[day] for day in span if day in packed)
        if len(totals.shown_ids):
            yield first, totals


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())
