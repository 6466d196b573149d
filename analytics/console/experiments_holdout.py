"""The always-on hold-out: what it touches first, then start, change and stop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe
from django.views.decorators.vary import vary_on_headers

from analytics.console.experiments_form import number_typed, percent_text
from analytics.console.experiments_words import badge_of, holdout_sees, shares_of, time_words
from analytics.selectors.experiment_headlines import experiment_headlines
from analytics.selectors.shopper_traffic import shopper_traffic
from catalog.console.access import TESTERS, ConsoleRequest, can_test, member_page
from recommender.models import Experiment, StrategyVersion
from recommender.selectors.experiments import StrategyChoice, holdout_get, strategies_to_choose
from recommender.services.experiments.holdout import holdout_change, holdout_start, holdout_stop
from recommender.services.experiments.records import ExperimentRefused

USUAL_SHARE = "5"
_NO_SHARE = {"share": "A number from 0.1 to 50."}


@require_safe
@vary_on_headers("HX-Request")
@member_page()
def holdout_page(request: ConsoleRequest) -> HttpResponse:
    """`?share=` and `?baseline=` say what would be, before it is."""
    if request.htmx:
        return render(request, "console/experiments/_touches.html", _context(request))
    return _page(request)


@require_POST
@member_page(roles=TESTERS)
def holdout_save(request: ConsoleRequest) -> HttpResponse:
    """Start one, or change the share of the one that is on; `was` says which was meant."""
    experiment, share = _running(request), number_typed(request.POST.get("share", ""))
    if request.POST.get("was", "") != (str(experiment.pk) if experiment else ""):
        return _page(request, errors={"": "Somebody changed the hold-out meanwhile: look again."})
    if share is None:
        return _page(request, errors=_NO_SHARE)
    try:
        _save(request, experiment, share / 100)
    except ExperimentRefused as error:
        return _page(request, errors=error.fields)
    messages.success(request, f"{share:g} % of the shoppers are held out from now on.")
    return redirect("console-experiments", request.store.slug)


@require_POST
@member_page(roles=TESTERS)
def holdout_end(request: ConsoleRequest) -> HttpResponse:
    experiment = _running(request)
    if experiment is None:
        return _page(request, errors={"": "There is no hold-out to stop."})
    try:
        holdout_stop(experiment=experiment, actor=request.user, now=timezone.now())
    except ExperimentRefused as error:
        return _page(request, errors=error.fields)
    messages.success(request, "The hold-out has ended: everybody sees recommendations again.")
    return redirect("console-experiments", request.store.slug)


def _save(request: ConsoleRequest, experiment: Experiment | None, share: float) -> None:
    now = timezone.now()
    if experiment is not None:
        holdout_change(experiment=experiment, share=share, actor=request.user, now=now)
        return
    wanted = request.POST.get("baseline", "")
    baseline = _version(strategies_to_choose(store=request.store), wanted)
    if wanted and baseline is None:
        raise ExperimentRefused({"baseline": "Choose a strategy of this store."})
    holdout_start(store=request.store, share=share, baseline=baseline, actor=request.user, now=now)


def _running(request: ConsoleRequest) -> Experiment | None:
    return holdout_get(store=request.store)


def _version(choices: list[StrategyChoice], text: str) -> StrategyVersion | None:
    versions = [version for choice in choices for version in choice.versions]
    return next((each for each in versions if str(each.pk) == text), None)


def _page(request: ConsoleRequest, *, errors: Mapping[str, str] | None = None) -> HttpResponse:
    context = _context(request) | {
        "errors": errors or {},
        "problem": (errors or {}).get("", ""),
        "can_test": can_test(request.member),
    }
    status = 422 if errors else 200
    return render(request, "console/experiments/holdout.html", context, status=status)


def _context(request: ConsoleRequest) -> dict[str, Any]:
    """What is, what would be, and whom it touches."""
    now = timezone.now()
    experiment = _running(request)
    typed = request.POST if request.method == "POST" else request.GET
    context: dict[str, Any] = {"holdout": experiment, "read_at": now}
    before = 0.0
    if experiment is not None:
        before = shares_of([variant.weight for variant in experiment.variants.all()])[0]
        headlines = experiment_headlines(store=request.store, ids=[experiment.pk])
        context |= {
            "experiment": experiment,
            "headline": headlines.get(experiment.pk),
            "badge": badge_of(experiment),
            "sees": holdout_sees(experiment),
            "time_words": time_words(experiment, now),
            "before": before,
        }
    text = typed.get("share", percent_text(before) if before else USUAL_SHARE)
    baseline = typed.get("baseline", "")
    share = number_typed(text)
    traffic = shopper_traffic(store=request.store, today=timezone.localdate())
    touches: dict[str, Any] = {"traffic": traffic}
    if share is not None and 0 < share <= 50:
        touches["share"] = share / 100
        if traffic is not None:
            touches["per_day"] = round(traffic.shoppers_per_day * share / 100)
        touches["moved"] = abs(share / 100 - before)
        touches["is_more"] = share / 100 > before
    choices = strategies_to_choose(store=request.store) if experiment is None else []
    if experiment is None:
        version = _version(choices, baseline)
        touches["sees"] = (
            f"“{version.strategy.name}”, version {version.number}, in every placement"
            if version is not None
            else "no recommendations at all"
        )
    else:
        touches["sees"] = holdout_sees(experiment)
    return context | {
        "share_text": text,
        "baseline": baseline,
        "touches": touches,
        "versions": [
            (choice.versions[0].pk, f"{choice.strategy.name}, version {choice.versions[0].number}")
            for choice in choices
        ],
    }
