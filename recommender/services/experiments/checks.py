"""Whether a draft can become an experiment, and words for what can't."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from catalog.models import Store
from recommender.engine.errors import InvalidInputError
from recommender.engine.online.bucketing import bucket_ranges
from recommender.models import (
    GOALS,
    ExclusionGroup,
    Experiment,
    Metric,
    Placement,
    Segment,
    StrategyVersion,
)
from recommender.services.experiments.documents import ArmDraft, ExperimentDraft

MIN_DAYS, MAX_DAYS = 7, 365
MAX_ARMS = 10
MAX_LIFT = 10.0
MAX_HYPOTHESIS = 2_000
_KEY = re.compile(r"[a-z0-9][-a-z0-9_]{0,23}")
# A hold-out has a service of its own.
KINDS = tuple(kind.value for kind in Experiment.Kind if kind is not Experiment.Kind.HOLDOUT)


def draft_faults(store: Store, draft: ExperimentDraft) -> dict[str, str]:
    """For each field that can't stay like this why; empty if all is well. At most four queries."""
    placements = _placements(store, draft.placement_ids)
    wrong = _text_faults(draft) | _share_faults(draft) | _metric_faults(draft)
    if not draft.placement_ids:
        wrong["placements"] = "Choose at least one placement."
    elif len(placements) < len(draft.placement_ids):
        wrong["placements"] = "Choose placements of this store, each once."
    wrong |= _reference_faults(store, draft)
    if arms := _arms_fault(store, draft, placements):
        wrong["arms"] = arms
    return wrong


def shown_by(
    draft: ExperimentDraft, arm: ArmDraft, placements: Sequence[Placement]
) -> dict[int, int]:
    """Strategy version by placement of an arm; where it isn't known, the placement is left out."""
    if arm.shows_nothing:
        return {}
    shown = {}
    takes_own = arm is draft.arms[0] or draft.kind == Experiment.Kind.AA
    for placement in placements:
        version = arm.strategies.get(placement.pk, arm.strategies.get(None))
        if version is None and takes_own:
            version = placement.strategy_version_id
        if version is not None:
            shown[placement.pk] = version
    return shown


def draft_placements(store: Store, draft: ExperimentDraft) -> list[Placement]:
    """In the order in which they were named."""
    found = _placements(store, draft.placement_ids)
    return [found[pk] for pk in draft.placement_ids if pk in found]


def shares_faults(weights: Sequence[float], coverage: float) -> dict[str, str]:
    """Why shoppers can't be divided like this, by field; empty if they can."""
    if not (math.isfinite(coverage) and 0 < coverage <= 1):
        return {"coverage": "Coverage is a share of the shoppers above 0 and up to 100 %."}
    try:
        bucket_ranges(weights, coverage)
    except InvalidInputError:
        return {"weights": "Weights are numbers from 0 on, and at least one is above 0."}
    return {}


def _placements(store: Store, ids: Sequence[int]) -> Mapping[int, Placement]:
    return Placement.objects.filter(store=store).in_bulk(list(ids)) if ids else {}


def _text_faults(draft: ExperimentDraft) -> dict[str, str]:
    wrong = {}
    if not 1 <= len(draft.name.strip()) <= 120:
        wrong["name"] = "A name of up to 120 letters, so that you find it again."
    if len(draft.hypothesis) > MAX_HYPOTHESIS:
        wrong["hypothesis"] = f"Up to {MAX_HYPOTHESIS:,} letters."
    if draft.kind not in KINDS:
        wrong["kind"] = "Choose what kind of experiment it is."
    return wrong


def _share_faults(draft: ExperimentDraft) -> dict[str, str]:
    wrong = {}
    if not 0 < draft.coverage <= 1:
        wrong["coverage"] = "A share of the shoppers above 0 and up to 100 %."
    if draft.group_id is not None and not 0.0001 <= draft.group_share <= 1:
        wrong["group_share"] = "A share of the group's shoppers above 0 and up to 100 %."
    if not 0 < draft.smallest_lift <= MAX_LIFT:
        wrong["smallest_lift"] = f"A rise above 0 and up to {MAX_LIFT:.0%}."
    if not MIN_DAYS <= draft.planned_days <= MAX_DAYS:
        wrong["planned_days"] = (
            f"From {MIN_DAYS} days (weekends differ from weekdays) to {MAX_DAYS}."
        )
    return wrong


def _metric_faults(draft: ExperimentDraft) -> dict[str, str]:
    wrong = {}
    if draft.primary_metric not in GOALS:
        wrong["primary_metric"] = f"Choose one of {', '.join(goal.label for goal in GOALS)}."
    guarded = [metric for metric, _ in draft.guardrails]
    if any(metric not in Metric.values for metric in guarded):
        wrong["guardrails"] = "Choose metrics of the list."
    elif len(set(guarded)) < len(guarded):
        wrong["guardrails"] = "Each metric guards once."
    elif draft.primary_metric in guarded:
        wrong["guardrails"] = "What decides the test can't guard it as well."
    elif any(not 0 < margin <= 1 for _, margin in draft.guardrails):
        wrong["guardrails"] = "The harm that is accepted is above 0 and up to 100 %."
    return wrong


def _reference_faults(store: Store, draft: ExperimentDraft) -> dict[str, str]:
    wrong = {}
    if draft.segment_id is not None:
        segments = Segment.objects.filter(store=store, pk=draft.segment_id)
        if not segments.exists():
            wrong["segment"] = "Choose a segment of this store."
    if draft.group_id is not None:
        groups = ExclusionGroup.objects.filter(store=store, pk=draft.group_id)
        if not groups.exists():
            wrong["group"] = "Choose an exclusion group of this store."
    return wrong


def _arms_fault(
    store: Store, draft: ExperimentDraft, placements: Mapping[int, Placement]
) -> str | None:
    """The first thing that is wrong with the variants."""
    return (
        _form_fault(draft)
        or _version_fault(store, draft, placements)
        or _sense_fault(draft, list(placements.values()))
    )


def _form_fault(draft: ExperimentDraft) -> str | None:
    arms = draft.arms
    if len(arms) < 2:
        return "An experiment compares at least two variants."
    if draft.kind == Experiment.Kind.INTERLEAVING and len(arms) != 2:
        return "Interleaving compares exactly two strategies."
    if len(arms) > MAX_ARMS:
        return f"At most {MAX_ARMS} variants: each further one takes shoppers from the others."
    for arm in arms:
        if not _KEY.fullmatch(arm.key):
            return f"“{arm.key}”: a key of up to 24 small letters, digits and hyphens."
        if not 1 <= len(arm.name.strip()) <= 120:
            return f"Variant {arm.key}: a name of up to 120 letters."
        if not (math.isfinite(arm.weight) and arm.weight > 0):
            return f"“{arm.name}”: a weight above 0, or nobody sees it."
    if len({arm.key for arm in arms}) < len(arms):
        return "Each variant needs a key of its own."
    if len({arm.name.strip().lower() for arm in arms}) < len(arms):
        return "Each variant needs a name of its own."
    return None


def _version_fault(
    store: Store, draft: ExperimentDraft, placements: Mapping[int, Placement]
) -> str | None:
    named = {version for arm in draft.arms for version in arm.strategies.values()}
    known = set(
        StrategyVersion.objects.filter(store=store, pk__in=named).values_list("pk", flat=True)
    )
    for arm in draft.arms:
        if not set(arm.strategies.values()) <= known:
            return f"“{arm.name}”: choose strategies of this store."
        if any(pk is not None and pk not in placements for pk in arm.strategies):
            return f"“{arm.name}” has a strategy for a placement that the experiment isn't on."
        if arm.shows_nothing and arm.strategies:
            return f"“{arm.name}” shows nothing, so it has no strategy."
        if arm.shows_nothing and draft.kind != Experiment.Kind.AB:
            return f"“{arm.name}”: only a variant of an A/B test can show nothing."
    return None


def _sense_fault(draft: ExperimentDraft, placements: Sequence[Placement]) -> str | None:
    shown = [shown_by(draft, arm, placements) for arm in draft.arms]
    for arm, versions in zip(draft.arms, shown, strict=True):
        missing = [each.name for each in placements if each.pk not in versions]
        if missing and not arm.shows_nothing:
            return f"“{arm.name}”: choose a strategy for “{missing[0]}”."
    if not placements:
        return None
    alike = all(versions == shown[0] for versions in shown)
    if draft.kind == Experiment.Kind.AA and not alike:
        return "In an A/A test all variants show the same."
    if draft.kind != Experiment.Kind.AA and alike:
        return "All variants show the same. Choose another strategy, or make it an A/A test."
    return None
