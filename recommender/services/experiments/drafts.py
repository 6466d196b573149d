"""Drafts of experiments: made, changed and deleted. Shoppers see nothing of them."""

from __future__ import annotations

import secrets
from typing import Any

from django.db import transaction
from django.utils.text import slugify

from catalog.models import Store, User
from recommender.models import (
    Experiment,
    ExperimentPlacement,
    Placement,
    Variant,
    VariantStrategy,
)
from recommender.services.experiments.checks import draft_faults, draft_placements, shown_by
from recommender.services.experiments.documents import ArmDraft, ExperimentDraft
from recommender.services.experiments.records import (
    ExperimentRefused,
    experiment_lock,
    experiment_record,
    state_require,
)
from recommender.services.strategies import store_lock

__all__ = [
    "ArmDraft",
    "ExperimentDraft",
    "ExperimentRefused",
    "experiment_create",
    "experiment_delete",
    "experiment_edit",
]

# Addresses of the console below a store's experiments.
RESERVED_KEYS = frozenset({"new", "plan", "groups", "hold-out", "holdout", "off-policy"})


def experiment_create(*, store: Store, draft: ExperimentDraft, actor: User | None) -> Experiment:
    """A draft; its key follows from its name. Raises ExperimentRefused; then nothing is made.

    The control's strategies are pinned to what the placements show now: later versions of the
    placement don't change the test.
    """
    with transaction.atomic():
        # Two members who make one at once get two keys.
        store_lock(store.pk)
        _refuse_faults(store, draft)
        experiment = Experiment(
            store=store,
            key=key_free(store, draft.name),
            seed=secrets.token_hex(8),
            created_by=actor,
        )
        _write(experiment, draft)
        experiment_record(experiment, actor, "experiment.create", after=experiment_told(experiment))
    return experiment


def experiment_edit(
    *, experiment: Experiment, draft: ExperimentDraft, actor: User | None
) -> dict[str, Any]:
    """Change a draft; returns what is different now. The same again changes nothing.

    Its key stays. Raises ExperimentRefused, also from the start on: then all of it is locked.
    """
    with transaction.atomic():
        current = experiment_lock(experiment)
        state_require(current, Experiment.State.DRAFT)
        _refuse_faults(current.store, draft)
        before = experiment_told(current)
        current.on.all().delete()
        _write(current, draft)
        after = experiment_told(current)
        changed = {name: value for name, value in after.items() if before[name] != value}
        if changed:
            experiment_record(
                current,
                actor,
                "experiment.edit",
                before={name: before[name] for name in changed},
                after=changed,
            )
    experiment.refresh_from_db()
    return changed


def experiment_delete(*, experiment: Experiment, actor: User | None) -> None:
    """Delete a draft. What has run stays: it is the record of what shoppers saw."""
    with transaction.atomic():
        current = experiment_lock(experiment)
        state_require(current, Experiment.State.DRAFT)
        told = experiment_told(current)
        experiment_record(current, actor, "experiment.delete", before=told)
        current.delete()


def key_free(store: Store, name: str) -> str:
    """A key of the store that nobody has, after the name. Call it with the store locked."""
    base = slugify(name)[:56].strip("-_") or "experiment"
    taken = set(
        Experiment.objects.filter(store=store, key__startswith=base).values_list("key", flat=True)
    )
    key, number = base, 1
    while key in taken or key in RESERVED_KEYS:
        number += 1
        key = f"{base}-{number}"
    return key


def experiment_told(experiment: Experiment) -> dict[str, Any]:
    """What an experiment is, in words and numbers that are still understood in a year."""
    arms = []
    for variant in experiment.variants.order_by("position"):
        strategies = variant.strategies.select_related("placement", "strategy_version__strategy")
        arms.append(
            {
                "key": variant.key,
                "name": variant.name,
                "weight": variant.weight,
                "shows": {
                    each.placement.name if each.placement else "all": str(each.strategy_version)
                    for each in strategies.order_by("pk")
                }
                or ("nothing" if variant.shows_nothing else "what the placement shows"),
            }
        )
    placements = Placement.objects.filter(
        pk__in=experiment.on.values_list("placement_id", flat=True)
    )
    return {
        "name": experiment.name,
        "kind": experiment.kind,
        "hypothesis": experiment.hypothesis,
        "placements": list(placements.order_by("name").values_list("name", flat=True)),
        "variants": arms,
        "coverage": experiment.coverage,
        "segment": experiment.segment.name if experiment.segment else None,
        "group": experiment.group.name if experiment.group else None,
        "group_share": group_share(experiment),
        "primary_metric": experiment.primary_metric,
        "guardrails": {each["metric"]: each["margin"] for each in experiment.guardrails},
        "smallest_lift": experiment.smallest_lift,
        "planned_days": experiment.planned_days,
        "cuped": experiment.cuped,
    }


def group_share(experiment: Experiment) -> float | None:
    """Of the group's buckets; of a draft, what is wanted: its range is found at the start."""
    if experiment.group_start is None or experiment.group_end is None:
        return None
    return round(experiment.group_end - experiment.group_start, 4)


def _refuse_faults(store: Store, draft: ExperimentDraft) -> None:
    wrong = draft_faults(store, draft)
    if wrong:
        raise ExperimentRefused(wrong)


def _write(experiment: Experiment, draft: ExperimentDraft) -> None:
    """The draft's words into the experiment, with new placements. A variant is who has its key:
    links to look at it stay good."""
    in_group = draft.group_id is not None
    experiment.name = draft.name.strip()
    experiment.kind = draft.kind
    experiment.hypothesis = draft.hypothesis.strip()
    experiment.coverage = draft.coverage
    experiment.segment_id = draft.segment_id
    experiment.group_id = draft.group_id
    experiment.group_start = 0.0 if in_group else None
    experiment.group_end = round(draft.group_share, 4) if in_group else None
    experiment.primary_metric = draft.primary_metric
    experiment.guardrails = [{"metric": metric, "margin": m} for metric, m in draft.guardrails]
    experiment.smallest_lift = draft.smallest_lift
    experiment.planned_days = draft.planned_days
    experiment.cuped = draft.cuped
    experiment.save()
    placements = draft_placements(experiment.store, draft)
    ExperimentPlacement.objects.bulk_create(
        ExperimentPlacement(
            store_id=experiment.store_id, experiment=experiment, placement=placement
        )
        for placement in placements
    )
    experiment.variants.exclude(key__in=[arm.key for arm in draft.arms]).delete()
    VariantStrategy.objects.filter(variant__experiment=experiment).delete()
    variants = Variant.objects.bulk_create(
        [
            Variant(
                store_id=experiment.store_id,
                experiment=experiment,
                key=arm.key,
                name=arm.name.strip(),
                position=position,
                weight=arm.weight,
                shows_nothing=arm.shows_nothing,
            )
            for position, arm in enumerate(draft.arms)
        ],
        update_conflicts=True,
        unique_fields=("store", "experiment", "key"),
        update_fields=("name", "position", "weight", "shows_nothing"),
    )
    # One row for each placement, also where the draft says "all": what a variant shows is fixed.
    VariantStrategy.objects.bulk_create(
        VariantStrategy(
            store_id=experiment.store_id,
            variant=variant,
            placement_id=placement_id,
            strategy_version_id=version_id,
        )
        for variant, arm in zip(variants, draft.arms, strict=True)
        for placement_id, version_id in shown_by(draft, arm, placements).items()
    )
