"""Experiments: the list with the hold-out, and the history of one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from analytics.console.experiments_words import (
    Badge,
    badge_of,
    holdout_sees,
    shares_of,
    time_words,
)
from analytics.selectors.experiment_headlines import (
    Headline,
    experiment_headlines,
    experiment_history,
)
from catalog.console.access import ConsoleRequest, can_edit, can_test, member_page
from catalog.console.audit_words import MAX_CHANGES, action_words, changes_between
from recommender.models import Experiment
from recommender.selectors.experiments import experiment_get, experiment_list, holdout_get

State = Experiment.State
# What a filter of the list means; the order is that of the list.
FILTERS: dict[str, tuple[str, frozenset[str]]] = {
    "running": ("Running", frozenset(Experiment.LIVE)),
    "draft": ("Drafts", frozenset({State.DRAFT})),
    "ended": ("Ended", frozenset({State.STOPPED})),
}
_NOTHING = {
    "running": "Nothing runs now",
    "draft": "There is no draft",
    "ended": "Nothing has ended yet",
}


@dataclass(frozen=True, slots=True)
class ListRow:
    """One line of the list."""

    experiment: Experiment
    headline: Headline | None
    badge: Badge
    time_words: str
    days_left_words: str
    url: str

    @property
    def is_open(self) -> bool:
        return self.experiment.state in FILTERS["running"][1]

    @property
    def percent(self) -> float:
        progress = self.headline.progress if self.headline else None
        return min(max((progress or 0.0) * 100, 0.0), 100.0)


@require_safe
@member_page()
def experiments_page(request: ConsoleRequest) -> HttpResponse:
    """Running first, then drafts, then what has ended, each with the newest first."""
    now = timezone.now()
    tests = experiment_list(store=request.store)
    holdout = holdout_get(store=request.store)
    ids = [each.pk for each in (*tests, *([holdout] if holdout else []))]
    headlines = experiment_headlines(store=request.store, ids=ids)
    state = request.GET.get("state", "")
    if state and state not in FILTERS:
        raise Http404("Experiments have no such state.")
    order = list(FILTERS)
    shown = [each for each in tests if not state or each.state in FILTERS[state][1]]
    shown.sort(key=lambda each: order.index(_filter_of(each)))
    rows = [_row(each, headlines.get(each.pk), now) for each in shown]
    counts = [
        (name, label, sum(each.state in states for each in tests))
        for name, (label, states) in FILTERS.items()
    ]
    context = {
        "rows": rows,
        "n_all": len(tests),
        "filters": [("", "All", len(tests)), *counts],
        "state": state,
        "nothing_words": _NOTHING.get(state, ""),
        "holdout": _holdout(holdout, headlines, now),
        "can_test": can_test(request.member),
        "read_at": now,
    }
    return render(request, "console/experiments/list.html", context)


@require_safe
@member_page()
def experiment_history_page(request: ConsoleRequest, key: str) -> HttpResponse:
    experiment = experiment_found(request, key)
    rows = []
    for entry in experiment_history(store=request.store, experiment=experiment):
        changes = changes_between(entry.before, entry.after)
        rows.append(
            {
                "entry": entry,
                "words": action_words(entry.action),
                "changes": changes[:MAX_CHANGES],
                "n_more": max(len(changes) - MAX_CHANGES, 0),
            }
        )
    context = head_context(request, experiment) | {
        "rows": rows,
        "can_audit": can_edit(request.member),
    }
    return render(request, "console/experiments/history.html", context)


def experiment_found(request: ConsoleRequest, key: str) -> Experiment:
    """The experiment of an address, or 404."""
    experiment = experiment_get(store=request.store, key=key)
    if experiment is None:
        raise Http404
    return experiment


def head_context(request: ConsoleRequest, experiment: Experiment) -> dict[str, Any]:
    """For `_head.html`, `_tabs.html` and `_actions.html`."""
    headlines = experiment_headlines(store=request.store, ids=[experiment.pk])
    headline = headlines.get(experiment.pk)
    return {
        "experiment": experiment,
        "headline": headline,
        "badge": badge_of(experiment, headline),
        "time_words": time_words(experiment, timezone.now()),
        "can_test": can_test(request.member),
    }


def _filter_of(experiment: Experiment) -> str:
    return next(name for name, (_, states) in FILTERS.items() if experiment.state in states)


def _row(experiment: Experiment, headline: Headline | None, now: datetime) -> ListRow:
    page = "setup" if experiment.state == State.DRAFT else ""
    name = f"console-experiment{'-' if page else ''}{page}"
    left = ""
    if experiment.state in FILTERS["running"][1]:
        days = headline.days_left if headline else None
        if days:
            left = f"{days} day{'' if days == 1 else 's'}"
    return ListRow(
        experiment=experiment,
        headline=headline if experiment.state != State.DRAFT else None,
        badge=badge_of(experiment, headline),
        time_words=time_words(experiment, now),
        days_left_words=left,
        url=reverse(name, args=[experiment.store.slug, experiment.key]),
    )


def _holdout(
    experiment: Experiment | None, headlines: dict[int, Headline], now: datetime
) -> dict[str, Any] | None:
    """The card of the hold-out that is on."""
    if experiment is None:
        return None
    weights = [variant.weight for variant in experiment.variants.all()]
    return {
        "experiment": experiment,
        "headline": headlines.get(experiment.pk),
        "badge": badge_of(experiment),
        "share": shares_of(weights)[0],
        "sees": holdout_sees(experiment),
        "time_words": time_words(experiment, now),
    }
