"""Imports of product feeds, from the upload to the answer to a question.

An import is set up (`draft`), handed to the workers (`queued`, and then theirs: `import_running`),
and in between it waits for a member: with what a check found, or with a question. Every step is one
conditional update, so that two members who press a button at the same time press it once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import structlog
from celery import current_app
from django.db import transaction
from django.utils import timezone
from kombu.exceptions import OperationalError

from catalog.feeds.mapping import mapping_check, mapping_suggest
from catalog.feeds.rows import FeedRefused
from catalog.models import FeedFormat, ProductFeed, ProductImport, Store, User
from catalog.services.audit import audit_record
from catalog.services.feed_fetch import address_check
from catalog.services.feed_files import feed_forget, feed_has_file, feed_keep
from catalog.services.feed_preview import feed_format, feed_head

State, Job, Origin = ProductImport.State, ProductImport.Job, ProductImport.Origin

TASK = "catalog.tasks.import_products"
# Nothing is being done, and a member decides what is next.
OPEN = (State.DRAFT, State.CHECKED, State.ASKING)
# Its columns can be chosen.
MAPPABLE = (State.DRAFT, State.CHECKED)
RUNNING = (State.CHECKING, State.IMPORTING)
CANCELLABLE = (*OPEN, State.QUEUED, State.CHECKING)

log = structlog.get_logger(__name__)


class ImportMoved(Exception):
    """The import isn't where the caller thought it was; the text says where it is."""


def import_from_upload(
    *,
    store: Store,
    user: User | None,
    name: str,
    chunks: Iterable[bytes],
    origin: str = Origin.UPLOAD,
    format: str = "",
    mapping: Mapping[str, str] | None = None,
) -> ProductImport:
    """Keep an uploaded file as a draft, with the format and the columns that are found in it.

    Raises
    ------
    FeedRefused
        Too large, damaged, or no feed. Nothing is kept.
    """
    made = ProductImport.objects.create(
        store=store,
        origin=origin,
        name=_shown_name(name),
        format=format,
        mapping=dict(mapping or {}),
        requested_by=user,
    )
    try:
        feed_keep(product_import=made, chunks=chunks)
        import_look(product_import=made)
    except (FeedRefused, OSError):
        feed_forget(made)
        made.delete()
        raise
    _record(made, user, "import.create", {"file": made.name})
    return made


def import_from_address(
    *,
    store: Store,
    user: User | None,
    url: str,
    job: str = Job.FETCH,
    origin: str = Origin.URL,
    format: str = "",
    mapping: Mapping[str, str] | None = None,
    remove_vanished: bool = False,
    feed: ProductFeed | None = None,
) -> ProductImport:
    """Queue the reading of an address. Whoever calls it hands it over on commit.

    Raises
    ------
    FetchRefused, MappingRefused
    """
    address_check(url)
    if mapping:
        mapping_check(mapping)
    with transaction.atomic():
        made = ProductImport.objects.create(
            store=store,
            feed=feed,
            origin=origin,
            name=_shown_name(feed.name if feed else url.strip()),
            url=url.strip(),
            format=format,
            mapping=dict(mapping or {}),
            remove_vanished=remove_vanished,
            job=job,
            state=State.QUEUED,
            requested_by=user,
        )
        if origin != Origin.SCHEDULE:
            _record(made, user, "import.create", {"address": made.url})
    return made


def import_look(*, product_import: ProductImport) -> None:
    """Learn format and columns from the file, where nobody said them. Raises FeedRefused."""
    if not product_import.format:
        product_import.format = feed_format(product_import).value
    if not product_import.mapping:
        product_import.mapping = mapping_suggest(feed_head(product_import).columns)
    product_import.save(update_fields=["format", "mapping"])


def import_configure(
    *,
    product_import: ProductImport,
    user: User,
    mapping: Mapping[str, str],
    remove_vanished: bool,
) -> None:
    """Set the columns of a draft and queue its check. Whoever calls it hands it over on commit.

    Raises
    ------
    MappingRefused, ImportMoved
    """
    mapping_check(mapping)
    changes = {"mapping": dict(mapping), "remove_vanished": remove_vanished}
    with transaction.atomic():
        _move(
            product_import,
            MAPPABLE,
            state=State.QUEUED,
            job=Job.CHECK,
            **changes,
            **_FROM_START,
        )
        after = {"columns": dict(mapping), "takes vanished products out": remove_vanished}
        _record(product_import, user, "import.check", after)


def import_queue(*, product_import: ProductImport, job: str, remove_vanished: bool) -> None:
    """Queue a draft as it is. Whoever calls it hands it over on commit. Raises ImportMoved."""
    _move(
        product_import,
        (State.DRAFT,),
        state=State.QUEUED,
        job=job,
        remove_vanished=remove_vanished,
        **_FROM_START,
    )


def import_start(*, product_import: ProductImport, user: User | None) -> None:
    """Import what was checked. Whoever calls it hands it over on commit. Raises ImportMoved."""
    with transaction.atomic():
        _move(
            product_import,
            MAPPABLE,
            state=State.QUEUED,
            job=Job.IMPORT,
            requested_by=user or product_import.requested_by,
            **_FROM_START,
        )
        _record(product_import, user, "import.start", {"file": product_import.name})


def import_answer(*, product_import: ProductImport, user: User, remove: bool) -> None:
    """Answer whether many products may go: take them out, or keep them, and import the rest.

    Whoever calls it hands it over on commit. Raises ImportMoved.
    """
    with transaction.atomic():
        _move(
            product_import,
            (State.ASKING,),
            state=State.QUEUED,
            job=Job.IMPORT,
            may_remove_many=remove,
            remove_vanished=remove,
            requested_by=user,
            **_FROM_START,
        )
        after = {"vanished": product_import.n_vanished, "taken out": remove}
        _record(product_import, user, "import.answer", after)


def import_cancel(*, product_import: ProductImport, user: User | None) -> None:
    """Give an import up before it has changed anything. Raises ImportMoved."""
    with transaction.atomic():
        _move(
            product_import,
            CANCELLABLE,
            state=State.CANCELLED,
            step="",
            finished_at=timezone.now(),
            message="Cancelled. The catalog is as it was.",
        )
        _record(product_import, user, "import.cancel", {"file": product_import.name})
    feed_forget(product_import)


def import_mappable(*, product_import: ProductImport) -> None:
    """Make sure that columns can be chosen: before the check, or after it. Raises ImportMoved."""
    if product_import.state not in MAPPABLE:
        raise ImportMoved(_where(product_import))
    if not feed_has_file(product_import):
        raise ImportMoved("The file isn't there any more. Start a new import.")


def import_hand_over(*, import_id: int) -> None:
    """Send a queued import to the workers, by name. Sent twice, it is done once.

    While the broker is away it stays queued, and the schedule hands it over later.
    """
    try:
        current_app.send_task(TASK, args=[import_id])
    except OperationalError as error:
        log.warning(
            "the broker is away; the import waits", product_import=import_id, error=str(error)
        )


_FROM_START: dict[str, Any] = {
    "n_attempts": 0,
    "progress": 0.0,
    "step": "",
    "message": "",
    "finished_at": None,
}


def _move(product_import: ProductImport, allowed: Iterable[str], **changes: Any) -> None:
    """Change an import if it is in one of the allowed states, and know its row afterwards."""
    moved = ProductImport.objects.filter(pk=product_import.pk, state__in=list(allowed)).update(
        heartbeat_at=timezone.now(), **changes
    )
    product_import.refresh_from_db()
    if not moved:
        raise ImportMoved(_where(product_import))


def _where(product_import: ProductImport) -> str:
    where = product_import.get_state_display().lower()
    return f"This import is somewhere else by now: {where}."


def _record(product_import: ProductImport, user: User | None, action: str, after: Any) -> None:
    audit_record(
        store=product_import.store,
        actor=user,
        action=action,
        subject=product_import.name,
        subject_key=str(product_import.pk),
        after=after,
    )


def _shown_name(name: str) -> str:
    """A file name or address as it is shown: no folders of the sender's, no letters that don't print."""
    if not name.startswith(("http://", "https://")):
        name = name.replace("\\", "/").rpartition("/")[2]
    printable = "".join(letter for letter in name if letter.isprintable()).strip()
    return printable[:255] or "feed"


def format_known(format: str) -> bool:
    """Whether a format that somebody names is one of ours; none is fine, it is found out."""
    return not format or format in FeedFormat.values
