"""Changing what makes the products of a store similar."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import transaction
from django.utils import timezone

from catalog.models import Product, Store, User
from catalog.services.audit import audit_record
from recommender.models import ContentWeights, Run
from recommender.selectors.content_weights import MAX_WEIGHT, PARTS, Weights, weights_of
from recommender.services.strategies import store_lock
from recommender.services.training.runs import RunActive, run_hand_over, run_request

_NOT_CHOSEN = dict.fromkeys(PARTS, "automatic")


class ContentWeightsRefused(Exception):
    """Weights that can't be; `fields` says for each part what is wrong."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        self.fields = dict(fields)
        super().__init__("; ".join(f"{name}: {why}" for name, why in fields.items()))


def content_weights_save(*, store: Store, weights: Weights, member: User | None) -> Run | None:
    """Replace the weights of text, attributes and own vectors, and train with them.

    Similar products follow when the training is through; until then nothing changes. Returns its
    run, None if one is active: that one, or the next increment, takes up the weights. Raises
    ContentWeightsRefused for a weight that isn't from 0 to 100, and if nothing would count, or own
    vectors alone where no product has one; then nothing is changed.
    """
    content_weights_check(weights)
    if not (weights["text"] or weights["attributes"]) and not _any_own_vector(store):
        raise ContentWeightsRefused(
            {"own_vectors": "No product has a vector: with these alone nothing would be similar."}
        )
    with transaction.atomic():
        store_lock(store.pk)
        before = ContentWeights.objects.filter(store=store).first()
        ContentWeights.objects.update_or_create(
            store=store,
            defaults={
                **{name: weights[name] for name in PARTS},
                "updated_at": timezone.now(),
                "updated_by": member,
            },
        )
        known = _NOT_CHOSEN if before is None else weights_of(before)
        _record(store, member, "save", known, weights)
        return _train(store, member)


def content_weights_restore(*, store: Store, member: User | None) -> Run | None:
    """Leave it to Vitrine again, and train; None too if nothing had been chosen."""
    with transaction.atomic():
        store_lock(store.pk)
        before = ContentWeights.objects.filter(store=store).first()
        if before is None:
            return None
        chosen = weights_of(before)
        before.delete()
        _record(store, member, "restore", chosen, _NOT_CHOSEN)
        return _train(store, member)


def content_weights_check(weights: Weights) -> None:
    """Raises ContentWeightsRefused."""
    wrong = {
        name: f"A weight is a whole number from 0 to {MAX_WEIGHT}."
        for name in PARTS
        if not 0 <= weights.get(name, -1) <= MAX_WEIGHT
    }
    if not wrong and not any(weights[name] for name in PARTS):
        wrong = {PARTS[0]: "At least one of the three has to count."}
    if wrong:
        raise ContentWeightsRefused(wrong)


def _any_own_vector(store: Store) -> bool:
    return Product.objects.filter(store=store, deleted_at=None, vector__isnull=False).exists()


def _record(
    store: Store,
    member: User | None,
    verb: str,
    before: Mapping[str, int | str],
    after: Mapping[str, int | str],
) -> None:
    audit_record(
        store=store,
        actor=member,
        action=f"content_weights.{verb}",
        subject="What makes products similar",
        before=dict(before),
        after=dict(after),
    )


def _train(store: Store, member: User | None) -> Run | None:
    try:
        run = run_request(
            store=store,
            family=Run.Family.CONTENT,
            trigger=Run.Trigger.MEMBER,
            requested_by=member,
        )
    except RunActive:
        return None
    transaction.on_commit(lambda: run_hand_over(run=run))
    return run
