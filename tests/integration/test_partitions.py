"""Months get their partitions, whatever is in the way."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime

import pytest
from django.db import connection
from django.utils import timezone

from catalog.models import Event, EventType, Shopper, Store
from catalog.services.partitions import partitions_ensure
from catalog.tasks import prepare_partitions

FAR = date(2031, 11, 1)


def partitions(table: str) -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass",
            [table],
        )
        return {name for (name,) in cursor.fetchall()}


def table_of(event: Event) -> str:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tableoid::regclass::text FROM catalog_event WHERE event_id = %s",
            [event.event_id],
        )
        (name,) = cursor.fetchone()
        return str(name)


def purchase(store: Store, day: date) -> Event:
    at = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    shopper, _ = Shopper.objects.get_or_create(
        store=store, external_id="anna", defaults={"first_seen_at": at, "last_seen_at": at}
    )
    return Event.objects.create(
        store=store,
        event_id=uuid.uuid4(),
        occurred_on=day,
        type=EventType.PURCHASE,
        shopper=shopper,
        occurred_at=at,
    )


def test_every_month_of_the_range_gets_a_partition_in_both_tables(db: None) -> None:
    partitions_ensure(first=date(2031, 11, 17), last=date(2032, 1, 1))

    for table in ("catalog_event", "recommender_impression"):
        assert {f"{table}_y2031m11", f"{table}_y2031m12", f"{table}_y2032m01"} <= partitions(table)
        assert f"{table}_y2032m02" not in partitions(table)


def test_a_second_time_changes_nothing(db: None) -> None:
    partitions_ensure(first=FAR, last=FAR)
    before = partitions("catalog_event")

    partitions_ensure(first=FAR, last=FAR)

    assert partitions("catalog_event") == before


def test_rows_that_waited_in_the_default_partition_move(store: Store) -> None:
    early, waiting, late = (
        purchase(store, day) for day in (date(2031, 10, 31), date(2031, 11, 30), date(2031, 12, 1))
    )
    assert table_of(waiting) == "catalog_event_default"

    partitions_ensure(first=FAR, last=FAR)

    assert table_of(waiting) == "catalog_event_y2031m11"
    assert table_of(early) == table_of(late) == "catalog_event_default"
    assert Event.objects.filter(store=store).count() == 3


def test_a_new_partition_has_the_indexes_and_the_primary_key_of_its_table(db: None) -> None:
    partitions_ensure(first=FAR, last=FAR)

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT parent.n, child.n FROM"
            " (SELECT count(*) n FROM pg_index WHERE indrelid = 'catalog_event'::regclass) parent,"
            " (SELECT count(*) n FROM pg_index"
            "   WHERE indrelid = 'catalog_event_y2031m11'::regclass) child"
        )
        of_parent, of_child = cursor.fetchone()
    assert of_parent == of_child > 1


def test_a_range_that_ends_before_it_begins_is_refused(db: None) -> None:
    before = partitions("catalog_event")

    with pytest.raises(ValueError, match="after the last day"):
        partitions_ensure(first=date(2031, 11, 2), last=date(2031, 11, 1))

    assert partitions("catalog_event") == before


@pytest.mark.parametrize("today", [date(2031, 1, 31), date(2031, 7, 1), date(2031, 12, 31)])
def test_the_task_prepares_this_month_and_the_next_two(
    db: None, monkeypatch: pytest.MonkeyPatch, today: date
) -> None:
    moment = datetime(today.year, today.month, today.day, 23, tzinfo=UTC)
    monkeypatch.setattr(timezone, "now", lambda: moment)
    before = partitions("catalog_event")

    prepare_partitions()

    months = [
        (today.year + (today.month + k) // 12, (today.month + k) % 12 + 1) for k in (-1, 0, 1)
    ]
    assert partitions("catalog_event") - before == {
        f"catalog_event_y{year}m{month:02}" for year, month in months
    }


def test_the_task_finds_rows_of_months_that_nobody_prepared(store: Store) -> None:
    event = purchase(store, date(2019, 2, 28))
    assert table_of(event) == "catalog_event_default"

    prepare_partitions()

    assert table_of(event) == "catalog_event_y2019m02"
    assert Event.objects.get(store=store).occurred_on == date(2019, 2, 28)
