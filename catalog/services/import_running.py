"""Executing an import in a worker: fetch, read, compare, store.

A worker that is killed leaves nothing half done that a second attempt wouldn't finish: reading
starts again, and storing is idempotent, block by block.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, BinaryIO

import structlog
from django.db import DatabaseError, transaction
from django.utils import timezone

from catalog.contract.limits import ID_MAX_CHARS
from catalog.contract.products import ProductDraft
from catalog.feeds.detection import rows_of
from catalog.feeds.mapping import columns_missing, mapping_check
from catalog.feeds.rows import FeedProblem, FeedRefused, FeedRow, Format, problem
from catalog.feeds.validation import row_draft
from catalog.models import ImportProblem, ProductImport
from catalog.services.audit import audit_record
from catalog.services.feed_fetch import feed_fetch
from catalog.services.feed_files import feed_forget, feed_has_file, feed_keep, feed_open, feed_path
from catalog.services.feed_imports import RUNNING, import_look
from catalog.services.import_rows import (
    FeedCounts,
    feed_count,
    feed_staging,
    products_store,
    rows_repeated,
    rows_stage,
    vanished_remove,
)
from catalog.services.locks import turn

State, Job = ProductImport.State, ProductImport.Job

# A worker that was killed so often at an import won't finish it.
MAX_ATTEMPTS = 3
# Problems that are kept; the others are counted.
MAX_PROBLEMS = 1_000
# More products than this share would go: a member is asked first.
MAX_VANISHED_SHARE = 0.2
BLOCK = 1_000
# The row is what the console watches; a few writes a second are enough for a bar.
PULSE_S = 0.25
# How much of the bar is reading, if the import goes on to store.
READING_SHARE = 0.6

log = structlog.get_logger(__name__)


class _Stopped(Exception):
    """A member cancelled it."""


def import_take(*, import_id: int) -> int | None:
    """Execute a queued import unless another one is under way; returns the next one of the line.

    One import at a time, of all stores: two of one store would judge each other's products as
    vanished, and a few whose feeds come slowly would take the place of everything else that the
    worker does. One that has to wait stays queued and is handed over by the one before it (or by the
    schedule).
    """
    with turn("import") as mine:
        if not mine:
            return None
        import_execute(import_id=import_id)
    # One that seems to run is one whose worker was killed: or another worker just took its turn, and
    # then nothing comes of handing it over.
    waiting = ProductImport.objects.filter(state__in=(State.QUEUED, *RUNNING))
    return waiting.order_by("created_at").values_list("pk", flat=True).first()


def import_execute(*, import_id: int) -> None:
    """Do what an import's job says. One that has ended or waits for a member is left alone."""
    running = _begin(import_id)
    if running is None:
        return
    try:
        _Run(running).go()
    except _Stopped:
        feed_forget(running)
    except FeedRefused as refused:
        _end(running, State.FAILED, f"{refused} The catalog is as it was.")
    except (DatabaseError, OSError, MemoryError) as error:
        log.error("import failed", product_import=running.pk, error=str(error))
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "the database"
        _end(
            running,
            State.FAILED,
            f"It broke off at “{running.step or 'Reading'}” ({type(error).__name__}: {reason})."
            " Start it again: what was stored already counts as unchanged then.",
        )


def _begin(import_id: int) -> ProductImport | None:
    with transaction.atomic():
        found = (
            ProductImport.objects.select_for_update(of=("self",))
            .select_related("store", "requested_by")
            .filter(pk=import_id, state__in=(State.QUEUED, *RUNNING))
            .first()
        )
        if found is None:
            return None
        if found.n_attempts >= MAX_ATTEMPTS:
            _end(
                found,
                State.FAILED,
                f"The process that imported it was killed {found.n_attempts} times, last at"
                f" “{found.step or 'Starting'}”: most likely there isn't enough memory. Start it"
                " again: what was stored already counts as unchanged then.",
            )
            return None
        if found.n_attempts:
            found.message = _begun_again(found)
        found.n_attempts += 1
        found.state = State.CHECKING
        found.step, found.progress, found.heartbeat_at = "Starting", 0.0, timezone.now()
        found.save(
            update_fields=["n_attempts", "state", "step", "progress", "message", "heartbeat_at"]
        )
        ImportProblem.objects.filter(product_import=found).delete()
    return found


def _begun_again(found: ProductImport) -> str:
    """What the history says of an import whose worker was killed, however it goes on."""
    what = f"The process at it was killed at “{found.step or 'Starting'}”, and it was begun again."
    if found.state == State.IMPORTING:
        return f"{what} What had been stored by then counts as unchanged."
    return f"{what} Nothing had been changed by then."


class _Run:
    """One attempt at one import."""

    def __init__(self, product_import: ProductImport) -> None:
        self.row = product_import
        self.store = product_import.store
        self.is_import = product_import.job == Job.IMPORT
        self.n_rows = self.n_errors = self.n_problems = 0
        self.pulse_at = 0.0

    def go(self) -> None:
        if self.row.url and not feed_has_file(self.row):
            self.pulse("Fetching the file", 0.0)
            feed_keep(product_import=self.row, chunks=self._fetched())
        import_look(product_import=self.row)
        if self.row.job == Job.FETCH:
            _update(self.row, state=State.DRAFT, step="", progress=0.0, n_attempts=0)
            return
        mapping_check(self.row.mapping)
        with feed_staging():
            self._read()
            counts = self._judge()
            if self.is_import:
                self._import(counts)
            else:
                _update(self.row, state=State.CHECKED, step="", progress=1.0)

    def _fetched(self) -> Iterator[bytes]:
        n_bytes = 0
        for chunk in feed_fetch(self.row.url):
            n_bytes += len(chunk)
            self.pulse(f"Fetching the file: {n_bytes / 1_000_000:.1f} MB", 0.0)
            yield chunk

    # ------------------------------------------------------------------------------- reading

    def _read(self) -> None:
        size = max(feed_path(self.row).stat().st_size, 1)
        share = READING_SHARE if self.is_import else 0.95
        file, feed = feed_open(self.row)
        with file, feed:
            for block in _blocks(rows_of(feed, self.row.format)):
                self._stage(block)
                read_share = min(_position(file) / size, 1.0)
                self.pulse(f"Reading: {self.n_rows:,} rows", share * read_share)
        _update(self.row, n_rows=self.n_rows, n_errors=self.n_errors)

    def _stage(self, block: list[FeedRow | FeedProblem]) -> None:
        if self.n_rows == 0:
            self._check_columns(block)
        drafts: list[tuple[int, ProductDraft]] = []
        problems: list[FeedProblem] = []
        for row in block:
            judged = (
                row
                if isinstance(row, FeedProblem)
                else row_draft(row, mapping=self.row.mapping, currency=self.store.currency)
            )
            if isinstance(judged, FeedProblem):
                problems.append(judged)
            else:
                drafts.append((row.line, judged))
        known = [(each.line, each.external_id) for each in problems if _can_be_id(each.external_id)]
        rows_stage(drafts=drafts, broken=known)
        self.n_rows += len(block)
        self._note(problems, n=len(problems))

    def _check_columns(self, block: list[FeedRow | FeedProblem]) -> None:
        """A table without a column it used to have would empty a field of every product."""
        first = next((row for row in block if isinstance(row, FeedRow)), None)
        if first is None or self.row.format not in (Format.CSV, Format.GOOGLE_TSV):
            return
        missing = columns_missing(self.row.mapping, first.values.keys())
        if missing:
            names = ", ".join(f"“{name}”" for name in missing[:5])
            raise FeedRefused(f"The file has no column {names}, which its mapping names.")

    def _note(self, problems: Iterable[FeedProblem], *, n: int) -> None:
        """Keep the first problems, count them all."""
        kept = list(islice(problems, max(MAX_PROBLEMS - self.n_problems, 0)))
        ImportProblem.objects.bulk_create(
            [
                ImportProblem(
                    product_import=self.row,
                    line=each.line,
                    column=each.column,
                    value=each.value,
                    reason=each.reason,
                )
                for each in kept
            ]
        )
        self.n_problems += len(kept)
        self.n_errors += n

    def _judge(self) -> FeedCounts:
        self.pulse("Comparing with the catalog", READING_SHARE if self.is_import else 0.95)
        counts = feed_count(store=self.store, mapping=self.row.mapping)
        n_repeated, repeated = rows_repeated(limit=MAX_PROBLEMS - self.n_problems)
        self._note(
            (
                problem(
                    each.line,
                    f"The product stands again in line {each.counts_line}; the last one counts.",
                    column=self.row.mapping["id"],
                    value=each.external_id,
                )
                for each in repeated
            ),
            n=n_repeated,
        )
        _update(
            self.row,
            n_rows=self.n_rows,
            n_errors=self.n_errors,
            n_new=counts.n_new,
            n_changed=counts.n_changed,
            n_unchanged=counts.n_unchanged,
            n_vanished=counts.n_vanished,
        )
        return counts

    # ------------------------------------------------------------------------------- storing

    def _import(self, counts: FeedCounts) -> None:
        if not counts.n_products:
            raise FeedRefused(
                f"None of the {self.n_rows:,} rows could be read as a product; see the problems."
            )
        removes = self.row.remove_vanished and counts.n_vanished > 0
        asks = counts.n_vanished > MAX_VANISHED_SHARE * counts.n_live
        if removes and asks and not self.row.may_remove_many:
            _update(self.row, state=State.ASKING, step="", progress=READING_SHARE, n_attempts=0)
            return
        _update(self.row, state=State.IMPORTING, step="Storing")
        n_new = n_changed = 0
        for first in range(1, counts.n_products + 1, BLOCK):
            last = min(first + BLOCK - 1, counts.n_products)
            new, changed = products_store(
                store=self.store, mapping=self.row.mapping, first=first, last=last
            )
            n_new, n_changed = n_new + new, n_changed + changed
            done = last / counts.n_products
            share = READING_SHARE + (1 - READING_SHARE) * done
            self.pulse(f"Storing: {last:,} of {counts.n_products:,} products", share)
        n_removed = vanished_remove(store=self.store) if removes else 0
        with transaction.atomic():
            _end(self.row, State.DONE, self.row.message)
            audit_record(
                store=self.store,
                actor=self.row.requested_by,
                action="catalog.import",
                subject=self.row.name,
                subject_key=str(self.row.pk),
                after={
                    "new": n_new,
                    "changed": n_changed,
                    "taken out": n_removed,
                    "left out": self.n_errors,
                },
            )

    def pulse(self, step: str, share: float) -> None:
        """Say where we are, a few times a second. Raises _Stopped if a member cancelled it."""
        self.row.step = step
        if time.monotonic() - self.pulse_at < PULSE_S:
            return
        self.pulse_at = time.monotonic()
        alive = ProductImport.objects.filter(pk=self.row.pk, state__in=RUNNING).update(
            step=step[:120],
            progress=min(max(share, 0.0), 1.0),
            n_rows=self.n_rows,
            n_errors=self.n_errors,
            heartbeat_at=timezone.now(),
        )
        if not alive:
            raise _Stopped


def _update(product_import: ProductImport, **changes: Any) -> None:
    """Change a running import. Raises _Stopped if a member cancelled it meanwhile."""
    alive = ProductImport.objects.filter(pk=product_import.pk, state__in=RUNNING).update(
        heartbeat_at=timezone.now(), **changes
    )
    if not alive:
        raise _Stopped


def _end(product_import: ProductImport, state: str, message: str) -> None:
    """End an import that nobody cancelled, and let go of its file."""
    ended = ProductImport.objects.filter(
        pk=product_import.pk, state__in=(State.QUEUED, *RUNNING)
    ).update(
        state=state,
        message=message[:2000],
        step="",
        progress=1.0,
        finished_at=timezone.now(),
        heartbeat_at=timezone.now(),
    )
    if ended:
        feed_forget(product_import)


def _blocks(rows: Iterator[FeedRow | FeedProblem]) -> Iterator[list[FeedRow | FeedProblem]]:
    while block := list(islice(rows, BLOCK)):
        yield block


def _position(file: BinaryIO) -> int:
    return 0 if file.closed else file.tell()


def _can_be_id(text: str) -> bool:
    return 0 < len(text) <= ID_MAX_CHARS and "\x00" not in text
