"""What the participants that were touched did on each day, and were shown.

Called by `participants` within its transaction, on its temporary tables.

* An order that is reported again is none: it counts on the day of its first report, reports of the
  14 days before exposure included.
* A recommendation is seen once, and each of its products clicked once, on the day it was reported
  first, and only if it was shown to the same person by this experiment, after exposure and not on a
  later day.
* What machines did doesn't count.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.backends.utils import CursorWrapper

from analytics.metrics.latency import LATENCY_EDGES_US, N_BINS
from analytics.results.facts import MEASURES
from analytics.selectors.experiment_scope import ExperimentScope
from analytics.services.participant_lists import lists_gather
from catalog.models import EventType

_PRE = timedelta(days=14)

_IMPRESSION = """
CREATE TEMPORARY TABLE xp_impression ON COMMIT DROP AS
SELECT row_number() OVER (ORDER BY member.n, impression.delivered_at, recommendation_id)::int AS i,
  member.n, impression.recommendation_id, impression.delivered_at,
  (impression.delivered_at AT TIME ZONE %(zone)s)::date AS day,
  impression.variant_id,
  NOT %(is_interleaving)s AND impression.experiment_id IS NOT DISTINCT FROM %(experiment)s
    AS tells_variant,
  impression.placement_id, impression.device, impression.strategy_version_id,
  impression.product_ids, impression.fallback,
  CASE WHEN impression.fallback IS NOT NULL THEN impression.sources END AS sources
FROM recommender_impression AS impression
  JOIN xp_member AS member ON member.external_id = impression.shopper_external_id
  JOIN xp_touched AS touched USING (n)
WHERE impression.store_id = %(store)s AND impression.delivered_at >= %(shown_from)s
  AND impression.delivered_at >= touched.shown_from AND impression.delivered_at < %(until)s
  AND {belongs}
"""

_EVENT = """
CREATE TEMPORARY TABLE xp_event ON COMMIT DROP AS
SELECT member.n, event.event_id, event.line, event.type, event.occurred_at,
  (event.occurred_at AT TIME ZONE %(zone)s)::date AS day,
  event.occurred_at >= person.exposed_at AS is_after, event.is_bot, event.order_id,
  event.recommendation_id, event.product_id, event.quantity AS n_units,
  coalesce(event.value_minor, event.price_minor * event.quantity, 0) AS value_minor
FROM xp_touched JOIN xp_person AS person USING (n) JOIN xp_member AS member USING (n)
  JOIN catalog_event AS event ON event.shopper_id = member.shopper_id
WHERE event.store_id = %(store)s AND event.occurred_at >= %(events_from)s
  AND event.occurred_at >= person.exposed_at - interval '336 hours'
  AND event.occurred_at < %(until)s
"""

# The first report that a recommendation was seen, and that a product of it was clicked.
_ANSWERED = f"""
CREATE TEMPORARY TABLE xp_answered ON COMMIT DROP AS
SELECT DISTINCT ON (n, type, recommendation_id, product_id) *
FROM (
  SELECT n, type, recommendation_id, day, is_after, occurred_at,
    CASE WHEN type = {EventType.RECOMMENDATION_CLICK.value} THEN product_id END AS product_id
  FROM xp_event
  WHERE type IN ({EventType.RECOMMENDATION_VIEW.value}, {EventType.RECOMMENDATION_CLICK.value})
    AND recommendation_id IS NOT NULL AND NOT is_bot
) AS answer
ORDER BY n, type, recommendation_id, product_id, occurred_at
"""

# Recommendations of the experiment that were answered. Of persons who are not counted from their
# exposure on, those of earlier days have to be looked up one by one.
_SHOWN = """
CREATE TEMPORARY TABLE xp_shown ON COMMIT DROP AS
SELECT n, recommendation_id, day FROM xp_impression
UNION ALL
SELECT answer.n, answer.recommendation_id,
  (impression.delivered_at AT TIME ZONE %(zone)s)::date
FROM (
  SELECT DISTINCT answered.n, answered.recommendation_id, person.shown_from,
    touched.shown_from AS known_from, person.day AS first_day
  FROM xp_answered AS answered JOIN xp_touched AS touched USING (n)
    JOIN xp_person AS person USING (n)
  WHERE answered.is_after AND answered.day >= touched.from_day AND touched.from_day > person.day
) AS answer
  JOIN recommender_impression AS impression ON impression.store_id = %(store)s
    AND impression.recommendation_id = answer.recommendation_id
    AND impression.delivered_on >= answer.first_day - 1
  JOIN xp_member AS member
    ON member.n = answer.n AND member.external_id = impression.shopper_external_id
WHERE impression.delivered_at >= answer.shown_from AND impression.delivered_at < %(until)s
  AND impression.delivered_at < answer.known_from
  AND {belongs}
"""

# By person and day; the 14 days before exposure are one row without a day. Sums of bigint are
# numeric and slow, so there is one of them.
_DEED = f"""
CREATE TEMPORARY TABLE xp_deed ON COMMIT DROP AS
WITH reports AS (
  SELECT n, coalesce(order_id, event_id::text) AS order_key, event_id,
    min(occurred_at) AS occurred_at, min(day) AS day, bool_and(is_after) AS is_after,
    sum(n_units) AS n_units, sum(value_minor) AS revenue_minor
  FROM xp_event
  WHERE type = {EventType.PURCHASE.value} AND NOT is_bot
  GROUP BY 1, 2, 3
), orders AS (
  SELECT DISTINCT ON (n, order_key) * FROM reports ORDER BY n, order_key, occurred_at, event_id
), deeds AS (
  SELECT n, is_after, day, 1 AS n_orders, revenue_minor::bigint, n_units::int, 0 AS n_carts,
    0 AS n_views, 0 AS n_seen, 0 AS n_clicks
  FROM orders
  UNION ALL
  SELECT n, is_after, day, 0, 0, 0, (type = {EventType.ADD_TO_CART.value})::int,
    (type = {EventType.VIEW_ITEM.value})::int, 0, 0
  FROM xp_event
  WHERE type IN ({EventType.ADD_TO_CART.value}, {EventType.VIEW_ITEM.value})
    AND line = 0 AND NOT is_bot
  UNION ALL
  SELECT n, answered.is_after, answered.day, 0, 0, 0, 0, 0,
    (answered.type = {EventType.RECOMMENDATION_VIEW.value})::int,
    (answered.type = {EventType.RECOMMENDATION_CLICK.value})::int
  FROM xp_answered AS answered LEFT JOIN xp_shown AS shown USING (n, recommendation_id)
  WHERE NOT answered.is_after OR shown.day <= answered.day
)
SELECT n, CASE WHEN is_after THEN day END AS day, sum(n_orders) AS n_orders,
  sum(revenue_minor) AS revenue_minor, sum(n_units) AS n_units, sum(n_carts) AS n_carts,
  sum(n_views) AS n_views, sum(n_seen) AS n_seen, sum(n_clicks) AS n_clicks
FROM deeds
GROUP BY 1, 2
"""


def days_gather(cursor: CursorWrapper, scope: ExperimentScope, parameters: dict[str, Any]) -> None:
    """Count what those in `xp_touched` did and were shown: `xp_deed` and `xp_list`."""
    cursor.execute(
        "SELECT min(touched.shown_from), min(person.exposed_at)"
        " FROM xp_touched AS touched JOIN xp_person AS person USING (n)"
    )
    shown_from, exposed_at = cursor.fetchone()
    bounds = {**parameters, "shown_from": shown_from, "events_from": exposed_at - _PRE}
    _make(cursor, "xp_impression", _IMPRESSION.format(belongs=scope.belongs), bounds)
    _make(cursor, "xp_event", _EVENT, bounds, keys="n, type, is_bot, is_after")
    _make(cursor, "xp_answered", _ANSWERED, bounds)
    _make(cursor, "xp_shown", _SHOWN.format(belongs=scope.belongs), bounds)
    _make(cursor, "xp_deed", _DEED, bounds, keys="n, day")
    lists_gather(cursor, scope, shown_from=shown_from)


def _make(
    cursor: CursorWrapper, table: str, sql: str, parameters: dict[str, Any], *, keys: str = "n"
) -> None:
    """Make a temporary table. The planner has to know how many rows are joined, and by what."""
    cursor.execute(sql, parameters)
    cursor.execute(f"ANALYZE {table} ({keys})")


_OF_DEEDS = (
    "n_orders", "revenue_minor", "n_units", "n_carts", "n_views", "n_seen", "n_clicks",
)  # fmt: skip

_FRESH = f"""
CREATE TEMPORARY TABLE xp_fresh ON COMMIT DROP AS
SELECT n, day, {
    ", ".join(
        f"coalesce({'deed' if name in _OF_DEEDS else 'list'}.{name}, 0) AS {name}"
        for name in MEASURES
    )
}
FROM (SELECT * FROM xp_deed WHERE day IS NOT NULL) AS deed
  FULL JOIN xp_list AS list USING (n, day)
  JOIN xp_touched AS touched USING (n)
WHERE day >= touched.from_day
"""

_FORGET = """
DELETE FROM analytics_participantday AS old
USING xp_touched AS touched, xp_person AS person
WHERE old.store_id = %(store)s AND old.experiment_id = %(experiment)s
  AND person.n = touched.n AND old.person = person.person
  AND (touched.is_full OR old.day >= touched.from_day)
  AND NOT EXISTS (
    SELECT FROM xp_fresh AS fresh WHERE fresh.n = person.n AND fresh.day = old.day
  )
"""

_WRITE = f"""
INSERT INTO analytics_participantday
  (store_id, experiment_id, day, person, {", ".join(MEASURES)})
SELECT %(store)s, %(experiment)s, fresh.day, person.person,
  {", ".join(f"fresh.{name}" for name in MEASURES)}
FROM xp_fresh AS fresh JOIN xp_person AS person USING (n)
ORDER BY fresh.day, fresh.n
"""
# Without anything to replace, none of what this costs.
_REPLACE = f"""
ON CONFLICT (store_id, experiment_id, day, person) DO UPDATE SET
  ({", ".join(MEASURES)}) = ({", ".join(f"excluded.{name}" for name in MEASURES)})
WHERE analytics_participantday.* IS DISTINCT FROM excluded.*
"""


def days_write(cursor: CursorWrapper, parameters: dict[str, Any], *, anew: bool) -> int:
    """Replace the days of those touched; returns how many rows changed. Anew: there are none."""
    _make(cursor, "xp_fresh", _FRESH, parameters, keys="n, day")
    if anew:
        cursor.execute(_WRITE, parameters)
        return int(cursor.rowcount)
    cursor.execute(_FORGET, parameters)
    n_changed = cursor.rowcount
    cursor.execute(_WRITE + _REPLACE, parameters)
    return int(n_changed + cursor.rowcount)


# From the first day on in which something was delivered since. An answer of another experiment to
# somebody of the hold-out counts for the side that the shopper is on.
_NEWS_FROM = """
SELECT date_trunc('day', min(impression.delivered_at) AT TIME ZONE %(zone)s) AT TIME ZONE %(zone)s
FROM recommender_impression AS impression
WHERE impression.store_id = %(store)s AND impression.delivered_at > %(impressions_since)s
  AND impression.delivered_at < %(until)s AND {belongs}
"""

_VARIANT_DAYS = """
WITH answers AS (
  SELECT (impression.delivered_at AT TIME ZONE %(zone)s)::date AS day,
    {variant} AS variant_id,
    width_bucket(impression.took_us::float8, %(edges)s::float8[]) AS bin
  FROM recommender_impression AS impression {exposed}
  WHERE impression.store_id = %(store)s AND impression.delivered_at >= %(started)s - interval '1 millisecond'
    AND impression.delivered_at < %(until)s AND {belongs}
    AND impression.delivered_at >= %(news_from)s
), counts AS (
  SELECT day, variant_id, bin, count(*) AS n
  FROM answers WHERE variant_id IS NOT NULL GROUP BY 1, 2, 3
), every AS (
  SELECT day, variant_id, bin, sum(n)::bigint AS n
  FROM (
    SELECT day, variant_id, bin, n FROM counts
    UNION ALL
    SELECT day, variant_id, bin, 0
    FROM (SELECT DISTINCT day, variant_id FROM counts) AS pair
      CROSS JOIN generate_series(0, %(n_bins)s - 1) AS bin
  ) AS filled
  GROUP BY 1, 2, 3
), whole AS (
  SELECT day, variant_id, array_agg(n ORDER BY bin) AS latency_counts FROM every GROUP BY 1, 2
)
INSERT INTO analytics_variantday (store_id, experiment_id, day, variant_id, latency_counts)
SELECT %(store)s, %(experiment)s, day, variant_id, latency_counts FROM whole
ON CONFLICT (store_id, experiment_id, day, variant_id) DO UPDATE
  SET latency_counts = excluded.latency_counts
WHERE analytics_variantday.latency_counts IS DISTINCT FROM excluded.latency_counts
"""

_EXPOSED = """
  JOIN xp_exposed AS exposed ON exposed.external_id = impression.shopper_external_id
    AND impression.delivered_at >= date_trunc('milliseconds', exposed.exposed_at)
"""


def variant_days_write(
    cursor: CursorWrapper, scope: ExperimentScope, parameters: dict[str, Any]
) -> int:
    """Count the response times of the days with new answers again; returns how many rows changed."""
    # On its own: the planner has to know whether it is a day or all of them.
    cursor.execute(_NEWS_FROM.format(belongs=scope.belongs), parameters)
    (news_from,) = cursor.fetchone()
    if news_from is None:
        return 0
    sql = _VARIANT_DAYS.format(
        belongs=scope.belongs,
        variant="exposed.variant_id" if scope.is_holdout else "impression.variant_id",
        exposed=_EXPOSED if scope.is_holdout else "",
    )
    values = {
        **parameters,
        "news_from": news_from,
        "edges": LATENCY_EDGES_US.tolist(),
        "n_bins": N_BINS,
    }
    cursor.execute(sql, values)
    return int(cursor.rowcount)
