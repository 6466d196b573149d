"""The radar: which placements were short, filled up or empty and why; which sources are ready."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from analytics.console.radar_words import Cause, cause_of, cause_of_rule
from analytics.console.readiness_words import NEEDS, Readiness, readiness_of
from analytics.selectors.empty_slots import (
    Answers,
    CatalogGaps,
    PlacementAnswers,
    Shortage,
    Step,
    catalog_gaps,
    placement_answers,
    rules_blamed,
)
from catalog.console.access import ConsoleRequest, member_page
from recommender.models import Placement, Rule
from recommender.selectors.placement_figures import placements_of
from recommender.selectors.readiness import learning_stocks
from recommender.selectors.runs import family_statuses
from recommender.serving.strategy import InvalidStrategyError, StrategyDocument, strategy_parse

# key: words, how far back, width of a bar
PERIODS: dict[str, tuple[str, timedelta, Step]] = {
    "24h": ("24 hours", timedelta(hours=24), "hour"),
    "7d": ("7 days", timedelta(days=7), "day"),
    "30d": ("30 days", timedelta(days=30), "day"),
}
STEPS: dict[Step, timedelta] = {"hour": timedelta(hours=1), "day": timedelta(days=1)}
DEFAULT_PERIOD = "7d"
BAR_HEIGHT = 40


@dataclass(frozen=True, slots=True)
class Bar:
    """One step of time as a column of the little chart; heights from its foot, 0 to 40."""

    at: datetime
    answers: Answers
    x: int
    empty: float
    short: float
    fallback: float

    @property
    def short_foot(self) -> float:
        return BAR_HEIGHT - self.empty - self.short

    @property
    def fallback_foot(self) -> float:
        return self.short_foot - self.fallback

    @property
    def empty_foot(self) -> float:
        return BAR_HEIGHT - self.empty


@dataclass(frozen=True, slots=True)
class Row:
    """A placement on the radar; `causes` with how many answers, the commonest first."""

    placement: Placement
    answers: Answers
    bars: list[Bar]
    causes: list[tuple[Cause, str, int]]


@require_safe
@member_page()
def radar_page(request: ConsoleRequest) -> HttpResponse:
    key = request.GET.get("period", DEFAULT_PERIOD)
    if key not in PERIODS:
        raise Http404("There is no such period.")
    words, length, step = PERIODS[key]
    store, now = request.store, timezone.now()
    placements = placements_of(store=store)
    documents = {placement.pk: _document(placement) for placement in placements}
    trained = {
        status.family for status in family_statuses(store_id=store.pk) if status.serving is not None
    }
    answers = placement_answers(store=store, since=now - length, step=step)
    causes = _Causes(
        catalog_gaps(store=store), trained, rules_blamed(store=store, answers=answers.values()), now
    )
    rows = [
        _row(
            request,
            placement,
            answers.get(placement.pk, PlacementAnswers()),
            documents[placement.pk],
            causes,
            now - length,
            step,
        )
        for placement in placements
    ]
    # The worst first; those that nobody asked for last.
    rows.sort(
        key=lambda row: (not row.answers.n, -(row.answers.wanting_rate or 0), row.placement.name)
    )
    context = {
        "rows": rows,
        "periods": [(each, PERIODS[each][0], each == key) for each in PERIODS],
        "period": words,
        "step": step,
        "n_bars": math.ceil(length / STEPS[step]) + 1,
        "n_answers": sum(row.answers.n for row in rows),
        "n_wanting": sum(row.answers.n_wanting for row in rows),
        "sources": _readiness(request, placements, documents, trained, now),
        "read_at": now,
    }
    return render(request, "console/radar/page.html", context)


@dataclass(frozen=True, slots=True)
class _Causes:
    """What the store has now, to put reasons beside it."""

    gaps: CatalogGaps
    trained: set[str]
    rules: dict[int, Rule]
    now: datetime

    def of(self, shortage: Shortage, document: StrategyDocument | None) -> Cause:
        if shortage.rule_id is not None:
            return cause_of_rule(self.rules.get(shortage.rule_id), now=self.now)
        return cause_of(shortage.reason, document=document, trained=self.trained, gaps=self.gaps)


def _row(
    request: ConsoleRequest,
    placement: Placement,
    answers: PlacementAnswers,
    document: StrategyDocument | None,
    causes: _Causes,
    since: datetime,
    step: Step,
) -> Row:
    found = [(causes.of(shortage, document), shortage.n) for shortage in answers.reasons]
    return Row(
        placement,
        answers.total,
        _bars(answers, since, step),
        [(cause, _address(request, placement, cause), n) for cause, n in found],
    )


def _address(request: ConsoleRequest, placement: Placement, cause: Cause) -> str:
    slug = request.store.slug
    if cause.page == "placement":
        return reverse("console-placement", args=[slug, placement.slug])
    if cause.page == "rule":
        return reverse("console-campaign", args=[slug, cause.rule_id])
    return reverse(cause.page, args=[slug]) + cause.query


def _bars(answers: PlacementAnswers, since: datetime, step: Step) -> list[Bar]:
    """Shares of each step's answers: a quiet night counts as much as a busy noon."""
    width = STEPS[step]
    return [
        Bar(
            at,
            each,
            max(0, math.ceil((at - since) / width)),
            *(
                round(BAR_HEIGHT * n / each.n, 2)
                for n in (each.n_empty, each.n_short, each.n_fallback)
            ),
        )
        for at, each in answers.over_time
        if each.n
    ]


def _readiness(
    request: ConsoleRequest,
    placements: list[Placement],
    documents: dict[int, StrategyDocument | None],
    trained: set[str],
    now: datetime,
) -> list[Readiness]:
    """All sources, what waits first."""
    stocks = learning_stocks(store=request.store, now=now)
    found = []
    for source, need in NEEDS.items():
        users = {}
        for placement in placements:
            document = documents[placement.pk]
            if document is not None and any(each.source == source for each in document.sources):
                users[placement.name] = document.fallback
        found.append(readiness_of(source, stocks[need.kind], trained=trained, users=users))
    order = ("waiting", "untrained", "ready")
    return sorted(found, key=lambda each: (order.index(each.state), not each.users))


def _document(placement: Placement) -> StrategyDocument | None:
    try:
        return strategy_parse(placement.strategy_version.document)
    except InvalidStrategyError:
        return None
