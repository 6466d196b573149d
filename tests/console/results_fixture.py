"""Results of an experiment as a worker would have written them, made by hand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

import msgspec

from analytics.metrics.definitions import DEFINITIONS
from analytics.models import ExperimentSnapshot
from analytics.results.document import (
    Arm,
    Cell,
    Check,
    Comparison,
    ExposureDay,
    FunnelArm,
    Guard,
    Health,
    MetricResult,
    Point,
    Power,
    PowerWeek,
    Results,
    Role,
    Scale,
    SegmentResult,
    Series,
    SplitPhase,
    VariantVerdict,
    results_json,
)
from analytics.stats.effects import SCALES
from catalog.models import Store
from recommender.models import (
    Experiment,
    ExperimentPhase,
    ExperimentPlacement,
    Placement,
    StrategyVersion,
    Variant,
    VariantStrategy,
)

FIRST = date(2026, 3, 2)
STARTED = datetime(2026, 3, 2, 8, tzinfo=UTC)
COMPUTED = datetime(2026, 3, 16, 8, 5, tzinfo=UTC)
N_DAYS = 14
NAMES = ("Control", "Session neighbours", "Trending")
N_SHOPPERS = (15_602, 15_634, 15_588)
# Value of the control, relative lift of the first variant, half its interval, role.
METRICS: dict[str, tuple[float, float, float, Role]] = {
    "conversion_rate": (0.0503, 0.0812, 0.0421, "goal"),
    "revenue_per_shopper": (412.6, 0.0641, 0.0702, "secondary"),
    "average_order_value": (6210.0, -0.0141, 0.0303, "secondary"),
    "add_to_cart_rate": (0.1211, 0.0533, 0.0272, "secondary"),
    "click_rate": (0.0312, 0.1321, 0.0355, "secondary"),
    "diversity": (0.412, 0.094, 0.012, "guardrail"),
    "coverage": (0.331, 0.352, 0.051, "guardrail"),
    "novelty": (9.81, 0.061, 0.009, "secondary"),
    "concentration": (0.871, -0.062, 0.014, "secondary"),
    "calibration": (0.612, -0.041, 0.052, "secondary"),
    "empty_rate": (0.0041, -0.212, 0.31, "secondary"),
    "fallback_rate": (0.0512, 0.142, 0.071, "secondary"),
    "latency": (3.4, 0.034, 0.021, "guardrail"),
}
_RAW = {
    "conversion_rate": 1.0, "add_to_cart_rate": 1.0, "revenue_per_shopper": 1.0, "click_rate": 4.2,
    "average_order_value": 0.066, "empty_rate": 9.0, "fallback_rate": 60.0,
}  # fmt: skip


def make_results(experiment: Experiment, **changes: Any) -> Results:
    """Two variants better than the control, the first clearly, after fourteen days."""
    variants = list(experiment.variants.order_by("position"))
    arms = tuple(
        Arm(
            variant_id=variant.pk,
            key=variant.key,
            name=variant.name,
            position=i,
            share=1 / len(variants),
            strategies=(f"Strategy {i}",),
            n_shoppers=N_SHOPPERS[i],
            n_orders=round(N_SHOPPERS[i] * 0.066),
            n_buyers=round(N_SHOPPERS[i] * 0.0503),
        )
        for i, variant in enumerate(variants)
    )
    results = Results(
        experiment_id=experiment.pk,
        key=experiment.key,
        computed_at=COMPUTED,
        facts_until=COMPUTED - timedelta(seconds=40),
        first_day=FIRST,
        last_day=FIRST + timedelta(days=N_DAYS - 1),
        days=float(N_DAYS),
        moment="running",
        status="running",
        headline=f"{arms[1].name} lifts conversion rate by 8.1 % (95 % interval +3.9 % to +12.3 %)."
        " Guardrails are fine. Wait: 3 days are left.",
        currency="USD",
        primary="conversion_rate",
        arms=arms,
        metrics=tuple(_metric(key, arms) for key in METRICS),
        verdicts=tuple(_verdict(arm) for arm in arms[1:]),
        health=_health(arms),
        exposures=tuple(
            ExposureDay(
                day=FIRST + timedelta(days=i),
                counts=tuple((n * (3 if i % 7 > 4 else 2)) // 32 for n in N_SHOPPERS[: len(arms)]),
            )
            for i in range(N_DAYS)
        ),
        series=tuple(
            _series(key, arm)
            for key in ("conversion_rate", "revenue_per_shopper", "diversity")
            for arm in arms[1:]
        ),
        funnel=tuple(
            FunnelArm(
                variant_id=arm.variant_id,
                exposed=arm.n_shoppers,
                delivered=round(arm.n_shoppers * 0.99),
                seen=round(arm.n_shoppers * 0.71),
                clicked=round(arm.n_shoppers * (0.16 + 0.02 * arm.position)),
                carted=round(arm.n_shoppers * (0.121 + 0.006 * arm.position)),
                bought=round(arm.n_shoppers * (0.0503 + 0.004 * arm.position)),
                n_impressions=arm.n_shoppers * 7,
                n_seen=arm.n_shoppers * 4,
                n_clicks=arm.n_shoppers // 5,
            )
            for arm in arms
        ),
        segments=tuple(_segments(arms)),
        power=Power(
            planned_shoppers=56_000,
            n_shoppers=sum(arm.n_shoppers for arm in arms),
            planned_days=17,
            days=float(N_DAYS),
            days_left=3,
            smallest_lift_planned=0.05,
            smallest_lift_now=0.061,
            shoppers_per_day=3344.0,
            progress=0.836,
            weeks=(
                PowerWeek(week=1, n_shoppers=23_400, power=0.44, smallest_lift=0.083),
                PowerWeek(week=2, n_shoppers=46_800, power=0.73, smallest_lift=0.061),
                PowerWeek(week=3, n_shoppers=70_200, power=0.88, smallest_lift=0.049),
            ),
        ),
        left_out="41 shoppers who saw both variants and 318 machines are left out.",
    )
    return msgspec.structs.replace(results, **changes)


def _metric(key: str, arms: Sequence[Arm]) -> MetricResult:
    value, lift, half, role = METRICS[key]
    cells, comparisons = [], []
    for arm in arms:
        factor = (1.0, 1 + lift, 1 + lift / 3)[arm.position]
        denominator = float(arm.n_shoppers) * _RAW.get(key, 4.0)
        if key == "coverage":
            denominator = 2400.0
        if key == "serendipity":
            continue
        cells.append(
            Cell(
                variant_id=arm.variant_id,
                numerator=float(round(value * factor * denominator)),
                denominator=float(round(denominator)),
                value=value * factor,
                low=value * factor * (1 - half / 1.5),
                high=value * factor * (1 + half / 1.5),
                uncapped=value * factor * 1.01 if key == "revenue_per_shopper" else None,
            )
        )
    cuped = (False, True) if DEFINITIONS[key].cuped else (False,)
    n_shoppers = sum(arm.n_shoppers for arm in arms)
    for arm in arms:
        for baseline in arms:
            if arm is baseline:
                continue
            away = (0.0, lift, lift / 3)[arm.position] - (0.0, lift, lift / 3)[baseline.position]
            comparisons += [
                _comparison(arm, baseline, away, half, value, scale, with_cuped, n_shoppers)
                for with_cuped in cuped
                for scale in SCALES
            ]
    return MetricResult(key=key, role=role, cells=tuple(cells), comparisons=tuple(comparisons))


def _comparison(
    arm: Arm,
    baseline: Arm,
    lift: float,
    half: float,
    value: float,
    scale: Scale,
    cuped: bool,
    n_shoppers: int,
) -> Comparison:
    factor = 1.0 if scale == "relative" else value
    # CUPED moves the estimate a little, so that a test can tell the two apart.
    lift, half = (lift, half) if cuped else (lift * 1.02, half * 1.2)
    return Comparison(
        variant_id=arm.variant_id,
        baseline_id=baseline.variant_id,
        scale=scale,
        cuped=cuped,
        estimate=lift * factor,
        low=(lift - half) * factor,
        high=(lift + half) * factor,
        sequence_low=(lift - 1.6 * half) * factor,
        sequence_high=(lift + 1.6 * half) * factor,
        p_value=0.0121,
        p_adjusted=0.0242,
        sequence_p=0.0731,
        chance_to_win=0.973 if lift > 0 else 0.12,
        loss_if_shipped=0.0008 * factor,
        loss_if_kept=0.08 * factor,
        variance_reduction=0.31 if cuped else None,
        per_day=None if scale == "relative" else lift * value * n_shoppers / N_DAYS,
    )


def _verdict(arm: Arm) -> VariantVerdict:
    return VariantVerdict(
        variant_id=arm.variant_id,
        state="running",
        advice="wait",
        sentence=f"{arm.name} may lift conversion rate, but nothing is decided before the end.",
        low=0.0138,
        high=0.1486,
        p_any_look=0.0731,
        guards=(
            _guard("diversity", arm, 0.05, "safe"),
            _guard("coverage", arm, 0.05, "safe"),
            _guard("latency", arm, 0.2, "unclear"),
        ),
    )


def _guard(
    metric: str, arm: Arm, margin: float, state: Literal["safe", "unclear", "harmed"]
) -> Guard:
    return Guard(
        metric=metric, variant_id=arm.variant_id, margin=margin, state=state, low=0.0, high=0.1
    )


def _health(arms: Sequence[Arm]) -> Health:
    fine = (
        ("split", "Split", "15,602 to 15,634, as planned (p = 0.86)."),
        ("bias", "Bias before the start", "The arms bought alike in the 14 days before."),
        (
            "duplicates",
            "Repeated orders",
            "2 of 2,061 orders were reported twice and counted once.",
        ),
        ("lost", "Lost impressions", "0.2 % of the exposures have no impression in the log."),
        ("silent", "Silent shoppers", "1.1 % of the exposed sent no event."),
        ("bots", "Machines", "1.0 % of the visitors are machines; they are left out."),
        ("minimum", "Minimum", "7 days and 100 shoppers per arm are reached."),
    )
    return Health(
        alarm="amber",
        checks=(
            *(Check(key=k, alarm="none", title=t, words=w) for k, t, w in fine),
            Check(
                key="crossover",
                alarm="amber",
                title="Crossovers",
                words="1.3 % of the shoppers saw both variants; they are left out.",
                value=0.013,
            ),
            Check(
                key="novelty",
                alarm="unknown",
                title="Novelty",
                words="Too early: it takes two weeks to compare the first with the later ones.",
            ),
        ),
        split_p=0.86,
        phases=(
            SplitPhase(
                started_at=STARTED,
                ended_at=None,
                observed=tuple(arm.n_shoppers for arm in arms),
                expected=tuple(sum(a.n_shoppers for a in arms) / len(arms) for _ in arms),
            ),
        ),
    )


def _series(key: str, arm: Arm) -> Series:
    _, lift, half, _ = METRICS[key]
    lift /= (1, 1, 3)[arm.position]

    def point(at: int, estimate: float, width: float, *, day: date | None) -> Point:
        return Point(
            at=at,
            day=day,
            estimate=estimate,
            low=estimate - width,
            high=estimate + width,
            sequence_low=estimate - 1.6 * width if day else None,
            sequence_high=estimate + 1.6 * width if day else None,
            n_shoppers=1100 * (at + 1),
        )

    return Series(
        metric=key,
        variant_id=arm.variant_id,
        cumulative=tuple(
            point(
                i,
                lift * (1 + (-1) ** i * 0.6 / (i + 1)),
                half * (N_DAYS / (i + 1)) ** 0.5,
                day=FIRST + timedelta(days=i),
            )
            for i in range(N_DAYS)
        ),
        by_age=tuple(
            point(i, lift * (1.1 - 0.01 * i), half * (1 + i / 10), day=None) for i in range(10)
        ),
    )


def _segments(arms: Sequence[Arm]) -> list[SegmentResult]:
    named = (
        ("device", "desktop", 0.061), ("device", "mobile", 0.094),
        ("visitor", "new", 0.11), ("visitor", "returning", 0.031),
        ("placement", "product-similar", 0.072),
    )  # fmt: skip
    found = [
        SegmentResult(
            dimension=dimension,  # type: ignore[arg-type]
            segment=segment,
            variant_id=arm.variant_id,
            n_control=6021,
            n_variant=6094,
            control=0.048,
            value=0.048 * (1 + lift),
            estimate=lift,
            low=lift - 0.07,
            high=lift + 0.07,
            p_adjusted=0.21,
        )
        for arm in arms[1:]
        for dimension, segment, lift in named
    ]
    found.append(
        SegmentResult(
            dimension="device",
            segment="tablet",
            variant_id=arms[1].variant_id,
            n_control=61,
            n_variant=58,
            control=None,
            value=None,
            missing="58 of 100 shoppers in the smaller arm",
        )
    )
    return found


def make_experiment(
    store: Store, *, key: str = "neighbours", n_arms: int = 2, **changes: Any
) -> Experiment:
    """A running test on the first placement of the store."""
    version = StrategyVersion.objects.filter(strategy__store=store).order_by("pk")[0]
    fields: dict[str, Any] = {
        "name": "Neighbours on product pages",
        "hypothesis": "Shoppers who see what others clicked next find what they want.",
        "seed": f"{store.slug}-{key}",
        "state": Experiment.State.RUNNING,
        "started_at": STARTED,
        "smallest_lift": 0.05,
        "planned_days": 17,
        "planned_shoppers": 56_000,
        "guardrails": [{"metric": "diversity", "margin": 0.05}],
        **changes,
    }
    experiment = Experiment.objects.create(store=store, key=key, **fields)
    ExperimentPlacement.objects.create(
        store=store,
        experiment=experiment,
        placement=Placement.objects.filter(store=store).order_by("pk")[0],
    )
    for i, name in enumerate(NAMES[:n_arms]):
        variant = Variant.objects.create(
            store=store,
            experiment=experiment,
            key="abc"[i],
            name=name,
            position=i,
            weight=1.0,
        )
        if i:
            VariantStrategy.objects.create(store=store, variant=variant, strategy_version=version)
    if experiment.started_at is not None:
        ExperimentPhase.objects.create(
            store=store,
            experiment=experiment,
            cause=ExperimentPhase.Cause.START,
            coverage=1.0,
            weights=[1.0] * n_arms,
            started_at=experiment.started_at,
        )
    return experiment


def keep(
    experiment: Experiment, results: Results | None, *, kind: str = "latest", **fields: Any
) -> ExperimentSnapshot:
    """A snapshot with these results; None waits for a worker."""
    return ExperimentSnapshot.objects.create(
        store=experiment.store,
        experiment=experiment,
        kind=kind,
        document=None if results is None else results_json(results),
        asked_at=COMPUTED,
        computed_at=None if results is None else results.computed_at,
        **fields,
    )
