"""A test on a placement: who sees which strategy version."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from catalog.models import Store
from recommender.models.placements import Placement
from recommender.models.strategies import StrategyVersion


class Experiment(models.Model):
    """An experiment on one placement. What shoppers see depends on `seed` and the weights alone."""

    class State(models.TextChoices):
        DRAFT = "draft", "Draft"
        RUNNING = "running", "Running"
        PAUSED = "paused", "Paused"
        STOPPED = "stopped", "Stopped"

    store = models.ForeignKey(Store, on_delete=models.CASCADE, related_name="experiments")
    key = models.SlugField(max_length=60)
    name = models.CharField(max_length=120)
    placement = models.ForeignKey(Placement, on_delete=models.PROTECT, related_name="experiments")
    seed = models.CharField(max_length=64, help_text="Hashed with the shopper's id")
    coverage = models.FloatField(default=1.0, help_text="Share of shoppers who take part, 0 to 1")
    state = models.CharField(max_length=12, choices=State.choices, default=State.DRAFT)
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    stopped_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("store", "key"), name="experiment_key_in_store"),
            models.UniqueConstraint(
                fields=("store", "placement"),
                condition=models.Q(state__in=("running", "paused")),
                name="experiment_one_on_a_placement",
            ),
            models.CheckConstraint(
                condition=models.Q(coverage__gte=0.0, coverage__lte=1.0),
                name="experiment_coverage_is_a_share",
            ),
        )

    def __str__(self) -> str:
        return self.name


class Variant(models.Model):
    """One arm. The first one, by position, is the control."""

    store = models.ForeignKey(Store, on_delete=models.CASCADE, related_name="+")
    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="variants")
    key = models.SlugField(max_length=24)
    name = models.CharField(max_length=120)
    position = models.PositiveSmallIntegerField()
    weight = models.FloatField(help_text="Relative; the shares are weights over their sum")
    strategy_version = models.ForeignKey(
        StrategyVersion, on_delete=models.PROTECT, related_name="variants"
    )

    class Meta:
        ordering = ("position",)
        constraints = (
            models.UniqueConstraint(
                fields=("store", "experiment", "key"), name="variant_key_in_experiment"
            ),
            models.CheckConstraint(
                condition=models.Q(weight__gte=0.0), name="variant_weight_not_negative"
            ),
        )

    def __str__(self) -> str:
        return f"{self.experiment}: {self.name}"


class Exposure(models.Model):
    """The first time that a shopper was in an experiment, and in which variant. Append-only."""

    pk = models.CompositePrimaryKey("store_id", "experiment_id", "shopper_external_id")
    store = models.ForeignKey(
        Store, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False
    )
    experiment_id = models.BigIntegerField()
    shopper_external_id = models.CharField(max_length=128)
    variant_id = models.BigIntegerField()
    exposed_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.shopper_external_id} in variant {self.variant_id}"
