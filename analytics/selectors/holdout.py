"""What the hold-out says recommendations really brought."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

import msgspec

from analytics.results.document import Comparison, Results, results_read
from analytics.selectors.snapshots import snapshot_latest
from catalog.models import Store
from recommender.models import Experiment


@dataclass(frozen=True, slots=True)
class Incremental:
    """Revenue that wouldn't be there without recommendations, from the hold-out's own days.

    Attributes
    ----------
    state
        "none": the store has no hold-out. "waiting": it has one, not looked at yet. "unknown": too
        little to tell, see `missing`. "known": the rest is there.
    revenue_minor, low, high
        Over all shoppers with recommendations, with the 95 % interval.
    n_shoppers, n_held
        With recommendations, and without.
    """

    state: Literal["none", "waiting", "unknown", "known"]
    experiment: Experiment | None = None
    missing: str = ""
    first_day: date | None = None
    last_day: date | None = None
    computed_at: datetime | None = None
    revenue_minor: float = 0.0
    low: float | None = None
    high: float | None = None
    n_shoppers: int = 0
    n_held: int = 0
    is_adjusted: bool = False
    running: bool = False

    @property
    def unsure(self) -> bool:
        """Nothing, or a loss, lies within the interval."""
        return self.low is not None and self.high is not None and self.low <= 0 <= self.high


def incremental_revenue(*, store: Store) -> Incremental:
    """From the latest look at the running hold-out, else at the last one. Two queries."""
    experiment = _holdout(store)
    if experiment is None:
        return Incremental("none")
    snapshot = snapshot_latest(experiment=experiment)
    if snapshot is None:
        return Incremental("waiting", experiment)
    try:
        results = results_read(snapshot.document)
    except msgspec.ValidationError:
        # Of another release: the next look writes it anew.
        return Incremental("waiting", experiment)
    return _of(experiment, results)


def _holdout(store: Store) -> Experiment | None:
    """The one that runs or is paused, else the one that was stopped last."""
    started = Experiment.objects.filter(
        store=store, kind=Experiment.Kind.HOLDOUT, started_at__isnull=False
    )
    running = started.exclude(state=Experiment.State.STOPPED).order_by("-started_at").first()
    return running or started.order_by("-stopped_at").first()


def _of(experiment: Experiment, results: Results) -> Incremental:
    held, shown = results.arms[:2] if len(results.arms) >= 2 else (None, None)
    metric = next((each for each in results.metrics if each.key == "revenue_per_shopper"), None)
    if held is None or shown is None or metric is None:
        return Incremental("unknown", experiment, "the hold-out has no revenue to compare yet")
    found = [
        each
        for each in metric.comparisons
        if each.scale == "absolute"
        and each.baseline_id == held.variant_id
        and each.variant_id == shown.variant_id
    ]
    # What was known of the shoppers before narrows the interval.
    best: Comparison | None = next(
        (
            each
            for each in sorted(found, key=lambda each: not each.cuped)
            if each.estimate is not None
        ),
        None,
    )
    running = experiment.state != Experiment.State.STOPPED
    if best is None or best.estimate is None:
        missing = next((each.missing for each in found if each.missing), None)
        return Incremental(
            "unknown",
            experiment,
            missing or "there is too little to compare yet",
            results.first_day,
            results.last_day,
            results.computed_at,
            n_shoppers=shown.n_shoppers,
            n_held=held.n_shoppers,
            running=running,
        )
    n = shown.n_shoppers
    return Incremental(
        "known",
        experiment,
        "",
        results.first_day,
        results.last_day,
        results.computed_at,
        revenue_minor=best.estimate * n,
        low=None if best.low is None else best.low * n,
        high=None if best.high is None else best.high * n,
        n_shoppers=n,
        n_held=held.n_shoppers,
        is_adjusted=best.cuped,
        running=running,
    )
