"""How far a store has been set up."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Exists, OuterRef

from catalog.models import Event, Product, Store
from recommender.models import Artifact, Impression, Placement


@dataclass(frozen=True, slots=True)
class SetupState:
    """What a store has. All of it: recommendations work."""

    has_products: bool
    has_events: bool
    has_placements: bool
    has_model: bool
    has_impressions: bool

    @property
    def n_done(self) -> int:
        return sum(
            (
                self.has_products,
                self.has_events,
                self.has_placements,
                self.has_model,
                self.has_impressions,
            )
        )

    @property
    def complete(self) -> bool:
        return self.n_done == 5


def setup_state(*, store: Store) -> SetupState:
    """One query of five existence checks."""
    of_store = {"store_id": OuterRef("pk")}
    found = (
        Store.objects.filter(pk=store.pk)
        .values_list(
            Exists(Product.objects.filter(**of_store)),
            Exists(Event.objects.filter(**of_store)),
            Exists(Placement.objects.filter(**of_store)),
            Exists(Artifact.objects.filter(**of_store, serving=True)),
            Exists(Impression.objects.filter(**of_store)),
        )
        .get()
    )
    return SetupState(*found)
