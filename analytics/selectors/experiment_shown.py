"""What the participants of an experiment were shown, what they clicked in it, what came twice."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from analytics.results.facts import Int64Array, Shown, VoteFacts
from analytics.selectors.array_copy import copy_lists
from analytics.selectors.experiment_persons import PERSON_KEY, Persons
from analytics.selectors.experiment_scope import ExperimentScope
from catalog.models import EventType
from catalog.selectors.showable import showable_ids
from recommender.selectors.training_data import copy_binary

# A hold-out runs for months; which products it was shown lately is what there is to know.
HOLDOUT_DAYS = 28

_SHOWN = f"""
SELECT {PERSON_KEY.format(name="shopper_external_id")},
  (extract(epoch FROM delivered_at) * 1000000)::int8, product_ids
FROM recommender_impression AS impression
WHERE store_id = %(store)s AND delivered_at >= %(since)s AND delivered_at < %(until)s
  AND delivered_at < %(window_end)s AND shopper_external_id IS NOT NULL
  AND cardinality(product_ids) > 0 AND {{belongs}}
"""


def products_shown(
    scope: ExperimentScope, persons: Persons, parameters: dict[str, Any], *, last_day: date
) -> Shown:
    """Which participant was shown which product, and how often. Two queries.

    Products that may not be shown any more are numbered too, if they were.
    """
    since, since_day = _since(scope, parameters, last_day)
    found = copy_lists(
        _SHOWN.format(belongs=scope.belongs), {**parameters, "since": since}, n_keys=2
    )
    rows = persons.rows_of_shoppers(found.keys[:, 0])
    known = rows >= 0
    # Impressions are written down to the millisecond.
    known[known] = found.keys[known, 1] >= persons.exposed_us[rows[known]] // 1000 * 1000
    of_slot = np.repeat(np.where(known, rows, -1), np.diff(found.starts))
    products = found.values[of_slot >= 0]
    # With counts NumPy sorts; without, it hashes, which takes five times as long.
    distinct, _ = np.unique(products, return_counts=True)
    ids = np.union1d(showable_ids(store_id=scope.experiment.store_id), distinct)
    pairs, times = np.unique(
        of_slot[of_slot >= 0] * max(len(ids), 1) + np.searchsorted(ids, products),
        return_counts=True,
    )
    return Shown(
        participant=pairs // max(len(ids), 1),
        product=pairs % max(len(ids), 1),
        times=times.astype(np.int64),
        n_products=len(ids),
        since=since_day,
    )


def _since(
    scope: ExperimentScope, parameters: dict[str, Any], last_day: date
) -> tuple[datetime, date | None]:
    """From when on, and the day if that isn't the beginning."""
    start = max(scope.started_at, parameters["window_start"])
    if not scope.is_holdout:
        return start, None
    first_day = last_day - timedelta(days=HOLDOUT_DAYS - 1)
    zone = ZoneInfo(scope.experiment.store.time_zone)
    since = datetime.combine(first_day, time(), zone)
    return (since, first_day) if since > start else (start, None)


_REPORTS = f"""
SELECT shopper_id, hashtextextended(order_id, 0),
  (extract(epoch FROM occurred_at) * 1000000)::int8
FROM catalog_event
WHERE store_id = %(store)s AND type = {EventType.PURCHASE.value} AND line = 0 AND NOT is_bot
  AND order_id IS NOT NULL AND occurred_at >= %(started)s - interval '336 hours'
  AND occurred_at < %(until)s AND occurred_at < %(window_end)s
"""
_BEFORE_US = 14 * 86_400 * 1_000_000


def duplicate_orders(persons: Persons, parameters: dict[str, Any]) -> Int64Array:
    """Per participant, how many reports of orders after exposure had been made before. One query."""
    raw = copy_binary(
        _REPORTS,
        parameters,
        (("shopper_id", ">i8"), ("order_key", ">i8"), ("at_us", ">i8")),
    )
    rows = persons.rows_of_ids(raw["shopper_id"].astype(np.int64))
    at_us = raw["at_us"].astype(np.int64)
    known = rows >= 0
    known[known] = at_us[known] >= persons.exposed_us[rows[known]] - _BEFORE_US
    rows, at_us = rows[known], at_us[known]
    orders = raw["order_key"][known].astype(np.int64)
    order = np.lexsort((at_us, orders, rows))
    rows, at_us, orders = rows[order], at_us[order], orders[order]
    again = np.zeros(len(rows), np.bool_)
    again[1:] = (rows[1:] == rows[:-1]) & (orders[1:] == orders[:-1])
    again &= at_us >= persons.exposed_us[rows]
    return np.bincount(rows[again], minlength=len(persons)).astype(np.int64)


_VOTES = f"""
SELECT DISTINCT {PERSON_KEY.format(name="shopper.external_id")},
  {PERSON_KEY.format(name="impression.shopper_external_id")},
  uuid_hash_extended(event.recommendation_id, 0), event.product_id,
  impression.teams[array_position(impression.product_ids, event.product_id)]::int4,
  (extract(epoch FROM impression.delivered_at) * 1000000)::int8
FROM catalog_event AS event
  JOIN recommender_impression AS impression ON impression.store_id = event.store_id
    AND impression.recommendation_id = event.recommendation_id
  JOIN catalog_shopper AS shopper ON shopper.id = event.shopper_id
WHERE event.store_id = %(store)s AND event.type = {EventType.RECOMMENDATION_CLICK.value}
  AND NOT event.is_bot AND event.occurred_at >= %(started)s AND event.occurred_at < %(until)s
  AND event.occurred_at < %(window_end)s AND impression.delivered_at >= %(started)s
  AND impression.shopper_external_id IS NOT NULL
  AND impression.teams[array_position(impression.product_ids, event.product_id)] IS NOT NULL
  AND {{belongs}}
"""


def experiment_votes(
    scope: ExperimentScope, persons: Persons, parameters: dict[str, Any]
) -> VoteFacts:
    """Clicks of each participant on products of either side, a product of a list once. One query."""
    raw = copy_binary(
        _VOTES.format(belongs=scope.belongs),
        parameters,
        (
            ("clicker", ">i8"), ("shown_to", ">i8"), ("recommendation", ">i8"),
            ("product", ">i8"), ("team", ">i4"), ("shown_us", ">i8"),
        ),
    )  # fmt: skip
    rows = persons.rows_of_shoppers(raw["clicker"].astype(np.int64))
    mine = (rows >= 0) & (rows == persons.rows_of_shoppers(raw["shown_to"].astype(np.int64)))
    exposed_us = persons.exposed_us[rows[mine]] // 1000 * 1000
    mine[mine] = raw["shown_us"][mine].astype(np.int64) >= exposed_us
    # Another device of the same person may have reported the click as well.
    clicks = np.unique(
        np.stack(
            [
                rows[mine],
                raw["recommendation"][mine].astype(np.int64),
                raw["product"][mine].astype(np.int64),
                raw["team"][mine].astype(np.int64),
            ],
            axis=1,
        ),
        axis=0,
    )
    voters = np.unique(clicks[:, 0])
    at = np.searchsorted(voters, clicks[:, 0])
    votes = np.zeros((len(voters), 2), np.int64)
    valid = (clicks[:, 3] == 0) | (clicks[:, 3] == 1)
    np.add.at(votes, (at[valid], clicks[valid, 3]), 1)
    return VoteFacts(credits=tuple((int(a), int(b)) for a, b in votes if a or b))
