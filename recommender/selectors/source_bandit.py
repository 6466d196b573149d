"""What was clicked at the places given to chance, and who lets a source be learned from it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Q

from recommender.models import (
    Artifact,
    Experiment,
    ExperimentPlacement,
    Impression,
    Placement,
    Run,
    Strategy,
    VariantStrategy,
)
from recommender.selectors.blend import CLICKED_WITHIN, CLICKS

# Chance fills at most three in ten places (`MAX_EXPLORATION`): what stands somewhere by rank is there
# with a probability of at least .7, and what chance put there of at most .3. So the propensity tells
# them apart, whatever the share was.
BY_CHANCE_BELOW = 0.5

# Answers of one shopper on a placement and day, the first ones: a machine that says it is a browser
# is heard as much as a keen customer, and a day that is counted again has the same ones.
MAX_A_DAY = 20

# Those who denied consent can't be seen clicking, and two interleaved strategies share a list.
_TRIALS = f"""
{CLICKS}
SELECT delivered_on, placement_id, situation, slot.source, count(*),
  count(*) FILTER (WHERE slot.product_id = ANY(clicks.clicked))
FROM (
  SELECT delivered_on, placement_id, situation, recommendation_id, product_ids, sources,
    propensities, row_number() OVER (
      PARTITION BY placement_id, shopper_external_id, delivered_on
      ORDER BY delivered_at, recommendation_id
    ) AS nth_of_shopper
  FROM recommender_impression
  WHERE store_id = %(store)s AND situation IS NOT NULL AND teams IS NULL
    AND shopper_external_id IS NOT NULL
    AND delivered_at >= %(since)s AND delivered_at < %(until)s
    AND delivered_on >= (%(since)s AT TIME ZONE 'UTC')::date
) AS shown
CROSS JOIN LATERAL unnest(product_ids, sources, propensities)
  AS slot (product_id, source, propensity)
LEFT JOIN clicks ON clicks.recommendation_id = shown.recommendation_id
WHERE nth_of_shopper <= {MAX_A_DAY} AND slot.propensity < {BY_CHANCE_BELOW}
GROUP BY delivered_on, placement_id, situation, slot.source
ORDER BY delivered_on, placement_id, situation, slot.source
"""


# A version of a strategy that learns whom chance draws.
_LEARNS: dict[str, Any] = {
    "strategy_version__document__explore_by": "bandit",
    "strategy_version__document__exploration__gt": 0,
}


@dataclass(frozen=True, slots=True)
class Trials:
    """Places given to chance on one day, of one placement, situation and source."""

    day: date
    placement_id: int
    situation: int
    source: str
    n_shown: int
    n_clicked: int


def random_place_trials(*, store_id: int, since: datetime, until: datetime) -> list[Trials]:
    """What came of the places given to chance in answers delivered in a time. One query."""
    parameters: dict[str, Any] = {
        "store": store_id,
        "since": since.astimezone(UTC),
        "until": until.astimezone(UTC),
        "within": CLICKED_WITHIN,
    }
    with connection.cursor() as cursor:
        cursor.execute(_TRIALS, parameters)
        return [Trials(*row) for row in cursor.fetchall()]


def situations_logged(*, store_id: int, since: datetime, until: datetime) -> bool:
    """Whether an answer of a time has a situation. One query."""
    return Impression.objects.filter(
        store_id=store_id,
        situation__isnull=False,
        delivered_at__gte=since,
        delivered_at__lt=until,
    ).exists()


def source_bandit_is_live(*, store_id: int) -> bool:
    """Whether a placement or a running experiment of the store learns whom chance draws. Two
    queries."""
    return (
        Placement.objects.filter(store_id=store_id, **_LEARNS).exists()
        or VariantStrategy.objects.filter(
            store_id=store_id,
            variant__experiment__state=Experiment.State.RUNNING,
            **_LEARNS,
        ).exists()
    )


def exploring_placements(*, strategy: Strategy) -> list[Placement]:
    """The placements on which a version of the strategy learns whom chance draws, by name: their own
    strategy, or that of a variant of a running experiment. One query."""
    in_tests = VariantStrategy.objects.filter(
        store_id=strategy.store_id,
        strategy_version__strategy=strategy,
        variant__experiment__state=Experiment.State.RUNNING,
        **_LEARNS,
    )
    everywhere = in_tests.filter(placement=None).values("variant__experiment")
    learns_itself = Q(strategy_version__strategy=strategy, **_LEARNS)
    return list(
        Placement.objects.filter(
            learns_itself
            | Q(pk__in=in_tests.exclude(placement=None).values("placement"))
            | Q(
                pk__in=ExperimentPlacement.objects.filter(experiment__in=everywhere).values(
                    "placement"
                )
            ),
            store_id=strategy.store_id,
        ).order_by("name")
    )


@dataclass(frozen=True, slots=True)
class SourceBanditStatus:
    """What was learned of places given to chance.

    Attributes
    ----------
    said
        By the key of the placement, what the run wrote down.
    until
        Answers that were delivered before are counted; None while nothing is.
    days
        Back from there.
    least_places
        That a source needs before anything is concluded about it.
    """

    said: dict[int, dict[str, Any]]
    until: datetime | None = None
    days: int = 0
    least_places: int = 100


def source_bandit_status(*, store_id: int) -> SourceBanditStatus:
    """What serves of the family. One query."""
    serving = (
        Artifact.objects.filter(store_id=store_id, family=Run.Family.SOURCE_BANDIT, serving=True)
        .select_related("run")
        .first()
    )
    if serving is None:
        return SourceBanditStatus({})
    known = serving.run.parameters
    mark_us = int(serving.manifest["marks"]["delivered_us"])
    return SourceBanditStatus(
        {int(each["placement_id"]): each for each in known["placements"]},
        datetime.fromtimestamp(0, UTC) + timedelta(microseconds=mark_us),
        int(known["days"]),
        int(known["least_places"]),
    )
