"""The decision: ship, keep or inconclusive, with a reason; and what shipping changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from analytics.console.experiments import experiment_found, head_context
from analytics.services.experiment_decision import experiment_conclude
from catalog.console.access import TESTERS, ConsoleRequest, member_page
from recommender.models import Experiment, Placement, StrategyVersion, Variant
from recommender.selectors.experiments import experiment_get, variant_shows
from recommender.services.experiments.records import ExperimentRefused

Decision = Experiment.Decision
Kind = Experiment.Kind


@dataclass(frozen=True, slots=True)
class Publishes:
    """What shipping a variant does to one placement, at the next request."""

    placement: Placement
    version: StrategyVersion

    @property
    def is_new(self) -> bool:
        return self.version.pk != self.placement.strategy_version_id


@dataclass(frozen=True, slots=True)
class Shippable:
    """A variant that can be shipped."""

    variant: Variant
    publishes: tuple[Publishes, ...]

    @property
    def choice(self) -> str:
        """The form's value for it."""
        return f"ship-{self.variant.pk}"


def can_be_decided(experiment: Experiment) -> bool:
    """It has run, is no hold-out, and nobody has decided yet."""
    return (
        experiment.kind != Kind.HOLDOUT
        and experiment.state != Experiment.State.DRAFT
        and experiment.decision is None
    )


def decide_context(
    experiment: Experiment,
    *,
    typed: Mapping[str, str] | None = None,
    errors: Mapping[str, str] | None = None,
    proposed: int | None = None,
) -> dict[str, Any]:
    """For the fragment `console/experiments/_decide.html`, which posts to `console-experiment-decide`.

    `experiment` is that of `recommender.selectors.experiments.experiment_get`. `proposed` is the id
    of the variant that the verdict says to ship; its choice is made already then.
    """
    typed = typed or {}
    shippable = () if experiment.kind == Kind.AA else _shippable(experiment)
    choice = typed.get("choice", "")
    if not choice and proposed in {each.variant.pk for each in shippable}:
        choice = f"ship-{proposed}"
    return {
        "experiment": experiment,
        "can_decide": can_be_decided(experiment),
        "shippable": shippable,
        "control": experiment.variants.all()[0],
        "choice": choice,
        "reason": typed.get("reason", ""),
        "decide_errors": errors or {},
        "is_open": experiment.state != Experiment.State.STOPPED,
        "shows_nothing": any(each.shows_nothing for each in experiment.variants.all()),
    }


@require_http_methods(["GET", "HEAD", "POST"])
@member_page(roles=TESTERS)
def decide_page(request: ConsoleRequest, key: str) -> HttpResponse:
    """The form by itself; POST decides, and leads to the results with the decision."""
    experiment = experiment_found(request, key)
    if not can_be_decided(experiment):
        messages.info(request, _why_not(experiment))
        return redirect("console-experiment", request.store.slug, key)
    if request.method != "POST":
        context = head_context(request, experiment) | decide_context(experiment)
        return render(request, "console/experiments/decide.html", context)
    decision, variant, errors = _choice(experiment, request.POST.get("choice", ""))
    if not errors:
        try:
            experiment_conclude(
                experiment=experiment,
                decision=decision,
                variant=variant,
                reason=request.POST.get("reason", ""),
                actor=request.user,
                now=timezone.now(),
            )
        except ExperimentRefused as error:
            errors = dict(error.fields)
    if errors:
        typed = {name: request.POST.get(name, "") for name in ("choice", "reason")}
        # The service may have left its changes on the object.
        experiment = experiment_get(store=request.store, key=key) or experiment
        context = head_context(request, experiment)
        context |= decide_context(experiment, typed=typed, errors=errors)
        return render(request, "console/experiments/decide.html", context, status=422)
    messages.success(request, _done(decision, variant))
    return redirect("console-experiment", request.store.slug, key)


def _choice(experiment: Experiment, choice: str) -> tuple[str, Variant | None, dict[str, str]]:
    """`ship-<variant id>`, `keep` or `inconclusive`."""
    if choice.startswith("ship-"):
        for variant in experiment.variants.all():
            if choice == f"ship-{variant.pk}":
                return Decision.SHIP, variant, {}
        return Decision.SHIP, None, {"choice": "Choose a variant of this experiment."}
    if choice in (Decision.KEEP, Decision.INCONCLUSIVE):
        return choice, None, {}
    return "", None, {"choice": "Choose what follows."}


def _shippable(experiment: Experiment) -> tuple[Shippable, ...]:
    """All but the control that show something."""
    found = []
    for variant in experiment.variants.all():
        if variant.position == 0 or variant.shows_nothing:
            continue
        publishes = []
        for on in experiment.on.all():
            version = variant_shows(variant, on.placement)
            if version is not None:
                publishes.append(Publishes(on.placement, version))
        found.append(Shippable(variant, tuple(publishes)))
    return tuple(found)


def _why_not(experiment: Experiment) -> str:
    if experiment.decision:
        return "It has been decided already."
    if experiment.kind == Kind.HOLDOUT:
        return "A hold-out measures; there is nothing to decide."
    return "It hasn't run yet: there is nothing to decide."


def _done(decision: str, variant: Variant | None) -> str:
    if decision == Decision.SHIP and variant is not None:
        return f"“{variant.name}” is shipped: shoppers see it from the next request on."
    if decision == Decision.KEEP:
        return "Decided: the control stays. Everybody sees what the placement shows."
    return "Decided: inconclusive. Everybody sees what the placement shows."
