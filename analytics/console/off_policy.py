"""Replay of the log: what a strategy would have earned on a placement, before anybody sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe
from django.views.decorators.vary import vary_on_headers

from analytics.services.off_policy import (
    PERIOD,
    SAMPLE,
    OffPolicy,
    OffPolicyGone,
    off_policy_continue,
    off_policy_start,
)
from analytics.stats.answers import NotEnoughData
from catalog.console.access import ConsoleRequest, member_page
from recommender.models import StrategyVersion
from recommender.selectors.experiments import strategies_to_choose
from recommender.selectors.placement_figures import placements_of
from recommender.services.preview import NoPreview
from recommender.serving.strategy import InvalidStrategyError
from recommender.stores.client import StoreUnavailable

if TYPE_CHECKING:
    from analytics.results.off_policy import Outcome
    from analytics.stats.off_policy import Estimate

# Below this many clicks an interval says nothing that the next click couldn't turn round.
FEW_CLICKS = 25


@dataclass(frozen=True, slots=True)
class Row:
    """One estimate as the table says it."""

    name: str
    about: str
    value: str
    interval: str


@require_http_methods(["GET", "HEAD", "POST"])
@member_page()
def off_policy_page(request: ConsoleRequest) -> HttpResponse:
    """Choose a placement and a strategy; by POST the replay begins, and has an address of its own."""
    sent = request.POST if request.method == "POST" else request.GET
    placements = placements_of(store=request.store)
    version = _version(request, sent.get("version", ""))
    wanted = sent.get("placement")
    context: dict[str, Any] = {
        "placements": placements,
        "strategies": strategies_to_choose(store=request.store),
        "placement": next((each for each in placements if each.slug == wanted), None),
        "version": version,
        "sample": SAMPLE,
        "period_days": PERIOD.days,
    }
    if request.method != "POST":
        return render(request, "console/off_policy/page.html", context)
    if context["placement"] is None or context["version"] is None:
        context["problem"] = "Choose a placement and a strategy."
        return render(request, "console/off_policy/page.html", context, status=400)
    try:
        began = off_policy_start(
            placement=context["placement"], version=context["version"], now=timezone.now()
        )
    except (NoPreview, InvalidStrategyError, StoreUnavailable) as error:
        context["problem"] = _problem_words(error)
        return render(request, "console/off_policy/page.html", context, status=503)
    return render(request, "console/off_policy/run.html", {"run": began, **_said(began)})


@require_safe
@vary_on_headers("HX-Request")
@member_page()
def off_policy_run(request: ConsoleRequest, token: str) -> HttpResponse:
    """How far a replay is, or what it says. Each look works some more of it off."""
    try:
        run = off_policy_continue(store=request.store, token=token)
    except OffPolicyGone as error:
        raise Http404(str(error)) from error
    except (NoPreview, InvalidStrategyError, StoreUnavailable) as error:
        context: dict[str, Any] = {"problem": _problem_words(error), "run": None}
    else:
        context = {"run": run, **_said(run)}
    fragment = "_run.html" if request.htmx else "run.html"
    return render(request, f"console/off_policy/{fragment}", context)


def _version(request: ConsoleRequest, wanted: str) -> StrategyVersion | None:
    if not wanted.isdecimal() or len(wanted) > 18:
        return None
    versions = StrategyVersion.objects.filter(store=request.store, pk=int(wanted))
    return versions.select_related("strategy").first()


def _said(run: OffPolicy) -> dict[str, Any]:
    outcome = run.outcome
    if outcome is None or outcome.logged is None:
        return {}
    replayed = outcome.replayed
    said: dict[str, Any] = {
        "logged": _percent(outcome.logged.value),
        "logged_interval": _interval(outcome.logged),
        "few_clicks": outcome.n_clicks < FEW_CLICKS,
        "few": FEW_CLICKS,
    }
    if isinstance(replayed, NotEnoughData):
        return said | {"missing": f"{replayed.words[0].upper()}{replayed.words[1:]}."}
    rows = [
        Row(
            "SNIPS",
            "Self-normalised: the one to read. A little biased, much narrower.",
            _percent(replayed.snips.value),
            _interval(replayed.snips),
        ),
        Row(
            "IPS",
            "Inverse propensity score: unbiased, wide.",
            _percent(replayed.ips.value),
            _interval(replayed.ips),
        ),
    ]
    if replayed.dr is not None:
        about = "Doubly robust: with the click rate of each place as a model."
        rows.append(Row("DR", about, _percent(replayed.dr.value), _interval(replayed.dr)))
    return said | {
        "headline": headline(run.version, outcome),
        "rows": rows,
        "effective": round(replayed.effective_sample_size),
        "support": replayed.support,
    }


def headline(version: StrategyVersion, outcome: Outcome) -> str:
    """The finding in one sentence; None can't come here, see `_said`."""
    replayed, logged = outcome.replayed, outcome.logged
    assert logged is not None
    assert not isinstance(replayed, NotEnoughData)
    name = f"“{version.strategy.name}”, version {version.number},"
    low, high = replayed.snips.interval()
    if low <= logged.value <= high:
        return (
            f"{name} would have been clicked about as often: {_percent(replayed.snips.value)} of the"
            f" places ({_interval(replayed.snips)}), against {_percent(logged.value)} that were."
        )
    more = "more" if replayed.snips.value > logged.value else "less"
    lift = f" ({abs(outcome.lift) * 100:.0f} % {more})" if outcome.lift is not None else ""
    return (
        f"{name} would have been clicked {more} often: {_percent(replayed.snips.value)} of the places"
        f" ({_interval(replayed.snips)}), against {_percent(logged.value)} that were{lift}."
    )


def _percent(share: float) -> str:
    return f"{share * 100:.2f} %"


def _interval(estimate: Estimate) -> str:
    low, high = estimate.interval()
    return f"{max(low, 0.0) * 100:.2f} to {high * 100:.2f} %"


def _problem_words(error: Exception) -> str:
    if isinstance(error, StoreUnavailable):
        return "Valkey is away, and the replay keeps its place there. Try again in a moment."
    return str(error)
