"""What was delivered to whom."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models

from catalog.models import Store


class Impression(models.Model):
    """One delivered recommendation as it went out. Append-only, partitioned by month."""

    pk = models.CompositePrimaryKey("store_id", "recommendation_id", "delivered_on")
    store = models.ForeignKey(
        Store, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False
    )
    recommendation_id = models.UUIDField()
    delivered_on = models.DateField()
    delivered_at = models.DateTimeField()
    placement_id = models.BigIntegerField()
    strategy_version_id = models.BigIntegerField()
    experiment_id = models.BigIntegerField(null=True)
    variant_id = models.BigIntegerField(null=True)
    shopper_external_id = models.CharField(max_length=128, null=True)
    session_id = models.CharField(max_length=64, null=True)
    product_ids = ArrayField(models.BigIntegerField())
    sources = ArrayField(models.CharField(max_length=32), help_text="Per product, in order")
    propensities = ArrayField(models.FloatField(), help_text="Per product, in order")
    teams = ArrayField(
        models.SmallIntegerField(),
        null=True,
        help_text="Interleaved lists: per product the position of the variant that picked it",
    )
    fallback = models.CharField(max_length=32, null=True)
    reason = models.CharField(max_length=40, null=True)
    rule_id = models.BigIntegerField(
        null=True, help_text="The rule that left out most, where rules are the reason"
    )
    device = models.CharField(max_length=16, null=True)
    took_us = models.IntegerField()
    situation = models.SmallIntegerField(
        null=True,
        help_text="Where whom chance draws is learned: the situation that it went by",
    )
    context = models.JSONField(
        null=True,
        help_text="What the page asked with, to answer it again; empty: not written down",
    )

    class Meta:
        indexes = (
            models.Index(fields=("store", "-delivered_at"), name="impression_delivered"),
            models.Index(
                fields=("store", "placement_id", "-delivered_at"), name="impression_placement"
            ),
            # Few answers have one, and all that have are read again every few minutes.
            models.Index(
                fields=("store", "delivered_at"),
                condition=models.Q(situation__isnull=False),
                name="impression_situation",
            ),
        )

    def __str__(self) -> str:
        return str(self.recommendation_id)
