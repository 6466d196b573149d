"""How often the placements of a store were short, filled up or empty, when and why."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from django.db import connection
from django.db.models import Count, Q

from catalog.models import Product, Store

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


@dataclass(slots=True)
class PlacementAnswers:
    """One placement's answers of a period: in all, by step of time (oldest first), by reason.

    `reasons` count answers that were short, filled up or empty; the commonest first.
    """

    total: Answers = field(default_factory=Answers)
    over_time: list[tuple[datetime, Answers]] = field(default_factory=list)
    reasons: list[tuple[str, int]] = field(default_factory=list)


# One pass over the period; an answer counts once: as empty, else as short, else as filled up.
_ANSWERS = """
WITH answers AS (
  SELECT i.placement_id, date_trunc(%(step)s, i.delivered_at, %(zone)s) AS at,
    i.reason, i.fallback IS NOT NULL AS filled, cardinality(i.product_ids) AS n,
    p.n_minimum
  FROM recommender_impression i
  JOIN recommender_placement p ON p.id = i.placement_id AND p.store_id = i.store_id
  WHERE i.store_id = %(store)s AND i.delivered_at >= %(since)s
    AND i.delivered_on >= %(since)s::date - 1
)
SELECT placement_id, at, reason, GROUPING(at), count(*),
  count(*) FILTER (WHERE filled AND n > 0 AND n >= n_minimum),
  count(*) FILTER (WHERE n > 0 AND n < n_minimum),
  count(*) FILTER (WHERE n = 0)
FROM answers
GROUP BY GROUPING SETS ((placement_id, at), (placement_id, reason))
ORDER BY placement_id, at, count(*) DESC, reason
"""


def placement_answers(*, store: Store, since: datetime, step: Step) -> dict[int, PlacementAnswers]:
    """By placement; those that nobody asked for are left out. One query.

    `step` begins at full hours or days of the store's time zone.
    """
    found: dict[int, PlacementAnswers] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            _ANSWERS,
            {"store": store.pk, "since": since, "step": step, "zone": store.time_zone},
        )
        for placement_id, at, reason, is_reason, *counts in cursor.fetchall():
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
                own.reasons.append((reason, answers.n))
    return found


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
