"""What the weights of a learned blend are learned from: who asks for one, and what was clicked."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Q

from catalog.models import Event, EventType, Shopper
from recommender.models import Artifact, Experiment, Placement, Run, VariantStrategy
from recommender.selectors.logged_answers import LoggedAnswer

# A shopper clicks within a day, or not because of what was shown.
CLICKED_WITHIN = timedelta(days=1)

# Of the answers of one shopper: whoever clicks all day, or a machine that says it is a browser, is
# heard as much as a keen customer.
MAX_OF_ONE_SHOPPER = 20

# What people clicked in each recommendation: not robots, and not who denied consent.
CLICKS = f"""
WITH clicks AS (
  SELECT recommendation_id, array_agg(DISTINCT product_id) AS clicked
  FROM catalog_event
  WHERE store_id = %(store)s AND type = {int(EventType.RECOMMENDATION_CLICK)} AND NOT is_bot
    AND consent IS DISTINCT FROM 0
    AND occurred_at >= %(since)s AND occurred_at < %(until)s + %(within)s
    AND recommendation_id IS NOT NULL AND product_id IS NOT NULL
  GROUP BY recommendation_id
)
"""

_CLICKED = f"""
{CLICKS}
SELECT placement_id, recommendation_id, delivered_at, shopper_external_id, device,
  context::text, product_ids, propensities, clicked
FROM (
SELECT shown.*, clicked, row_number() OVER (
    PARTITION BY placement_id, coalesce(shopper_external_id, shown.recommendation_id::text)
    ORDER BY delivered_at DESC, shown.recommendation_id
  ) AS nth_of_shopper
FROM clicks JOIN recommender_impression AS shown
  ON shown.store_id = %(store)s AND shown.recommendation_id = clicks.recommendation_id
  AND shown.delivered_on >= (%(since)s AT TIME ZONE 'UTC')::date
WHERE shown.placement_id = ANY(%(placements)s) AND shown.teams IS NULL
  AND shown.context IS NOT NULL AND shown.product_ids && clicked
  AND shown.delivered_at >= %(since)s AND shown.delivered_at < %(until)s
) AS answers
WHERE nth_of_shopper <= {MAX_OF_ONE_SHOPPER}
ORDER BY delivered_at DESC, recommendation_id
LIMIT %(limit)s
"""


def clicked_answers(
    *,
    store_id: int,
    placement_ids: Collection[int],
    since: datetime,
    until: datetime,
    limit: int,
) -> list[tuple[int, LoggedAnswer]]:
    """The newest answers of some placements in which something was clicked, oldest first, each with
    its placement. One query.

    Answers of two interleaved strategies are left out, those whose request wasn't written down, and
    what a shopper clicked beyond the newest answers on a placement (`MAX_OF_ONE_SHOPPER`).
    """
    parameters: dict[str, Any] = {
        "store": store_id,
        "placements": list(placement_ids),
        "since": since.astimezone(UTC),
        "until": until.astimezone(UTC),
        "within": CLICKED_WITHIN,
        "limit": limit,
    }
    with connection.cursor() as cursor:
        cursor.execute(_CLICKED, parameters)
        rows = cursor.fetchall()
    return [
        (
            placement_id,
            LoggedAnswer(
                str(recommendation_id),
                delivered_at.timestamp(),
                shopper,
                device,
                json.loads(context),
                product_ids,
                propensities,
                clicked,
            ),
        )
        for (
            placement_id,
            recommendation_id,
            delivered_at,
            shopper,
            device,
            context,
            product_ids,
            propensities,
            clicked,
        ) in reversed(rows)
    ]


def clicks_since(*, store_id: int, since: datetime, until: datetime) -> bool:
    """Whether anything that was recommended was clicked in a time. One query."""
    return Event.objects.filter(
        store_id=store_id,
        type=EventType.RECOMMENDATION_CLICK,
        occurred_at__gte=since,
        occurred_at__lt=until,
    ).exists()


def learned_blend_is_live(*, store_id: int) -> bool:
    """Whether a placement or a running experiment of the store has a learned blend. Two queries."""
    learned = {"strategy_version__document__blend": "learned"}
    return (
        Placement.objects.filter(store_id=store_id, **learned).exists()
        or VariantStrategy.objects.filter(
            Q(variant__experiment__state=Experiment.State.RUNNING),
            variant__experiment__store_id=store_id,
            **learned,
        ).exists()
    )


def shopper_external_ids(*, store_id: int, shopper_ids: Collection[int]) -> dict[int, str]:
    """The shop's ids of some shoppers. One query."""
    found = Shopper.objects.filter(store_id=store_id, pk__in=shopper_ids)
    return dict(found.values_list("pk", "external_id"))


@dataclass(frozen=True, slots=True)
class BlendStatus:
    """What serves strategies of some sources.

    Attributes
    ----------
    said
        What the run wrote down of the model, None if there is none.
    why
        Why there is none, as a sentence.
    """

    said: dict[str, Any] | None
    learned_at: datetime | None = None
    why: str = ""


def learned_blend_status(*, store_id: int, sources: Sequence[str]) -> BlendStatus:
    """What was learned for strategies of these sources, in the order of `SOURCE_NAMES`. At most two
    queries."""
    serving = (
        Artifact.objects.filter(store_id=store_id, family=Run.Family.BLEND, serving=True)
        .select_related("run")
        .first()
    )
    known = serving.run.parameters if serving is not None else {}
    for said in known.get("blends", ()):
        if said["sources"] == list(sources) and serving is not None:
            return BlendStatus(said, serving.created_at)
    for left_out in known.get("left_out", ()):
        if left_out["sources"] == list(sources):
            return BlendStatus(None, None, left_out["why"])
    last = (
        Run.objects.filter(store_id=store_id, family=Run.Family.BLEND)
        .order_by("-queued_at")
        .first()
    )
    if last is not None and last.state in (Run.State.QUEUED, Run.State.RUNNING):
        return BlendStatus(None, None, "It is being learned now.")
    if last is not None and last.message:
        return BlendStatus(None, None, last.message)
    if last is None:
        return BlendStatus(None, None, "Once a placement shows it, it is learned within minutes.")
    return BlendStatus(
        None, None, "It is learned in the next night, or when you retrain the blend weights."
    )
