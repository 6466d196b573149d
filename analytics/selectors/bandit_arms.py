"""Which bandits are to learn, and what each arm of one has brought, for its next weights."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import connection
from django.db.models import Exists, OuterRef, QuerySet

from analytics.metrics.definitions import DEFINITIONS
from analytics.results.facts import REWARD_DAYS
from analytics.stats.capping import CAP_SHARE
from analytics.stats.summaries import MeanSums, Proportion, RatioSums, Sums
from recommender.models import Experiment, ExperimentPhase

# The task may come twice, or a little early.
LEAST_TIME = timedelta(minutes=50)

# The columns of `ParticipantDay` that a goal is about.
_COLUMNS = {
    "conversion_rate": ("n_orders", "1"),
    "revenue_per_shopper": ("revenue_minor", "1"),
    "average_order_value": ("revenue_minor", "n_orders"),
    "add_to_cart_rate": ("n_carts", "1"),
    "click_rate": ("n_clicks", "n_seen"),
}

# Who was moved to another arm by the weights still counts in their first one. To leave them out would
# take those who come back (and buy) from the arms that lose, and make the losers look worse.
_SUMS = """
WITH people AS (
  SELECT person.variant_id, coalesce(sum({numerator}), 0)::float8 AS numerator,
    coalesce(sum({denominator}), 0)::float8 AS denominator
  FROM analytics_participant AS person
  LEFT JOIN analytics_participantday AS done
    ON done.store_id = person.store_id AND done.experiment_id = person.experiment_id
    AND done.person = person.person AND done.day BETWEEN person.day AND person.day + %(days)s
  WHERE person.store_id = %(store)s AND person.experiment_id = %(experiment)s AND NOT person.is_bot
  GROUP BY person.person, person.variant_id
), capped AS (
  SELECT variant_id, denominator, numerator AS raw, least(numerator, (
    SELECT percentile_cont(%(cap)s) WITHIN GROUP (ORDER BY numerator) FROM people WHERE numerator > 0
  )) AS numerator
  FROM people
)
SELECT variant_id, count(*), count(*) FILTER (WHERE raw > 0),
  sum(numerator), sum(numerator * numerator), sum(denominator), sum(denominator * denominator),
  sum(numerator * denominator)
FROM capped
GROUP BY variant_id
"""


def bandits_due(*, now: datetime) -> QuerySet[Experiment]:
    """Running bandits of all stores that have not learned within the hour."""
    lately = ExperimentPhase.objects.filter(
        experiment=OuterRef("pk"),
        cause=ExperimentPhase.Cause.BANDIT,
        started_at__gt=now - LEAST_TIME,
    )
    running = Experiment.objects.filter(
        ~Exists(lately), kind=Experiment.Kind.BANDIT, state=Experiment.State.RUNNING
    )
    return running.order_by("pk")


def bandit_arms(*, experiment: Experiment) -> list[Sums]:
    """Sums of the goal for each variant, by position; a variant without anybody is 0. Two queries."""
    goal = experiment.primary_metric
    kind = DEFINITIONS[goal].kind
    numerator, denominator = _COLUMNS[goal]
    query = _SUMS.format(numerator=f"done.{numerator}", denominator=_qualified(denominator))
    with connection.cursor() as cursor:
        cursor.execute(
            query,
            {
                "store": experiment.store_id,
                "experiment": experiment.pk,
                "days": REWARD_DAYS,
                # A ratio isn't capped: nothing lies above the highest of all.
                "cap": CAP_SHARE if kind == "mean" else 1.0,
            },
        )
        found = {row[0]: row[1:] for row in cursor.fetchall()}
    variants = experiment.variants.order_by("position").values_list("pk", flat=True)
    return [_sums(kind, *found.get(variant_id, (0, 0, *([0.0] * 5)))) for variant_id in variants]


def _qualified(column: str) -> str:
    return column if column == "1" else f"done.{column}"


def _sums(
    kind: str,
    n: int,
    n_with: int,
    total: float,
    squares: float,
    denominator: float,
    denominator_squares: float,
    product: float,
) -> Sums:
    if kind == "proportion":
        return Proportion(n, n_with)
    if kind == "mean":
        # Nobody bought anything: the cap of nothing is nothing.
        return MeanSums(n, total or 0.0, squares or 0.0)
    return RatioSums(
        n, total or 0.0, squares or 0.0, denominator, denominator_squares, product or 0.0
    )
