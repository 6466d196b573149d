"""Tests on placements: who sees which strategy version."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone

from catalog.models import Store
from recommender.models.placements import Placement
from recommender.models.rules import Segment
from recommender.models.strategies import StrategyVersion


class Metric(models.TextChoices):
    """What an experiment can be about; what each means stands in `analytics.metrics.definitions`."""

    CONVERSION = "conversion_rate", "Conversion rate"
    REVENUE = "revenue_per_shopper", "Revenue per shopper"
    ORDER_VALUE = "average_order_value", "Average order value"
    ADD_TO_CART = "add_to_cart_rate", "Add-to-cart rate"
    CLICK_RATE = "click_rate", "Click rate"
    DIVERSITY = "diversity", "Diversity of a list"
    COVERAGE = "coverage", "Catalog coverage"
    NOVELTY = "novelty", "Novelty"
    CONCENTRATION = "concentration", "Concentration (Gini)"
    SERENDIPITY = "serendipity", "Serendipity"
    CALIBRATION = "calibration", "Calibration"
    EMPTY_RATE = "empty_rate", "Empty answers"
    FALLBACK_RATE = "fallback_rate", "Places filled by fallback"
    LATENCY = "latency", "Latency (p95)"


# What a test may be decided by. Everything else guards, or is looked at.
GOALS = (
    Metric.CONVERSION,
    Metric.REVENUE,
    Metric.ORDER_VALUE,
    Metric.ADD_TO_CART,
    Metric.CLICK_RATE,
)


class ExclusionGroup(models.Model):
    """Experiments that never share a shopper: each takes a range of the group's buckets."""

    store = models.ForeignKey(Store, on_delete=models.CASCADE, related_name="exclusion_groups")
    name = models.CharField(max_length=80)
    seed = models.CharField(max_length=64, help_text="Hashed with the shopper's id")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("store", "name"), name="exclusion_group_in_store"),
        )

    def __str__(self) -> str:
        return self.name


class Experiment(models.Model):
    """A test. What a shopper sees depends on `seed`, the weights and the group's range alone.

    From the start on hypothesis, metrics, guardrails, plan and variants are locked. Only coverage
    and weights may change, each time as a new `ExperimentPhase`. What its segment says is locked
    until it is stopped.
    """

    class State(models.TextChoices):
        DRAFT = "draft", "Draft"
        RUNNING = "running", "Running"
        PAUSED = "paused", "Paused"
        STOPPED = "stopped", "Stopped"

    # These hold their placements, their segment and their range of the group.
    LIVE = (State.RUNNING, State.PAUSED)

    class Kind(models.TextChoices):
        AB = "ab", "A/B test"
        AA = "aa", "A/A test"
        BANDIT = "bandit", "Bandit"
        INTERLEAVING = "interleaving", "Interleaving"
        HOLDOUT = "holdout", "Hold-out"

    class Decision(models.TextChoices):
        SHIP = "ship", "Shipped"
        KEEP = "keep", "Kept the control"
        INCONCLUSIVE = "inconclusive", "Inconclusive"

    store = models.ForeignKey(Store, on_delete=models.CASCADE, related_name="experiments")
    key = models.SlugField(max_length=60)
    name = models.CharField(max_length=120)
    kind = models.CharField(max_length=16, choices=Kind.choices, default=Kind.AB)
    hypothesis = models.TextField(blank=True, default="")
    placements = models.ManyToManyField(
        Placement,
        through="ExperimentPlacement",
        related_name="experiments",
        help_text="None of them: all, those to come included (a hold-out)",
    )
    seed = models.CharField(max_length=64, help_text="Hashed with the shopper's id")
    coverage = models.FloatField(default=1.0, help_text="Share of shoppers who take part, 0 to 1")
    segment = models.ForeignKey(
        Segment, on_delete=models.PROTECT, null=True, blank=True, related_name="experiments"
    )
    group = models.ForeignKey(
        ExclusionGroup, on_delete=models.PROTECT, null=True, blank=True, related_name="experiments"
    )
    group_start = models.FloatField(null=True, help_text="Its range of the group's buckets")
    group_end = models.FloatField(null=True)
    primary_metric = models.CharField(
        max_length=24, choices=Metric.choices, default=Metric.CONVERSION
    )
    guardrails = models.JSONField(
        default=list, help_text='[{"metric", "margin"}]: a relative harm below it is accepted'
    )
    smallest_lift = models.FloatField(default=0.05, help_text="Worth finding, relative")
    planned_days = models.PositiveSmallIntegerField(default=14)
    planned_shoppers = models.BigIntegerField(
        null=True, help_text="N* of the sequence: exposed in all arms at the planned end"
    )
    plan = models.JSONField(
        default=dict, help_text="What the planner knew at the start: baseline, traffic, power"
    )
    cuped = models.BooleanField(default=True, help_text="Adjust by the 14 days before exposure")
    state = models.CharField(max_length=12, choices=State.choices, default=State.DRAFT)
    created_at = models.DateTimeField(default=timezone.now)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    started_at = models.DateTimeField(null=True, blank=True)
    stopped_at = models.DateTimeField(null=True, blank=True)
    decision = models.CharField(max_length=16, choices=Decision.choices, null=True, blank=True)
    decided_variant = models.ForeignKey(
        "Variant", on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    decision_reason = models.TextField(blank=True, default="")
    decided_at = models.DateTimeField(null=True, blank=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("store", "key"), name="experiment_key_in_store"),
            models.UniqueConstraint(
                fields=("store",),
                condition=models.Q(kind="holdout", state__in=("running", "paused")),
                name="experiment_one_holdout",
            ),
            models.CheckConstraint(
                condition=models.Q(coverage__gte=0.0, coverage__lte=1.0),
                name="experiment_coverage_is_a_share",
            ),
        )

    def __str__(self) -> str:
        return self.name


class ExperimentPlacement(models.Model):
    """A placement that an experiment is on."""

    store = models.ForeignKey(Store, on_delete=models.CASCADE, related_name="+")
    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="on")
    placement = models.ForeignKey(Placement, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("store", "experiment", "placement"), name="experiment_placement_once"
            ),
        )

    def __str__(self) -> str:
        return f"{self.experiment} on {self.placement}"


class Variant(models.Model):
    """One arm. The first one, by position, is the control."""

    store = models.ForeignKey(Store, on_delete=models.CASCADE, related_name="+")
    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="variants")
    key = models.SlugField(max_length=24)
    name = models.CharField(max_length=120)
    position = models.PositiveSmallIntegerField()
    weight = models.FloatField(help_text="Relative; the shares are weights over their sum")
    shows_nothing = models.BooleanField(default=False, help_text="A hold-out without a baseline")

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


class VariantStrategy(models.Model):
    """What a variant shows on a placement; without a row the placement's own strategy."""

    store = models.ForeignKey(Store, on_delete=models.CASCADE, related_name="+")
    variant = models.ForeignKey(Variant, on_delete=models.CASCADE, related_name="strategies")
    placement = models.ForeignKey(
        Placement, on_delete=models.PROTECT, null=True, related_name="+", help_text="Empty: all"
    )
    strategy_version = models.ForeignKey(
        StrategyVersion, on_delete=models.PROTECT, related_name="variants"
    )

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("store", "variant", "placement"),
                name="variant_strategy_on_placement",
                nulls_distinct=False,
            ),
        )

    def __str__(self) -> str:
        return f"{self.variant} shows {self.strategy_version}"


class ExperimentPhase(models.Model):
    """A time in which coverage and weights of a running experiment were the same.

    What split to expect is asked phase by phase. A pause is the gap between two phases.
    """

    class Cause(models.TextChoices):
        START = "start", "Started"
        RESUME = "resume", "Taken up again"
        RAMP = "ramp", "Coverage or weights changed"
        BANDIT = "bandit", "Weights learned"

    store = models.ForeignKey(Store, on_delete=models.CASCADE, related_name="+")
    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="phases")
    cause = models.CharField(max_length=8, choices=Cause.choices)
    coverage = models.FloatField()
    weights = ArrayField(models.FloatField(), help_text="By the position of the variants")
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("started_at", "pk")
        constraints = (
            models.UniqueConstraint(
                fields=("store", "experiment"),
                condition=models.Q(ended_at=None),
                name="experiment_phase_one_open",
            ),
        )

    def __str__(self) -> str:
        return f"{self.experiment} from {self.started_at}"


class Exposure(models.Model):
    """The first time that a shopper was in an experiment, and in which variant. Append-only.

    What was shown then stands in the impression of `recommendation_id`.
    """

    pk = models.CompositePrimaryKey("store_id", "experiment_id", "shopper_external_id")
    store = models.ForeignKey(
        Store, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False
    )
    experiment_id = models.BigIntegerField()
    shopper_external_id = models.CharField(max_length=128)
    variant_id = models.BigIntegerField()
    exposed_at = models.DateTimeField()
    bucket = models.FloatField(null=True, help_text="Where the hash put them, 0 ≤ n < 1")
    recommendation_id = models.UUIDField(null=True)

    def __str__(self) -> str:
        return f"{self.shopper_external_id} in variant {self.variant_id}"
