"""What was shown, seen, clicked and bought on some days, counted from the facts in SQL."""

from __future__ import annotations

from datetime import date
from typing import Any, LiteralString

from django.db import connection

from analytics.models import (
    AttributedLine,
    CategoryDay,
    ProductDay,
    RecommendationDay,
    SourceDay,
    TrackingDay,
)
from catalog.models import EventType, Store
from catalog.models.products import CATEGORY_SEPARATOR
from recommender.serving.trace import Reason

# How long a click is credited with what is bought after it.
ATTRIBUTION_DAYS = 7
# How long after a report of an order another one of it, by the same person, is none of its own.
REPEATED_DAYS = 30
# A list is clicked as long as its page stays open: where the recommendation of a click is looked for.
_OPEN_DAYS = 9
# What comes in later than this after it happened is an import, or was kept back: it says nothing of
# how the shop's pages report now.
LIVE_WITHIN = "interval '1 hour'"

_VIEW, _CLICK = EventType.RECOMMENDATION_VIEW.value, EventType.RECOMMENDATION_CLICK.value
_BOUGHT, _LOOKED = EventType.PURCHASE.value, EventType.VIEW_ITEM.value

# The bounds let PostgreSQL use its indexes and leave out partitions; the list says which of the days
# between them count. A day that a claimed `occurred_on` is off by is more than any clock explains.
_EVENTS_OF_DAYS = """
  e.store_id = %(store)s AND NOT e.is_bot
  AND e.occurred_at >= %(first)s::timestamp AT TIME ZONE %(zone)s
  AND e.occurred_at < (%(last)s::date + 1)::timestamp AT TIME ZONE %(zone)s
  AND (e.occurred_at AT TIME ZONE %(zone)s)::date = ANY(%(days)s)
"""
_IMPRESSIONS_OF_DAYS = """
  i.store_id = %(store)s AND i.delivered_on BETWEEN %(first)s::date - 1 AND %(last)s::date + 1
  AND i.delivered_at >= %(first)s::timestamp AT TIME ZONE %(zone)s
  AND i.delivered_at < (%(last)s::date + 1)::timestamp AT TIME ZONE %(zone)s
  AND (i.delivered_at AT TIME ZONE %(zone)s)::date = ANY(%(days)s)
"""
# By the moment of the event, so that it doesn't matter which days are counted together; those of
# `delivered_on` only leave out partitions.
_OF_EVENT = f"""
    AND i.recommendation_id = e.recommendation_id
    AND i.delivered_at >= e.occurred_at - interval '{_OPEN_DAYS} days'
    AND i.delivered_at < e.occurred_at + interval '1 day'
    AND i.delivered_on BETWEEN %(first)s::date - {_OPEN_DAYS + 1} AND %(last)s::date + 2
"""
_RECOMMENDATION = f"""
  LEFT JOIN recommender_impression i ON i.store_id = %(store)s {_OF_EVENT}
"""
_SOURCE = "coalesce(i.sources[array_position(i.product_ids, e.product_id)], '')"

# An interleaved list is of two strategies: it counts for its placement, and for neither of them.
STRATEGY_VERSION = "CASE WHEN i.teams IS NULL THEN coalesce(i.strategy_version_id, 0) ELSE 0 END"

# One row per thing that happened: a delivered list, a list seen, a click. Whoever is held out got
# none: no strategy was asked.
_COUNT_LISTS = f"""
INSERT INTO analytics_recommendationday
  (store_id, day, placement_id, strategy_version_id, n_impressions, n_empty, n_fallback, n_seen,
   n_clicks, diversity_sum, n_diversity, novelty_sum, n_novelty)
SELECT %(store)s, day, placement_id, strategy_version_id,
  sum(delivered), sum(empty), sum(fallback), sum(seen), sum(clicked), 0, 0, 0, 0
FROM (
  SELECT (i.delivered_at AT TIME ZONE %(zone)s)::date AS day, i.placement_id,
    {STRATEGY_VERSION} AS strategy_version_id, count(*) AS delivered,
    count(*) FILTER (WHERE cardinality(i.product_ids) = 0) AS empty,
    count(*) FILTER (WHERE i.fallback IS NOT NULL) AS fallback, 0 AS seen, 0 AS clicked
  FROM recommender_impression i
  WHERE {_IMPRESSIONS_OF_DAYS} AND i.reason IS DISTINCT FROM '{Reason.HELD_OUT}'
  GROUP BY 1, 2, 3
  UNION ALL
  SELECT (e.occurred_at AT TIME ZONE %(zone)s)::date, coalesce(i.placement_id, 0),
    {STRATEGY_VERSION}, 0, 0, 0,
    count(DISTINCT e.event_id) FILTER (WHERE e.type = {_VIEW}),
    count(DISTINCT e.event_id) FILTER (WHERE e.type = {_CLICK})
  FROM catalog_event e {_RECOMMENDATION}
  WHERE {_EVENTS_OF_DAYS} AND e.type IN ({_VIEW}, {_CLICK})
  GROUP BY 1, 2, 3
) AS parts
GROUP BY day, placement_id, strategy_version_id
"""

# The same by places of lists: `clicked` counts events, whatever their lines.
_PLACES = f"""
WITH places AS (
  SELECT (i.delivered_at AT TIME ZONE %(zone)s)::date AS day, i.placement_id, place.source,
    place.product_id, count(*) AS shown, 0::bigint AS seen, 0::bigint AS clicked
  FROM recommender_impression i
    CROSS JOIN LATERAL unnest(i.product_ids, i.sources) AS place (product_id, source)
  WHERE {_IMPRESSIONS_OF_DAYS} GROUP BY 1, 2, 3, 4
  UNION ALL
  SELECT (e.occurred_at AT TIME ZONE %(zone)s)::date, i.placement_id, place.source,
    place.product_id, 0, count(DISTINCT e.event_id), 0
  FROM catalog_event e
    JOIN recommender_impression i ON i.store_id = %(store)s {_OF_EVENT}
    CROSS JOIN LATERAL unnest(i.product_ids, i.sources) AS place (product_id, source)
  WHERE {_EVENTS_OF_DAYS} AND e.type = {_VIEW} GROUP BY 1, 2, 3, 4
  UNION ALL
  SELECT (e.occurred_at AT TIME ZONE %(zone)s)::date, coalesce(i.placement_id, 0), {_SOURCE},
    coalesce(e.product_id, 0), 0, 0, count(DISTINCT e.event_id)
  FROM catalog_event e {_RECOMMENDATION}
  WHERE {_EVENTS_OF_DAYS} AND e.type = {_CLICK} GROUP BY 1, 2, 3, 4
), by_source AS (
  INSERT INTO analytics_sourceday
    (store_id, day, placement_id, source, n_shown, n_seen, n_clicks)
  SELECT %(store)s, day, placement_id, coalesce(source, ''), sum(shown), sum(seen), sum(clicked)
  FROM places GROUP BY day, placement_id, coalesce(source, '')
), by_category AS (
  INSERT INTO analytics_categoryday (store_id, day, category, n_shown, n_seen, n_clicks)
  SELECT %(store)s, day,
    coalesce(split_part(product.category_path, '{CATEGORY_SEPARATOR}', 1), ''),
    sum(shown), sum(seen), sum(clicked)
  FROM places
    LEFT JOIN catalog_product product
      ON product.id = places.product_id AND product.store_id = %(store)s
  GROUP BY 2, 3
)
INSERT INTO analytics_productday (store_id, day, totals)
SELECT %(store)s, day, string_agg(
  int8send(product_id) || int4send(shown) || int4send(clicked), ''::bytea ORDER BY product_id
)
FROM (
  SELECT day, product_id, sum(shown)::int AS shown, sum(clicked)::int AS clicked
  FROM places
  WHERE product_id <> 0
  GROUP BY day, product_id
  HAVING sum(shown) + sum(clicked) > 0
) AS products
GROUP BY day
"""

_FORGET_HOURS = """
DELETE FROM analytics_trackinghour
WHERE store_id = %(store)s AND (hour AT TIME ZONE %(zone)s)::date = ANY(%(days)s)
  AND hour >= %(first)s::timestamp AT TIME ZONE %(zone)s
  AND hour < (%(last)s::date + 1)::timestamp AT TIME ZONE %(zone)s
"""

_COUNT_HOURS = f"""
INSERT INTO analytics_trackinghour (store_id, hour, n_events)
SELECT %(store)s, date_trunc('hour', e.occurred_at, %(zone)s), count(DISTINCT e.event_id)
FROM catalog_event e
WHERE {_EVENTS_OF_DAYS} AND e.received_at < e.occurred_at + {LIVE_WITHIN}
GROUP BY 2
"""

# A guest who turned out to be a customer is one person with them.
_PERSON = "coalesce(link.customer_id, e.shopper_id)"
_LINK = """
  LEFT JOIN catalog_shopperlink link
    ON link.store_id = %(store)s AND link.shopper_id = e.shopper_id AND link.undone_at IS NULL
"""


def _members_of(person: LiteralString) -> LiteralString:
    """A person's shopper ids: events are looked up by them, of which the index knows."""
    return f"""
      SELECT {person} AS shopper_id
      UNION ALL SELECT link.shopper_id FROM catalog_shopperlink link
      WHERE link.store_id = %(store)s AND link.customer_id = {person} AND link.undone_at IS NULL
    """


_COUNT_TRACKING = f"""
INSERT INTO analytics_trackingday
  (store_id, day, n_events, n_orders, n_orders_unseen, n_lines, n_lines_unknown,
   busiest_shopper_id, busiest_sessions, busiest_events)
WITH live AS MATERIALIZED (
  SELECT (e.occurred_at AT TIME ZONE %(zone)s)::date AS day, e.*, {_PERSON} AS person
  FROM catalog_event e {_LINK}
  WHERE {_EVENTS_OF_DAYS} AND e.received_at < e.occurred_at + {LIVE_WITHIN}
), by_day AS (
  SELECT day, count(DISTINCT event_id) AS n_events,
    count(*) FILTER (WHERE product_id IS NOT NULL OR unknown_product IS NOT NULL) AS n_lines,
    count(*) FILTER (WHERE unknown_product IS NOT NULL AND product_id IS NULL) AS n_lines_unknown
  FROM live GROUP BY day
), orders AS (
  SELECT DISTINCT ON (day, coalesce(order_id, event_id::text)) day, person, occurred_at
  FROM live WHERE type = {_BOUGHT}
  ORDER BY day, coalesce(order_id, event_id::text), event_id
), by_order AS (
  SELECT day, count(*) AS n_orders, count(*) FILTER (WHERE NOT EXISTS (
    SELECT FROM ({_members_of("orders.person")}) AS member
      JOIN catalog_event e ON e.store_id = %(store)s AND e.shopper_id = member.shopper_id
        AND e.occurred_at BETWEEN orders.occurred_at - interval '1 day' AND orders.occurred_at
    WHERE e.type = {_LOOKED} AND NOT e.is_bot
  )) AS n_orders_unseen
  FROM orders GROUP BY day
), busiest AS (
  SELECT DISTINCT ON (day) day, shopper_id, count(DISTINCT session_id) AS n_sessions,
    count(DISTINCT event_id) AS n_events
  FROM live WHERE session_id IS NOT NULL
  GROUP BY day, shopper_id
  ORDER BY day, 3 DESC, shopper_id
)
SELECT %(store)s, day, by_day.n_events, coalesce(n_orders, 0), coalesce(n_orders_unseen, 0),
  n_lines, n_lines_unknown, busiest.shopper_id, coalesce(n_sessions, 0),
  coalesce(busiest.n_events, 0)
FROM by_day LEFT JOIN by_order USING (day) LEFT JOIN busiest USING (day)
"""

# An order that is reported twice (the confirmation page was loaded again: another event, the same
# order id) is one order, of the day of its first report. Those of other days are looked up by
# shopper, of which the index knows. The last click wins.
_ATTRIBUTE = f"""
INSERT INTO analytics_attributedline
  (store_id, event_id, line, day, order_key, product_id, category, quantity, revenue_minor,
   bought_at, clicked_at, recommendation_id, placement_id, strategy_version_id, source)
WITH bought AS MATERIALIZED (
  SELECT (e.occurred_at AT TIME ZONE %(zone)s)::date AS day, {_PERSON} AS person, e.event_id,
    e.line, coalesce(e.order_id, e.event_id::text) AS order_key, e.product_id, e.quantity,
    coalesce(e.value_minor, e.price_minor * e.quantity, 0) AS revenue_minor, e.occurred_at
  FROM catalog_event e {_LINK}
  WHERE {_EVENTS_OF_DAYS} AND e.type = {_BOUGHT}
), kept AS (
  SELECT DISTINCT ON (day, order_key) day, order_key, event_id
  FROM bought ORDER BY day, order_key, occurred_at, event_id
), clicks AS MATERIALIZED (
  SELECT {_PERSON} AS person, e.product_id, e.occurred_at, e.event_id, e.recommendation_id
  FROM catalog_event e {_LINK}
  WHERE e.store_id = %(store)s AND NOT e.is_bot AND e.type = {_CLICK} AND e.product_id IS NOT NULL
    AND e.occurred_at
      >= (%(first)s::date - {ATTRIBUTION_DAYS + 1})::timestamp AT TIME ZONE %(zone)s
    AND e.occurred_at < (%(last)s::date + 1)::timestamp AT TIME ZONE %(zone)s
), credited AS MATERIALIZED (
  SELECT DISTINCT ON (b.event_id, b.line) b.*, c.occurred_at AS clicked_at, c.recommendation_id
  FROM bought b JOIN kept USING (day, order_key, event_id)
    JOIN clicks c ON c.person = b.person AND c.product_id = b.product_id
      AND c.occurred_at BETWEEN b.occurred_at - interval '{ATTRIBUTION_DAYS} days' AND b.occurred_at
  ORDER BY b.event_id, b.line, c.occurred_at DESC, c.event_id DESC
)
SELECT %(store)s, e.event_id, e.line, e.day, e.order_key, e.product_id,
  coalesce(split_part(product.category_path, '{CATEGORY_SEPARATOR}', 1), ''), e.quantity,
  e.revenue_minor, e.occurred_at, e.clicked_at, e.recommendation_id,
  coalesce(i.placement_id, 0), {STRATEGY_VERSION}, {_SOURCE}
FROM credited e
  LEFT JOIN recommender_impression i ON i.store_id = %(store)s
    AND i.recommendation_id = e.recommendation_id
    AND i.delivered_at >= e.clicked_at - interval '{_OPEN_DAYS} days'
    AND i.delivered_at < e.clicked_at + interval '1 day'
    AND i.delivered_on BETWEEN %(first)s::date - {_OPEN_DAYS + ATTRIBUTION_DAYS + 1}
      AND %(last)s::date + 2
  LEFT JOIN catalog_product product
    ON product.id = e.product_id AND product.store_id = %(store)s
WHERE NOT EXISTS (
  SELECT FROM ({_members_of("e.person")}) AS member
    JOIN catalog_event r ON r.store_id = %(store)s AND r.shopper_id = member.shopper_id
      AND r.occurred_at >= e.occurred_at - interval '{REPEATED_DAYS} days'
      AND r.occurred_at < e.day::timestamp AT TIME ZONE %(zone)s
  WHERE r.type = {_BOUGHT} AND NOT r.is_bot AND r.order_id = e.order_key
)
"""


def days_count(*, store: Store, days: list[date]) -> None:
    """Count again what was delivered, seen and clicked on some days, and how it was reported."""
    for model in (RecommendationDay, SourceDay, CategoryDay, ProductDay, TrackingDay):
        model.objects.filter(store=store, day__in=days).delete()
    parameters = _parameters(store, days)
    with connection.cursor() as cursor:
        for statement in (_COUNT_LISTS, _PLACES, _FORGET_HOURS, _COUNT_HOURS, _COUNT_TRACKING):
            cursor.execute(statement, parameters)


def lines_attribute(*, store: Store, days: list[date]) -> None:
    """Credit the order lines of some days with the clicks before them."""
    AttributedLine.objects.filter(store=store, day__in=days).delete()
    with connection.cursor() as cursor:
        cursor.execute(_ATTRIBUTE, _parameters(store, days))


def _parameters(store: Store, days: list[date]) -> dict[str, Any]:
    return {
        "store": store.pk,
        "zone": store.time_zone,
        "days": days,
        "first": min(days),
        "last": max(days),
    }
