"""Everything that the results page shows, put together from one document and a few small queries."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.http import QueryDict
from django.urls import reverse
from django.utils import timezone

from analytics.console.experiments_decide import decide_context
from analytics.console.experiments_words import (
    Badge,
    arms_of,
    badge_of,
    days_words,
    shares_of,
    time_words,
)
from analytics.console.overview_charts import Chart
from analytics.console.results_charts import (
    exposure_chart,
    funnel_chart,
    lift_charts,
    weight_chart,
)
from analytics.console.results_look import Choice, Look, look_read, toggles_of
from analytics.console.results_panels import (
    health_of,
    incremental_of,
    power_of,
    segments_of,
    verdicts_of,
    votes_of,
)
from analytics.console.results_recommender import panel_of
from analytics.console.results_scorecard import has_cuped, scorecard_of
from analytics.console.results_words import (
    NO_VERDICT,
    Sign,
    definition_of,
    period_words,
    unbroken,
)
from analytics.models import ExperimentSnapshot
from analytics.results.document import Results, results_read
from analytics.selectors.experiment_headlines import Headline, experiment_history
from analytics.selectors.snapshots import (
    Traces,
    experiment_traces,
    snapshot_latest,
    snapshot_list,
    stamp_of,
)
from analytics.services.experiment_notes import MAX_NOTE_CHARS, NOTE_ACTION
from catalog.console.access import ConsoleRequest, can_test
from catalog.console.audit_words import action_words, changes_between
from catalog.durations import duration_words, seconds_between
from recommender.models import Experiment

State = Experiment.State
Kind = Experiment.Kind
# Of the trail on this page; the history has all.
MAX_ENTRIES, MAX_CHANGES_SHOWN = 8, 6
# Facts older than this are said to lag.
_LAG_S = 600


def snapshot_read(snapshot: ExperimentSnapshot | None) -> Results | None:
    """None while it waits for a worker."""
    if snapshot is None or snapshot.document is None:
        return None
    return results_read(snapshot.document)


def page_context(
    request: ConsoleRequest,
    experiment: Experiment,
    snapshot: ExperimentSnapshot | None,
    query: QueryDict,
) -> dict[str, Any]:
    """For `console/results/`. Raises `InvalidLookError` for an address that asks for nonsense."""
    now, results = timezone.now(), snapshot_read(snapshot)
    is_latest = snapshot is None or snapshot.kind == ExperimentSnapshot.Kind.LATEST
    latest = snapshot if is_latest else snapshot_latest(experiment=experiment)
    live = results if is_latest else snapshot_read(latest)
    path = reverse("console-experiment", args=[request.store.slug, experiment.key])
    days, kept = snapshot_list(experiment=experiment)
    context: dict[str, Any] = {
        "experiment": experiment,
        "badge": _badge(experiment, live),
        "time_words": _time_words(experiment, snapshot, results, now),
        "arms": arms_of(experiment),
        "can_test": can_test(request.member),
        "path": path,
        "snapshot": snapshot,
        "is_latest": is_latest,
        "is_live": is_latest and experiment.state in Experiment.LIVE,
        "stamp": stamp_of(
            experiment.state, experiment.decided_at, latest.computed_at if latest else None
        ),
        "days": days,
        "day": query.get("day", ""),
        "kept": kept,
        "results": results,
        "read_at": now,
        "max_note_chars": MAX_NOTE_CHARS,
        **_trail(request, experiment),
        **decide_context(experiment, proposed=_proposed(live)),
        **_addresses(snapshot, is_latest),
        "split": _split(experiment),
        "test_first_day": live.first_day.isoformat() if live and live.first_day else "",
        "test_last_day": live.last_day.isoformat() if live and live.last_day else "",
    }
    if results is None or results.status == "no_data":
        context["nothing"] = _nothing(experiment, snapshot, now)
    if results is None:
        return context
    look = look_read(query, query.getlist("hide"), results, experiment.cuped)
    return context | _results_context(experiment, results, look, now)


def _time_words(
    experiment: Experiment,
    snapshot: ExperimentSnapshot | None,
    results: Results | None,
    now: datetime,
) -> str:
    """Of what is kept, as of then."""
    if snapshot is None or results is None or snapshot.kind == ExperimentSnapshot.Kind.LATEST:
        return time_words(experiment, now)
    if snapshot.kind == ExperimentSnapshot.Kind.RANGE:
        return f"{days_words(timedelta(days=results.days))} of the test"
    return time_words(experiment, results.computed_at)


def _results_context(
    experiment: Experiment, results: Results, look: Look, now: datetime
) -> dict[str, Any]:
    cuped = experiment.cuped
    segments, segment_extent = segments_of(results, look.hidden)
    lag_s = None
    if results.facts_until is not None and experiment.state in Experiment.LIVE:
        lag_s = seconds_between(results.facts_until, now)
    lead = _lead(results)
    return {
        "look": look,
        "headline": unbroken(results.headline),
        "verdict_tone": lead.tone,
        "verdict_icon": lead.icon,
        "verdict_word": lead.words,
        "print_query": f"{look.query}{'&' if len(look.query) > 1 else ''}view=print",
        "toggles": toggles_of(look, results, has_cuped=has_cuped(results)),
        "metrics": _metric_choices(look, results),
        "period": period_words(results),
        "lag": duration_words(lag_s) if lag_s is not None and lag_s > _LAG_S else "",
        "primary": definition_of(results.primary),
        "verdicts": verdicts_of(results, cuped=cuped),
        "health": health_of(results),
        "exposures": exposure_chart(results),
        "scorecard": scorecard_of(results, look, is_holdout=experiment.kind == Kind.HOLDOUT),
        "lifts": lift_charts(results, look.metric, look.hidden),
        "funnel": funnel_chart(results),
        "segments": segments,
        "segment_extent": segment_extent,
        "panel": panel_of(results, look),
        "power": power_of(results),
        "votes": votes_of(results),
        "weights": _weights(experiment, results, now),
        "incremental": incremental_of(results, cuped=cuped)
        if experiment.kind == Kind.HOLDOUT
        else None,
    }


def _lead(results: Results) -> Sign:
    """What the verdict as a whole comes to."""
    signs = {
        "no_data": Sign("unknown", "clock", "No data yet"),
        "unhealthy": Sign("bad", "warn", "Don't trust it yet"),
        "ship": Sign("good", "good", "Ship"),
        "roll_back": Sign("bad", "bad", "Roll back"),
        "review": Sign("warn", "info", "Ready for review"),
        "stopped": Sign("even", "info", "Stopped"),
        "paused": Sign("warn", "pause", "Paused"),
        "range": NO_VERDICT,
    }
    return signs.get(results.status) or Sign("active", "clock", "Wait")


def _addresses(snapshot: ExperimentSnapshot | None, is_latest: bool) -> dict[str, str]:
    """Behind the question mark: of the files, and of what leads to these very numbers."""
    if snapshot is None or is_latest:
        return {"export_query": "", "permalink": ""}
    query = f"?snapshot={snapshot.pk}"
    # Ranges aren't kept for long.
    is_range = snapshot.kind == ExperimentSnapshot.Kind.RANGE
    return {"export_query": query, "permalink": "" if is_range else query}


def _split(experiment: Experiment) -> list[tuple[float, float, int]]:
    """The arms as parts of a bar of 200: where each begins, its width, its position."""
    parts, x = [], 0.0
    variants = list(experiment.variants.all())
    for variant, share in zip(variants, shares_of([v.weight for v in variants]), strict=True):
        parts.append((round(x, 2), round(share * 200, 2), variant.position))
        x += share * 200
    return parts


def _weights(experiment: Experiment, results: Results, now: datetime) -> Chart | None:
    if experiment.kind != Kind.BANDIT:
        return None
    until = experiment.stopped_at or min(now, results.computed_at)
    return weight_chart(results, list(experiment.phases.all()), until=until)


def _metric_choices(look: Look, results: Results) -> list[Choice]:
    """Of the charts over time; one alone is no choice."""
    keys = list(dict.fromkeys(series.metric for series in results.series))
    if len(keys) < 2:
        return []
    return [
        Choice(
            f"metric-{key}",
            definition_of(key).name,
            replace(look, metric=key).query,
            key == look.metric,
        )
        for key in keys
    ]


def _badge(experiment: Experiment, live: Results | None) -> Badge:
    """With the days that are left while it runs well."""
    headline = None
    if live is not None:
        headline = Headline(
            live.status,
            live.headline,
            live.power.n_shoppers,
            live.power.days_left,
            live.power.progress,
            live.computed_at,
        )
    badge = badge_of(experiment, headline)
    left = live.power.days_left if live is not None else None
    if badge.words == "Running" and left:
        words = f"Running, about {left} day{'' if left == 1 else 's'} left"
        return Badge(badge.tone, badge.icon, words)
    return badge


def _proposed(live: Results | None) -> int | None:
    """The variant that the verdict says to ship; None if there is none, or more than one."""
    if live is None:
        return None
    shipped = [each.variant_id for each in live.verdicts if each.advice == "ship"]
    return shipped[0] if len(shipped) == 1 else None


@dataclass(frozen=True, slots=True)
class Nothing:
    """Why there is nothing to see, and what to do about it."""

    icon: str
    title: str
    words: str
    action: str
    link: str


def _nothing(experiment: Experiment, snapshot: ExperimentSnapshot | None, now: datetime) -> Nothing:
    if snapshot is not None and snapshot.document is None:
        return Nothing("clock", "These days are being worked out", "", "", "")
    if experiment.state == State.DRAFT or experiment.started_at is None:
        return Nothing(
            "experiment",
            "This is a draft: nobody sees it yet",
            "Look through the setup once more and start it. From then on hypothesis, metrics and"
            " plan are locked, and the first figures are here within six minutes of the first"
            " shopper.",
            "Look through the setup",
            "console-experiment-setup",
        )
    traces: Traces = experiment_traces(experiment=experiment)
    since = duration_words(seconds_between(experiment.started_at, now))
    if experiment.state == State.PAUSED:
        return Nothing(
            "pause",
            "It was paused before anybody was counted",
            "Take it up again, and shoppers are exposed from the next request on.",
            "",
            "",
        )
    if traces.any_exposed:
        return Nothing(
            "clock",
            "Shoppers have been exposed; their figures are being counted",
            "A worker counts every five minutes. If nothing is here after ten, no worker runs:"
            " the operator's log says why.",
            "",
            "",
        )
    if traces.any_answer:
        return Nothing(
            "person",
            f"Nobody has been exposed in {since}",
            "Its placements were asked, but nobody who came takes part. The likely causes: shoppers"
            " come without an id (consent denied), coverage is small, nobody is in the segment, or"
            " another test of its exclusion group has them.",
            "Look at coverage and segment",
            "console-experiment-setup",
        )
    return Nothing(
        "placement",
        f"No placement of this test has been asked for in {since}",
        "The likely cause: the tag isn't on the page, or the page shows another placement. Open the"
        " page in the shop, and the first shopper is counted here within six minutes.",
        "See the placements",
        "console-placements",
    )


def _trail(request: ConsoleRequest, experiment: Experiment) -> dict[str, Any]:
    """The log of the experiment, its notes apart. One query."""
    entries = experiment_history(store=request.store, experiment=experiment)
    notes = [
        (entry, str((entry.after or {}).get("note", "")))
        for entry in entries
        if entry.action == NOTE_ACTION
    ]
    others = [entry for entry in entries if entry.action != NOTE_ACTION]
    return {
        "notes": notes,
        "trail": [
            (
                entry,
                action_words(entry.action),
                changes_between(entry.before, entry.after)[:MAX_CHANGES_SHOWN],
            )
            for entry in others[:MAX_ENTRIES]
        ],
        "n_entries": len(others),
    }
