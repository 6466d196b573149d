"""The form of an experiment as fields, and what was typed as an `ExperimentDraft`."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from django.http import QueryDict

from analytics.metrics.definitions import DEFINITIONS
from recommender.models import Experiment, Metric
from recommender.services.experiments.documents import ArmDraft, ExperimentDraft

MAX_ARMS = 6
MIN_ARMS = 2
# What can be planned here; a hold-out has its own page.
KINDS = (
    Experiment.Kind.AB,
    Experiment.Kind.AA,
    Experiment.Kind.BANDIT,
    Experiment.Kind.INTERLEAVING,
)
# Keys of the arms, in the order in which they are added; a removed one is given away again.
ARM_KEYS = ("a", "b", "c", "d", "e", "f")
_TEXTS = (
    "name",
    "hypothesis",
    "kind",
    "coverage",
    "segment",
    "group",
    "group_share",
    "primary_metric",
    "smallest_lift",
    "planned_days",
)
# Chosen in a new experiment; and those that are in view without asking for more.
_CHOSEN_GUARDS = ("diversity", "empty_rate", "latency")
USUAL_GUARDS = ("revenue_per_shopper", "diversity", "coverage", "empty_rate", "latency")
_NO_NUMBER = "This is no number."


class FormRefused(Exception):
    """What was typed is no draft; `fields` says where and why."""

    def __init__(self, fields: dict[str, str]) -> None:
        super().__init__(" ".join(fields.values()))
        self.fields = fields


@dataclass(frozen=True, slots=True)
class ArmForm:
    """One arm. `versions` holds, by placement, a strategy version as text; "": the placement's."""

    key: str
    name: str
    weight: str = "1"
    versions: Mapping[int, str] = field(default_factory=dict)
    nothing: bool = False


@dataclass(frozen=True, slots=True)
class ExperimentForm:
    """What stands in the fields. `guards` are the chosen guardrails with their margins."""

    values: Mapping[str, str]
    placements: tuple[int, ...]
    arms: tuple[ArmForm, ...]
    guards: Mapping[str, str]
    cuped: bool
    errors: Mapping[str, str] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        return self.values.get("kind", "")


def form_new(*, placements: tuple[int, ...] = ()) -> ExperimentForm:
    """A new one: an A/B test of two arms with the guardrails that a shop regrets not to have."""
    return ExperimentForm(
        values={
            "kind": Experiment.Kind.AB.value,
            "coverage": "100",
            "group_share": "50",
            "primary_metric": Metric.CONVERSION.value,
            "smallest_lift": "5",
            "planned_days": "14",
        },
        placements=placements,
        arms=(ArmForm("a", "Control"), ArmForm("b", "Variant B")),
        guards={name: margin_text(name) for name in _CHOSEN_GUARDS},
        cuped=True,
    )


def form_typed(post: QueryDict, errors: Mapping[str, str] | None = None) -> ExperimentForm:
    """The fields with what was typed, right or wrong."""
    placements = tuple(dict.fromkeys(_wholes(post.getlist("placements"))))
    arms = []
    for row in post.getlist("arm")[:MAX_ARMS]:
        versions = {pk: post.get(f"arm_version-{row}-{pk}", "") for pk in placements}
        arms.append(
            ArmForm(
                key=row,
                name=post.get(f"arm_name-{row}", ""),
                weight=post.get(f"arm_weight-{row}", ""),
                versions=versions,
                nothing=f"arm_nothing-{row}" in post,
            )
        )
    return ExperimentForm(
        values={name: post.get(name, "").strip() for name in _TEXTS},
        placements=placements,
        arms=tuple(arms),
        guards={
            name: post.get(f"margin-{name}", "") for name in post.getlist("guard") if name in GUARDS
        },
        cuped="cuped" in post,
        errors=errors or {},
    )


def form_changed(form: ExperimentForm, post: QueryDict) -> ExperimentForm:
    """The form after one of its buttons: an arm more or less, the planner's length."""
    if post.get("change") == "add_arm" and len(form.arms) < MAX_ARMS:
        key = next(key for key in ARM_KEYS if key not in {arm.key for arm in form.arms})
        return replace(form, arms=(*form.arms, ArmForm(key, f"Variant {key.upper()}")))
    if (gone := post.get("remove")) and len(form.arms) > MIN_ARMS:
        # The first is the control, and stays.
        kept = tuple(a for at, a in enumerate(form.arms) if at == 0 or a.key != gone)
        return replace(form, arms=kept)
    # "14" is a length, "10:21" a lift in per cent and the length that it takes.
    lift, _, days = post.get("take", "").rpartition(":")
    if days:
        values = {**form.values, "planned_days": days}
        return replace(form, values=values | {"smallest_lift": lift} if lift else values)
    return form


def draft_from_form(form: ExperimentForm) -> ExperimentDraft:
    """What was typed, for the service to judge.

    Raises
    ------
    FormRefused
        Where a number is meant and none was typed.
    """
    problems: dict[str, str] = {}

    def number(name: str, text: str, *, per_cent: bool = False) -> float:
        value = number_typed(text)
        if value is None:
            problems[name] = _NO_NUMBER
            return 0.0
        return value / 100 if per_cent else value

    values = form.values
    group = _whole(values["group"])
    days = _whole(values["planned_days"])
    if days is None:
        problems["planned_days"] = "How many days? A whole number."
    arms = tuple(
        ArmDraft(
            key=arm.key,
            name=arm.name.strip(),
            weight=number(f"arm_weight-{arm.key}", arm.weight),
            strategies=_strategies(form, arm),
            shows_nothing=_shows_nothing(form, arm),
        )
        for arm in form.arms
    )
    draft = ExperimentDraft(
        name=values["name"],
        kind=form.kind,
        hypothesis=values["hypothesis"],
        placement_ids=form.placements,
        arms=arms,
        coverage=number("coverage", values["coverage"], per_cent=True),
        segment_id=_whole(values["segment"]),
        group_id=group,
        group_share=(
            1.0 if group is None else number("group_share", values["group_share"], per_cent=True)
        ),
        primary_metric=values["primary_metric"],
        guardrails=tuple(
            (name, number(f"margin-{name}", margin, per_cent=True))
            for name, margin in form.guards.items()
            if name != values["primary_metric"]
        ),
        smallest_lift=number("smallest_lift", values["smallest_lift"], per_cent=True),
        planned_days=days or 0,
        cuped=form.cuped,
    )
    if problems:
        raise FormRefused(problems)
    return draft


def form_of_experiment(experiment: Experiment) -> ExperimentForm:
    """A draft as it is stored. Its placements and arms with their strategies are prefetched."""
    placements = tuple(each.placement_id for each in experiment.on.all())
    arms = []
    for variant in experiment.variants.all():
        versions = {
            each.placement_id: str(each.strategy_version_id)
            for each in variant.strategies.all()
            if each.placement_id is not None
        }
        weight = number_text(variant.weight)
        arms.append(
            ArmForm(variant.key, variant.name, weight, versions, nothing=variant.shows_nothing)
        )
    share = None
    if experiment.group_start is not None and experiment.group_end is not None:
        share = experiment.group_end - experiment.group_start
    return ExperimentForm(
        values={
            "name": experiment.name,
            "hypothesis": experiment.hypothesis,
            "kind": experiment.kind,
            "coverage": percent_text(experiment.coverage),
            "segment": str(experiment.segment_id or ""),
            "group": str(experiment.group_id or ""),
            "group_share": "50" if share is None else percent_text(share),
            "primary_metric": experiment.primary_metric,
            "smallest_lift": percent_text(experiment.smallest_lift),
            "planned_days": str(experiment.planned_days),
        },
        placements=placements,
        arms=tuple(arms),
        guards={each["metric"]: percent_text(each["margin"]) for each in experiment.guardrails},
        cuped=experiment.cuped,
    )


def number_typed(text: str) -> float | None:
    """5, 2.5, 2,5 or 5 % as a number; None for what is none."""
    text = text.strip().rstrip("%").strip().replace(",", ".")
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def number_text(value: float) -> str:
    """As it is typed: 1, 2.5."""
    return f"{value:.6g}"


def percent_text(share: float) -> str:
    """0.05 → 5; 0.125 → 12.5."""
    return f"{share * 100:.6g}"


def margin_text(metric: str) -> str:
    """The harm that is accepted where a metric guards, as it is offered."""
    return percent_text(DEFINITIONS[metric].guard or 0.0)


GUARDS: Collection[str] = tuple(
    name for name, definition in DEFINITIONS.items() if definition.guard is not None
)


def _shows_nothing(form: ExperimentForm, arm: ArmForm) -> bool:
    """Only an A/B test offers it; a tick that stayed from another kind doesn't count."""
    return arm.nothing and form.kind == Experiment.Kind.AB


def _strategies(form: ExperimentForm, arm: ArmForm) -> dict[int | None, int]:
    """In an A/A test everybody gets what the control gets."""
    if _shows_nothing(form, arm):
        return {}
    if form.kind == Experiment.Kind.AA:
        arm = form.arms[0]
    chosen = {placement: _whole(text) for placement, text in arm.versions.items()}
    return {placement: version for placement, version in chosen.items() if version is not None}


def _wholes(texts: list[str]) -> list[int]:
    return [value for text in texts if (value := _whole(text)) is not None]


def _whole(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
