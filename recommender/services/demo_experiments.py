"""The experiments that the demo's replayed visitors take part in.

A test of two strategies in the cart, and a hold-out. Both began when the time that is replayed
begins. A real store's experiments begin when a member starts them, and never before.
"""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from catalog.models import Store
from recommender.models import Experiment, Metric, Placement, Strategy, StrategyVersion
from recommender.services.experiments import (
    ArmDraft,
    ExperimentDraft,
    experiment_create,
    experiment_start,
    holdout_start,
)
from recommender.services.strategies import store_lock
from recommender.services.strategy_editing import strategy_create

PLACEMENT = "cart-cross-sell"
NAME = "Cart: what everybody buys"
HOLDOUT_SHARE = 0.1
PLANNED_DAYS = 28
BESTSELLERS = "Bestsellers everywhere"
BESTSELLERS_DOCUMENT = {
    "sources": [{"source": "bestsellers", "weight": 1}],
    "diversity": 0.2,
    "max_per_category": 2,
    "fallback": ["trending"],
}


class NoDemoPlacement(Exception):
    """The store's placement that the demo is about is gone; the text is its slug."""


def demo_experiments_start(*, store: Store, started_at: datetime, n_shoppers: int) -> bool:
    """Start the test and the hold-out as of a moment in the past; False if they are there.

    Whatever a member made of them since stays: nothing is started twice.

    Parameters
    ----------
    n_shoppers
        How many will be exposed, as a planner would expect it.
    """
    if not store.is_demo:
        raise ValueError(f"{store.slug!r} is no demo store")
    with transaction.atomic():
        store_lock(store.pk)
        if Experiment.objects.filter(store=store).exists():
            return False
        placement = Placement.objects.filter(store=store, slug=PLACEMENT).first()
        if placement is None:
            raise NoDemoPlacement(PLACEMENT)
        bestsellers = _bestsellers(store)
        # They see what a shop without recommendations shows: nobody's page is empty in a demo.
        holdout_start(
            store=store, share=HOLDOUT_SHARE, baseline=bestsellers, actor=None, now=started_at
        )
        experiment = experiment_create(
            store=store, draft=_draft(placement, bestsellers), actor=None
        )
        experiment_start(
            experiment=experiment,
            actor=None,
            now=started_at,
            plan={"replayed": True},
            planned_shoppers=n_shoppers,
        )
    return True


def _bestsellers(store: Store) -> StrategyVersion:
    strategy = Strategy.objects.filter(store=store, name=BESTSELLERS).first()
    if strategy is None:
        strategy = strategy_create(
            store=store,
            name=BESTSELLERS,
            description="What sells best in the whole shop, the same for everybody.",
            document=BESTSELLERS_DOCUMENT,
            note="For the demo's experiment",
            actor=None,
        )
    return strategy.versions.latest("number")


def _draft(placement: Placement, bestsellers: StrategyVersion) -> ExperimentDraft:
    return ExperimentDraft(
        name=NAME,
        kind=Experiment.Kind.AB,
        hypothesis=(
            "What everybody buys is clicked more often in the cart than what goes with it."
            " Measured by clicks: the traffic is replayed, so a strategy can't change what was bought."
        ),
        placement_ids=(placement.pk,),
        arms=(
            ArmDraft(key="a", name="Goes with the cart"),
            ArmDraft(key="b", name="Bestsellers", strategies={placement.pk: bestsellers.pk}),
        ),
        primary_metric=Metric.CLICK_RATE,
        guardrails=((Metric.DIVERSITY, 0.1), (Metric.COVERAGE, 0.5)),
        smallest_lift=0.1,
        planned_days=PLANNED_DAYS,
    )
