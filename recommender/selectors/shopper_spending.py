"""How often and for how much shoppers bought lately: for segments."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from catalog.models import EventType
from recommender.engine.id_map import IdMap
from recommender.engine.types import SECONDS_PER_DAY, Int32Array, Int64Array
from recommender.selectors.training_data import TELLING, copy_binary, shopper_links

# Over so many days; the columns of `Spending`.
VALUE_DAYS = (30, 90, 365)


@dataclass(frozen=True, slots=True)
class Spending:
    """Of each shopper asked for, within each of `VALUE_DAYS`.

    Attributes
    ----------
    orders : int32[n_shoppers, 3]
    spend_minor : int64[n_shoppers, 3]
        What was paid; where the event doesn't say, its price times its quantity.
    """

    orders: Int32Array
    spend_minor: Int64Array


def shopper_spending(*, store_id: int, now_s: float, shopper_ids: Int64Array) -> Spending:
    """Two queries. What a linked guest bought counts as bought by the customer.

    An order is an event, however many lines it has.
    """
    since = [now_s - days * SECONDS_PER_DAY for days in VALUE_DAYS]
    paid = "coalesce(value_minor, price_minor * quantity, 0)"
    within = "FILTER (WHERE occurred_at >= to_timestamp(%s))"
    counts = ", ".join(f"(count(DISTINCT event_id) {within})::int8" for _ in since)
    sums = ", ".join(f"(coalesce(sum({paid}) {within}, 0))::int8" for _ in since)
    raw = copy_binary(
        f"SELECT shopper_id, {counts}, {sums} FROM catalog_event"
        f" WHERE store_id = %s AND type = %s AND occurred_at >= to_timestamp(%s) AND {TELLING}"
        " GROUP BY shopper_id",
        [*since, *since, store_id, int(EventType.PURCHASE), since[-1]],
        (
            ("shopper_id", ">i8"),
            *((f"orders_{days}", ">i8") for days in VALUE_DAYS),
            *((f"spend_{days}", ">i8") for days in VALUE_DAYS),
        ),
    )
    by_id = np.argsort(shopper_ids, kind="stable")
    people = shopper_links(store_id=store_id).people(raw["shopper_id"])
    rows = IdMap(shopper_ids[by_id]).rows_of(people)
    known = rows >= 0
    places = by_id[rows[known]]
    orders = np.zeros((len(shopper_ids), len(VALUE_DAYS)), np.int32)
    spend = np.zeros((len(shopper_ids), len(VALUE_DAYS)), np.int64)
    for column, days in enumerate(VALUE_DAYS):
        np.add.at(orders[:, column], places, raw[f"orders_{days}"][known].astype(np.int32))
        np.add.at(spend[:, column], places, raw[f"spend_{days}"][known].astype(np.int64))
    return Spending(orders, spend)
