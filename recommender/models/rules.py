"""What a merchant says about what is shown."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone

from catalog.models import Store


class Segment(models.Model):
    """Shoppers that a rule is true of, worked out live (schema: `recommender.serving.segments`)."""

    store = models.ForeignKey(Store, on_delete=models.CASCADE, related_name="segments")
    key = models.SlugField(max_length=60)
    name = models.CharField(max_length=120)
    document = models.JSONField()
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("store", "key"), name="segment_key_in_store"),
        )

    def __str__(self) -> str:
        return self.name


class Rule(models.Model):
    """A condition and what it does (schema: `recommender.serving.rules`); a campaign if it has dates.

    Rules are looked at in the order of `position`. A campaign that paused itself says why.
    """

    store = models.ForeignKey(Store, on_delete=models.CASCADE, related_name="rules")
    name = models.CharField(max_length=120)
    note = models.CharField(max_length=300, blank=True, default="")
    document = models.JSONField()
    position = models.PositiveIntegerField(default=0)
    enabled = models.BooleanField(default=True)
    starts_at = models.DateTimeField(null=True, blank=True)
    ends_at = models.DateTimeField(null=True, blank=True)
    paused_at = models.DateTimeField(null=True, blank=True)
    paused_reason = models.CharField(max_length=300, blank=True, default="")
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = (models.Index(fields=("store", "position"), name="rule_order"),)

    def __str__(self) -> str:
        return self.name
