"""From the names and ids of shoppers to the rows of participants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from analytics.results.facts import BoolArray, Int64Array
from recommender.selectors.training_data import Links, copy_binary, shopper_links

# A person or shopper as a number, in SQL.
PERSON_KEY = "hashtextextended({name}, 0)"

_LINKED_NAMES = f"""
SELECT {PERSON_KEY.format(name="guest.external_id")},
  {PERSON_KEY.format(name="customer.external_id")}
FROM unnest(%(guests)s::bigint[], %(customers)s::bigint[]) AS linked (guest_id, customer_id)
  JOIN catalog_shopper AS guest ON guest.id = linked.guest_id
  JOIN catalog_shopper AS customer ON customer.id = linked.customer_id
"""


@dataclass(frozen=True, slots=True, eq=False)
class Persons:
    """Participants who count, by row.

    Attributes
    ----------
    keys : int64[n], ascending
        `PERSON_KEY`.
    shopper_ids : int64[n]
        Of the customer, or the only shopper they are; 0 if nobody has that name yet.
    exposed_us : int64[n]
    links
        Of the store.
    guest_keys, customer_keys : int64[m], by ascending guest
        Who is who, as `PERSON_KEY`.
    """

    keys: Int64Array
    shopper_ids: Int64Array
    exposed_us: Int64Array
    links: Links
    guest_keys: Int64Array
    customer_keys: Int64Array

    @classmethod
    def of(cls, everybody: npt.NDArray[Any], counts: BoolArray, *, store_id: int) -> Persons:
        """Those who count among all participants (by ascending person). Two queries."""
        links = shopper_links(store_id=store_id)
        named = copy_binary(
            _LINKED_NAMES,
            {"guests": links.shopper_ids.tolist(), "customers": links.person_ids.tolist()},
            (("guest", ">i8"), ("customer", ">i8")),
        )
        order = np.argsort(named["guest"].astype(np.int64))
        mine = everybody[counts]
        return cls(
            keys=mine["person"].astype(np.int64),
            shopper_ids=mine["shopper_id"].astype(np.int64),
            exposed_us=mine["exposed_us"].astype(np.int64),
            links=links,
            guest_keys=named["guest"].astype(np.int64)[order],
            customer_keys=named["customer"].astype(np.int64)[order],
        )

    def __len__(self) -> int:
        return len(self.keys)

    def rows_of(self, keys: Int64Array) -> Int64Array:
        """Rows of persons by key, -1 for nobody who counts."""
        return _rows(self.keys, keys)

    def rows_of_shoppers(self, keys: Int64Array) -> Int64Array:
        """Rows by the key of a shopper, who may be a guest that is a customer."""
        at = _rows(self.guest_keys, keys)
        whose = keys.copy()
        whose[at >= 0] = self.customer_keys[at[at >= 0]]
        return self.rows_of(whose)

    def rows_of_ids(self, shopper_ids: Int64Array) -> Int64Array:
        """Rows by the id of a shopper, who may be a guest that is a customer."""
        order = np.argsort(self.shopper_ids, kind="stable")
        at = _rows(self.shopper_ids[order], self.links.people(shopper_ids))
        found = np.full(len(at), -1, np.int64)
        found[at >= 0] = order[at[at >= 0]]
        return found


def _rows(ascending: Int64Array, wanted: Int64Array) -> Int64Array:
    if not len(ascending):
        return np.full(len(wanted), -1, np.int64)
    at = np.minimum(np.searchsorted(ascending, wanted), len(ascending) - 1)
    return np.where(ascending[at] == wanted, at, -1)
