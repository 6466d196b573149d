"""Rows for tests. Only what a test names matters; the rest is plain."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils import timezone

from catalog.models import Event, EventType, Product, Shopper, Store
from recommender.models import (
    Experiment,
    ExperimentPhase,
    ExperimentPlacement,
    Exposure,
    Impression,
    Placement,
    StrategyVersion,
    Variant,
    VariantStrategy,
)
from recommender.services.strategies import settings_touch

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def make_product(store: Store, external_id: str, **fields: Any) -> Product:
    """A product in stock for 2.50."""
    values = {
        "title": f"Product {external_id}",
        "price_minor": 250,
        "currency": store.currency,
        "category_path": "Things",
        "brand": "Maker",
        **fields,
    }
    return Product.objects.create(store=store, external_id=external_id, **values)


def make_shopper(store: Store, external_id: str) -> Shopper:
    return Shopper.objects.create(
        store=store, external_id=external_id, first_seen_at=NOON, last_seen_at=NOON
    )


def make_event(
    store: Store,
    shopper: Shopper,
    product: Product | None = None,
    *,
    type: int = EventType.VIEW_ITEM,
    at: datetime = NOON,
    **fields: Any,
) -> Event:
    """One line of one event."""
    return Event.objects.create(
        store=store,
        event_id=fields.pop("event_id", uuid.uuid4()),
        occurred_on=at.date(),
        occurred_at=at,
        type=type,
        shopper=shopper,
        product=product,
        **fields,
    )


def make_order(
    store: Store, shopper: Shopper, products: Sequence[Product], *, at: datetime = NOON
) -> str:
    """One purchase event with a line per product. Returns the order id."""
    order_id, event_id = uuid.uuid4().hex, uuid.uuid4()
    for line, product in enumerate(products):
        make_event(
            store,
            shopper,
            product,
            type=EventType.PURCHASE,
            at=at,
            event_id=event_id,
            line=line,
            order_id=order_id,
            price_minor=product.price_minor,
            value_minor=product.price_minor,
        )
    return order_id


def make_experiment(
    store: Store,
    placements: Sequence[Placement] = (),
    arms: Sequence[StrategyVersion | Mapping[Placement, StrategyVersion] | None] = (None, None),
    *,
    kind: str = Experiment.Kind.AB,
    state: str = Experiment.State.RUNNING,
    started_at: datetime = NOON,
    weights: Sequence[float] | None = None,
    control_shows_nothing: bool = False,
    **fields: Any,
) -> Experiment:
    """An experiment with its variants "a", "b", … and, once started, its phase.

    An arm is one version for all placements, one for each, or None: the placement's own. No
    placements are all of them.
    """
    is_draft = state == Experiment.State.DRAFT
    key = fields.pop("key", f"{kind}-{uuid.uuid4().hex[:8]}")
    values = {"name": f"Test {key}", "seed": f"seed of {key}", "hypothesis": "It helps", **fields}
    experiment = Experiment.objects.create(
        store=store,
        key=key,
        kind=kind,
        state=state,
        started_at=None if is_draft else started_at,
        **values,
    )
    ExperimentPlacement.objects.bulk_create(
        ExperimentPlacement(store=store, experiment=experiment, placement=placement)
        for placement in placements
    )
    weights = [1.0] * len(arms) if weights is None else list(weights)
    for position, (arm, weight) in enumerate(zip(arms, weights, strict=True)):
        letter = "abcdefgh"[position]
        variant = Variant.objects.create(
            store=store,
            experiment=experiment,
            key=letter,
            name=f"Variant {letter.upper()}",
            position=position,
            weight=weight,
            shows_nothing=control_shows_nothing and position == 0,
        )
        shown = arm if isinstance(arm, Mapping) else {} if arm is None else {None: arm}
        VariantStrategy.objects.bulk_create(
            VariantStrategy(
                store=store, variant=variant, placement=placement, strategy_version=version
            )
            for placement, version in shown.items()
        )
    if not is_draft:
        is_on = state == Experiment.State.RUNNING
        ExperimentPhase.objects.create(
            store=store,
            experiment=experiment,
            cause=ExperimentPhase.Cause.START,
            coverage=experiment.coverage,
            weights=weights,
            started_at=started_at,
            ended_at=None if is_on else experiment.stopped_at or timezone.now(),
        )
    settings_touch(store_id=store.pk)
    return experiment


def make_exposure(
    experiment: Experiment,
    shopper_external_id: str,
    variant: Variant,
    *,
    at: datetime = NOON,
    recommendation_id: uuid.UUID | None = None,
) -> Exposure:
    """A shopper's first time in an experiment."""
    return Exposure.objects.create(
        store_id=experiment.store_id,
        experiment_id=experiment.pk,
        shopper_external_id=shopper_external_id,
        variant_id=variant.pk,
        exposed_at=at,
        recommendation_id=recommendation_id,
    )


def make_impression(
    store: Store,
    placement: Placement,
    shopper_external_id: str | None,
    products: Sequence[Product] = (),
    *,
    at: datetime = NOON,
    variant: Variant | None = None,
    **fields: Any,
) -> Impression:
    """What was shown, as of a variant if there is one."""
    values = {
        "recommendation_id": uuid.uuid4(),
        "strategy_version_id": placement.strategy_version_id,
        "experiment_id": None if variant is None else variant.experiment_id,
        "variant_id": None if variant is None else variant.pk,
        "sources": ["trending"] * len(products),
        "propensities": [1.0] * len(products),
        "took_us": 1_000,
        **fields,
    }
    return Impression.objects.create(
        store=store,
        placement_id=placement.pk,
        shopper_external_id=shopper_external_id,
        product_ids=[product.pk for product in products],
        delivered_at=at,
        delivered_on=at.date(),
        **values,
    )


def days(count: float) -> timedelta:
    return timedelta(days=count)
