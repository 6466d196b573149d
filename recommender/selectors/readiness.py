"""What there is for the sources to learn from, and how fast more of it comes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import Count, F, Q

from catalog.models import EventType, Product, Store
from recommender.selectors.training_data import TELLING

# The newest events that are looked at. Every need is far below what so many events hold in a shop
# that sells; a larger shop is not counted to its end, only until it is clear that it has enough.
N_NEWEST = 50_000
PACE = timedelta(days=7)
# What came in the first hours isn't multiplied up to a day.
SHORTEST_PACE_DAYS = 1.0


@dataclass(frozen=True, slots=True)
class Stock:
    """How much there is of something, and how much of it came per day lately.

    `per_day` is None for what comes with the catalog: an import brings it at once, or never.
    """

    n: int = 0
    per_day: float | None = 0.0


# Least and most instead of distinct ones: nothing has to be sorted for them.
_COUNTS = f"""
WITH newest AS MATERIALIZED (
  SELECT event_id, type, shopper_id, session_id, product_id, occurred_at
  FROM catalog_event
  WHERE store_id = %(store)s AND occurred_at <= %(now)s AND {TELLING}
  ORDER BY occurred_at DESC LIMIT %(limit)s
),
counted AS (
  SELECT 'baskets' AS kind, max(occurred_at) AS at FROM newest
    WHERE type = %(purchase)s GROUP BY event_id HAVING min(product_id) < max(product_id)
  UNION ALL
  SELECT 'visits', max(occurred_at) FROM newest
    WHERE type = ANY(%(steps)s)
    GROUP BY shopper_id, coalesce(session_id, (occurred_at AT TIME ZONE 'UTC')::date::text)
    HAVING min(product_id) < max(product_id)
  UNION ALL
  SELECT 'repeats', max(occurred_at) FROM newest
    WHERE type = %(purchase)s GROUP BY shopper_id, product_id HAVING min(occurred_at) < max(occurred_at)
  UNION ALL
  SELECT 'people', min(occurred_at) FROM newest GROUP BY shopper_id
),
whole AS (
  SELECT count(*) AS n, count(*) FILTER (WHERE occurred_at >= %(lately)s) AS n_lately,
    min(occurred_at) AS first_at
  FROM newest
)
SELECT kind, count(*), count(*) FILTER (WHERE at >= %(lately)s), first_at, n
FROM counted, whole GROUP BY kind, first_at, n
UNION ALL SELECT 'events', n, n_lately, first_at, n FROM whole WHERE n > 0
"""
_STEPS = (
    EventType.VIEW_ITEM,
    EventType.SELECT_ITEM,
    EventType.ADD_TO_CART,
    EventType.PURCHASE,
)


def learning_stocks(*, store: Store, now: datetime) -> dict[str, Stock]:
    """Of the newest events: orders of two or more products ("baskets"), visits to two or more
    ("visits"), products that somebody bought again ("repeats"), shoppers ("people"), "events"; and
    of the catalog: "titles", "dated" and "reduced" products. Two queries.
    """
    stocks = {kind: Stock() for kind in ("baskets", "visits", "repeats", "people", "events")}
    with connection.cursor() as cursor:
        cursor.execute(
            _COUNTS,
            {
                "store": store.pk,
                "now": now,
                "limit": N_NEWEST,
                "purchase": EventType.PURCHASE,
                "steps": [int(step) for step in _STEPS],
                "lately": now - PACE,
            },
        )
        for kind, n, n_lately, first_at, n_newest in cursor.fetchall():
            age_days = (now - first_at).total_seconds() / 86_400
            # Where the newest events don't reach back as far, they are of fewer days; in a store
            # that is younger than the period, too.
            shortest = 1 / 24 if n_newest >= N_NEWEST else SHORTEST_PACE_DAYS
            stocks[kind] = Stock(n, n_lately / min(PACE.days, max(age_days, shortest)))
    return stocks | _catalog_stocks(store, now)


def _catalog_stocks(store: Store, now: datetime) -> dict[str, Stock]:
    counted = Product.objects.filter(store=store, deleted_at=None).aggregate(
        titles=Count("pk", filter=~Q(title="")),
        dated=Count("pk", filter=Q(published_at__lte=now)),
        reduced=Count("pk", filter=Q(list_price_minor__gt=F("price_minor"), price_minor__gt=0)),
    )
    return {kind: Stock(n, None) for kind, n in counted.items()}
