"""Days, summed. Always recomputed from facts, never incremented."""

from __future__ import annotations

from django.db import models

from catalog.models import Shopper, Store


class DailyRollup(models.Model):
    """One store, one day of the store's own time zone, counted from events and impressions."""

    store = models.ForeignKey(Store, on_delete=models.CASCADE, related_name="daily_rollups")
    day = models.DateField()
    n_events = models.BigIntegerField(default=0)
    n_views = models.BigIntegerField(default=0)
    n_carts = models.BigIntegerField(default=0)
    n_orders = models.BigIntegerField(default=0)
    n_units = models.BigIntegerField(default=0)
    n_shoppers = models.BigIntegerField(default=0)
    n_buyers = models.BigIntegerField(default=0)
    revenue_minor = models.BigIntegerField(default=0)
    n_recommendations = models.BigIntegerField(default=0, help_text="Impressions delivered")
    n_recommendation_views = models.BigIntegerField(default=0, help_text="Seen for a second")
    n_recommendation_clicks = models.BigIntegerField(default=0)
    n_fallbacks = models.BigIntegerField(default=0)
    n_empty = models.BigIntegerField(default=0)
    computed_at = models.DateTimeField()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("store", "day"), name="daily_rollup_day_in_store"),
        )

    def __str__(self) -> str:
        return f"{self.store_id} {self.day}"


class ShopperDay(models.Model):
    """A shopper on a day: whether a visit was recorded, and whether something was bought.

    Distinct shoppers of a month are not the sum of those of its days: this is what they are
    counted from. An order without a visit came from elsewhere (an import, a till) and says nothing
    of conversion.
    """

    pk = models.CompositePrimaryKey("store_id", "day", "shopper_id")
    store = models.ForeignKey(
        Store, on_delete=models.CASCADE, db_index=False, related_name="shopper_days"
    )
    day = models.DateField()
    shopper = models.ForeignKey(
        Shopper, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False
    )
    visited = models.BooleanField(help_text="Some event that is no purchase")
    bought = models.BooleanField()

    def __str__(self) -> str:
        return f"{self.shopper_id} {self.day}"


class AnswerHour(models.Model):
    """How many answers of a placement were alike in an hour, counted from impressions.

    Hours are those of the store's time zone (some are half an hour off the others'). Whether an
    answer was short isn't in it: that follows from the minimum of the placement, which members
    change, so it is asked when it is read.
    """

    store = models.ForeignKey(
        Store, on_delete=models.CASCADE, db_index=False, related_name="answer_hours"
    )
    hour = models.DateTimeField(help_text="Its beginning")
    placement_id = models.BigIntegerField()
    strategy_version_id = models.BigIntegerField()
    n_products = models.PositiveSmallIntegerField(help_text="That each of the answers had")
    fallback = models.CharField(max_length=32, null=True)
    reason = models.CharField(max_length=40, null=True)
    rule_id = models.BigIntegerField(null=True)
    n = models.BigIntegerField(help_text="How many answers")

    class Meta:
        indexes = (models.Index(fields=("store", "hour"), name="answer_hour_of_store"),)

    def __str__(self) -> str:
        return f"{self.placement_id} {self.hour:%Y-%m-%d %H:%M}"


class RollupWatermark(models.Model):
    """Up to which received event and delivered impression the rollups of a store are true."""

    store = models.OneToOneField(Store, on_delete=models.CASCADE, related_name="rollup_watermark")
    time_zone = models.CharField(max_length=64, help_text="Whose days the rollups are")
    events_received_at = models.DateTimeField(null=True)
    impressions_delivered_at = models.DateTimeField(null=True)
    computed_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.store_id} up to {self.events_received_at}"
