"""What the hold-out says recommendations really brought."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Literal

import msgspec

from analytics.results.document import Results, results_read
from analytics.results.incremental import gain_of
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
    # The same that the page of the hold-out says.
    gain = gain_of(results, cuped=experiment.cuped)
    n_held, n_shoppers = [*(arm.n_shoppers for arm in results.arms), 0, 0][:2]
    looked = Incremental(
        "unknown",
        experiment,
        first_day=results.first_day,
        last_day=results.last_day,
        computed_at=results.computed_at,
        n_shoppers=n_shoppers,
        n_held=n_held,
        running=experiment.state != Experiment.State.STOPPED,
    )
    if isinstance(gain, str):
        return replace(looked, missing=gain)
    return replace(
        looked,
        state="known",
        revenue_minor=gain.total,
        low=gain.low,
        high=gain.high,
        is_adjusted=gain.is_adjusted,
    )
