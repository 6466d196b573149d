"""The Lab's comparisons, and whether a history is long enough for one. Light: web processes read it."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import connection
from django.db.models import QuerySet

from catalog.models import EventType, Store
from recommender.models import LabChoice, LabRun
from recommender.selectors.training_data import TELLING

ACTIVE = (LabRun.State.QUEUED, LabRun.State.RUNNING)
# The newest events that are counted. To a large shop they are half a day, in which nobody orders on
# two days: where they aren't enough for a question, so many are counted.
N_NEWEST = 50_000
N_MORE = 500_000

_COUNTS = f"""
WITH newest AS MATERIALIZED (
  SELECT event_id, type, shopper_id, session_id, product_id, occurred_on
  FROM catalog_event
  WHERE store_id = %(store)s AND {TELLING}
  ORDER BY occurred_at DESC LIMIT %(limit)s
)
SELECT
  (SELECT count(*) FROM newest),
  (SELECT count(*) FROM (
    SELECT 1 FROM newest WHERE type = %(purchase)s
    GROUP BY shopper_id HAVING min(occurred_on) < max(occurred_on)) customers),
  (SELECT count(*) FROM (
    SELECT 1 FROM newest WHERE type = %(purchase)s
    GROUP BY event_id HAVING count(DISTINCT product_id) >= 3) baskets),
  (SELECT count(*) FROM (
    SELECT 1 FROM newest WHERE type = ANY(%(steps)s)
    GROUP BY shopper_id, coalesce(session_id, occurred_on::text)
    HAVING min(product_id) < max(product_id)) visits)
"""
STEPS = (EventType.VIEW_ITEM, EventType.SELECT_ITEM, EventType.ADD_TO_CART)


def history_stocks(*, store: Store, enough: Mapping[str, int]) -> dict[str, int]:
    """Among the newest events: "customers" with orders on two days, "baskets" of three or more
    products, "visits" to two or more products. One query; two if there are more events than it
    counts, and less of anything than is `enough`.
    """
    n_counted, stocks = _stocks(store, N_NEWEST)
    if n_counted == N_NEWEST and any(stocks[name] < n for name, n in enough.items()):
        _, stocks = _stocks(store, N_MORE)
    return stocks


def _stocks(store: Store, limit: int) -> tuple[int, dict[str, int]]:
    """How many of the newest events were counted, and what of."""
    with connection.cursor() as cursor:
        cursor.execute(
            _COUNTS,
            {
                "store": store.pk,
                "limit": limit,
                "purchase": EventType.PURCHASE,
                "steps": [int(step) for step in STEPS],
            },
        )
        n_counted, *counts = cursor.fetchone()
    return n_counted, dict(zip(("customers", "baskets", "visits"), counts, strict=True))


def lab_runs(*, store: Store) -> QuerySet[LabRun]:
    """The comparisons of a store, the newest first, with who asked for them."""
    return LabRun.objects.filter(store=store).select_related("asked_by").order_by("-queued_at")


def lab_run_find(*, store: Store, lab_id: int) -> LabRun | None:
    return lab_runs(store=store).filter(pk=lab_id).first()


def lab_choice(*, store_id: int) -> LabChoice | None:
    """The method that serves as "chosen"; None while no member has chosen one."""
    return LabChoice.objects.filter(store_id=store_id).select_related("chosen_by").first()
