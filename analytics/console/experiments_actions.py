"""What is done with an experiment: started, paused, taken up again, ramped and stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST
from django.views.decorators.vary import vary_on_headers

from analytics.console.experiments import experiment_found, head_context
from analytics.console.experiments_form import (
    form_of_experiment,
    number_text,
    number_typed,
    percent_text,
)
from analytics.console.experiments_plan import plan_shown
from analytics.console.experiments_setup import setup_context
from analytics.console.experiments_words import arms_of, shares_of
from catalog.console.access import TESTERS, ConsoleRequest, member_page
from recommender.engine.errors import InvalidInputError
from recommender.engine.online.bucketing import bucket_ranges, ramp_leaves, ramp_moves
from recommender.models import Experiment
from recommender.selectors.experiments import experiments_live_by_placement
from recommender.services.experiments.lifecycle import (
    experiment_pause,
    experiment_ramp,
    experiment_resume,
    experiment_start,
    experiment_stop,
)
from recommender.services.experiments.records import ExperimentRefused

State = Experiment.State
_LEARNED = (Experiment.Kind.BANDIT, Experiment.Kind.INTERLEAVING)


@require_http_methods(["GET", "HEAD", "POST"])
@member_page(roles=TESTERS)
def start_page(request: ConsoleRequest, key: str) -> HttpResponse:
    """What will be locked and what shoppers will see; POST starts it."""
    experiment = experiment_found(request, key)
    now = timezone.now()
    if experiment.state != State.DRAFT:
        messages.info(request, "It has been started already.")
        return redirect("console-experiment", request.store.slug, key)
    plan = plan_shown(request.store, form_of_experiment(experiment), now=now)
    problem = ""
    if request.method == "POST":
        try:
            experiment_start(
                experiment=experiment,
                actor=request.user,
                now=now,
                plan=plan.document,
                planned_shoppers=plan.planned_shoppers,
            )
        except ExperimentRefused as error:
            problem = str(error)
        else:
            messages.success(
                request, f"“{experiment.name}” runs. Shoppers are divided within a second."
            )
            return redirect("console-experiment", request.store.slug, key)
    context = head_context(request, experiment) | setup_context(experiment)
    context |= _shares_of_all(experiment) | {
        "plan": plan,
        "planned_end": timezone.localdate(now + timedelta(days=experiment.planned_days)),
        "problem": problem,
        "warnings": _warnings(request, experiment),
    }
    status = 422 if problem else 200
    return render(request, "console/experiments/start.html", context, status=status)


@require_POST
@member_page(roles=TESTERS)
def pause(request: ConsoleRequest, key: str) -> HttpResponse:
    return _move(request, key, experiment_pause, "is paused: everybody sees the placement's own")


@require_POST
@member_page(roles=TESTERS)
def resume(request: ConsoleRequest, key: str) -> HttpResponse:
    return _move(request, key, experiment_resume, "runs again: everybody sees the arm of before")


@require_http_methods(["GET", "HEAD", "POST"])
@member_page(roles=TESTERS)
def stop_page(request: ConsoleRequest, key: str) -> HttpResponse:
    """What the end means; POST stops it."""
    experiment = experiment_found(request, key)
    if request.method == "POST":
        return _move(request, key, experiment_stop, "has ended: everybody sees the placement's own")
    if experiment.state not in Experiment.LIVE:
        return _not_now(request, experiment)
    return render(request, "console/experiments/stop.html", head_context(request, experiment))


@require_http_methods(["GET", "HEAD", "POST"])
@vary_on_headers("HX-Request")
@member_page(roles=TESTERS)
def ramp_page(request: ConsoleRequest, key: str) -> HttpResponse:
    """How many take part, in which shares. `?coverage=&weight=` says what that would change."""
    experiment = experiment_found(request, key)
    if experiment.state != State.RUNNING or experiment.kind == Experiment.Kind.HOLDOUT:
        return _not_now(request, experiment)
    if request.method != "POST":
        context = _ramp_context(experiment, request.GET)
        if request.htmx:
            return render(request, "console/experiments/_ramp.html", context)
        context |= head_context(request, experiment)
        return render(request, "console/experiments/ramp.html", context)
    context = _ramp_context(experiment, request.POST)
    errors: Mapping[str, str] = context["errors"]
    if not errors:
        try:
            experiment_ramp(
                experiment=experiment,
                coverage=context["coverage"],
                weights=None if experiment.kind in _LEARNED else context["weights"],
                actor=request.user,
                now=timezone.now(),
            )
        except ExperimentRefused as error:
            errors = error.fields
        else:
            messages.success(request, "Changed: the new shares hold within a second.")
            return redirect("console-experiment", request.store.slug, key)
    context |= head_context(request, experiment) | {"errors": errors}
    return render(request, "console/experiments/ramp.html", context, status=422)


def _move(
    request: ConsoleRequest, key: str, service: Callable[..., None], words: str
) -> HttpResponse:
    experiment = experiment_found(request, key)
    try:
        service(experiment=experiment, actor=request.user, now=timezone.now())
    except ExperimentRefused as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"“{experiment.name}” {words}.")
    return redirect("console-experiment", request.store.slug, key)


def _not_now(request: ConsoleRequest, experiment: Experiment) -> HttpResponse:
    state = str(experiment.get_state_display()).lower()
    messages.info(request, f"“{experiment.name}” is {state}: that isn't possible now.")
    return redirect("console-experiment-setup", request.store.slug, experiment.key)


def _ramp_context(experiment: Experiment, typed: Mapping[str, str]) -> dict[str, Any]:
    """The fields as typed, and who would see something else than before."""
    variants = list(experiment.variants.all())
    errors: dict[str, str] = {}
    text = typed.get("coverage", percent_text(experiment.coverage))
    coverage = number_typed(text)
    if coverage is None:
        errors["coverage"] = "This is no number."
    rows, weights = [], []
    for variant in variants:
        name = f"weight-{variant.key}"
        typed_weight = typed.get(name, number_text(variant.weight))
        weight = number_typed(typed_weight)
        if weight is None:
            errors["weights"] = f"{variant.name}: this is no number."
        weights.append(weight or 0.0)
        rows.append({"variant": variant, "name": name, "text": typed_weight})
    context: dict[str, Any] = {
        "experiment": experiment,
        "coverage_text": text,
        "coverage": (coverage or 0.0) / 100,
        "weights": weights,
        "rows": rows,
        "errors": errors,
        "weights_are_learned": experiment.kind in _LEARNED,
    }
    if not errors:
        context |= _ramp_effect(experiment, context["coverage"], weights)
    return context


def _ramp_effect(experiment: Experiment, coverage: float, weights: list[float]) -> dict[str, Any]:
    """What the change does, as shares; `problem` where shoppers can't be divided like this."""
    old = [variant.weight for variant in experiment.variants.all()]
    try:
        before = bucket_ranges(old, experiment.coverage)
        after = bucket_ranges(weights, coverage)
    except InvalidInputError:
        return {"problem": "Coverage is from 0 to 100 %, weights from 0 on, one of them above 0."}
    leaves = ramp_leaves(before, after)
    shares = zip(experiment.variants.all(), shares_of(old), shares_of(weights), strict=True)
    return {
        "moves": ramp_moves(before, after),
        "leaves": leaves,
        # Of all shoppers; below a bucket it is rounding.
        "joins": max(round(coverage - experiment.coverage * (1 - leaves), 4), 0.0),
        "before_coverage": experiment.coverage,
        "shares": [(variant, share_old, share_new) for variant, share_old, share_new in shares],
        "is_same": (coverage, weights) == (experiment.coverage, old),
    }


def _shares_of_all(experiment: Experiment) -> dict[str, Any]:
    """The arms with their shares of all shoppers, and the share that is in none."""
    part = experiment.coverage
    if experiment.group_start is not None and experiment.group_end is not None:
        part *= experiment.group_end - experiment.group_start
    arms = [{"words": arm, "of_all": arm.share * part} for arm in arms_of(experiment)]
    return {"arms": arms, "outside": 1 - part}


def _warnings(request: ConsoleRequest, experiment: Experiment) -> list[str]:
    """What a member should know before the start, most important first."""
    words = []
    live = experiments_live_by_placement(store=request.store)
    for on in experiment.on.all():
        placement = on.placement
        if placement.paused:
            words.append(f"“{placement.name}” is paused: nobody sees a variant until it is live.")
        for other in live.get(placement.pk, []):
            shares_group = experiment.group_id and other.group_id == experiment.group_id
            words.append(
                f"“{other.name}” is on “{placement.name}” as well"
                + (
                    ": both take their own shoppers of the group."
                    if shares_group
                    else ". Stop it first, or put both into one exclusion group."
                )
            )
        control = experiment.variants.all()[0]
        pinned = {each.placement_id: each.strategy_version for each in control.strategies.all()}
        version = pinned.get(placement.pk)
        if version is not None and version.pk != placement.strategy_version_id:
            now = placement.strategy_version
            words.append(
                f"“{placement.name}” shows {now.strategy.name}, version {now.number}, since this"
                f" draft was saved; the control is {version.strategy.name}, version"
                f" {version.number}. Edit the draft to test against what shoppers see now."
            )
    if experiment.kind == Experiment.Kind.AA:
        words.append("An A/A test: all arms show the same, so it should find nothing.")
    if experiment.kind == Experiment.Kind.BANDIT:
        words.append("A bandit moves shoppers while it runs: its interval is wider than a test's.")
    return words
