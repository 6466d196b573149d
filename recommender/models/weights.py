"""What an event says about taste, and what makes products similar, as the store sees it."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone

from catalog.models import Store


class EventWeights(models.Model):
    """The event weights of a store. Without a row, or for names it lacks, the defaults count."""

    store = models.OneToOneField(
        Store, on_delete=models.CASCADE, primary_key=True, related_name="event_weights"
    )
    weights = models.JSONField(default=dict, help_text="Event name to weight")
    updated_at = models.DateTimeField(default=timezone.now)
    updated_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )

    class Meta:
        verbose_name_plural = "event weights"

    def __str__(self) -> str:
        return f"Event weights of {self.store}"


class ContentWeights(models.Model):
    """What makes the products of a store similar. Without a row Vitrine decides."""

    store = models.OneToOneField(
        Store, on_delete=models.CASCADE, primary_key=True, related_name="content_weights"
    )
    text = models.PositiveSmallIntegerField()
    attributes = models.PositiveSmallIntegerField()
    own_vectors = models.PositiveSmallIntegerField()
    updated_at = models.DateTimeField(default=timezone.now)
    updated_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )

    class Meta:
        verbose_name_plural = "content weights"
        constraints = (
            models.CheckConstraint(
                condition=models.Q(text__lte=100, attributes__lte=100, own_vectors__lte=100),
                name="content_weights_to_100",
            ),
            models.CheckConstraint(
                condition=models.Q(text__gt=0)
                | models.Q(attributes__gt=0)
                | models.Q(own_vectors__gt=0),
                name="content_weights_count",
            ),
        )

    def __str__(self) -> str:
        return f"Content weights of {self.store}"
