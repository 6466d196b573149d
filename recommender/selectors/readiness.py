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


@dataclass(frozen=True, slots=True)
class Stock:
    """How much there is of something, and how much of it came per day lately."""

    n: int = 0
    per_day: float = 0.0


_COUNTS = f"""
WITH newest AS MATERIALIZED (
  SELECT event_id, type, shopper_id, session_id, product_id, occurred_at
  FROM catalog_event
  WHERE store_id = %(store)s AND occurred_at <= %(now)s AND {TELLING}
  ORDER BY occurred_at DESC LIMIT %(limit)s
),
counted AS (
  SELECT 'baskets' AS kind, max(occurred_at) AS at FROM newest
    WHERE type = %(purchase)s GROUP BY event_id HAVING count(DISTINCT product_id) > 1
  UNION ALL
  SELECT 'visits', max(occurred_at) FROM newest
    WHERE type = ANY(%(steps)s)
    GROUP BY shopper_id, coalesce(session_id, (occurred_at AT TIME ZONE 'UTC')::date::text)
    HAVING count(DISTINCT product_id) > 1
  UNION ALL
  SELECT 'repeats', max(occurred_at) FROM newest
    WHERE type = %(purchase)s GROUP BY shopper_id, product_id HAVING count(DISTINCT event_id) > 1
  UNION ALL
  SELECT 'people', min(occurred_at) FROM newest GROUP BY shopper_id
  UNION ALL
  SELECT 'events', occurred_at FROM newest
)
SELECT kind, count(*), count(*) FILTER (WHERE at >= %(lately)s),
  (SELECT min(occurred_at) FROM newest), (SELECT count(*) FROM newest)
FROM counted GROUP BY kind
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
            # Where the newest events don't reach back as far, they are of fewer days.
            days = PACE.total_seconds() / 86_400
            if n_newest >= N_NEWEST:
                days = min(days, max((now - first_at).total_seconds() / 86_400, 1 / 24))
            stocks[kind] = Stock(n, n_lately / days)
    return stocks | _catalog_stocks(store, now)


def _catalog_stocks(store: Store, now: datetime) -> dict[str, Stock]:
    lately = Q(created_at__gte=now - PACE)
    kinds = {
        "titles": ~Q(title=""),
        "dated": Q(published_at__lte=now),
        "reduced": Q(list_price_minor__gt=F("price_minor"), price_minor__gt=0),
    }
    counts = {
        name: Count("pk", filter=condition)
        for kind, condition in kinds.items()
        for name, condition in ((kind, condition), (f"{kind}_lately", condition & lately))
    }
    found = Product.objects.filter(store=store, deleted_at=None).aggregate(**counts)
    days = PACE.total_seconds() / 86_400
    return {kind: Stock(found[kind], found[f"{kind}_lately"] / days) for kind in kinds}
