"""Answers as they were logged, with what was clicked in them: what another strategy is judged by."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from django.db import connection

from catalog.models import EventType
from recommender.models import Placement

# The sample is drawn from this many of the newest answers.
N_NEWEST = 50_000


class LoggedAnswer(msgspec.Struct, frozen=True):
    """One answer; products, propensities and clicks by place."""

    recommendation_id: str
    delivered_at_s: float
    shopper_external_id: str | None
    device: str | None
    context: dict[str, Any]
    product_ids: list[int]
    propensities: list[float]
    clicked: list[int]


@dataclass(frozen=True, slots=True)
class LoggedAnswers:
    """A sample of the answers of a placement.

    Attributes
    ----------
    n_logged
        Answers that the sample was drawn from: with products, not interleaved.
    n_replayable
        Those of them whose context was written down.
    n_with_chance
        Those of them in which some place was given to chance.
    """

    answers: list[LoggedAnswer]
    n_logged: int
    n_replayable: int
    n_with_chance: int
    first_at: datetime | None
    last_at: datetime | None


# At random, but the same at each look: by the hash of the id. A click is looked for among the
# shopper's own events, which is what an index leads to.
_SAMPLE = f"""
WITH newest AS (
  SELECT recommendation_id, delivered_at, shopper_external_id, device, context, product_ids,
    propensities
  FROM recommender_impression
  WHERE store_id = %(store)s AND placement_id = %(placement)s
    AND delivered_at >= %(since)s AND delivered_on >= %(since)s::date - 1
    AND cardinality(product_ids) > 0 AND teams IS NULL
  ORDER BY delivered_at DESC LIMIT {N_NEWEST}
), sample AS (
  SELECT count(*) OVER () AS n, count(context) OVER () AS n_replayable,
    count(*) FILTER (WHERE context IS NOT NULL AND 1 > ANY(propensities)) OVER () AS n_with_chance,
    min(delivered_at) OVER () AS first_at, max(delivered_at) OVER () AS last_at, newest.*
  FROM newest
  ORDER BY context IS NULL, hashtextextended(recommendation_id::text, 0), recommendation_id
  LIMIT %(limit)s
)
SELECT n, n_replayable, n_with_chance, first_at, last_at, recommendation_id, delivered_at,
  shopper_external_id, device, context::text, product_ids, propensities,
  ARRAY(
    SELECT DISTINCT event.product_id FROM catalog_event AS event
    WHERE event.store_id = %(store)s AND event.shopper_id = shopper.id
      AND event.type = {int(EventType.RECOMMENDATION_CLICK)} AND NOT event.is_bot
      AND event.recommendation_id = sample.recommendation_id AND event.product_id IS NOT NULL
      AND event.occurred_at >= sample.delivered_at - interval '1 day'
  )
FROM sample LEFT JOIN catalog_shopper AS shopper
  ON shopper.store_id = %(store)s AND shopper.external_id = sample.shopper_external_id
"""


def logged_answers(*, placement: Placement, since: datetime, limit: int) -> LoggedAnswers:
    """A sample, at random, of what a placement answered since a moment. One query."""
    with connection.cursor() as cursor:
        cursor.execute(
            _SAMPLE,
            {
                "store": placement.store_id,
                "placement": placement.pk,
                "since": since,
                "limit": limit,
            },
        )
        rows = cursor.fetchall()
    if not rows:
        return LoggedAnswers([], 0, 0, 0, None, None)
    return LoggedAnswers(
        [_answer(*row[5:]) for row in rows if row[9] is not None],
        *rows[0][:5],
    )


def _answer(
    recommendation_id: UUID,
    delivered_at: datetime,
    shopper: str | None,
    device: str | None,
    context: str,
    product_ids: list[int],
    propensities: list[float],
    clicked: list[int],
) -> LoggedAnswer:
    return LoggedAnswer(
        str(recommendation_id),
        delivered_at.timestamp(),
        shopper,
        device,
        json.loads(context),
        product_ids,
        propensities,
        clicked,
    )
