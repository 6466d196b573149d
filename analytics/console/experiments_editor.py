"""Drafts of experiments: the editor with its planner."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST
from django_htmx.http import trigger_client_event

from analytics.console.experiments import experiment_found
from analytics.console.experiments_form import (
    GUARDS,
    KINDS,
    MAX_ARMS,
    USUAL_GUARDS,
    ArmForm,
    ExperimentForm,
    FormRefused,
    draft_from_form,
    form_changed,
    form_new,
    form_of_experiment,
    form_typed,
    margin_text,
)
from analytics.console.experiments_plan import plan_shown
from analytics.console.experiments_words import KIND_WORDS
from analytics.metrics.definitions import DEFINITIONS
from catalog.console.access import TESTERS, ConsoleRequest, member_page
from recommender.models import GOALS, Experiment, Placement
from recommender.selectors.experiments import (
    StrategyChoice,
    exclusion_groups,
    strategies_to_choose,
)
from recommender.selectors.placement_figures import placements_of
from recommender.selectors.rules import segments_of
from recommender.services.experiments.drafts import (
    experiment_create,
    experiment_delete,
    experiment_edit,
)
from recommender.services.experiments.records import ExperimentRefused

# Of one strategy in a list; who needs an older version goes back to it first.
LATEST_VERSIONS = 5


@dataclass(frozen=True, slots=True)
class ShowsChoice:
    """What an arm shows on one placement."""

    placement: Placement
    chosen: int | None
    is_behind: bool


@dataclass(frozen=True, slots=True)
class ArmRow:
    """An arm in the editor. Without `choices` the note says what it shows."""

    arm: ArmForm
    is_control: bool
    choices: list[ShowsChoice]
    note: str
    weight_error: str


@require_http_methods(["GET", "HEAD", "POST"])
@member_page(roles=TESTERS)
def experiment_new(request: ConsoleRequest) -> HttpResponse:
    """`?placement=` and `?kind=` fill the form."""
    if request.method == "POST":
        return _save(request, None)
    slugs = request.GET.getlist("placement")
    named = [each.pk for each in placements_of(store=request.store) if each.slug in slugs]
    form = form_new(placements=tuple(named))
    if request.GET.get("kind") in KINDS:
        form = replace(form, values={**form.values, "kind": request.GET["kind"]})
    return _editor(request, form)


@require_http_methods(["GET", "HEAD", "POST"])
@member_page(roles=TESTERS)
def experiment_editor(request: ConsoleRequest, key: str) -> HttpResponse:
    """Of a draft. What has started is locked: its setup says so."""
    experiment = experiment_found(request, key)
    if experiment.state != Experiment.State.DRAFT:
        messages.info(request, "It has started, so its setup is locked.")
        return redirect("console-experiment-setup", request.store.slug, key)
    if request.method == "POST":
        return _save(request, experiment)
    return _editor(request, form_of_experiment(experiment), experiment=experiment)


@require_POST
@member_page(roles=TESTERS)
def experiment_fields(request: ConsoleRequest) -> HttpResponse:
    """The fields after one of them asked for others, as typed."""
    form = form_changed(form_typed(request.POST), request.POST)
    fields = render(request, "console/experiments/_fields.html", _fields_context(request, form))
    return trigger_client_event(fields, "experiment-changed", after="settle")


@require_POST
@member_page()
def experiment_plan(request: ConsoleRequest) -> HttpResponse:
    """What the form would take at today's traffic; with `take` also the fields that it fills."""
    form = form_changed(form_typed(request.POST), request.POST)
    context = {
        "form": form,
        "plan": plan_shown(request.store, form, now=timezone.now()),
        "taken": "take" in request.POST,
    }
    return render(request, "console/experiments/_plan.html", context)


@require_POST
@member_page(roles=TESTERS)
def experiment_remove(request: ConsoleRequest, key: str) -> HttpResponse:
    experiment = experiment_found(request, key)
    try:
        experiment_delete(experiment=experiment, actor=request.user)
    except ExperimentRefused as error:
        messages.error(request, str(error))
        return redirect("console-experiment-setup", request.store.slug, key)
    messages.success(request, f"The draft “{experiment.name}” is deleted.")
    return redirect("console-experiments", request.store.slug)


def _save(request: ConsoleRequest, experiment: Experiment | None) -> HttpResponse:
    form = form_typed(request.POST)
    if any(name in request.POST for name in ("change", "remove", "take")):
        form = form_changed(form, request.POST)
        return _editor(request, form, experiment=experiment, with_plan=True)
    try:
        draft = draft_from_form(form)
        if experiment is None:
            saved = experiment_create(store=request.store, draft=draft, actor=request.user)
        else:
            saved = experiment
            experiment_edit(experiment=experiment, draft=draft, actor=request.user)
    except (FormRefused, ExperimentRefused) as error:
        form = replace(form, errors=error.fields)
        return _editor(request, form, experiment=experiment, status=422)
    messages.success(request, f"The draft “{saved.name}” is saved. Shoppers see nothing of it yet.")
    return redirect("console-experiment-setup", request.store.slug, saved.key)


def _editor(
    request: ConsoleRequest,
    form: ExperimentForm,
    *,
    experiment: Experiment | None = None,
    with_plan: bool = False,
    status: int = 200,
) -> HttpResponse:
    context = _fields_context(request, form) | {"experiment": experiment}
    if with_plan:
        context["plan"] = plan_shown(request.store, form, now=timezone.now())
    return render(request, "console/experiments/editor.html", context, status=status)


def _fields_context(request: ConsoleRequest, form: ExperimentForm) -> dict[str, Any]:
    store = request.store
    placements = placements_of(store=store)
    chosen = {int(text) for arm in form.arms for text in arm.versions.values() if text.isdigit()}
    primary = form.values.get("primary_metric", "")
    return {
        "form": form,
        "kinds": [(kind.value, kind.label, KIND_WORDS[kind]) for kind in KINDS],
        "placements": placements,
        "arm_rows": _arm_rows(form, placements),
        "version_groups": [_newest(each, chosen) for each in strategies_to_choose(store=store)],
        "max_arms": MAX_ARMS,
        "segments": segments_of(store=store),
        "groups": exclusion_groups(store=store),
        "goals": [DEFINITIONS[goal] for goal in GOALS],
        "primary": DEFINITIONS.get(primary, DEFINITIONS[GOALS[0]]),
        "guard_rows": [
            {
                "key": name,
                "name": DEFINITIONS[name].name,
                "direction": DEFINITIONS[name].direction,
                "chosen": name in form.guards,
                # The rest is folded away, unless it is chosen or wrong.
                "is_first": name in USUAL_GUARDS
                or name in form.guards
                or f"margin-{name}" in form.errors,
                "margin": form.guards.get(name, margin_text(name)),
                "error": form.errors.get(f"margin-{name}", ""),
            }
            for name in GUARDS
        ],
    }


def _newest(choice: StrategyChoice, chosen: set[int]) -> dict[str, Any]:
    """The newest versions of a strategy, and those that are chosen already."""
    versions = [
        version
        for place, version in enumerate(choice.versions)
        if place < LATEST_VERSIONS or version.pk in chosen
    ]
    return {"name": choice.strategy.name, "versions": versions}


def _arm_rows(form: ExperimentForm, placements: list[Placement]) -> list[ArmRow]:
    here = [each for each in placements if each.pk in form.placements]
    rows = []
    for place, arm in enumerate(form.arms):
        note, choices = "", []
        if not here:
            note = "Choose a placement above, then what this arm shows there."
        elif form.kind == Experiment.Kind.AA and place > 0:
            note = "Shows what the control shows."
        elif form.kind == Experiment.Kind.AB and arm.nothing:
            note = "The place on the page stays empty for these shoppers."
        else:
            choices = [_choice(each, arm, is_control=place == 0) for each in here]
        error = form.errors.get(f"arm_weight-{arm.key}", "")
        rows.append(ArmRow(arm, place == 0, choices, note, error))
    return rows


def _choice(placement: Placement, arm: ArmForm, *, is_control: bool) -> ShowsChoice:
    text = arm.versions.get(placement.pk, "")
    chosen = int(text) if text.isdigit() else None
    behind = is_control and chosen is not None and chosen != placement.strategy_version_id
    return ShowsChoice(placement, chosen, behind)
