"""What the shoppers of an experiment did, and what was made of it. All of it can be counted again."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models

from catalog.models import Store
from recommender.models import Experiment


class Participant(models.Model):
    """A person in an experiment: the unit of every test.

    A guest who turned out to be a customer is one person with them, named by the customer's
    external id, and in from the first exposure of the two. Without constraints on store and
    experiment: a first count writes some hundred thousand rows, and each would be checked.
    """

    pk = models.CompositePrimaryKey("store_id", "experiment_id", "person")
    store = models.ForeignKey(
        Store, on_delete=models.CASCADE, db_index=False, db_constraint=False, related_name="+"
    )
    experiment = models.ForeignKey(
        Experiment,
        on_delete=models.CASCADE,
        db_index=False,
        db_constraint=False,
        related_name="participants",
    )
    person = models.CharField(max_length=128, help_text="External id of the customer, else shopper")
    variant_id = models.BigIntegerField(help_text="Of the first exposure")
    exposed_at = models.DateTimeField()
    day = models.DateField(help_text="Of the first exposure, in the store's time zone")
    is_crossover = models.BooleanField(help_text="Was in, or was shown, more than one variant")
    is_bot = models.BooleanField()
    is_silent = models.BooleanField(default=False, help_text="No event is known since the exposure")
    device = models.CharField(max_length=16, null=True)
    is_returning = models.BooleanField(help_text="Was seen before the day of the first exposure")
    placement_id = models.BigIntegerField(null=True, help_text="Of the first exposure")
    # The 14 days before exposure.
    pre_orders = models.IntegerField(default=0)
    pre_revenue_minor = models.BigIntegerField(default=0)
    pre_carts = models.IntegerField(default=0)
    pre_seen = models.IntegerField(default=0)
    pre_clicks = models.IntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.person} in variant {self.variant_id}"


class ParticipantDay(models.Model):
    """What a person did on a day, and was shown, from their exposure on.

    Impressions count if they are of the experiment; everything else wherever it happened.
    """

    pk = models.CompositePrimaryKey("store_id", "experiment_id", "day", "person")
    store = models.ForeignKey(
        Store, on_delete=models.CASCADE, db_index=False, db_constraint=False, related_name="+"
    )
    experiment = models.ForeignKey(
        Experiment,
        on_delete=models.CASCADE,
        db_index=False,
        db_constraint=False,
        related_name="participant_days",
    )
    day = models.DateField()
    person = models.CharField(max_length=128)
    n_orders = models.IntegerField(default=0, help_text="An order that is reported again is none")
    revenue_minor = models.BigIntegerField(default=0)
    n_units = models.IntegerField(default=0)
    n_carts = models.IntegerField(default=0)
    n_views = models.IntegerField(default=0)
    n_impressions = models.IntegerField(default=0)
    n_seen = models.IntegerField(default=0, help_text="Impressions visible for a second")
    n_clicks = models.IntegerField(default=0)
    n_slots = models.IntegerField(default=0, help_text="Products shown in them")
    n_fallback_slots = models.IntegerField(default=0)
    n_empty = models.IntegerField(default=0)
    # Sums over impressions (diversity, serendipity, calibration) and over slots (novelty), each
    # with how many of them had a value.
    diversity_sum = models.FloatField(default=0.0)
    n_diversity = models.IntegerField(default=0)
    novelty_sum = models.FloatField(default=0.0)
    n_novelty = models.IntegerField(default=0)
    serendipity_sum = models.FloatField(default=0.0)
    n_serendipity = models.IntegerField(default=0)
    calibration_sum = models.FloatField(default=0.0)
    n_calibration = models.IntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.person} on {self.day}"


class VariantDay(models.Model):
    """What a variant was on a day that isn't a sum over shoppers: its response times."""

    store = models.ForeignKey(Store, on_delete=models.CASCADE, db_index=False, related_name="+")
    experiment = models.ForeignKey(
        Experiment, on_delete=models.CASCADE, db_index=False, related_name="variant_days"
    )
    day = models.DateField()
    variant_id = models.BigIntegerField()
    latency_counts = ArrayField(
        models.BigIntegerField(), help_text="Answers by the bins of `analytics.metrics.latency`"
    )

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("store", "experiment", "day", "variant_id"), name="variant_day_once"
            ),
        )

    def __str__(self) -> str:
        return f"variant {self.variant_id} on {self.day}"


class ExperimentWatermark(models.Model):
    """Up to which facts the participants and days of an experiment are true."""

    experiment = models.OneToOneField(
        Experiment, on_delete=models.CASCADE, primary_key=True, related_name="watermark"
    )
    store = models.ForeignKey(Store, on_delete=models.CASCADE, db_index=False, related_name="+")
    time_zone = models.CharField(max_length=64, help_text="Whose days they are")
    events_received_at = models.DateTimeField(null=True)
    impressions_delivered_at = models.DateTimeField(null=True)
    links_changed_at = models.DateTimeField(null=True)
    computed_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.experiment_id} up to {self.events_received_at}"


class ExperimentSnapshot(models.Model):
    """Results as they were judged at a moment (`analytics.results.document`).

    The latest is replaced at every look; the others stay as they are. A verdict that was found
    once is kept (`found`); Welch's test counts at one look, which is `planned_end`.
    """

    class Kind(models.TextChoices):
        LATEST = "latest", "Latest"
        FOUND = "found", "First verdict"
        PLANNED_END = "planned_end", "Planned end"
        DECISION = "decision", "Decision"
        DAY = "day", "End of a day"
        RANGE = "range", "Range of days"

    store = models.ForeignKey(Store, on_delete=models.CASCADE, db_index=False, related_name="+")
    experiment = models.ForeignKey(
        Experiment, on_delete=models.CASCADE, related_name="snapshots", db_index=False
    )
    kind = models.CharField(max_length=16, choices=Kind.choices)
    first_day = models.DateField(null=True, help_text="Of a range")
    last_day = models.DateField(null=True, help_text="Of a range or day")
    document = models.JSONField(null=True, help_text="Empty: waits for a worker")
    asked_at = models.DateTimeField()
    computed_at = models.DateTimeField(null=True)
    took_ms = models.IntegerField(null=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("store", "experiment", "kind", "first_day", "last_day"),
                name="experiment_snapshot_once",
                nulls_distinct=False,
            ),
        )

    def __str__(self) -> str:
        return f"{self.experiment_id} {self.kind}"
