"""What the lists were worth that participants were shown: sums per person and day, in NumPy.

* Diversity and novelty are of the list alone.
* What a shopper likes is what they dealt with (looked at, put into the cart, bought) in the 90 days
  before the *day* of the list, the latest 50 of it: what they do on the day itself may be an answer
  to the list. Without such a history there is no serendipity and no calibration.
* A product of a list was useful if it was clicked in it, or bought later on the same day.
* A place was filled by fallback if it is in the run at the end of the list that the first fallback
  source began (`fallback_slots`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from django.db import connection
from django.db.backends.utils import CursorWrapper

from analytics.metrics.lists import (
    list_calibration,
    list_diversity,
    list_serendipity,
    segment_sums,
    starts_of,
)
from analytics.selectors.array_copy import Lists, binary_rows, copy_lists
from analytics.selectors.experiment_scope import ExperimentScope
from analytics.selectors.list_worth import ListWorth, list_worth
from catalog.models import EventType
from recommender.engine.types import BoolArray, Float64Array, Int64Array
from recommender.models import StrategyVersion
from recommender.selectors.training_data import copy_binary
from recommender.serving.strategy import StrategyDocument

HISTORY_DAYS = 90
HISTORY_LENGTH = 50
_DEALT_WITH = (EventType.VIEW_ITEM, EventType.ADD_TO_CART, EventType.PURCHASE)
# Lists that are judged at a time: their vectors and histories are in memory together.
_BLOCK = 40_000
# Sums are the same however the lists came in: beyond this the last bits differ.
_DIGITS = 9

_LISTS = "SELECT i::int8, n::int8, (day - DATE '2000-01-01')::int8, product_ids FROM xp_impression"

_USEFUL = f"""
SELECT impression.i::int8, event.product_id
FROM xp_event AS event JOIN xp_impression AS impression
  ON impression.n = event.n AND impression.day = event.day
WHERE NOT event.is_bot AND event.product_id = ANY(impression.product_ids) AND (
  (event.type = {EventType.RECOMMENDATION_CLICK.value}
   AND event.recommendation_id = impression.recommendation_id)
  OR (event.type = {EventType.PURCHASE.value} AND event.occurred_at >= impression.delivered_at)
)
"""

_HISTORY = """
SELECT member.n::int8 AS n,
  ((event.occurred_at AT TIME ZONE %(zone)s)::date - DATE '2000-01-01')::int8 AS day,
  event.product_id
FROM (SELECT DISTINCT n FROM xp_impression) AS shown JOIN xp_member AS member USING (n)
  JOIN catalog_event AS event ON event.shopper_id = member.shopper_id
WHERE event.store_id = %(store)s AND event.occurred_at >= %(history_from)s
  AND event.occurred_at < %(until)s AND event.type = ANY(%(types)s)
  AND event.product_id IS NOT NULL AND NOT event.is_bot
"""

_TABLE = """
CREATE TEMPORARY TABLE xp_list (
  n int, day date, n_impressions int, n_slots int, n_fallback_slots int, n_empty int,
  diversity_sum float8, n_diversity int, novelty_sum float8, n_novelty int,
  serendipity_sum float8, n_serendipity int, calibration_sum float8, n_calibration int
) ON COMMIT DROP
"""


def lists_gather(cursor: CursorWrapper, scope: ExperimentScope, *, shown_from: datetime) -> None:
    """`xp_list`, from `xp_impression` and `xp_event`."""
    cursor.execute(_TABLE)
    lists = copy_lists(_LISTS, {}, n_keys=3)
    if len(lists.keys):
        worth = list_worth(store_id=scope.experiment.store_id, as_of=scope.started_at)
        parameters = {
            **scope.parameters,
            "types": [int(each) for each in _DEALT_WITH],
            "history_from": shown_from - timedelta(days=HISTORY_DAYS + 1),
        }
        figures = _figures(lists, worth, _useful(lists, worth), _history(worth, parameters))
        figures["n_fallback_slots"] = _fallback_slots(cursor, lists)
        _write(cursor, lists, figures)
    cursor.execute("ANALYZE xp_list")


@dataclass(frozen=True, slots=True, eq=False)
class _History:
    """What each person dealt with on each day, by `keys`, ascending: `_person_day`."""

    keys: Int64Array
    rows: Int64Array


def _person_day(n: Int64Array, day: Int64Array) -> Int64Array:
    """One number for a person and a day; days of 1955 to 2044 differ by what they are apart."""
    return n * 2**15 + day + 2**14


def _useful(lists: Lists, worth: ListWorth) -> Int64Array:
    """Ascending numbers of places: list times all products, plus the row of the product."""
    found = copy_binary(_USEFUL, [], (("i", ">i8"), ("product_id", ">i8")))
    at = np.searchsorted(lists.keys[:, 0], found["i"].astype(np.int64))
    return np.unique(at * (len(worth.ids) + 1) + worth.rows_of(found["product_id"]))


def _history(worth: ListWorth, parameters: dict[str, Any]) -> _History:
    raw = copy_binary(_HISTORY, parameters, (("n", ">i8"), ("day", ">i8"), ("product_id", ">i8")))
    rows = worth.rows_of(raw["product_id"])
    keys = _person_day(raw["n"].astype(np.int64), raw["day"].astype(np.int64))
    known = rows < len(worth.ids)
    rows, keys = rows[known], keys[known]
    order = np.lexsort((rows, keys))
    rows, keys = rows[order], keys[order]
    # A product that was looked at twice on a day is there once.
    other = np.ones(len(rows), np.bool_)
    other[1:] = (rows[1:] != rows[:-1]) | (keys[1:] != keys[:-1])
    return _History(keys[other], rows[other])


def _figures(
    lists: Lists, worth: ListWorth, useful: Int64Array, history: _History
) -> dict[str, Float64Array]:
    """Per list: diversity, novelty (a sum and how many places), serendipity, calibration."""
    n_lists = len(lists.keys)
    found = {
        name: np.full(n_lists, np.nan)
        for name in ("diversity", "serendipity", "calibration", "novelty_sum", "n_novelty")
    }
    for first in range(0, n_lists, _BLOCK):
        last = min(first + _BLOCK, n_lists)
        starts = lists.starts[first : last + 1] - lists.starts[first]
        rows = worth.rows_of(lists.values[lists.starts[first] : lists.starts[last]])
        bits = worth.bits[rows]
        bits[rows == len(worth.ids)] = np.nan
        place = np.repeat(np.arange(first, last), np.diff(starts)) * (len(worth.ids) + 1) + rows
        owners, of_owner, owner_starts = _histories(lists.keys[first:last], history)
        part = {
            "diversity": list_diversity(worth.vectors, rows, starts),
            "novelty_sum": segment_sums(np.nan_to_num(bits), starts),
            "n_novelty": segment_sums((~np.isnan(bits)).astype(np.float64), starts),
            "serendipity": list_serendipity(
                worth.vectors,
                rows,
                starts,
                relevant=_among(place, useful),
                owners=owners,
                history_rows=of_owner,
                history_starts=owner_starts,
            ),
            "calibration": list_calibration(
                worth.codes[rows],
                starts,
                owners=owners,
                history_codes=worth.codes[of_owner],
                history_starts=owner_starts,
            ),
        }
        for name, values in part.items():
            found[name][first:last] = values
    return found


def _among(values: Int64Array, ascending: Int64Array) -> BoolArray:
    if not len(ascending):
        return np.zeros(len(values), np.bool_)
    at = np.minimum(np.searchsorted(ascending, values), len(ascending) - 1)
    found: BoolArray = ascending[at] == values
    return found


def _histories(keys: Int64Array, history: _History) -> tuple[Int64Array, Int64Array, Int64Array]:
    """Whose lists these are, and what each of them dealt with before that day.

    An owner is a person on a day.
    """
    days, owners = np.unique(_person_day(keys[:, 1], keys[:, 2]), return_inverse=True)
    ends = np.searchsorted(history.keys, days)
    begins = np.searchsorted(history.keys, days - HISTORY_DAYS)
    # No further back than the person's own: n fills the upper bits.
    begins = np.maximum(begins, np.searchsorted(history.keys, (days >> 15) << 15))
    begins = np.maximum(begins, ends - HISTORY_LENGTH)
    sizes = ends - begins
    starts = starts_of(sizes)
    at = np.repeat(begins - starts[:-1], sizes) + np.arange(starts[-1])
    return owners.astype(np.int64), history.rows[at], starts


# ------------------------------------------------------------------------------------------ fallback


def fallback_slots(
    sources: Sequence[str], fallback: str | None, *, own: Collection[str], chain: Collection[str]
) -> int:
    """How many places of a list the fallback chain filled.

    The chain is asked last and adds at the end, in its order, so its places are the run at the end
    of the list whose sources are in the chain, from the first place of the one named in `fallback`
    on. Where the strategy has the same source itself, its own last places can't be told apart from
    a run: those before another source of its own don't count, those right before the run do. Pinned
    products are neither.

    Examples
    --------
    >>> fallback_slots(
    ...     ["for_you", "trending", "for_you", "trending", "bestsellers"],
    ...     "trending", own={"for_you", "trending"}, chain={"trending", "bestsellers"},
    ... )
    2
    """
    if fallback is None:
        return 0
    n = 0
    reached = 0
    for source in reversed(sources):
        if source in chain:
            n += 1
            if source == fallback:
                reached = n
        elif source in own:
            break
    return reached


def _fallback_slots(cursor: CursorWrapper, lists: Lists) -> Float64Array:
    """Per list. Lists that are filled alike are looked at once."""
    cursor.execute(
        "SELECT strategy_version_id, fallback, sources, array_agg(i) FROM xp_impression"
        " WHERE fallback IS NOT NULL GROUP BY 1, 2, 3"
    )
    alike = cursor.fetchall()
    documents = _documents({row[0] for row in alike})
    counts = np.zeros(len(lists.keys))
    for version_id, fallback, sources, numbers in alike:
        own, chain = documents.get(version_id, (frozenset[str](), frozenset({fallback})))
        at = np.searchsorted(lists.keys[:, 0], np.array(numbers, np.int64))
        counts[at] = fallback_slots(sources, fallback, own=own, chain=chain | {fallback})
    return counts


def _documents(version_ids: set[int]) -> dict[int, tuple[frozenset[str], frozenset[str]]]:
    """Own sources and fallback chain of strategy versions."""
    found = {}
    for version in StrategyVersion.objects.filter(pk__in=version_ids):
        document = msgspec.convert(version.document, StrategyDocument, strict=False)
        own = frozenset(entry.source for entry in document.sources)
        found[version.pk] = (own, frozenset(document.fallback))
    return found


# ------------------------------------------------------------------------------------------- writing


def _write(cursor: CursorWrapper, lists: Lists, figures: dict[str, Float64Array]) -> None:
    """Sums per person and day, into `xp_list`."""
    days, of_day = np.unique(_person_day(lists.keys[:, 1], lists.keys[:, 2]), return_inverse=True)
    sizes = np.diff(lists.starts)

    def total(values: npt.NDArray[Any]) -> Float64Array:
        weights = values.astype(np.float64)
        summed: Float64Array = np.bincount(of_day, weights, len(days)).astype(np.float64)
        return summed.round(_DIGITS)

    values: dict[str, npt.NDArray[Any]] = {
        "n": days >> 15,
        # A date is the days since 2000.
        "day": (days & (2**15 - 1)) - 2**14,
        "n_impressions": total(np.ones(len(sizes))),
        "n_slots": total(sizes),
        "n_fallback_slots": total(figures["n_fallback_slots"]),
        "n_empty": total(sizes == 0),
        "novelty_sum": total(figures["novelty_sum"]),
        "n_novelty": total(figures["n_novelty"]),
    }
    for name in ("diversity", "serendipity", "calibration"):
        known = ~np.isnan(figures[name])
        values[f"{name}_sum"] = total(np.where(known, figures[name], 0.0))
        values[f"n_{name}"] = total(known)
    with (
        connection.wrap_database_errors,
        cursor.cursor.copy(
            f"COPY xp_list ({', '.join(values)}) FROM STDIN (FORMAT binary)"
        ) as copy,
    ):
        copy.write(binary_rows(values))
