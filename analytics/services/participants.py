"""Keeping the participants of an experiment, and their days, true.

A refresh asks which persons are touched: by events received or impressions delivered since the
last one, by a first exposure, by links made or undone, by facts that are gone. From the earliest
day touched on, everything of such a person is counted again from the facts. So it may run twice,
late, or after a crash, and facts may arrive in any order: the result is the same. What is the same
as before isn't written.

Who takes part is worked out anew each time: exposures are few beside events, and whoever was
erased, or turned out to be somebody else, can't be missed.

Days are those of the store's time zone. Changing it makes the next refresh count everything anew.

The work is done in temporary tables (`xp_…`); a person is a number `n` there.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from analytics.models import ExperimentWatermark, Participant, ParticipantDay, VariantDay
from analytics.selectors.experiment_scope import ExperimentScope, experiment_scope
from analytics.services.participant_days import days_gather, days_write, variant_days_write
from analytics.services.participant_marks import marks_read, news_from
from analytics.services.rollups import EVENT_OVERLAP
from recommender.models import Experiment
from recommender.selectors.training_data import shopper_links

PRE_DAYS = 14

# Two refreshes of one experiment at a time would both be right, but one would wait on each row.
_LOCK_CLASS = 0x70617274  # "part"
_TABLES = (
    "xp_linked", "xp_exposed", "xp_person", "xp_member", "xp_touched", "xp_impression", "xp_event",
    "xp_answered", "xp_shown", "xp_deed", "xp_list", "xp_fresh",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What a refresh did.

    Attributes
    ----------
    n_touched
        Persons who were counted again.
    n_changed
        Rows that are other than before: participants, their days, days of variants. 0: no news.
    """

    n_participants: int
    n_touched: int
    n_changed: int
    computed_at: datetime


def experiment_refresh(
    *,
    experiment: Experiment,
    now: datetime,
    since: datetime | None = None,
    refreshed_at: datetime | None = None,
) -> Refreshed:
    """Bring participants and days of a started experiment up to date; the first time all of them.

    One transaction. `since` looks back further than the watermark: for an import that was open for
    long. `refreshed_at`: the `now` of an earlier refresh. What had come in well before it was
    counted then; who doesn't know it counts the last minutes before the newest fact again.
    """
    with transaction.atomic():
        _lock(experiment)
        watermark = ExperimentWatermark.objects.filter(experiment=experiment).first()
        if watermark is None or watermark.time_zone != experiment.store.time_zone:
            return _rebuild(experiment, now)
        return _count(experiment, now, watermark, since, refreshed_at)


def experiment_rebuild(*, experiment: Experiment, now: datetime) -> Refreshed:
    """Throw everything away and count it again: after facts were deleted."""
    with transaction.atomic():
        _lock(experiment)
        return _rebuild(experiment, now)


def _rebuild(experiment: Experiment, now: datetime) -> Refreshed:
    for model in (Participant, ParticipantDay, VariantDay):
        model.objects.filter(store=experiment.store_id, experiment=experiment).delete()
    ExperimentWatermark.objects.filter(experiment=experiment).delete()
    return _count(experiment, now, None, None, None)


def _lock(experiment: Experiment) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_LOCK_CLASS, experiment.pk % 2**31])


def _count(
    experiment: Experiment,
    now: datetime,
    watermark: ExperimentWatermark | None,
    since: datetime | None,
    refreshed_at: datetime | None,
) -> Refreshed:
    scope = experiment_scope(experiment=experiment)
    with connection.cursor() as cursor:
        # Read before anything else: what comes in meanwhile is for the next refresh as well.
        marks = marks_read(cursor, scope, watermark, since=since, refreshed_at=refreshed_at)
        parameters = {
            **scope.parameters,
            "events_since": marks.events_since,
            "impressions_since": marks.impressions_since,
            "links_since": marks.links_since,
            "erased_since": news_from(
                None if watermark is None else watermark.computed_at,
                EVENT_OVERLAP,
                since,
                refreshed_at=None,
            ),
        }
        # A rebuild groups a year of events in memory; the usual megabytes would send it to disk.
        cursor.execute("SET LOCAL work_mem = '128MB'")
        _identify(cursor, scope, parameters)
        n_changed = _forget(cursor, parameters)
        n_touched = _touch(cursor, scope, parameters, everybody=watermark is None)
        if n_touched:
            days_gather(cursor, scope, parameters)
            n_changed += _write_participants(cursor, parameters)
            n_changed += days_write(cursor, parameters, anew=watermark is None)
        n_changed += variant_days_write(cursor, scope, parameters)
        cursor.execute("SELECT count(*) FROM xp_person")
        (n_participants,) = cursor.fetchone()
        if watermark is None:
            # The next refresh may come before the server looks at what is in there by itself, and
            # would compare everybody with everybody.
            cursor.execute(_ANALYZE)
        # Within a longer transaction the next refresh makes them again.
        cursor.execute(f"DROP TABLE IF EXISTS {', '.join(_TABLES)}")
    ExperimentWatermark.objects.update_or_create(
        experiment=experiment,
        defaults={
            "store": experiment.store,
            "time_zone": experiment.store.time_zone,
            "events_received_at": marks.events,
            "impressions_delivered_at": marks.impressions,
            "links_changed_at": marks.links,
            # When something changed last: whoever judged before that has to judge again.
            "computed_at": now if n_changed or watermark is None else watermark.computed_at,
        },
    )
    return Refreshed(n_participants, n_touched, n_changed, now)


_ANALYZE = """
ANALYZE analytics_participant (store_id, experiment_id, person),
  analytics_participantday (store_id, experiment_id, day, person)
"""

# ------------------------------------------------------------------------------- who takes part

_LINKED = """
CREATE TEMPORARY TABLE xp_linked ON COMMIT DROP AS
SELECT unnest(%s::bigint[]) AS shopper_id, unnest(%s::bigint[]) AS person_id
"""

_EXPOSED = """
CREATE TEMPORARY TABLE xp_exposed ON COMMIT DROP AS
SELECT exposure.shopper_external_id AS external_id, exposure.variant_id, exposure.exposed_at,
  exposure.recommendation_id, shopper.id AS shopper_id,
  coalesce(customer.external_id, exposure.shopper_external_id) AS person
FROM recommender_exposure AS exposure
LEFT JOIN catalog_shopper AS shopper ON shopper.store_id = exposure.store_id
  AND shopper.external_id = exposure.shopper_external_id
LEFT JOIN xp_linked AS linked ON linked.shopper_id = shopper.id
LEFT JOIN catalog_shopper AS customer ON customer.id = linked.person_id
WHERE exposure.store_id = %(store)s AND exposure.experiment_id = %(experiment)s
  AND exposure.exposed_at < %(until)s
"""

# Impressions are written down to the millisecond, exposures to the microsecond.
_PERSON = """
CREATE TEMPORARY TABLE xp_person ON COMMIT DROP AS
SELECT row_number() OVER (ORDER BY person)::int AS n, first.*,
  date_trunc('milliseconds', exposed_at) AS shown_from,
  (exposed_at AT TIME ZONE %(zone)s)::date AS day
FROM (
  SELECT DISTINCT ON (person) person, variant_id, exposed_at, recommendation_id,
    {in_several} AS in_several
  FROM xp_exposed
  WINDOW of_person AS (PARTITION BY person)
  ORDER BY person, exposed_at, external_id
) AS first
"""
_IN_SEVERAL = "min(variant_id) OVER of_person <> max(variant_id) OVER of_person"

# Everybody that a participant is: those exposed, the customer, and guests linked to the customer.
_MEMBER = """
CREATE TEMPORARY TABLE xp_member ON COMMIT DROP AS
SELECT person.n, who.external_id, who.shopper_id
FROM (
  SELECT person, external_id, shopper_id FROM xp_exposed
  UNION
  SELECT customer.external_id, guest.external_id, guest.id
  FROM xp_linked AS linked
    JOIN catalog_shopper AS customer ON customer.id = linked.person_id
    JOIN catalog_shopper AS guest ON guest.id = linked.shopper_id
  UNION
  SELECT customer.external_id, customer.external_id, customer.id
  FROM xp_linked AS linked JOIN catalog_shopper AS customer ON customer.id = linked.person_id
) AS who JOIN xp_person AS person USING (person)
"""


def _identify(cursor: CursorWrapper, scope: ExperimentScope, parameters: dict[str, Any]) -> None:
    """`xp_person`, one row per participant with the first exposure, and who they are."""
    links = shopper_links(store_id=scope.experiment.store_id)
    # Interleaved lists show both sides to everybody: there is nothing to cross.
    in_several = "false" if scope.is_interleaving else _IN_SEVERAL
    cursor.execute(_LINKED, [links.shopper_ids.tolist(), links.person_ids.tolist()])
    cursor.execute("ANALYZE xp_linked")
    cursor.execute(_EXPOSED, parameters)
    cursor.execute("ANALYZE xp_exposed")
    cursor.execute(_PERSON.format(in_several=in_several), parameters)
    cursor.execute("ANALYZE xp_person")
    cursor.execute(_MEMBER, parameters)
    cursor.execute("ANALYZE xp_member")


_FORGET = """
WITH gone AS (
  DELETE FROM analytics_participant AS old
  WHERE old.store_id = %(store)s AND old.experiment_id = %(experiment)s
    AND NOT EXISTS (SELECT FROM xp_person AS person WHERE person.person = old.person)
  RETURNING person
), their_days AS (
  DELETE FROM analytics_participantday AS old USING gone
  WHERE old.store_id = %(store)s AND old.experiment_id = %(experiment)s
    AND old.person = gone.person
)
SELECT count(*) FROM gone
"""


def _forget(cursor: CursorWrapper, parameters: dict[str, Any]) -> int:
    """Take away who has no exposure any more: erased, or somebody else now."""
    cursor.execute(_FORGET, parameters)
    (n_gone,) = cursor.fetchone()
    return int(n_gone)


# ----------------------------------------------------------------------------------- who is touched

_EVERYBODY = "SELECT n, day AS from_day, true AS is_full FROM xp_person"

# An event changes its own day and the later ones: an order counts on the day it was reported
# first, and lists are judged by what the shopper dealt with before.
_TOUCHED = """
  SELECT person.n, person.day AS from_day, true AS is_full
  FROM xp_person AS person
  LEFT JOIN analytics_participant AS old
    ON old.store_id = %(store)s AND old.experiment_id = %(experiment)s
    AND old.person = person.person
  WHERE old.person IS NULL OR old.variant_id <> person.variant_id
    OR old.exposed_at <> person.exposed_at OR (person.in_several AND NOT old.is_crossover)
  UNION ALL
  SELECT member.n, person.day, true
  FROM catalog_shopperlink AS link
    JOIN xp_member AS member ON member.shopper_id IN (link.shopper_id, link.customer_id)
    JOIN xp_person AS person ON person.n = member.n
  WHERE link.store_id = %(store)s
    AND (link.linked_at > %(links_since)s OR link.undone_at > %(links_since)s)
  UNION ALL
  -- Who was one person with somebody who was erased.
  SELECT member.n, person.day, true
  FROM catalog_erasure AS erasure
    JOIN xp_member AS member ON member.shopper_id = ANY(erasure.linked_ids)
    JOIN xp_person AS person ON person.n = member.n
  WHERE erasure.store_id = %(store)s AND erasure.erased_at > %(erased_since)s
  UNION ALL
  SELECT member.n, (event.occurred_at AT TIME ZONE %(zone)s)::date, false
  FROM catalog_event AS event JOIN xp_member AS member ON member.shopper_id = event.shopper_id
  WHERE event.store_id = %(store)s AND event.received_at > %(events_since)s
    AND event.occurred_at < %(until)s
  UNION ALL
  SELECT member.n, (impression.delivered_at AT TIME ZONE %(zone)s)::date, false
  FROM recommender_impression AS impression
    JOIN xp_member AS member ON member.external_id = impression.shopper_external_id
  WHERE impression.store_id = %(store)s AND impression.delivered_at > %(impressions_since)s
    AND impression.delivered_at < %(until)s AND {belongs}
"""

_COLLECT = """
CREATE TEMPORARY TABLE xp_touched ON COMMIT DROP AS
SELECT n, greatest(min(touched.from_day), person.day) AS from_day,
  bool_or(touched.is_full) AS is_full,
  greatest(
    person.shown_from,
    greatest(min(touched.from_day), person.day)::timestamp AT TIME ZONE %(zone)s
  ) AS shown_from
FROM ({touched}) AS touched JOIN xp_person AS person USING (n)
GROUP BY n, person.day, person.shown_from
"""


def _touch(
    cursor: CursorWrapper, scope: ExperimentScope, parameters: dict[str, Any], *, everybody: bool
) -> int:
    """`xp_touched`: who is to be counted again, from which day on. Full: nothing of old stays."""
    touched = _EVERYBODY if everybody else _TOUCHED.format(belongs=scope.belongs)
    cursor.execute(_COLLECT.format(touched=touched), parameters)
    cursor.execute("ANALYZE xp_touched")
    cursor.execute("SELECT count(*) FROM xp_touched")
    (n_touched,) = cursor.fetchone()
    return int(n_touched)


# -------------------------------------------------------------------------------------- participants

# What an impression said that is further back than was looked at now stays as it was.
_WRITE = """
INSERT INTO analytics_participant (
  store_id, experiment_id, person, variant_id, exposed_at, day, is_crossover, is_bot, is_silent,
  device, is_returning, placement_id, pre_orders, pre_revenue_minor, pre_carts, pre_seen, pre_clicks
)
SELECT %(store)s, %(experiment)s, person.person, person.variant_id, person.exposed_at, person.day,
  person.in_several OR crossed.n IS NOT NULL
    OR (NOT touched.is_full AND coalesce(old.is_crossover, false)),
  coalesce(heard.is_bot, false), heard.n IS NULL,
  coalesce(first.device, CASE WHEN NOT touched.is_full THEN old.device END),
  coalesce(seen.first_at < person.day::timestamp AT TIME ZONE %(zone)s, false),
  coalesce(first.placement_id, CASE WHEN NOT touched.is_full THEN old.placement_id END),
  coalesce(pre.n_orders, 0), coalesce(pre.revenue_minor, 0), coalesce(pre.n_carts, 0),
  coalesce(pre.n_seen, 0), coalesce(pre.n_clicks, 0)
FROM xp_touched AS touched JOIN xp_person AS person USING (n)
LEFT JOIN analytics_participant AS old ON old.store_id = %(store)s
  AND old.experiment_id = %(experiment)s AND old.person = person.person
LEFT JOIN xp_deed AS pre ON pre.n = person.n AND pre.day IS NULL
LEFT JOIN (
  SELECT n, bool_or(is_bot) AS is_bot FROM xp_event WHERE is_after GROUP BY n
) AS heard ON heard.n = person.n
LEFT JOIN (
  SELECT DISTINCT n
  FROM xp_impression AS impression JOIN xp_person AS person USING (n)
  WHERE impression.tells_variant AND impression.variant_id <> person.variant_id
) AS crossed ON crossed.n = person.n
LEFT JOIN (
  SELECT DISTINCT ON (n) n, device, placement_id
  FROM xp_impression AS impression JOIN xp_person AS person USING (n)
  WHERE impression.recommendation_id = person.recommendation_id
    OR (person.recommendation_id IS NULL
        AND impression.delivered_at < person.exposed_at + interval '1 second')
  ORDER BY n, impression.i
) AS first ON first.n = person.n
LEFT JOIN (
  SELECT member.n, min(shopper.first_seen_at) AS first_at
  FROM xp_touched JOIN xp_member AS member USING (n)
    JOIN catalog_shopper AS shopper ON shopper.id = member.shopper_id
  GROUP BY member.n
) AS seen ON seen.n = person.n
ORDER BY person.n
ON CONFLICT (store_id, experiment_id, person) DO UPDATE SET
  (variant_id, exposed_at, day, is_crossover, is_bot, is_silent, device, is_returning, placement_id,
   pre_orders, pre_revenue_minor, pre_carts, pre_seen, pre_clicks)
  = (excluded.variant_id, excluded.exposed_at, excluded.day, excluded.is_crossover,
     excluded.is_bot, excluded.is_silent, excluded.device, excluded.is_returning,
     excluded.placement_id, excluded.pre_orders, excluded.pre_revenue_minor, excluded.pre_carts, excluded.pre_seen,
     excluded.pre_clicks)
WHERE analytics_participant.* IS DISTINCT FROM excluded.*
"""


def _write_participants(cursor: CursorWrapper, parameters: dict[str, Any]) -> int:
    cursor.execute(_WRITE, parameters)
    return int(cursor.rowcount)
