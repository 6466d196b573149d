"""What was trained, on what, how good it is, and which version serves."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone

from catalog.models import Store


class Run(models.Model):
    """One training: parameters, counts, progress, quality. Can be left and watched."""

    class State(models.TextChoices):
        QUEUED = "queued", "Queued"
        RUNNING = "running", "Running"
        PUBLISHED = "published", "Published"
        HELD = "held", "Held for confirmation"
        REJECTED = "rejected", "Not published"
        FAILED = "failed", "Failed"

    class Family(models.TextChoices):
        """What is trained together and published as one artifact."""

        ITEM_SIMILARITY = "item_similarity", "Item similarities"
        CONTENT = "content", "Content embeddings"
        POPULARITY = "popularity", "Popularity"
        PROFILES = "profiles", "Shopper profiles"
        SESSIONS = "sessions", "Sessions and next clicks"
        CHOSEN_METHOD = "chosen_method", "The Lab's choice"
        BLEND = "blend", "Blend weights"
        SOURCE_BANDIT = "source_bandit", "Sources for places given to chance"

    class Trigger(models.TextChoices):
        SCHEDULE = "schedule", "Schedule"
        MEMBER = "member", "Member"
        COMMAND = "command", "Command"
        INCREMENT = "increment", "New events"

    store = models.ForeignKey(Store, on_delete=models.CASCADE, related_name="runs")
    family = models.CharField(max_length=24, choices=Family.choices)
    state = models.CharField(max_length=12, choices=State.choices, default=State.QUEUED)
    trigger = models.CharField(max_length=12, choices=Trigger.choices)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    parameters = models.JSONField(default=dict)
    counts = models.JSONField(default=dict, help_text="What it learned from: orders, products, …")
    quality = models.JSONField(default=dict, help_text="Offline metrics on a time cut")
    step = models.CharField(max_length=120, blank=True, default="")
    progress = models.FloatField(default=0.0, help_text="Share done, 0 to 1")
    message = models.TextField(blank=True, default="", help_text="Why it was held or failed")
    queued_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    heartbeat_at = models.DateTimeField(null=True, help_text="A run without a pulse has died")

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("store", "family"),
                condition=models.Q(state__in=("queued", "running")),
                name="run_one_active_per_family",
            ),
        )
        indexes = (models.Index(fields=("store", "family", "-queued_at"), name="run_latest"),)

    def __str__(self) -> str:
        return f"{self.get_family_display()} #{self.pk}"


class Artifact(models.Model):
    """A published or publishable folder of arrays."""

    store = models.ForeignKey(Store, on_delete=models.CASCADE, related_name="artifacts")
    run = models.OneToOneField(Run, on_delete=models.CASCADE, related_name="artifact")
    family = models.CharField(max_length=24, choices=Run.Family.choices)
    version = models.CharField(max_length=40, help_text="Folder name below the store and family")
    size_bytes = models.BigIntegerField()
    manifest = models.JSONField()
    created_at = models.DateTimeField(default=timezone.now)
    published_at = models.DateTimeField(null=True)
    serving = models.BooleanField(default=False)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("store", "family"),
                condition=models.Q(serving=True),
                name="artifact_one_serving_per_family",
            ),
            models.UniqueConstraint(
                fields=("store", "family", "version"), name="artifact_version_in_store"
            ),
        )

    def __str__(self) -> str:
        return f"{self.family}/{self.version}"
