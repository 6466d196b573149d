"""The first page: how the shop and its recommendations are doing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from analytics.console.insights import marks_in, tracking_told
from analytics.console.insights_tracking import tracking_line
from analytics.console.overview_charts import OverTime, bucket_days_of, charts_of
from analytics.console.overview_tiles import tiles_of
from analytics.metrics.periods import PERIOD_DAYS, InvalidPeriodError, period_parse
from analytics.selectors.overview import (
    bucket_figures,
    day_figures,
    period_figures,
    rollup_state,
)
from analytics.selectors.setup import setup_state
from catalog.console.access import ConsoleRequest, member_page
from catalog.models import Store
from catalog.selectors.activity import EVENT_WORDS, latest_events
from recommender.console.model_words import model_card
from recommender.selectors.runs import family_statuses


@require_safe
@member_page()
def overview(request: ConsoleRequest) -> HttpResponse:
    store, today = request.store, timezone.localdate()
    try:
        period = period_parse(request.GET.get("days"), request.GET.get("until"), today=today)
    except InvalidPeriodError as error:
        raise Http404(str(error)) from error
    rollups = rollup_state(store=store)
    now, before = period_figures(store=store, period=period)
    # Days before the store's first one are no days without sales: there is nothing to compare.
    comparable = rollups.first_day is not None and rollups.first_day <= period.before.first
    so_far = day_figures(store=store, day=today)
    over_time = OverTime(
        period=period,
        now=now,
        before=before if comparable else None,
        buckets=bucket_figures(store=store, period=period, bucket_days=bucket_days_of(period)),
        so_far=so_far if period.last == today - timedelta(days=1) else None,
        marks=marks_in(store=store, period=period),
    )
    latest = _latest_context(store)
    newest_event_at = latest["events"][0][0].received_at if latest["events"] else None
    context = {
        "period": period,
        "period_days": PERIOD_DAYS,
        "until_chosen": bool(request.GET.get("until")),
        "comparable": comparable,
        "rollups": rollups,
        # An import may end before the period does; the days after it count as zero.
        "ends_early": rollups.last_day is not None and rollups.last_day < period.last,
        "today": so_far,
        "tiles": tiles_of(now, over_time.before, store.currency),
        "charts": charts_of(over_time),
        "setup": setup_state(store=store),
        "models": [
            model_card(status, newest_event_at=newest_event_at)
            for status in family_statuses(store_id=store.pk)
        ],
        **latest,
    }
    return render(request, "console/overview/page.html", context)


@require_safe
@member_page()
def latest_events_list(request: ConsoleRequest) -> HttpResponse:
    """The list of the latest events alone, for htmx."""
    return render(request, "console/overview/_events.html", _latest_context(request.store))


@require_safe
@member_page()
def tracking_notice(request: ConsoleRequest) -> HttpResponse:
    """What is wrong with the tracking in one line, for htmx; nothing if nothing is."""
    _, checks, _ = tracking_told(request.store)
    context = {"tracking": tracking_line(checks)}
    return render(request, "console/overview/_tracking.html", context)


def _latest_context(store: Store) -> dict[str, Any]:
    events = [(event, *EVENT_WORDS[event.type]) for event in latest_events(store=store)]
    return {"events": events, "events_read_at": timezone.now()}
