"""API keys: how a shop speaks to the API."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone

from catalog.models.stores import Store


class ApiKey(models.Model):
    """A publishable key (in the page, readable) or a secret key (kept as a hash, shown once)."""

    class Kind(models.TextChoices):
        PUBLISHABLE = "pk", "Publishable"
        SECRET = "sk", "Secret"

    store = models.ForeignKey(Store, on_delete=models.CASCADE, related_name="api_keys")
    kind = models.CharField(max_length=2, choices=Kind.choices)
    name = models.CharField(max_length=80)
    digest = models.BinaryField(max_length=32, unique=True, help_text="SHA-256 of the key")
    prefix = models.CharField(max_length=12, help_text="First characters, to recognise a key by")
    publishable = models.CharField(max_length=64, blank=True, help_text="Empty for secret keys")
    origins = ArrayField(
        models.CharField(max_length=255),
        default=list,
        blank=True,
        help_text="Web origins that may use a publishable key; empty means any",
    )
    created_at = models.DateTimeField(default=timezone.now)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = (models.Index(fields=("store", "kind"), name="api_key_store_kind"),)

    def __str__(self) -> str:
        return f"{self.prefix}… ({self.name})"
