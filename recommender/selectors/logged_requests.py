"""Requests of the last days as they were logged, to be answered again."""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from catalog.models import Store

# The sample is drawn from this many of the newest requests: what an index reads in a moment, however
# much a shop delivers in a week.
N_NEWEST = 50_000

# In an order by chance, but the same at each look: the hash of the id.
_SAMPLE = """
WITH newest AS (
  SELECT recommendation_id, delivered_at, placement_id, shopper_external_id, device, context
  FROM recommender_impression
  WHERE store_id = %(store)s AND placement_id = ANY(%(placements)s)
    AND delivered_at >= %(since)s AND delivered_on >= %(since)s::date - 1
  ORDER BY delivered_at DESC LIMIT %(n_newest)s
)
SELECT count(*) OVER (), count(context) OVER (), min(delivered_at) OVER (),
  max(delivered_at) OVER (), recommendation_id, placement_id, shopper_external_id, device, context::text
FROM newest
ORDER BY context IS NULL, hashtextextended(recommendation_id::text, 0), recommendation_id
LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """One request; `context` is what the page asked with (`impression_log.request_context`)."""

    recommendation_id: uuid.UUID
    placement_id: int
    shopper_external_id: str | None
    device: str | None
    context: dict[str, Any]


@dataclass(frozen=True, slots=True)
class LoggedSample:
    """A sample of the requests of a period.

    Attributes
    ----------
    n_logged
        Requests that the sample was drawn from.
    n_replayable
        Those of them whose context was written down.
    first_at, last_at
        Of those it was drawn from; None without one.
    """

    requests: list[LoggedRequest]
    n_logged: int
    n_replayable: int
    first_at: datetime | None
    last_at: datetime | None


def logged_requests(
    *, store: Store, placement_ids: Collection[int], since: datetime, limit: int
) -> LoggedSample:
    """A sample, at random, of the requests of some placements. One query."""
    with connection.cursor() as cursor:
        cursor.execute(
            _SAMPLE,
            {
                "store": store.pk,
                "placements": list(placement_ids),
                "since": since,
                "limit": limit,
                "n_newest": N_NEWEST,
            },
        )
        rows = cursor.fetchall()
    if not rows:
        return LoggedSample([], 0, 0, None, None)
    n_logged, n_replayable, first_at, last_at = rows[0][:4]
    requests = [
        LoggedRequest(recommendation_id, placement_id, shopper, device, json.loads(context))
        for *_, recommendation_id, placement_id, shopper, device, context in rows
        if context is not None
    ]
    return LoggedSample(requests, n_logged, n_replayable, first_at, last_at)
