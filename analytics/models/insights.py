"""What recommendations led to, summed by day. Always recomputed from facts, never incremented.

Days are those of the store's time zone. A recommendation that was seen or clicked without being
known has placement and strategy version 0, and its clicks an empty source.
"""

from __future__ import annotations

from django.db import models

from catalog.models import Store


class RecommendationDay(models.Model):
    """A placement with a strategy version on a day. What was bought stands in `AttributedLine`."""

    pk = models.CompositePrimaryKey("store_id", "day", "placement_id", "strategy_version_id")
    store = models.ForeignKey(Store, on_delete=models.CASCADE, db_index=False, related_name="+")
    day = models.DateField()
    placement_id = models.BigIntegerField()
    strategy_version_id = models.BigIntegerField()
    n_impressions = models.BigIntegerField(default=0, help_text="Delivered on the day")
    n_empty = models.BigIntegerField(default=0)
    n_fallback = models.BigIntegerField(default=0)
    n_seen = models.BigIntegerField(default=0, help_text="Visible for a second on the day")
    n_clicks = models.BigIntegerField(default=0)
    diversity_sum = models.FloatField(default=0.0)
    n_diversity = models.BigIntegerField(default=0, help_text="Lists whose diversity is known")
    novelty_sum = models.FloatField(default=0.0)
    n_novelty = models.BigIntegerField(default=0, help_text="Places whose novelty is known")

    def __str__(self) -> str:
        return f"{self.placement_id} {self.day}"


class SourceDay(models.Model):
    """The places that a source filled in a placement's lists of a day."""

    pk = models.CompositePrimaryKey("store_id", "day", "placement_id", "source")
    store = models.ForeignKey(Store, on_delete=models.CASCADE, db_index=False, related_name="+")
    day = models.DateField()
    placement_id = models.BigIntegerField()
    source = models.CharField(max_length=32)
    n_shown = models.BigIntegerField(default=0)
    n_seen = models.BigIntegerField(default=0)
    n_clicks = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.source} {self.day}"


class CategoryDay(models.Model):
    """The places that products of a department took on a day: the first level of their category."""

    pk = models.CompositePrimaryKey("store_id", "day", "category")
    store = models.ForeignKey(Store, on_delete=models.CASCADE, db_index=False, related_name="+")
    day = models.DateField()
    category = models.CharField(max_length=400, help_text="Empty: none")
    n_shown = models.BigIntegerField(default=0)
    n_seen = models.BigIntegerField(default=0)
    n_clicks = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.category} {self.day}"


class ProductDay(models.Model):
    """How often each product was shown and clicked on a day, packed.

    As rows a year of a large catalog is two million, half a second to read.
    """

    pk = models.CompositePrimaryKey("store_id", "day")
    store = models.ForeignKey(Store, on_delete=models.CASCADE, db_index=False, related_name="+")
    day = models.DateField()
    totals = models.BinaryField(
        help_text="product_id int64, n_shown int32, n_clicks int32, big endian; ids ascending"
    )

    def __str__(self) -> str:
        return f"{self.day}"


class ProductMonth(models.Model):
    """The product days of a calendar month, summed: a year is read from months and edge days."""

    pk = models.CompositePrimaryKey("store_id", "month")
    store = models.ForeignKey(Store, on_delete=models.CASCADE, db_index=False, related_name="+")
    month = models.DateField(help_text="Its first day")
    totals = models.BinaryField(help_text="As those of a day")

    def __str__(self) -> str:
        return f"{self.month:%Y-%m}"


class Reach(models.Model):
    """How much of the catalog was shown in a day or week. Such figures can't be summed."""

    class Step(models.TextChoices):
        DAY = "day", "Day"
        WEEK = "week", "Week"

    pk = models.CompositePrimaryKey("store_id", "step", "first")
    store = models.ForeignKey(Store, on_delete=models.CASCADE, db_index=False, related_name="+")
    step = models.CharField(max_length=4, choices=Step.choices)
    first = models.DateField(help_text="The day; of a week its Monday")
    n_shown = models.BigIntegerField(help_text="Different products")
    n_catalog = models.BigIntegerField(help_text="That could be shown when it was counted")
    gini = models.FloatField(help_text="Of how often each of them was shown")

    def __str__(self) -> str:
        return f"{self.step} {self.first}"


class AttributedLine(models.Model):
    """A line of an order that the last click on a recommendation of its product is credited with.

    The click is one of the same person within the 7 days before. `order_key` is the order id, else
    the event's.
    """

    pk = models.CompositePrimaryKey("store_id", "event_id", "line")
    store = models.ForeignKey(Store, on_delete=models.CASCADE, db_index=False, related_name="+")
    event_id = models.UUIDField()
    line = models.SmallIntegerField()
    day = models.DateField(help_text="Of the order")
    order_key = models.CharField(max_length=128)
    product_id = models.BigIntegerField()
    category = models.CharField(max_length=400, help_text="First level; empty: none")
    quantity = models.BigIntegerField()
    revenue_minor = models.BigIntegerField()
    bought_at = models.DateTimeField()
    clicked_at = models.DateTimeField()
    recommendation_id = models.UUIDField(null=True)
    placement_id = models.BigIntegerField()
    strategy_version_id = models.BigIntegerField()
    source = models.CharField(max_length=32)

    class Meta:
        indexes = (models.Index(fields=("store", "day"), name="attributed_line_day"),)

    def __str__(self) -> str:
        return f"{self.order_key}/{self.line}"


class TrackingHour(models.Model):
    """Events that came in live in an hour: within an hour after they happened."""

    pk = models.CompositePrimaryKey("store_id", "hour")
    store = models.ForeignKey(Store, on_delete=models.CASCADE, db_index=False, related_name="+")
    hour = models.DateTimeField(help_text="Its beginning, UTC")
    n_events = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H:%M}"


class TrackingDay(models.Model):
    """What tells whether the shop's tracking is whole, from the events that came in live."""

    pk = models.CompositePrimaryKey("store_id", "day")
    store = models.ForeignKey(Store, on_delete=models.CASCADE, db_index=False, related_name="+")
    day = models.DateField()
    n_events = models.BigIntegerField(default=0)
    n_orders = models.BigIntegerField(default=0)
    n_orders_unseen = models.BigIntegerField(
        default=0, help_text="By persons without any product view in the 24 hours before"
    )
    n_lines = models.BigIntegerField(default=0, help_text="That name a product")
    n_lines_unknown = models.BigIntegerField(default=0, help_text="One that the catalog lacks")
    busiest_shopper_id = models.BigIntegerField(null=True, help_text="With the most sessions")
    busiest_sessions = models.BigIntegerField(default=0)
    busiest_events = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.day}"


class InsightsWatermark(models.Model):
    """Up to which facts the insights of a store are true."""

    store = models.OneToOneField(Store, on_delete=models.CASCADE, related_name="insights_watermark")
    time_zone = models.CharField(max_length=64, help_text="Whose days they are")
    events_received_at = models.DateTimeField(null=True)
    impressions_delivered_at = models.DateTimeField(null=True)
    links_changed_at = models.DateTimeField(null=True)
    computed_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.store_id} up to {self.events_received_at}"
