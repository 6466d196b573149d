"""Feeds that are read again and again, and what became of imports nobody looks after."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from catalog.feeds.mapping import mapping_check
from catalog.models import ImportProblem, ProductFeed, ProductImport, Store, User
from catalog.services.audit import audit_record
from catalog.services.feed_fetch import address_check
from catalog.services.feed_files import feed_forget
from catalog.services.feed_imports import OPEN, RUNNING, import_configure, import_from_address

State, Every = ProductImport.State, ProductFeed.Every

PERIODS = {
    Every.HOUR: timedelta(hours=1),
    Every.DAY: timedelta(days=1),
    Every.WEEK: timedelta(weeks=1),
}
# A queued import that no worker took is handed over again: the broker may have forgotten it. So is
# a running one without a pulse; if somebody is at it all the same, nothing happens.
FORGOTTEN_AFTER = timedelta(minutes=2)
# What waits for a member isn't kept longer than this, nor are the problems of an old import.
OPEN_FOR = timedelta(days=7)
PROBLEMS_FOR = timedelta(days=30)


def feed_create(
    *, store: Store, user: User, product_import: ProductImport, name: str, every: str
) -> ProductFeed:
    """Read the address of an import regularly from now on, the way it was read.

    Raises ValueError for an import without an address.
    """
    if not product_import.url:
        raise ValueError("A file that was uploaded can't be read again.")
    with transaction.atomic():
        feed = ProductFeed.objects.create(
            store=store,
            name=name.strip()[:120] or product_import.name[:120],
            url=product_import.url,
            format=product_import.format,
            mapping=product_import.mapping,
            remove_vanished=product_import.remove_vanished,
            every=Every(every),
            next_at=_next(every, timezone.now()),
        )
        ProductImport.objects.filter(pk=product_import.pk).update(feed=feed)
        _record(feed, user, "feed.create", None, _facts(feed))
    return feed


def feed_edit(
    *, feed: ProductFeed, user: User, name: str, url: str, every: str, remove_vanished: bool
) -> ProductFeed:
    """Change name, address or times. Raises FetchRefused for an address that can't be read."""
    address_check(url)
    before = _facts(feed)
    feed.name, feed.url = name.strip()[:120] or feed.name, url.strip()
    feed.remove_vanished = remove_vanished
    if feed.every != every:
        feed.every, feed.next_at = Every(every), _next(every, timezone.now())
    with transaction.atomic():
        feed.save()
        _record(feed, user, "feed.edit", before, _facts(feed))
    return feed


def feed_columns_begin(*, feed: ProductFeed, user: User) -> ProductImport:
    """Queue the fetching of a feed, so that its columns can be chosen anew; nothing is imported by it.

    Whoever calls it hands it over on commit. Raises FetchRefused, MappingRefused.
    """
    return import_from_address(
        store=feed.store,
        user=user,
        url=feed.url,
        mapping=feed.mapping,
        remove_vanished=feed.remove_vanished,
        feed=feed,
    )


def feed_columns_save(
    *, product_import: ProductImport, user: User, mapping: Mapping[str, str]
) -> None:
    """Read a feed from now on the way one of its imports is read, and queue the check of that one.

    Whoever calls it hands it over on commit. The feed stays as it is if the import can't be checked.
    Raises ValueError for an import of no feed, else MappingRefused, ImportMoved.
    """
    feed = product_import.feed
    if feed is None:
        raise ValueError("This import is of no feed.")
    with transaction.atomic():
        import_configure(
            product_import=product_import,
            user=user,
            mapping=mapping,
            remove_vanished=feed.remove_vanished,
        )
        before = {"columns": feed.mapping, "format": feed.format}
        feed.mapping, feed.format = dict(mapping), product_import.format
        after = {"columns": feed.mapping, "format": feed.format}
        if after != before:
            feed.save(update_fields=["mapping", "format"])
            _record(feed, user, "feed.columns", before, after)


def feed_delete(*, feed: ProductFeed, user: User) -> None:
    """Stop reading it. Its products and the history of its imports stay."""
    with transaction.atomic():
        _record(feed, user, "feed.delete", _facts(feed), None)
        feed.delete()


def feed_import(
    *, feed: ProductFeed, user: User | None, origin: str = ProductImport.Origin.URL
) -> ProductImport:
    """Queue the reading of a feed now. Whoever calls it hands it over on commit."""
    mapping_check(feed.mapping)
    return import_from_address(
        store=feed.store,
        user=user,
        url=feed.url,
        job=ProductImport.Job.IMPORT,
        origin=origin,
        format=feed.format,
        mapping=feed.mapping,
        remove_vanished=feed.remove_vanished,
        feed=feed,
    )


def imports_due(*, now: datetime | None = None) -> list[int]:
    """Imports to hand to the workers now: of feeds whose time has come, and forgotten ones.

    A feed whose last import is still under way or waits for an answer is left out this time.
    """
    now = now or timezone.now()
    due: list[int] = []
    with transaction.atomic():
        feeds = (
            ProductFeed.objects.select_for_update(skip_locked=True, of=("self",))
            .select_related("store")
            .filter(next_at__lte=now)
            .exclude(every=Every.NEVER)
        )
        for feed in feeds:
            feed.next_at = _next(feed.every, feed.next_at or now, now)
            feed.save(update_fields=["next_at"])
            busy = (State.QUEUED, *RUNNING, State.ASKING)
            if not feed.imports.filter(state__in=busy).exists():
                made = feed_import(feed=feed, user=None, origin=ProductImport.Origin.SCHEDULE)
                due.append(made.pk)
    silent = Q(heartbeat_at__lt=now - FORGOTTEN_AFTER)
    forgotten = ProductImport.objects.filter(silent, state__in=(State.QUEUED, *RUNNING))
    return due + list(forgotten.exclude(pk__in=due).values_list("pk", flat=True))


def imports_tidy(*, now: datetime | None = None) -> None:
    """Give up what nobody decided about, and forget the problems of old imports."""
    now = now or timezone.now()
    for stale in ProductImport.objects.filter(state__in=OPEN, heartbeat_at__lt=now - OPEN_FOR):
        ProductImport.objects.filter(pk=stale.pk, state__in=OPEN).update(
            state=State.CANCELLED,
            finished_at=now,
            message=f"Nobody went on with it for {OPEN_FOR.days} days. The catalog is as it was.",
        )
        feed_forget(stale)
    old = ImportProblem.objects.filter(product_import__created_at__lt=now - PROBLEMS_FOR)
    old.delete()


def _next(every: str, since: datetime, now: datetime | None = None) -> datetime | None:
    """The next time after now that keeps the hour; times that were missed aren't made up for."""
    period = PERIODS.get(Every(every))
    if period is None:
        return None
    now = now or since
    missed = max((now - since) // period, 0)
    return since + (missed + 1) * period


def _facts(feed: ProductFeed) -> dict[str, Any]:
    return {
        "name": feed.name,
        "address": feed.url,
        "every": feed.every,
        "takes vanished products out": feed.remove_vanished,
    }


def _record(feed: ProductFeed, user: User, action: str, before: Any, after: Any) -> None:
    audit_record(
        store=feed.store,
        actor=user,
        action=action,
        subject=feed.name,
        subject_key=str(feed.pk),
        before=before,
        after=after,
    )
