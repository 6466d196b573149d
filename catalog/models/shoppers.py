"""Who visits a shop, under a pseudonym."""

from __future__ import annotations

from django.db import models

from catalog.models.stores import Store


class Shopper(models.Model):
    """A visitor. `external_id` comes from the shop's page; we never learn a name."""

    store = models.ForeignKey(Store, on_delete=models.CASCADE, related_name="shoppers")
    external_id = models.CharField(max_length=128)
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    profile = models.JSONField(
        default=dict, blank=True, help_text="The durable profile, recomputed from events"
    )
    profiled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("store", "external_id"), name="shopper_external_id"),
        )
        indexes = (models.Index(fields=("store", "-last_seen_at"), name="shopper_last_seen"),)

    def __str__(self) -> str:
        return self.external_id
