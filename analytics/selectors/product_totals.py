"""How often each product was shown and clicked in a period: months that are packed, days that aren't."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
from django.db import connection

from analytics.metrics.periods import Period
from analytics.models import InsightsWatermark
from catalog.models import Store
from recommender.engine.types import Int64Array
from recommender.selectors.training_data import copy_binary

_COLUMNS = ("product_id", "n_shown", "n_clicks")
# Of `ProductMonth.totals`, and of rows.
_PACKED = np.dtype(list(zip(_COLUMNS, (">i8", ">i4", ">i4"), strict=True)))
_COPIED = tuple((name, ">i8") for name in _COLUMNS)

_DAYS = """
SELECT product_id, sum(n_shown)::bigint, sum(n_clicks)::bigint FROM analytics_productday
WHERE store_id = %(store)s AND day BETWEEN %(first)s AND %(last)s
  AND (day < %(first_month)s OR day >= %(end_month)s)
GROUP BY product_id
"""
_MONTHS = """
SELECT totals FROM analytics_productmonth
WHERE store_id = %(store)s AND month >= %(first_month)s AND month < %(end_month)s
"""


@dataclass(frozen=True, slots=True, eq=False)
class ProductTotals:
    """Of every product that was shown or clicked, ids ascending; each array has a number per product."""

    product_ids: Int64Array
    n_shown: Int64Array
    n_clicks: Int64Array

    @property
    def shown_ids(self) -> Int64Array:
        return self.product_ids[self.n_shown > 0]

    def of(self, product_id: int) -> tuple[int, int]:
        """Shown and clicked; 0 and 0 of a product that never was."""
        at = int(np.searchsorted(self.product_ids, product_id))
        if at == len(self.product_ids) or self.product_ids[at] != product_id:
            return 0, 0
        return int(self.n_shown[at]), int(self.n_clicks[at])


def product_totals(*, store: Store, period: Period) -> ProductTotals:
    """Whole months from their sums, the days at either end by themselves. Three queries."""
    first_month, end_month = _whole_months(store, period)
    parameters = {
        "store": store.pk,
        "first": period.first,
        "last": period.last,
        "first_month": first_month,
        "end_month": end_month,
    }
    with (
        connection.cursor() as cursor,
        # Bytes as they are; a SELECT would send them as text of twice the size.
        cursor.cursor.copy(f"COPY ({_MONTHS}) TO STDOUT (FORMAT binary)", parameters) as copy,
    ):
        copy.set_types(["bytea"])
        parts: list[npt.NDArray[np.void]] = [
            np.frombuffer(totals, _PACKED) for (totals,) in copy.rows()
        ]
    parts.append(copy_binary(_DAYS, parameters, _COPIED))
    return _summed(*(_joined(parts, name) for name in _COLUMNS))


def _joined(parts: list[npt.NDArray[np.void]], name: str) -> Int64Array:
    return np.concatenate([part[name].astype(np.int64) for part in parts])


def _summed(product_ids: Int64Array, n_shown: Int64Array, n_clicks: Int64Array) -> ProductTotals:
    ids, place = np.unique(product_ids, return_inverse=True)
    # Sums of integers in float64 are exact below 2⁵³.
    shown, clicks = (
        np.bincount(place, counts, len(ids)).astype(np.int64) for counts in (n_shown, n_clicks)
    )
    return ProductTotals(ids, shown, clicks)


def _whole_months(store: Store, period: Period) -> tuple[date, date]:
    """The packed months of the period: from the first one to before the end one. One query.

    A month is packed by the first count after it; one that has ended since is read by days.
    """
    first_month = period.first.replace(day=1)
    if first_month < period.first:
        first_month = _next_month(first_month)
    end_month = (period.last + timedelta(days=1)).replace(day=1)
    looked = InsightsWatermark.objects.filter(store=store).values_list("computed_at", "time_zone")
    for computed_at, zone in looked:
        end_month = min(end_month, computed_at.astimezone(ZoneInfo(zone)).date().replace(day=1))
    if end_month <= first_month:
        # No whole month: every day by itself.
        first_month = end_month = period.last + timedelta(days=1)
    return first_month, end_month


def _next_month(month: date) -> date:
    return (month + timedelta(days=32)).replace(day=1)
