"""How often each product was shown and clicked in a period: whole months, and the days around them."""

from __future__ import annotations

from collections.abc import Iterable
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

# Of `ProductDay.totals` and `ProductMonth.totals`.
_PACKED = np.dtype([("product_id", ">i8"), ("n_shown", ">i4"), ("n_clicks", ">i4")])

_PARTS = """
SELECT totals FROM analytics_productmonth
WHERE store_id = %(store)s AND month >= %(first_month)s AND month < %(end_month)s
UNION ALL
SELECT totals FROM analytics_productday
WHERE store_id = %(store)s AND day BETWEEN %(first)s AND %(last)s
  AND (day < %(first_month)s OR day >= %(end_month)s)
"""
# So many times wider than there are ids, their range is still counted quicker than they are sorted.
_DENSE = 16


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
    """Whole months from their sums, the days at either end by themselves. Two queries."""
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
        cursor.cursor.copy(f"COPY ({_PARTS}) TO STDOUT (FORMAT binary)", parameters) as copy,
    ):
        copy.set_types(["bytea"])
        return totals_unpacked(totals for (totals,) in copy.rows())


def totals_unpacked(packed: Iterable[bytes | memoryview]) -> ProductTotals:
    """The sum of some days or months."""
    rows = np.frombuffer(b"".join(packed), _PACKED)
    return _summed(rows["product_id"].astype(np.int64), rows["n_shown"], rows["n_clicks"])


def totals_packed(totals: ProductTotals) -> bytes:
    """As a day or a month stores them.

    Examples
    --------
    >>> one = ProductTotals(np.array([7]), np.array([3]), np.array([1]))
    >>> totals_unpacked([totals_packed(one), totals_packed(one)]).n_shown.tolist()
    [6]
    """
    rows = np.empty(len(totals.product_ids), _PACKED)
    rows["product_id"] = totals.product_ids
    rows["n_shown"] = totals.n_shown
    rows["n_clicks"] = totals.n_clicks
    return rows.tobytes()


def _summed(
    product_ids: Int64Array, n_shown: npt.NDArray[np.int32], n_clicks: npt.NDArray[np.int32]
) -> ProductTotals:
    """Sums by product, ids ascending."""
    lowest = int(product_ids.min(initial=0))
    if int(product_ids.max(initial=0)) - lowest <= _DENSE * len(product_ids):
        place, ids = product_ids - lowest, None
    else:
        ids, place = np.unique(product_ids, return_inverse=True)
    there = np.flatnonzero(np.bincount(place))
    # Sums of integers in float64 are exact below 2⁵³.
    shown, clicks = (
        np.bincount(place, counts).astype(np.int64)[there] for counts in (n_shown, n_clicks)
    )
    return ProductTotals(there + lowest if ids is None else ids, shown, clicks)


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
