"""The plan of an experiment for a page: words, table, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from math import ceil
from typing import TYPE_CHECKING, Any

from analytics.console.experiments_form import (
    MIN_ARMS,
    ExperimentForm,
    FormRefused,
    draft_from_form,
    percent_text,
)
from analytics.metrics.definitions import DEFINITIONS
from analytics.stats.answers import InvalidInputError
from catalog.models import Store
from recommender.models import GOALS, Experiment, Metric
from recommender.selectors.rules import segment_find
from recommender.services.experiments.documents import ExperimentDraft

if TYPE_CHECKING:
    from analytics.results.planning import PlanSketch

# From here on a test is long, and what makes it shorter is said.
_LONG_DAYS = 42
# What few shoppers do.
_RARE = (Metric.CONVERSION, Metric.REVENUE, Metric.ORDER_VALUE)


@dataclass(frozen=True, slots=True)
class PlanButton:
    """Fills fields: `value` is a length in days, or a lift in per cent and a length."""

    label: str
    value: str


@dataclass(frozen=True, slots=True)
class PlanShown:
    """A plan, or in `missing` why there is none and in `what_to_do` what helps."""

    sketch: PlanSketch | None = None
    missing: str = ""
    what_to_do: str = ""
    advice: tuple[str, ...] = ()
    buttons: tuple[PlanButton, ...] = ()
    chosen: str = ""
    chosen_week: int | None = None
    lift_words: str = ""
    planned_shoppers: int | None = None
    document: Mapping[str, Any] = field(default_factory=dict)


def plan_shown(store: Store, form: ExperimentForm, *, now: datetime) -> PlanShown:
    """For what stands in the form, however unfinished it is."""
    if not form.placements:
        return PlanShown(missing="Choose a placement, and the plan for your own traffic is here.")
    try:
        draft = draft_from_form(form)
    except FormRefused as error:
        return PlanShown(missing="The plan comes with the numbers.", what_to_do=str(error))
    if draft.primary_metric not in GOALS:
        return PlanShown(missing="Choose what decides.")
    return _plan(store, draft, now)


def _plan(store: Store, draft: ExperimentDraft, now: datetime) -> PlanShown:
    # The planner's distributions take a moment to import: only a web process that plans pays it.
    from analytics.services.plans import plan_of

    segment = None
    if draft.segment_id is not None:
        segment = segment_find(store=store, segment_id=draft.segment_id)
    try:
        answer = plan_of(
            store=store,
            placement_ids=draft.placement_ids,
            goal=draft.primary_metric,
            lift=draft.smallest_lift,
            weights=[arm.weight for arm in draft.arms],
            coverage=draft.coverage,
            group_share=draft.group_share,
            segment=segment,
            now=now,
        )
    except InvalidInputError:
        return PlanShown(
            missing="The plan comes with the numbers: shares and the lift are above 0, and at most"
            " 100 % of the shoppers take part."
        )
    if answer.sketch is None:
        return PlanShown(
            missing=answer.words,
            what_to_do="You can start without a plan. Then the length is a guess, and the results"
            " page says how far the test has come once shoppers were seen.",
            document=answer.as_json(),
        )
    return PlanShown(
        sketch=answer.sketch,
        advice=tuple(_advice(answer.sketch, draft)),
        buttons=tuple(_buttons(answer.sketch, draft)),
        chosen=_chosen_words(answer.sketch, draft),
        chosen_week=ceil(draft.planned_days / 7),
        lift_words=f"+{percent_text(draft.smallest_lift)} %",
        planned_shoppers=(
            answer.expected_shoppers(draft.planned_days) if draft.planned_days > 0 else None
        ),
        document=answer.as_json(),
    )


def _advice(sketch: PlanSketch, draft: ExperimentDraft) -> list[str]:
    """What makes it shorter, if it is long or out of reach."""
    if sketch.n_days is not None and sketch.n_days <= _LONG_DAYS:
        return []
    words = []
    if draft.coverage * draft.group_share < 1:
        words.append("Let more of the shoppers take part.")
    if len(draft.arms) > MIN_ARMS:
        words.append("Fewer arms: each has more shoppers then.")
    if draft.primary_metric in _RARE:
        words.append("Decide by what happens more often: add-to-cart rate or click rate.")
    if draft.segment_id is not None:
        words.append("Test on everybody instead of a segment.")
    if draft.kind == Experiment.Kind.AB and len(draft.arms) == MIN_ARMS:
        words.append("Interleaving finds the better of two strategies with far fewer shoppers.")
    return words


def _buttons(sketch: PlanSketch, draft: ExperimentDraft) -> list[PlanButton]:
    """The lengths and lifts that the plan proposes, without what is typed already."""
    buttons = []
    if sketch.n_weeks is not None and sketch.n_weeks * 7 != draft.planned_days:
        days = sketch.n_weeks * 7
        buttons.append(PlanButton(f"Take {days} days", str(days)))
    if sketch.instead is not None:
        lift, days = sketch.instead
        whole = ceil(days / 7) * 7
        per_cent = percent_text(lift)
        buttons.append(PlanButton(f"Look for +{per_cent} % in {whole} days", f"{per_cent}:{whole}"))
    return buttons


def _chosen_words(sketch: PlanSketch, draft: ExperimentDraft) -> str:
    """What the typed length is good for."""
    week = next((each for each in sketch.weeks if each.week * 7 >= draft.planned_days), None)
    if week is None or draft.planned_days <= 0:
        return ""
    name = DEFINITIONS[draft.primary_metric].name.lower()
    found = ""
    if week.smallest_lift is not None:
        found = f"; from +{week.smallest_lift * 100:.1f} % on it would be found with 80 %"
    return (
        f"Your {draft.planned_days} days find +{percent_text(draft.smallest_lift)} % {name} with a"
        f" chance of {week.power * 100:.0f} %{found}."
    )
