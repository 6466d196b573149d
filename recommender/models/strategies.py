"""How a placement chooses."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone

from catalog.models import Store


class Strategy(models.Model):
    """A named way to choose products. What it does stands in its versions."""

    store = models.ForeignKey(Store, on_delete=models.CASCADE, related_name="strategies")
    key = models.SlugField(max_length=60)
    name = models.CharField(max_length=120)
    description = models.CharField(max_length=300, blank=True, default="")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("store", "key"), name="strategy_key_in_store"),
        )
        verbose_name_plural = "strategies"

    def __str__(self) -> str:
        return self.name


class StrategyVersion(models.Model):
    """An immutable document (schema: `recommender.serving.strategy`), its hash and its author."""

    strategy = models.ForeignKey(Strategy, on_delete=models.CASCADE, related_name="versions")
    store = models.ForeignKey(Store, on_delete=models.CASCADE, related_name="+")
    number = models.PositiveIntegerField()
    document = models.JSONField()
    digest = models.CharField(max_length=64, help_text="SHA-256 of the canonical document")
    note = models.CharField(max_length=300, blank=True, default="")
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("store", "strategy", "number"), name="strategy_version_number"
            ),
        )

    def __str__(self) -> str:
        return f"{self.strategy} v{self.number}"
