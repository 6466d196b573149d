"""Placements with what they delivered lately."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from catalog.models import Store
from recommender.models import Placement


@dataclass(frozen=True, slots=True)
class Delivered:
    """What a placement delivered in a period.

    Attributes
    ----------
    reasons
        Reason codes of fallbacks and empty answers with their counts, the commonest first.
    sources
        Sources of the delivered products with their counts, the commonest first.
    """

    n: int = 0
    n_fallback: int = 0
    n_empty: int = 0
    p95_us: int | None = None
    last_at: datetime | None = None
    reasons: tuple[tuple[str, int], ...] = ()
    sources: tuple[tuple[str, int], ...] = ()

    @property
    def fallback_rate(self) -> float | None:
        return self.n_fallback / self.n if self.n else None

    @property
    def empty_rate(self) -> float | None:
        return self.n_empty / self.n if self.n else None

    @property
    def p95_ms(self) -> float | None:
        return None if self.p95_us is None else self.p95_us / 1000


_BY_PLACEMENT = """
SELECT placement_id, count(*), count(fallback),
  count(*) FILTER (WHERE cardinality(product_ids) = 0),
  percentile_disc(0.95) WITHIN GROUP (ORDER BY took_us)::int, max(delivered_at)
FROM recommender_impression
WHERE store_id = %(store)s AND delivered_at >= %(since)s AND delivered_on >= %(since)s::date - 1
GROUP BY placement_id
"""

_OF_PLACEMENT = """
FROM recommender_impression
WHERE store_id = %(store)s AND placement_id = %(placement)s
  AND delivered_at >= %(since)s AND delivered_on >= %(since)s::date - 1
"""


def placements_of(*, store: Store) -> list[Placement]:
    """All placements by page, with strategy. One query."""
    placements = Placement.objects.filter(store=store).select_related("strategy_version__strategy")
    order = list(Placement.PageType)
    return sorted(
        placements, key=lambda each: (order.index(Placement.PageType(each.page_type)), each.name)
    )


def placement_find(*, store: Store, slug: str) -> Placement | None:
    return (
        Placement.objects.filter(store=store, slug=slug)
        .select_related("strategy_version__strategy", "strategy_version__author")
        .first()
    )


def delivered_by_placement(*, store: Store, since: datetime) -> dict[int, Delivered]:
    """What each placement delivered since a moment; those without are left out. One query."""
    with connection.cursor() as cursor:
        cursor.execute(_BY_PLACEMENT, {"store": store.pk, "since": since})
        return {placement_id: Delivered(*row) for placement_id, *row in cursor.fetchall()}


def placement_delivered(*, store: Store, placement: Placement, since: datetime) -> Delivered:
    """The same for one placement, with reasons and sources. Three queries."""
    values: dict[str, Any] = {"store": store.pk, "placement": placement.pk, "since": since}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), count(fallback), count(*) FILTER (WHERE cardinality(product_ids) = 0),"
            " percentile_disc(0.95) WITHIN GROUP (ORDER BY took_us)::int, max(delivered_at)"
            + _OF_PLACEMENT,
            values,
        )
        n, n_fallback, n_empty, p95_us, last_at = cursor.fetchone() or (0, 0, 0, None, None)
        cursor.execute(
            f"SELECT reason, count(*) {_OF_PLACEMENT} AND reason IS NOT NULL"
            " GROUP BY 1 ORDER BY 2 DESC, 1",
            values,
        )
        reasons = tuple(cursor.fetchall())
        cursor.execute(
            "SELECT source, count(*) FROM (SELECT unnest(sources) AS source"
            f" {_OF_PLACEMENT}) AS shown GROUP BY 1 ORDER BY 2 DESC, 1",
            values,
        )
        sources = tuple(cursor.fetchall())
    return Delivered(n, n_fallback, n_empty, p95_us, last_at, reasons, sources)
