"""Comparisons of methods on a store's own history, and the method that was chosen by one."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone

from catalog.models import Store


class LabRun(models.Model):
    """One comparison: what was asked for, how far it is, and what it found so far."""

    class State(models.TextChoices):
        QUEUED = "queued", "Queued"
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"

    store = models.ForeignKey(Store, on_delete=models.CASCADE, related_name="lab_runs")
    state = models.CharField(max_length=12, choices=State.choices, default=State.QUEUED)
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    settings = models.JSONField(help_text="protocol, methods, minutes, seed")
    step = models.CharField(max_length=120, blank=True, default="")
    progress = models.FloatField(default=0.0, help_text="Share done, 0 to 1")
    message = models.TextField(blank=True, default="", help_text="Why it failed")
    document = models.JSONField(
        default=dict, help_text="The table so far, what it was made of, and the reports"
    )
    queued_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    heartbeat_at = models.DateTimeField(
        null=True, help_text="A comparison without a pulse has died"
    )

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("store",),
                condition=models.Q(state__in=("queued", "running")),
                name="lab_one_active_per_store",
            ),
        )
        indexes = (models.Index(fields=("store", "-queued_at"), name="lab_latest"),)

    def __str__(self) -> str:
        return f"Comparison #{self.pk}"


class LabChoice(models.Model):
    """The method that serves as the source "chosen" of a store, as a comparison tuned it."""

    store = models.OneToOneField(
        Store, on_delete=models.CASCADE, primary_key=True, related_name="lab_choice"
    )
    method = models.CharField(max_length=60)
    title = models.CharField(max_length=120)
    parameters = models.JSONField(default=dict)
    protocol = models.CharField(max_length=40, help_text="What it is trained for")
    lab_run = models.ForeignKey(
        LabRun, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    chosen_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    chosen_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"{self.title} in {self.store}"
