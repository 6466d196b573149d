"""How often the placements of a store were short, filled up or empty, when and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from django.db import connection
from django.db.models import Count, Q

from analytics.models import RollupWatermark
from catalog.models import Product, Store
from recommender.models import Rule

# Nothing was counted yet.
_BEGINNING = datetime.fromisoformat("0001-01-03T00:00:00+00:00")
Step = Literal["hour", "day"]


@dataclass(slots=True)
class Answers:
    """Counts of answers.

    Attributes
    ----------
    n_fallback
        Filled up by a fallback, up to the placement's minimum at least.
    n_short
        Fewer products than the minimum, but not none.
    """

    n: int = 0
    n_fallback: int = 0
    n_short: int = 0
    n_empty: int = 0

    @property
    def n_wanting(self) -> int:
        """Answers that the strategy alone didn't give."""
        return self.n_fallback + self.n_short + self.n_empty

    @property
    def wanting_rate(self) -> float | None:
        return self.n_wanting / self.n if self.n else None


@dataclass(frozen=True, slots=True)
class Shortage:
    """Answers that were short, filled up or empty for one reason; `rule_id` if a rule is named."""

    reason: str
    rule_id: int | None
    n: int


@dataclass(slots=True)
class PlacementAnswers:
    """One placement's answers of a period: in all, by step of time (oldest first), by reason.

    `reasons` has the commonest first.
    """

    total: Answers = field(default_factory=Answers)
    over_time: list[tuple[datetime, Answers]] = field(default_factory=list)
    reasons: list[Shortage] = field(default_factory=list)


# The hours that were counted, and what came after the newest impression that they know. An answer
# counts once: as empty, else as short, else as filled up. Who is held out is to see nothing.
_ANSWERS = """
WITH answers AS (
  SELECT placement_id, hour, reason, rule_id, fallback IS NOT NULL AS filled, n_products, n
  FROM analytics_answerhour
  WHERE store_id = %(store)s AND hour >= date_trunc('hour', %(since)s, %(zone)s)
  UNION ALL
  SELECT placement_id, delivered_at, reason, rule_id, fallback IS NOT NULL,
    cardinality(product_ids), 1
  FROM recommender_impression
  WHERE store_id = %(store)s AND delivered_at > %(counted_until)s
    AND delivered_at >= date_trunc('hour', %(since)s, %(zone)s)
    AND delivered_on >= greatest(%(counted_until)s, %(since)s)::date - 1
), steps AS (
  SELECT answers.*, date_trunc(%(step)s, hour, %(zone)s) AS at FROM answers
  WHERE reason IS DISTINCT FROM 'held_out'
)
SELECT placement_id, at, reason, rule_id, GROUPING(at), sum(n)::bigint,
  coalesce(sum(n) FILTER (WHERE filled AND a.n_products >= greatest(n_minimum, 1)), 0)::bigint,
  coalesce(sum(n) FILTER (WHERE a.n_products > 0 AND a.n_products < n_minimum), 0)::bigint,
  coalesce(sum(n) FILTER (WHERE a.n_products = 0), 0)::bigint
FROM steps a JOIN recommender_placement p ON p.id = a.placement_id AND p.store_id = %(store)s
GROUP BY GROUPING SETS ((placement_id, at), (placement_id, reason, rule_id))
ORDER BY placement_id, at, 6 DESC, reason, rule_id
"""


def placement_answers(*, store: Store, since: datetime, step: Step) -> dict[int, PlacementAnswers]:
    """By placement, from the beginning of an hour on; those that nobody asked for are left out.

    Two queries. `step` begins at full hours or days of the store's time zone. What is short follows
    from the minimum that the placement has now.
    """
    counted_until = (
        RollupWatermark.objects.filter(store=store)
        .values_list("impressions_delivered_at", flat=True)
        .first()
    )
    found: dict[int, PlacementAnswers] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            _ANSWERS,
            {
                "store": store.pk,
                "since": since,
                "counted_until": counted_until or _BEGINNING,
                "step": step,
                "zone": store.time_zone,
            },
        )
        for placement_id, at, reason, rule_id, is_reason, *counts in cursor.fetchall():
            own = found.setdefault(placement_id, PlacementAnswers())
            answers = Answers(*counts)
            if not is_reason:
                own.over_time.append((at, answers))
                own.total = Answers(
                    own.total.n + answers.n,
                    own.total.n_fallback + answers.n_fallback,
                    own.total.n_short + answers.n_short,
                    own.total.n_empty + answers.n_empty,
                )
            elif reason is not None:
                own.reasons.append(Shortage(reason, rule_id, answers.n))
    return found


def rules_blamed(*, store: Store, answers: Iterable[PlacementAnswers]) -> dict[int, Rule]:
    """The rules that reasons name, by their keys, without those that were deleted. One query at most."""
    asked = {
        shortage.rule_id
        for own in answers
        for shortage in own.reasons
        if shortage.rule_id is not None
    }
    return Rule.objects.filter(store=store).in_bulk(asked) if asked else {}


@dataclass(frozen=True, slots=True)
class CatalogGaps:
    """Products of the catalog, and how many of them can't be recommended and why.

    One product may count under several causes.
    """

    n: int
    n_no_price: int
    n_out_of_stock: int
    n_hidden: int


def catalog_gaps(*, store: Store) -> CatalogGaps:
    """One query."""
    sold_out = Q(availability=Product.Availability.OUT_OF_STOCK) | Q(stock_count__lte=0)
    counted = Product.objects.filter(store=store, deleted_at=None).aggregate(
        n=Count("pk"),
        n_no_price=Count("pk", filter=Q(price_minor=None) | Q(price_minor__lte=0)),
        n_out_of_stock=Count("pk", filter=sold_out),
        n_hidden=Count("pk", filter=Q(hidden=True)),
    )
    return CatalogGaps(**counted)
