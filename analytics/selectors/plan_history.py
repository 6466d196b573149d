"""What shoppers did lately, as a test of the last weeks would have seen it: for the planner.

The days are whole days of the store's time zone, up to yesterday. A shopper comes in with the first
answer of the placements that they were given on those days; what counts is what they did from then
on. People are counted as tests count them: a guest who turned out to be a customer is one with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
from django.db import connection

from analytics.metrics.definitions import DEFINITIONS
from analytics.results.planning import GoalAfter, History
from analytics.stats.answers import NotEnoughData, Reason
from analytics.stats.capping import CAP_SHARE
from analytics.stats.decision import STANDARD_RULE
from analytics.stats.summaries import MeanSums, Proportion, RatioSums, Sums
from catalog.models import EventType, Store
from recommender.models import Segment
from recommender.selectors.training_data import copy_binary

Float64Array: TypeAlias = npt.NDArray[np.float64]

# As far back as the plan looks, and after how long the goal is asked about.
HISTORY_DAYS = 28
HORIZONS = (7, 14, 28)


@dataclass(frozen=True, slots=True)
class _Window:
    """Whole days; the parameters of all queries."""

    first: date
    n_days: int
    parameters: dict[str, Any]


def plan_history(
    *,
    store: Store,
    placement_ids: Sequence[int],
    goal: str,
    segment: Segment | None,
    now: datetime,
) -> History | NotEnoughData:
    """New shoppers by day, and the goal per shopper, on these placements. Two queries, or three.

    Where nothing has been shown for a week yet, everybody who visited the shop is taken, and
    `basis` says so. Of segments only those by device are known of the past; else all shoppers are
    taken, and `basis` says that.
    """
    devices = _devices(segment)
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
        "goal_types": _goal_types(goal),
    }
    shown = _window(store, now, parameters, _first_shown(parameters, now))
    if shown is not None:
        people = "impressions" if devices is None else "impressions on its devices"
        return _history(
            goal,
            shown,
            _SHOWN,
            f"{{n}} shoppers with {people} of these placements, {{days}}.{about}",
        )
    if goal == "click_rate":
        words = "these placements have not been shown for a week yet, so no click rate is known"
        return NotEnoughData(Reason.NO_BASELINE, words)
    visits = _window(store, now, parameters, _first_visit(parameters, now))
    if visits is None:
        words = "a week of visits is needed, and there is none of whole days before today"
        return NotEnoughData(Reason.TOO_EARLY, words)
    said = "These placements have not been shown for a week yet, so all {n} visitors of the shop"
    if devices is not None:
        about = " The devices of past visitors aren’t known: all of them were taken."
    return _history(goal, visits, _VISITED, f"{said} were taken, {{days}}.{about}")


def _devices(segment: Segment | None) -> list[str] | None:
    document = segment.document if segment is not None else {}
    return list(document["devices"]) if document.get("type") == "device" else None


def _goal_types(goal: str) -> list[int]:
    if goal == "click_rate":
        return [EventType.RECOMMENDATION_VIEW.value, EventType.RECOMMENDATION_CLICK.value]
    if goal == "add_to_cart_rate":
        return [EventType.ADD_TO_CART.value]
    return [EventType.PURCHASE.value]


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
  SELECT person, min(first_at) AS first_at
  FROM (
    SELECT coalesce(link.customer_id, shopper.id, -row_number() OVER ()) AS person, shown.first_at
    FROM (
      SELECT shopper_external_id, min(delivered_at) AS first_at
      FROM recommender_impression
      WHERE store_id = %(store)s AND placement_id = ANY(%(placements)s)
        AND delivered_at >= %(since)s AND delivered_at < %(until)s
        AND delivered_on BETWEEN %(since)s::date - 1 AND %(until)s::date + 1
        AND shopper_external_id IS NOT NULL
        AND (%(devices)s::text[] IS NULL OR device = ANY(%(devices)s::text[]))
      GROUP BY 1
    ) AS shown
    LEFT JOIN catalog_shopper AS shopper
      ON shopper.store_id = %(store)s AND shopper.external_id = shown.shopper_external_id
    LEFT JOIN catalog_shopperlink AS link
      ON link.store_id = %(store)s AND link.shopper_id = shopper.id AND link.undone_at IS NULL
  ) AS known
  GROUP BY person
"""

_VISITED = """
  SELECT coalesce(link.customer_id, visit.shopper_id) AS person,
    min(visit.day)::timestamp AT TIME ZONE %(zone)s AS first_at
  FROM analytics_shopperday AS visit
  LEFT JOIN catalog_shopperlink AS link
    ON link.store_id = %(store)s AND link.shopper_id = visit.shopper_id AND link.undone_at IS NULL
  WHERE visit.store_id = %(store)s AND visit.visited
    AND visit.day >= %(begin)s AND visit.day < %(today)s
  GROUP BY 1
"""

_EVENTS = """
  FROM catalog_event
  WHERE store_id = %(store)s AND type = ANY(%(goal_types)s) AND NOT is_bot
    AND occurred_at >= %(since)s AND occurred_at < %(until)s
"""

# An order that is reported twice (another event, the same order id) is one.
_ORDERS = f"""
  SELECT DISTINCT ON (coalesce(order_id, event_id::text))
    shopper_id, at, value_minor::float8 AS numerator, 1::float8 AS denominator
  FROM (
    SELECT shopper_id, event_id, order_id, min(occurred_at) AS at,
      sum(coalesce(value_minor, price_minor * quantity, 0)) AS value_minor
    {_EVENTS}
    GROUP BY shopper_id, event_id, order_id
  ) AS reported
  ORDER BY coalesce(order_id, event_id::text), at
"""

_CARTS = f"""
  SELECT shopper_id, min(occurred_at) AS at, 1::float8 AS numerator, 0::float8 AS denominator
  {_EVENTS}
  GROUP BY shopper_id, event_id
"""

# Of the placements in question: a recommendation that was seen counts once, each click counts.
_CLICKS = f"""
  SELECT reported.shopper_id, reported.at, n_clicks::float8 AS numerator, seen::float8 AS denominator
  FROM (
    SELECT shopper_id, recommendation_id, min(occurred_at) AS at,
      count(DISTINCT event_id) FILTER (WHERE type = {EventType.RECOMMENDATION_CLICK.value})
        AS n_clicks,
      bool_or(type = {EventType.RECOMMENDATION_VIEW.value})::int AS seen
    {_EVENTS} AND recommendation_id IS NOT NULL
    GROUP BY shopper_id, recommendation_id
  ) AS reported
  JOIN recommender_impression AS impression
    ON impression.store_id = %(store)s
    AND impression.recommendation_id = reported.recommendation_id
    AND impression.placement_id = ANY(%(placements)s)
    AND impression.delivered_at >= %(since)s AND impression.delivered_at < %(until)s
    AND impression.delivered_on BETWEEN %(since)s::date - 1 AND %(until)s::date + 1
"""

_OUTCOMES = {"click_rate": _CLICKS, "add_to_cart_rate": _CARTS}

# A row for each person: the day they came in, and both sums by the end of each horizon.
_BY_PERSON = """
WITH people AS MATERIALIZED ({people}), outcomes AS MATERIALIZED (
  SELECT coalesce(link.customer_id, did.shopper_id) AS person, did.at, did.numerator,
    did.denominator
  FROM ({outcomes}) AS did
  LEFT JOIN catalog_shopperlink AS link
    ON link.store_id = %(store)s AND link.shopper_id = did.shopper_id AND link.undone_at IS NULL
)
SELECT floor(extract(epoch FROM first_at - %(since)s) / 86400)::int4, {sums}
FROM people LEFT JOIN outcomes
  ON outcomes.person = people.person AND outcomes.at >= people.first_at
GROUP BY people.person, first_at
"""

_SUMS = ", ".join(
    f"coalesce(sum({column}) FILTER (WHERE at < %(end_{horizon})s), 0)::float8"
    for horizon in HORIZONS
    for column in ("numerator", "denominator")
)
_FIELDS = (
    ("day", ">i4"),
    *(
        (f"{column}_{horizon}", ">f8")
        for horizon in HORIZONS
        for column in ("numerator", "denominator")
    ),
)


def _history(goal: str, window: _Window, people: str, basis: str) -> History | NotEnoughData:
    query = _BY_PERSON.format(people=people, outcomes=_OUTCOMES.get(goal, _ORDERS), sums=_SUMS)
    rows = copy_binary(query, window.parameters, _FIELDS)
    arrivals = np.bincount(rows["day"], minlength=window.n_days)[: window.n_days]
    found = [_after(goal, horizon, rows) for horizon in HORIZONS if horizon <= window.n_days]
    horizons = tuple(each for each in found if isinstance(each, GoalAfter))
    if not horizons:
        # The longest one has most of everything.
        missing = found[-1]
        assert isinstance(missing, NotEnoughData)
        return missing
    days = f"on {window.n_days} days from {window.first.isoformat()}"
    return History(
        goal,
        tuple(float(n) for n in arrivals),
        horizons,
        basis.format(n=f"{int(arrivals.sum()):,}", days=days),
    )


def _after(goal: str, horizon: int, rows: npt.NDArray[Any]) -> GoalAfter | NotEnoughData:
    """The goal of those who came in by then."""
    taken = rows[rows["day"] < horizon]
    numerator = taken[f"numerator_{horizon}"].astype(np.float64)
    denominator = taken[f"denominator_{horizon}"].astype(np.float64)
    n, n_conversions = len(taken), int((numerator > 0).sum())
    rule = STANDARD_RULE
    if n < rule.min_shoppers:
        words = f"{n} of {rule.min_shoppers} shoppers in {horizon} days"
        return NotEnoughData(Reason.TOO_FEW_SHOPPERS, words)
    if n_conversions < rule.min_conversions:
        what = DEFINITIONS[goal].numerator
        words = f"{n_conversions} of {rule.min_conversions} shoppers with {what} in {horizon} days"
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
