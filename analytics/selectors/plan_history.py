"""What shoppers did lately, as a test of the last weeks would have seen it: for the planner.

The days are whole days of the store's time zone, up to yesterday. A shopper comes in with the first
answer of the placements that they were given on those days; what counts is what they did from then
on. People are counted as tests count them: a guest who turned out to be a customer is one with them.

Of many shoppers some are looked at, chosen by a hash of their id; how many is said in the basis.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
from django.db import connection, transaction

from analytics.metrics.definitions import DEFINITIONS
from analytics.results.planning import GoalAfter, History
from analytics.stats.answers import NotEnoughData, Reason
from analytics.stats.capping import CAP_SHARE
from analytics.stats.decision import STANDARD_RULE
from analytics.stats.summaries import MeanSums, Proportion, RatioSums, Sums
from catalog.models import EventType, Store
from recommender.models import GOALS, Metric, Segment
from recommender.selectors.training_data import copy_binary

Float64Array: TypeAlias = npt.NDArray[np.float64]

# As far back as the plan looks, and after how long the goal is asked about.
HISTORY_DAYS = 28
HORIZONS = (7, 14, 28)

# Of more shoppers one in so many is looked at that these are about the most. A rate of 5 % is then
# known to 3 or 4 %, and the length that follows from it to 6 or 8: months differ by more.
N_LOOKED_AT = 20_000


@dataclass(frozen=True, slots=True)
class _Window:
    """Whole days; the parameters of all queries."""

    first: date
    n_days: int
    parameters: dict[str, Any]


def plan_histories(
    *, store: Store, placement_ids: Sequence[int], segment: Segment | None, now: datetime
) -> dict[str, History | NotEnoughData]:
    """New shoppers by day, and each goal per shopper, on these placements. Two queries, or three.

    Where nothing has been shown for a week yet, everybody who visited the shop is taken, and
    `basis` says so. Of segments only those by device are known of the past; else all shoppers are
    taken, and `basis` says that.
    """
    devices = devices_of(segment)
    about = (
        " The segment isn’t known of past shoppers: all of them were taken."
        if segment is not None and devices is None
        else ""
    )
    parameters = {
        "store": store.pk,
        "zone": store.time_zone,
        "placements": list(placement_ids),
        "devices": devices,
        "looked_at": N_LOOKED_AT,
    }
    shown = _window(store, now, parameters, _first_shown(parameters, now))
    if shown is not None:
        people = "impressions" if devices is None else "impressions on its devices"
        words = f"{{n}} shoppers with {people} of these placements, {{days}}.{about}"
        return _histories(GOALS, shown, _SHOWN, words)
    unseen = "these placements have not been shown for a week yet, so no click rate is known"
    no_clicks = {Metric.CLICK_RATE.value: NotEnoughData(Reason.NO_BASELINE, unseen)}
    others = [goal for goal in GOALS if goal != Metric.CLICK_RATE]
    visits = _window(store, now, parameters, _first_visit(parameters, now))
    if visits is None:
        words = "a week of visits is needed, and there is none of whole days before today"
        nothing = NotEnoughData(Reason.TOO_EARLY, words)
        return {**{goal.value: nothing for goal in others}, **no_clicks}
    said = "These placements have not been shown for a week yet, so all {n} visitors of the shop"
    if devices is not None:
        about = " The devices of past visitors aren’t known: all of them were taken."
    words = f"{said} were taken, {{days}}.{about}"
    return _histories(others, visits, _VISITED, words) | no_clicks


def devices_of(segment: Segment | None) -> list[str] | None:
    """The devices that a segment is about; None if it is about something else."""
    document = segment.document if segment is not None else {}
    return list(document["devices"]) if document.get("type") == "device" else None


def _window(
    store: Store, now: datetime, parameters: dict[str, Any], first: date | None
) -> _Window | None:
    """The last whole days since there is anything; None if that is less than a week."""
    zone = ZoneInfo(store.time_zone)
    today = now.astimezone(zone).date()
    begin = today - timedelta(days=HISTORY_DAYS)
    if first is not None and first > begin:
        begin = first
    n_days = (today - begin).days
    if first is None or n_days < HORIZONS[0]:
        return None
    since = datetime.combine(begin, time.min, zone)
    ends = {
        f"end_{horizon}": datetime.combine(begin + timedelta(days=horizon), time.min, zone)
        for horizon in HORIZONS
    }
    until = datetime.combine(today, time.min, zone)
    return _Window(
        begin,
        n_days,
        parameters | ends | {"since": since, "until": until, "begin": begin, "today": today},
    )


_FIRST_SHOWN = """
SELECT (min(first) AT TIME ZONE %(zone)s)::date
FROM unnest(%(placements)s::bigint[]) AS wanted(placement_id), LATERAL (
  SELECT min(delivered_at) AS first
  FROM recommender_impression
  WHERE store_id = %(store)s AND placement_id = wanted.placement_id
    AND delivered_at >= %(since)s AND delivered_on >= %(since)s::date - 1
) AS found
"""

_FIRST_VISIT = """
SELECT min(day) FROM analytics_shopperday
WHERE store_id = %(store)s AND day >= %(since)s::date - 1 AND visited
"""


def _first_shown(parameters: dict[str, Any], now: datetime) -> date | None:
    return _first(_FIRST_SHOWN, parameters, now)


def _first_visit(parameters: dict[str, Any], now: datetime) -> date | None:
    return _first(_FIRST_VISIT, parameters, now)


def _first(query: str, parameters: dict[str, Any], now: datetime) -> date | None:
    """The first day with anything, looking back a day further than the plan does."""
    since = now - timedelta(days=HISTORY_DAYS + 1)
    with connection.cursor() as cursor:
        cursor.execute(query, parameters | {"since": since})
        found: date | None = (cursor.fetchone() or (None,))[0]
    return found


# Who came in, and when first. Somebody of whom no event is known has no number: they get one.
_SHOWN = """
impressions AS MATERIALIZED (
  SELECT recommendation_id, shopper_external_id, delivered_at,
    %(devices)s::text[] IS NULL OR device = ANY(%(devices)s::text[]) AS counts
  FROM recommender_impression
  WHERE store_id = %(store)s AND placement_id = ANY(%(placements)s)
    AND delivered_at >= %(since)s AND delivered_at < %(until)s
    AND delivered_on BETWEEN %(since)s::date - 1 AND %(until)s::date + 1
), shown AS MATERIALIZED (
  SELECT shopper_external_id, min(delivered_at) AS first_at
  FROM impressions
  WHERE counts AND shopper_external_id IS NOT NULL
  GROUP BY 1
), share AS MATERIALIZED (
  SELECT greatest(ceil(count(*) / %(looked_at)s::float8), 1)::bigint AS one_in FROM shown
), known AS (
  SELECT coalesce(customer.id, shopper.id, -row_number() OVER ()) AS person, shown.first_at,
    coalesce(customer.external_id, shown.shopper_external_id) AS name
  FROM shown
  LEFT JOIN catalog_shopper AS shopper
    ON shopper.store_id = %(store)s AND shopper.external_id = shown.shopper_external_id
  LEFT JOIN catalog_shopperlink AS link
    ON link.store_id = %(store)s AND link.shopper_id = shopper.id AND link.undone_at IS NULL
  LEFT JOIN catalog_shopper AS customer
    ON customer.store_id = %(store)s AND customer.id = link.customer_id
), people AS MATERIALIZED (
  SELECT person, min(first_at) AS first_at, row_number() OVER () AS n
  FROM known
  WHERE (hashtextextended(name, 0) & 9223372036854775807) %% (SELECT one_in FROM share) = 0
  GROUP BY person
)"""

# Where nothing was shown nothing was clicked either.
_VISITED = """
impressions AS (SELECT NULL::uuid AS recommendation_id WHERE false), visits AS MATERIALIZED (
  SELECT coalesce(link.customer_id, visit.shopper_id) AS person, min(visit.day) AS day
  FROM analytics_shopperday AS visit
  LEFT JOIN catalog_shopperlink AS link
    ON link.store_id = %(store)s AND link.shopper_id = visit.shopper_id AND link.undone_at IS NULL
  WHERE visit.store_id = %(store)s AND visit.visited
    AND visit.day >= %(begin)s AND visit.day < %(today)s
  GROUP BY 1
), share AS MATERIALIZED (
  SELECT greatest(ceil(count(*) / %(looked_at)s::float8), 1)::bigint AS one_in FROM visits
), people AS MATERIALIZED (
  SELECT person, day::timestamp AT TIME ZONE %(zone)s AS first_at, row_number() OVER () AS n
  FROM visits
  WHERE (hashint8extended(person, 0) & 9223372036854775807) %% (SELECT one_in FROM share) = 0
)"""

# What each of them did by the end of each horizon, from the moment they came in. An order that is
# reported twice (another event, the same order id) is one. A recommendation of these placements
# counts as seen once, and each of its products as clicked once, as in the results of a test.
_BY_PERSON = f"""
WITH {{people}}, members AS MATERIALIZED (
  SELECT n, first_at, person AS shopper_id FROM people
  WHERE NOT EXISTS (
    SELECT FROM catalog_shopperlink AS link
    WHERE link.store_id = %(store)s AND link.shopper_id = person AND link.undone_at IS NULL
  )
  UNION ALL
  SELECT n, first_at, link.shopper_id
  FROM people JOIN catalog_shopperlink AS link
    ON link.store_id = %(store)s AND link.customer_id = person AND link.undone_at IS NULL
), did AS MATERIALIZED (
  SELECT n, first_at, type, event_id, line, order_id, recommendation_id, product_id, occurred_at,
    coalesce(value_minor, price_minor * quantity, 0) AS value_minor
  FROM catalog_event JOIN members USING (shopper_id)
  WHERE store_id = %(store)s AND NOT is_bot AND type IN (
      {EventType.PURCHASE.value}, {EventType.ADD_TO_CART.value},
      {EventType.RECOMMENDATION_VIEW.value}, {EventType.RECOMMENDATION_CLICK.value}
    ) AND occurred_at >= %(since)s AND occurred_at < %(until)s
), orders AS (
  SELECT DISTINCT ON (order_key) n, first_at, at, value_minor
  FROM (
    SELECT n, first_at, coalesce(order_id, event_id::text) AS order_key, min(occurred_at) AS at,
      sum(value_minor) AS value_minor
    FROM did WHERE type = {EventType.PURCHASE.value}
    GROUP BY n, first_at, event_id, order_key
  ) AS reported
  ORDER BY order_key, at
), answers AS (
  SELECT n, first_at, type, min(occurred_at) AS at
  FROM did
  WHERE type IN ({EventType.RECOMMENDATION_VIEW.value}, {EventType.RECOMMENDATION_CLICK.value})
    AND recommendation_id IN (SELECT recommendation_id FROM impressions)
  GROUP BY n, first_at, type, recommendation_id,
    CASE WHEN type = {EventType.RECOMMENDATION_CLICK.value} THEN product_id END
), deeds AS (
  SELECT n, first_at, at, value_minor::float8 AS revenue, 1 AS orders, 0 AS carts, 0 AS clicks,
    0 AS seen
  FROM orders
  UNION ALL
  SELECT n, first_at, occurred_at, 0, 0, 1, 0, 0
  FROM did WHERE type = {EventType.ADD_TO_CART.value} AND line = 0
  UNION ALL
  SELECT n, first_at, at, 0, 0, 0, (type = {EventType.RECOMMENDATION_CLICK.value})::int,
    (type = {EventType.RECOMMENDATION_VIEW.value})::int
  FROM answers
), sums AS (
  SELECT n, CASE WHEN at < %(end_7)s THEN 0 WHEN at < %(end_14)s THEN 1 ELSE 2 END AS horizon,
    sum(revenue) AS revenue, sum(orders) AS orders, sum(carts) AS carts, sum(clicks) AS clicks,
    sum(seen) AS seen
  FROM deeds WHERE at >= first_at
  GROUP BY 1, 2
)
SELECT (SELECT one_in FROM share)::int4, (n - 1)::int4,
  floor(extract(epoch FROM first_at - %(since)s) / 86400)::int4, coalesce(horizon, 0)::int4,
  coalesce(revenue, 0)::float8, coalesce(orders, 0)::float8, coalesce(carts, 0)::float8,
  coalesce(clicks, 0)::float8, coalesce(seen, 0)::float8
FROM people LEFT JOIN sums USING (n)
"""
_DEEDS = ("revenue", "orders", "carts", "clicks", "seen")
_FIELDS = (
    *((name, ">i4") for name in ("one_in", "person", "day", "horizon")),
    *((name, ">f8") for name in _DEEDS),
)

# Of each goal what is divided by what; a mean or a share is one of shoppers.
_RATIOS = {
    Metric.CONVERSION: ("orders", "orders"),
    Metric.REVENUE: ("revenue", "orders"),
    Metric.ORDER_VALUE: ("revenue", "orders"),
    Metric.ADD_TO_CART: ("carts", "carts"),
    Metric.CLICK_RATE: ("clicks", "seen"),
}


@dataclass(frozen=True, slots=True)
class _People:
    """Those looked at: the day they came in, and what they did by the end of each horizon.

    `deeds` is float64[people, horizons, `_DEEDS`].
    """

    one_in: int
    days: npt.NDArray[np.int64]
    deeds: Float64Array


def _people(window: _Window, people: str) -> _People:
    query = _BY_PERSON.format(people=people)
    with transaction.atomic():
        with connection.cursor() as cursor:
            # A month of answers is grouped in memory; the usual few megabytes would send it to disk.
            cursor.execute("SET LOCAL work_mem = '64MB'")
            # How many are looked at isn't known when it plans: one index look for each would take
            # longer than reading all events of the days once.
            cursor.execute("SET LOCAL enable_nestloop = off")
        rows = copy_binary(query, window.parameters, _FIELDS)
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_nestloop TO DEFAULT")
            cursor.execute("SET LOCAL work_mem TO DEFAULT")
    n = int(rows["person"].max()) + 1 if len(rows) else 0
    days = np.zeros(n, np.int64)
    days[rows["person"]] = rows["day"]
    deeds = np.zeros((n, len(HORIZONS), len(_DEEDS)))
    for place, name in enumerate(_DEEDS):
        deeds[rows["person"], rows["horizon"], place] = rows[name]
    return _People(int(rows["one_in"].max(initial=1)), days, deeds.cumsum(axis=1))


def _histories(
    goals: Iterable[Metric], window: _Window, people: str, basis: str
) -> dict[str, History | NotEnoughData]:
    found = _people(window, people)
    n, n_days = len(found.days), window.n_days
    arrivals = np.bincount(found.days, minlength=n_days)[:n_days] * found.one_in
    days = f"on {n_days} days from {window.first.isoformat()}"
    words = basis.format(n=f"{n:,}", days=days)
    if found.one_in > 1:
        about = f"about {n * found.one_in:,}"
        said = f"{days}, as 1 in {found.one_in} of them tells ({n:,})"
        words = basis.format(n=about, days=said)
        words = words[0].upper() + words[1:]
    return {
        goal.value: _history(goal, found, tuple(float(each) for each in arrivals), n_days, words)
        for goal in goals
    }


def _history(
    goal: Metric, people: _People, arrivals: tuple[float, ...], n_days: int, basis: str
) -> History | NotEnoughData:
    found = [_after(goal, horizon, people) for horizon in HORIZONS if horizon <= n_days]
    horizons = tuple(each for each in found if isinstance(each, GoalAfter))
    if not horizons:
        # The longest one has most of everything.
        missing = found[-1]
        assert isinstance(missing, NotEnoughData)
        return missing
    return History(goal.value, arrivals, horizons, basis)


def _after(goal: Metric, horizon: int, people: _People) -> GoalAfter | NotEnoughData:
    """The goal of those who came in by then."""
    above, below = _RATIOS[goal]
    taken = people.deeds[people.days < horizon, HORIZONS.index(horizon)]
    numerator, denominator = taken[:, _DEEDS.index(above)], taken[:, _DEEDS.index(below)]
    n, n_conversions = len(taken), int((numerator > 0).sum())
    rule = STANDARD_RULE
    if n < rule.min_shoppers:
        words = f"{n} of {rule.min_shoppers} shoppers in {horizon} days"
        return NotEnoughData(Reason.TOO_FEW_SHOPPERS, words)
    if n_conversions < rule.min_conversions:
        goal_of, least = DEFINITIONS[goal], rule.min_conversions
        who = "" if goal_of.kind == "proportion" else "shoppers with "
        words = f"{n_conversions} of {least} {who}{goal_of.numerator} in {horizon} days"
        return NotEnoughData(Reason.TOO_FEW_CONVERSIONS, words)
    sums = _sums(goal, numerator, denominator)
    if not sums.variance > 0:
        words = f"all {n} shoppers were alike in it, so no effect can be told from chance"
        return NotEnoughData(Reason.NO_SPREAD, words)
    return GoalAfter(horizon, sums.mean, sums.variance, n, n_conversions)


def _sums(goal: str, numerator: Float64Array, denominator: Float64Array) -> Sums:
    """As the results sum them: `DEFINITIONS` says which kind a goal is."""
    kind = DEFINITIONS[goal].kind
    n = len(numerator)
    if kind == "proportion":
        return Proportion(n, int((numerator > 0).sum()))
    if kind == "mean":
        capped = np.minimum(numerator, np.quantile(numerator[numerator > 0], CAP_SHARE))
        return MeanSums(n, float(capped.sum()), float((capped**2).sum()))
    return RatioSums(
        n,
        float(numerator.sum()),
        float((numerator**2).sum()),
        float(denominator.sum()),
        float((denominator**2).sum()),
        float((numerator * denominator).sum()),
    )
