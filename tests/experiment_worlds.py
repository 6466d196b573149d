"""A small random shop in a test, whose facts become visible in any order."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Model

from analytics.models import Participant, ParticipantDay, VariantDay
from catalog.models import Event, EventType, Product, Shopper, ShopperLink, Store
from recommender.models import Experiment, Placement, Variant
from tests.factories import (
    make_event,
    make_experiment,
    make_exposure,
    make_impression,
    make_product,
)

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
Row = dict[str, Any]


@dataclass
class ShopOfTests:
    """A store with an experiment of two variants on one placement, running since `START`."""

    store: Store
    placement: Placement
    experiment: Experiment
    products: list[Product]
    variants: list[Variant] = field(default_factory=list)

    @property
    def control(self) -> Variant:
        return self.variants[0]

    @property
    def other(self) -> Variant:
        return self.variants[1]

    def shopper(self, name: str, *, first_seen_at: datetime = START) -> Shopper:
        """Made once."""
        return Shopper.objects.get_or_create(
            store=self.store,
            external_id=name,
            defaults={"first_seen_at": first_seen_at, "last_seen_at": START},
        )[0]

    def expose(
        self,
        name: str,
        variant: Variant | None = None,
        *,
        at: datetime = START,
        shown: Sequence[Product] = (),
        **fields: Any,
    ) -> uuid.UUID:
        """A first answer, logged; the id of the recommendation."""
        variant = variant or self.control
        impression = make_impression(
            self.store, self.placement, name, shown, at=at, variant=variant, **fields
        )
        make_exposure(
            self.experiment, name, variant, at=at, recommendation_id=impression.recommendation_id
        )
        return impression.recommendation_id

    def show(
        self,
        name: str,
        variant: Variant | None = None,
        *,
        at: datetime,
        shown: Sequence[Product] = (),
        **fields: Any,
    ) -> uuid.UUID:
        """One more answer."""
        return make_impression(
            self.store,
            self.placement,
            name,
            shown,
            at=at,
            variant=variant or self.control,
            **fields,
        ).recommendation_id

    def event(
        self,
        name: str,
        type: int = EventType.VIEW_ITEM,
        *,
        at: datetime,
        product: Product | None = None,
        **fields: Any,
    ) -> Event:
        return make_event(
            self.store,
            self.shopper(name, first_seen_at=at),
            product or self.products[0],
            type=type,
            at=at,
            **fields,
        )

    def order(
        self,
        name: str,
        *,
        at: datetime,
        order_id: str | None = None,
        value_minor: int | None = 1000,
        **fields: Any,
    ) -> Event:
        return self.event(
            name,
            EventType.PURCHASE,
            at=at,
            order_id=order_id or uuid.uuid4().hex,
            value_minor=value_minor,
            **fields,
        )

    def link(self, guest: str, customer: str, *, at: datetime = START) -> ShopperLink:
        return ShopperLink.objects.create(
            store=self.store,
            shopper=self.shopper(guest),
            customer=self.shopper(customer),
            linked_at=at,
            linked_by=ShopperLink.LinkedBy.API,
        )

    def participant(self, person: str) -> Participant:
        return Participant.objects.get(store=self.store, experiment=self.experiment, person=person)

    def days_of(self, person: str) -> list[ParticipantDay]:
        return list(
            ParticipantDay.objects.filter(
                store=self.store, experiment=self.experiment, person=person
            ).order_by("day")
        )

    def rows(self) -> dict[str, list[Row]]:
        """Everything that was counted, in an order of its own."""
        return {
            model.__name__: sorted(
                model.objects.filter(store=self.store, experiment=self.experiment)
                .order_by()
                .values(*_columns(model)),
                key=repr,
            )
            for model in (Participant, ParticipantDay, VariantDay)
        }


def _columns(model: type[Model]) -> list[str]:
    return [
        each.attname for each in model._meta.concrete_fields if each.attname not in ("id", "pk")
    ]


def make_shop(store: Store, *, kind: str = Experiment.Kind.AB, **fields: Any) -> ShopOfTests:
    placement = Placement.objects.filter(store=store).order_by("pk")[0]
    placements = [] if kind == Experiment.Kind.HOLDOUT else [placement]
    experiment = make_experiment(store, placements, kind=kind, started_at=START, **fields)
    categories = ("Food > Bread", "Food > Milk", "Tools > Saws", "Tools > Nails")
    products = [
        make_product(store, f"p{i}-{uuid.uuid4().hex[:6]}", category_path=categories[i % 4])
        for i in range(6)
    ]
    return ShopOfTests(store, placement, experiment, products, list(experiment.variants.all()))


Fact = Callable[[datetime], None]


def random_facts(shop: ShopOfTests, rng: random.Random, n: int) -> list[Fact]:
    """Things that happen, in the order in which they become known: that time is their argument.

    Events, links and their end come in any order, weeks late. Answers are written down within the
    hour.
    """
    names = [f"s{i}" for i in range(7)]
    assigned = {name: rng.choice(shop.variants) for name in names}
    shown: list[tuple[str, uuid.UUID]] = [(name, uuid.uuid4()) for name in names]
    facts: list[Fact] = []
    answers: list[tuple[datetime, Fact]] = []

    def answered(at: datetime, fact: Fact) -> None:
        answers.append((at + timedelta(minutes=rng.randrange(55)), fact))

    def moment(low_days: float = -20, high_days: float = 5) -> datetime:
        return START + timedelta(
            seconds=rng.randrange(int(low_days * 86400), int(high_days * 86400))
        )

    for name in names[:6]:
        at = moment(0, 3)
        answered(at, _exposing(shop, rng, name, assigned[name], at))
    for _ in range(n):
        name, at, product = rng.choice(names), moment(), rng.choice(shop.products)
        what = rng.random()
        if what < 0.2:
            identity = uuid.uuid4()
            shown.append((name, identity))
            variant = assigned[name] if rng.random() < 0.9 else rng.choice(shop.variants)
            at = moment(0, 5)
            answered(at, _showing(shop, rng, name, variant, at, identity))
        elif what < 0.35:
            facts.append(
                _happening(
                    shop,
                    name,
                    at,
                    product,
                    EventType.PURCHASE,
                    order_id=f"o{rng.randrange(6)}",
                    value_minor=rng.randrange(100, 900),
                )
            )
        elif what < 0.55:
            kind = rng.choice([EventType.RECOMMENDATION_VIEW, EventType.RECOMMENDATION_CLICK])
            who, identity = rng.choice(shown)
            facts.append(
                _happening(shop, who, moment(0, 5), product, kind, recommendation_id=identity)
            )
        elif what < 0.6:
            guest, customer = rng.sample(names, 2)
            facts.append(_linking(shop, guest, customer))
        elif what < 0.64:
            facts.append(_unlinking(shop))
        else:
            kind = rng.choice([EventType.VIEW_ITEM, EventType.ADD_TO_CART, EventType.SEARCH])
            facts.append(_happening(shop, name, at, product, kind, is_bot=rng.random() < 0.03))
    rng.shuffle(facts)
    answers.sort(key=lambda answer: answer[0])
    places = set(rng.sample(range(len(facts) + len(answers)), len(answers)))
    in_order, others = iter(answers), iter(facts)
    return [
        next(in_order)[1] if place in places else next(others)
        for place in range(len(facts) + len(answers))
    ]


def _exposing(
    shop: ShopOfTests, rng: random.Random, name: str, variant: Variant, at: datetime
) -> Fact:
    shown, device = rng.sample(shop.products, 3), rng.choice(["mobile", "desktop", None])
    return lambda known_at: _ignore(shop.expose(name, variant, at=at, shown=shown, device=device))


def _showing(
    shop: ShopOfTests,
    rng: random.Random,
    name: str,
    variant: Variant,
    at: datetime,
    recommendation_id: uuid.UUID,
) -> Fact:
    shown = rng.sample(shop.products, rng.randrange(5))
    return lambda known_at: _ignore(
        shop.show(name, variant, at=at, shown=shown, recommendation_id=recommendation_id)
    )


def _happening(
    shop: ShopOfTests, name: str, at: datetime, product: Product, type: int, **fields: Any
) -> Fact:
    def happen(known_at: datetime) -> None:
        shop.event(name, type, at=at, product=product, received_at=known_at, **fields)
        # As ingestion does it.
        Shopper.objects.filter(store=shop.store, external_id=name, first_seen_at__gt=at).update(
            first_seen_at=at
        )

    return happen


def _linking(shop: ShopOfTests, guest: str, customer: str) -> Fact:
    def link(known_at: datetime) -> None:
        live = ShopperLink.objects.filter(store=shop.store, undone_at=None)
        # As the service: one customer each, no circles (here: no chains at all).
        taken = set(live.values_list("shopper__external_id", "customer__external_id"))
        if not {guest, customer} & {name for pair in taken for name in pair}:
            shop.link(guest, customer, at=known_at)

    return link


def _unlinking(shop: ShopOfTests) -> Fact:
    def unlink(known_at: datetime) -> None:
        live = ShopperLink.objects.filter(store=shop.store, undone_at=None).first()
        if live is not None:
            live.undone_at = known_at
            live.save()

    return unlink


def _ignore(result: object) -> None:
    del result
