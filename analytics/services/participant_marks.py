"""Up to which facts an experiment was counted, and from where to look for what is new."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.backends.utils import CursorWrapper

from analytics.models import ExperimentWatermark
from analytics.selectors.experiment_scope import ExperimentScope
from analytics.services.rollups import EVENT_OVERLAP, IMPRESSION_OVERLAP

# What happened at `since` itself is looked for too.
_INSTANT = timedelta(microseconds=1)
_BEGINNING = datetime.fromisoformat("0001-01-02T00:00:00+00:00")


@dataclass(frozen=True, slots=True)
class Marks:
    """The newest facts there are, and from where to look for what is new; None: from the start."""

    events: datetime | None
    impressions: datetime | None
    links: datetime | None
    events_since: datetime
    impressions_since: datetime
    links_since: datetime


_MARKS = """
SELECT
  (SELECT max(received_at) FROM catalog_event WHERE store_id = %(store)s),
  (SELECT max(delivered_at) FROM recommender_impression
   WHERE store_id = %(store)s AND delivered_at < %(until)s),
  (SELECT max(greatest(linked_at, undone_at)) FROM catalog_shopperlink
   WHERE store_id = %(store)s)
"""


def marks_read(
    cursor: CursorWrapper,
    scope: ExperimentScope,
    watermark: ExperimentWatermark | None,
    *,
    since: datetime | None,
    refreshed_at: datetime | None,
) -> Marks:
    """One query, to be asked before the facts are."""
    cursor.execute(_MARKS, scope.parameters)
    events, impressions, links = cursor.fetchone()
    # Impressions are written down to the millisecond.
    started_at = scope.started_at - timedelta(milliseconds=1)
    if watermark is None:
        return Marks(events, impressions, links, _BEGINNING, started_at, _BEGINNING)
    return Marks(
        events,
        impressions,
        links,
        news_from(watermark.events_received_at, EVENT_OVERLAP, since, refreshed_at),
        max(
            news_from(watermark.impressions_delivered_at, IMPRESSION_OVERLAP, since, refreshed_at),
            started_at,
        ),
        news_from(watermark.links_changed_at, EVENT_OVERLAP, since, refreshed_at),
    )


def news_from(
    newest: datetime | None,
    overlap: timedelta,
    since: datetime | None,
    refreshed_at: datetime | None,
) -> datetime:
    """After which moment there may be facts that weren't counted.

    A fact may become visible `overlap` after its time: at a refresh, not all of the last minutes
    before it were. If nothing came in in those, there is nothing to count again, however much had
    come in at once before.
    """
    if newest is None:
        return _BEGINNING
    found = newest - overlap
    if refreshed_at is not None:
        found = max(found, min(newest, refreshed_at - overlap))
    return min(found, since - _INSTANT) if since else found
