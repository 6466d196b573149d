"""Which runs are due: often for what is cheap, nightly for what is thorough, never without news.

Imported by web processes: nothing here trains.
"""

from __future__ import annotations

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.db.models import Max
from django.utils import timezone

from catalog.models import Event, Product, ShopperLink, Store
from recommender.models import Artifact, LabChoice, Run
from recommender.selectors.runs import families_asked_for
from recommender.services.training.runs import RunActive, run_request, runs_bury_dead

# Full trainings by day.
INTERVALS = {
    Run.Family.PROFILES: timedelta(hours=6),
    Run.Family.ITEM_SIMILARITY: timedelta(hours=12),
}
# Increments add to these; a full training at night sets right what can't be added: erasures,
# deletions, links, events that came in late.
NIGHTLY = (
    Run.Family.POPULARITY,
    Run.Family.SESSIONS,
    Run.Family.CONTENT,
    Run.Family.CHOSEN_METHOD,
    Run.Family.BLEND,
    Run.Family.SOURCE_BANDIT,
)
NIGHT = time(3, 0)
INCREMENT_INTERVALS = {
    Run.Family.POPULARITY: timedelta(minutes=1),
    Run.Family.SESSIONS: timedelta(minutes=3),
    Run.Family.CONTENT: timedelta(seconds=3),
    Run.Family.BLEND: timedelta(minutes=20),
    Run.Family.SOURCE_BANDIT: timedelta(minutes=5),
}
# How often is looked whether an increment is due; one may begin this much early, or every second
# look would come a moment too soon.
TICK = timedelta(seconds=5)
# An erasure leaves no trace that could be seen as news, so a quiet store is trained now and then.
AT_LATEST = timedelta(days=7)
# A store without a model gets one soon after there is enough to learn from.
FIRST_AGAIN_AFTER = timedelta(minutes=5)
# It trains the other families once more, as they were: not every five minutes.
FIRST_BLEND_AGAIN_AFTER = timedelta(hours=6)
FAILED_AGAIN_AFTER = timedelta(hours=1)
INCREMENT_FAILED_AGAIN_AFTER = timedelta(minutes=1)
# An increment that needs a full training asks for one no more often than this.
REBUILD_AGAIN_AFTER = timedelta(minutes=10)
# More added than this: the words of the new products are better learned than guessed.
MAX_ADDED_SHARE = 0.25
# A queued run that no worker took is handed over again: the broker may have forgotten it.
FORGOTTEN_AFTER = timedelta(minutes=2)


def runs_due(*, now: datetime | None = None) -> list[Run]:
    """Runs to hand to the workers now: newly due ones, and queued ones that were forgotten."""
    now = now or timezone.now()
    runs: list[Run] = []
    for store in Store.objects.all():
        runs_bury_dead(store=store)
        news_at = store_news_at(store=store)
        serving = {
            artifact.family: artifact
            for artifact in Artifact.objects.filter(store=store, serving=True)
        }
        for family in families_asked_for(store_id=store.pk):
            due_at = full_due_at(
                family=family,
                last=_last_full(store.pk, family),
                serving=serving.get(family),
                news_at=news_at,
                zone=ZoneInfo(store.time_zone),
            )
            if family == Run.Family.CHOSEN_METHOD and _choice_is_newer(store):
                due_at = now
            if due_at is None or due_at > now:
                continue
            try:
                runs.append(run_request(store=store, family=family, trigger=Run.Trigger.SCHEDULE))
            except RunActive:
                continue
    fresh = [run.pk for run in runs]
    forgotten = Run.objects.filter(
        state=Run.State.QUEUED, queued_at__lt=now - FORGOTTEN_AFTER
    ).exclude(pk__in=fresh)
    return runs + list(forgotten)


def _choice_is_newer(store: Store) -> bool:
    """Whether the method was chosen while the one before it was trained. Two queries."""
    last = _last_full(store.pk, Run.Family.CHOSEN_METHOD)
    return (
        last is not None
        and last.started_at is not None
        and LabChoice.objects.filter(store=store, chosen_at__gt=last.started_at).exists()
    )


def full_due_at(
    *,
    family: str,
    last: Run | None,
    serving: Artifact | None,
    news_at: datetime | None,
    zone: ZoneInfo,
) -> datetime | None:
    """When a family is trained in full next; None while there is nothing to learn from.

    Parameters
    ----------
    last
        The latest full run, whatever became of it.
    news_at
        When the store last got an event, a product or a link.
    zone
        Of the store: the night is the shop's.
    """
    if news_at is None:
        return None
    if last is None:
        return news_at
    if news_at <= last.queued_at:
        return last.queued_at + AT_LATEST
    if serving is None:
        is_blend = family == Run.Family.BLEND
        return last.queued_at + (FIRST_BLEND_AGAIN_AFTER if is_blend else FIRST_AGAIN_AFTER)
    if last.state == Run.State.FAILED:
        return last.queued_at + FAILED_AGAIN_AFTER
    if family not in NIGHTLY:
        return last.queued_at + INTERVALS[Run.Family(family)]
    if _is_outgrown(serving):
        return last.queued_at + REBUILD_AGAIN_AFTER
    return _night_after(last.queued_at, zone)


def increment_is_due(*, base: Artifact, now: datetime) -> bool:
    """Whether it is time to look for news of a family that serves. One query."""
    interval = INCREMENT_INTERVALS[Run.Family(base.family)]
    early = min(TICK, interval) / 2
    if base.created_at > now - interval + early:
        return False
    last = (
        Run.objects.filter(
            store_id=base.store_id, family=base.family, trigger=Run.Trigger.INCREMENT
        )
        .order_by("-queued_at")
        .first()
    )
    if last is None or last.state != Run.State.FAILED:
        return True
    return last.queued_at < now - max(interval, INCREMENT_FAILED_AGAIN_AFTER)


def rebuild_may_be_asked(*, base: Artifact, now: datetime) -> bool:
    """Whether the latest full training is long enough ago to ask for another."""
    last = _last_full(base.store_id, base.family)
    return last is None or last.queued_at < now - REBUILD_AGAIN_AFTER


def _last_full(store_id: int, family: str) -> Run | None:
    return (
        Run.objects.filter(store_id=store_id, family=family)
        .exclude(trigger=Run.Trigger.INCREMENT)
        .order_by("-queued_at")
        .first()
    )


def _is_outgrown(serving: Artifact) -> bool:
    """Whether so many texts were added that their words should be learned."""
    added = int(serving.manifest.get("marks", {}).get("added", 0))
    return added > MAX_ADDED_SHARE * int(serving.run.counts.get("products", 0) or 1)


def _night_after(moment: datetime, zone: ZoneInfo) -> datetime:
    local = moment.astimezone(zone)
    night = datetime.combine(local.date(), NIGHT, zone)
    return night if night > local else datetime.combine(local.date() + timedelta(1), NIGHT, zone)


def store_news_at(*, store: Store) -> datetime | None:
    """When the store last got an event, a product or a link, None if never. Three queries."""
    event = (
        Event.objects.filter(store=store)
        .order_by("-received_at")
        .values_list("received_at", flat=True)[:1]
    )
    product = Product.objects.filter(store=store).aggregate(at=Max("updated_at"))["at"]
    link = ShopperLink.objects.filter(store=store).aggregate(
        linked=Max("linked_at"), undone=Max("undone_at")
    )
    times = [at for at in (*event, product, *link.values()) if at is not None]
    return max(times) if times else None
