"""Changing what events say about taste."""

from __future__ import annotations

import math
from collections.abc import Mapping

from django.db import transaction
from django.utils import timezone

from catalog.models import Store, User
from catalog.services.audit import audit_record
from recommender.engine.weighting import EVENT_WEIGHTS
from recommender.models import EventWeights
from recommender.selectors.event_weights import MAX_WEIGHT
from recommender.services.strategies import settings_touch, store_lock


class WeightsRefused(Exception):
    """Weights that can't be; `fields` says for each event name what is wrong."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        self.fields = dict(fields)
        super().__init__("; ".join(f"{name}: {why}" for name, why in fields.items()))


def event_weights_save(
    *, store: Store, weights: Mapping[str, float], member: User | None
) -> EventWeights:
    """Replace the store's event weights. What is left out, or equals its default, is the default's.

    Serving processes follow within a second, profiles at their next training. Raises WeightsRefused
    for a name that isn't an event's, a weight beyond -5 to 5, and if nothing would count for a
    product; then nothing is changed.
    """
    wrong = {name: _fault(name, weight) for name, weight in weights.items()}
    wrong = {name: why for name, why in wrong.items() if why}
    if not wrong and max({**EVENT_WEIGHTS, **weights}.values()) <= 0:
        wrong = {"purchase": "At least one event has to count for a product."}
    if wrong:
        raise WeightsRefused(wrong)
    own = {name: float(weight) for name, weight in weights.items() if weight != EVENT_WEIGHTS[name]}
    with transaction.atomic():
        store_lock(store.pk)
        before = EventWeights.objects.select_for_update().filter(store=store).first()
        row, _ = EventWeights.objects.update_or_create(
            store=store,
            defaults={"weights": own, "updated_at": timezone.now(), "updated_by": member},
        )
        audit_record(
            store=store,
            actor=member,
            action="event_weights.save",
            subject="What events weigh",
            before={**EVENT_WEIGHTS, **(before.weights if before is not None else {})},
            after={**EVENT_WEIGHTS, **own},
        )
        settings_touch(store_id=store.pk)
    return row


def event_weights_restore(*, store: Store, member: User | None) -> EventWeights:
    """Back to the defaults, those of later versions included."""
    return event_weights_save(store=store, weights={}, member=member)


def _fault(name: str, weight: float) -> str:
    if name not in EVENT_WEIGHTS:
        return "There is no such event."
    if not math.isfinite(weight) or abs(weight) > MAX_WEIGHT:
        return f"A weight is a number from -{MAX_WEIGHT:g} to {MAX_WEIGHT:g}."
    return ""
