"""Importing products: file or address, columns, check, import; history and feeds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain

from django.conf import settings
from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_htmx.http import HttpResponseClientRedirect

from catalog.console.access import EDITORS, ConsoleRequest, can_edit, member_page
from catalog.feeds.mapping import (
    ATTRIBUTE,
    FIELDS,
    LABELS,
    REQUIRED,
    MappingRefused,
    field_label,
    mapping_suggest,
    mapping_words,
)
from catalog.feeds.rows import FeedRefused
from catalog.models import FeedFormat, ProductImport
from catalog.selectors.imports import (
    feeds_of,
    import_find,
    import_page,
    problem_groups,
    problem_page,
    problem_rows,
)
from catalog.selectors.product_list import product_count
from catalog.services.feed_files import MIB, feed_has_file
from catalog.services.feed_imports import (
    CANCELLABLE,
    RUNNING,
    ImportMoved,
    import_answer,
    import_cancel,
    import_configure,
    import_from_address,
    import_from_upload,
    import_hand_over,
    import_mappable,
    import_start,
)
from catalog.services.feed_preview import FeedHead, feed_head, feed_preview
from catalog.services.feed_schedule import feed_columns_save
from catalog.spreadsheet import csv_lines

State = ProductImport.State

# Badge kind and icon by state.
BADGES: dict[str, tuple[str, str]] = {
    State.DRAFT: ("", "settings"),
    State.QUEUED: ("active", "clock"),
    State.CHECKING: ("active", "clock"),
    State.CHECKED: ("active", "eye"),
    State.ASKING: ("warn", "pause"),
    State.IMPORTING: ("active", "clock"),
    State.DONE: ("good", "good"),
    State.FAILED: ("bad", "bad"),
    State.CANCELLED: ("", "close"),
}
BUSY = (State.QUEUED, *RUNNING)
# Room for the other parts of a form with a file in it.
FORM_BYTES = 64 * 1024


@require_safe
@member_page()
def import_list(request: ConsoleRequest) -> HttpResponse:
    page = import_page(store=request.store, number=request.GET.get("page"))
    feeds = feeds_of(store=request.store)
    context = {
        "page": page,
        "rows": [(each, *BADGES[each.state]) for each in page],
        "feeds": [(feed, *_feed_badge(feed)) for feed in feeds],
        "can_edit": can_edit(request.member),
        "any_busy": any(each.state in BUSY for each in page),
        "read_at": timezone.now(),
    }
    template = "_list.html" if request.htmx else "list.html"
    return render(request, f"console/imports/{template}", context)


# ------------------------------------------------------------------------- step 1: file or address


@require_safe
@member_page(roles=EDITORS)
def import_new(request: ConsoleRequest) -> HttpResponse:
    return _new_page(request)


@csrf_exempt  # checked in `_upload_take`, after it is known who sends how much
@require_POST
@member_page(roles=EDITORS)
def import_upload(request: ConsoleRequest) -> HttpResponse:
    """Take a file. Its length and its sender are looked at before a byte of it is read."""
    length = request.META.get("CONTENT_LENGTH") or "0"
    if not length.isdigit() or int(length) > settings.IMPORT_MAX_BYTES + FORM_BYTES:
        error = f"The file has more than {settings.IMPORT_MAX_BYTES // MIB:,} MB. Pack it with gzip or zip."
        return _new_page(request, upload_error=error, status=413)
    return _upload_take(request)


@csrf_protect
def _upload_take(request: ConsoleRequest) -> HttpResponse:
    file = request.FILES.get("file")
    if file is None or isinstance(file, list):
        return _new_page(request, upload_error="Choose a file first.")
    try:
        made = import_from_upload(
            store=request.store, user=request.user, name=file.name or "feed", chunks=file.chunks()
        )
    except FeedRefused as error:
        return _new_page(request, upload_error=str(error))
    except OSError as error:
        reason = error.strerror or "the disk refused it"
        return _new_page(request, upload_error=f"The file couldn't be kept: {reason}.")
    return redirect("console-import-columns", request.store.slug, made.pk)


@require_POST
@member_page(roles=EDITORS)
def import_address(request: ConsoleRequest) -> HttpResponse:
    """Have a worker fetch an address; its page shows how far it is."""
    url = request.POST.get("url", "").strip()
    try:
        made = import_from_address(store=request.store, user=request.user, url=url)
    except FeedRefused as error:
        return _new_page(request, url=url, address_error=str(error))
    transaction.on_commit(lambda: import_hand_over(import_id=made.pk))
    return redirect("console-import", request.store.slug, made.pk)


def _new_page(
    request: ConsoleRequest,
    *,
    url: str = "",
    upload_error: str = "",
    address_error: str = "",
    status: int = 422,
) -> HttpResponse:
    context = {
        "url": url,
        "upload_error": upload_error,
        "address_error": address_error,
        "max_mb": settings.IMPORT_MAX_BYTES // MIB,
        "formats": FeedFormat.labels,
    }
    is_refused = bool(upload_error or address_error)
    template = "console/imports/new.html"
    return render(request, template, context, status=status if is_refused else 200)


# ----------------------------------------------------------------------------- step 2: the columns


@dataclass(frozen=True, slots=True)
class FieldRow:
    """A field of the form: which column it takes, and what stands there."""

    name: str
    label: str
    meaning: str
    required: bool
    column: str
    sample: str
    error: str


@require_http_methods(["GET", "HEAD", "POST"])
@member_page(roles=EDITORS)
def import_columns(request: ConsoleRequest, import_id: int) -> HttpResponse:
    """Which column is what. Posting it checks the file; a feed is read that way from now on."""
    found = _find(request, import_id)
    try:
        import_mappable(product_import=found)
        head = feed_head(found)
    except (ImportMoved, FeedRefused) as error:
        messages.warning(request, str(error))
        return redirect("console-import", request.store.slug, import_id)
    if request.method != "POST":
        mapping = found.mapping or mapping_suggest(head.columns)
        return _columns_page(request, found, head, mapping)
    mapping = _mapping_sent(request.POST, head)
    try:
        if found.feed is not None:
            feed_columns_save(product_import=found, user=request.user, mapping=mapping)
        else:
            import_configure(
                product_import=found,
                user=request.user,
                mapping=mapping,
                remove_vanished="remove_vanished" in request.POST,
            )
    except MappingRefused as refused:
        return _columns_page(request, found, head, mapping, refused.fields)
    except ImportMoved as error:
        messages.warning(request, str(error))
    else:
        if found.feed is not None:
            messages.success(
                request, f"“{found.feed.name}” is read with these columns from now on."
            )
        transaction.on_commit(lambda: import_hand_over(import_id=import_id))
    return redirect("console-import", request.store.slug, import_id)


@require_POST
@member_page()
def import_preview(request: ConsoleRequest, import_id: int) -> HttpResponse:
    """The first rows with the columns that are chosen at the moment; stores nothing."""
    found = _find(request, import_id)
    try:
        head = feed_head(found)
    except FeedRefused as error:
        return HttpResponse(str(error), status=422, content_type="text/plain; charset=utf-8")
    mapping = _mapping_sent(request.POST, head)
    context = _preview_context(request, head, mapping)
    return render(request, "console/imports/_preview.html", context)


def _columns_page(
    request: ConsoleRequest,
    found: ProductImport,
    head: FeedHead,
    mapping: dict[str, str],
    wrong: dict[str, str] | None = None,
) -> HttpResponse:
    wrong = wrong or {}
    used = {column for field, column in mapping.items() if not field.startswith(ATTRIBUTE)}
    kept = {column for field, column in mapping.items() if field.startswith(ATTRIBUTE)}
    fields = [
        FieldRow(
            name=field.name,
            label=field.label,
            meaning=field.meaning,
            required=field.name in REQUIRED,
            column=mapping.get(field.name, ""),
            sample=head.samples.get(mapping.get(field.name, ""), ""),
            error=wrong.get(field.name, ""),
        )
        for field in FIELDS
    ]
    others = [
        (column, sample, column in kept, column.removeprefix("g:") in LABELS)
        for column, sample in head.samples.items()
        if column not in used
    ]
    context = {
        "found": found,
        "fields": fields,
        "columns": head.columns,
        "others": others,
        "wrong": [(field_label(name), text) for name, text in wrong.items()],
        "n_in_catalog": product_count(store=request.store),
        **_preview_context(request, head, mapping),
    }
    template = "console/imports/columns.html"
    return render(request, template, context, status=422 if wrong else 200)


def _preview_context(
    request: ConsoleRequest, head: FeedHead, mapping: dict[str, str]
) -> dict[str, object]:
    currency = request.store.currency
    rows = feed_preview(head, mapping=mapping, currency=currency)
    return {"preview": rows, "missing": [name for name in REQUIRED if not mapping.get(name)]}


def _mapping_sent(sent: QueryDict, head: FeedHead) -> dict[str, str]:
    """The mapping of the form; columns that the file doesn't have are left out."""
    mapping = {field.name: sent.get(f"field-{field.name}", "") for field in FIELDS}
    mapping = {name: column for name, column in mapping.items() if column in head.samples}
    used = set(mapping.values())
    for column in sent.getlist("attribute"):
        if column in head.samples and column not in used:
            mapping[ATTRIBUTE + column.removeprefix("g:")[:100]] = column
    return mapping


# ---------------------------------------------------------------- steps 3 and 4: check and import


@require_safe
@member_page()
def import_detail(request: ConsoleRequest, import_id: int) -> HttpResponse:
    """Where an import is, what it found, and what a member may do next."""
    found = _find(request, import_id)
    may_edit = can_edit(request.member)
    if found.state == State.DRAFT and may_edit and feed_has_file(found):
        if request.htmx:
            address = _columns_address(request, found)
            return HttpResponseClientRedirect(address)
        return redirect("console-import-columns", request.store.slug, found.pk)
    n_seen = found.n_new + found.n_changed + found.n_unchanged
    problems = problem_page(found, number=request.GET.get("page"))
    is_busy = found.state in BUSY
    context = {
        "found": found,
        "badge": BADGES[found.state],
        "is_busy": is_busy,
        "percent": round(found.progress * 100),
        "n_products": n_seen,
        "n_to_do": found.n_new + found.n_changed,
        "shows_counts": found.n_rows and not is_busy,
        "problems": problems,
        "groups": problem_groups(found) if problems.paginator.count else [],
        "n_not_kept": max(found.n_errors - problems.paginator.count, 0),
        "mapped": mapping_words(found.mapping),
        "can_edit": may_edit,
        "can_cancel": may_edit and found.state in CANCELLABLE,
        "can_schedule": may_edit and found.url and not found.feed_id and found.state == State.DONE,
        "read_at": timezone.now(),
    }
    template = "_import.html" if request.htmx else "import.html"
    return render(request, f"console/imports/{template}", context)


@require_POST
@member_page(roles=EDITORS)
def import_go(request: ConsoleRequest, import_id: int) -> HttpResponse:
    """Import what was checked."""
    return _act(
        request, import_id, lambda found: import_start(product_import=found, user=request.user)
    )


@require_POST
@member_page(roles=EDITORS)
def import_decide(request: ConsoleRequest, import_id: int) -> HttpResponse:
    """Answer whether so many products may go."""
    decision = request.POST.get("decision", "")
    if decision not in ("remove", "keep"):
        raise Http404("There is no such answer.")
    return _act(
        request,
        import_id,
        lambda found: import_answer(
            product_import=found, user=request.user, remove=decision == "remove"
        ),
    )


@require_POST
@member_page(roles=EDITORS)
def import_stop(request: ConsoleRequest, import_id: int) -> HttpResponse:
    found = _find(request, import_id)
    try:
        import_cancel(product_import=found, user=request.user)
    except ImportMoved as error:
        messages.warning(request, str(error))
        return redirect("console-import", request.store.slug, import_id)
    messages.success(request, f"The import of {found.name} is cancelled. The catalog is as it was.")
    return redirect("console-imports", request.store.slug)


@require_safe
@member_page()
def import_problems_csv(request: ConsoleRequest, import_id: int) -> HttpResponse:
    """The problems as a table for a spreadsheet; at most 1,000 are kept, so they fit in memory."""
    found = _find(request, import_id)
    rows = chain([("line", "column", "value", "reason")], problem_rows(found))
    response = HttpResponse(csv_lines(rows), content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = (
        f'attachment; filename="import-{found.pk}-problems.csv"'
    )
    return response


def _act(
    request: ConsoleRequest, import_id: int, act: Callable[[ProductImport], None]
) -> HttpResponse:
    found = _find(request, import_id)
    try:
        act(found)
    except ImportMoved as error:
        messages.warning(request, str(error))
    else:
        transaction.on_commit(lambda: import_hand_over(import_id=import_id))
    return redirect("console-import", request.store.slug, import_id)


def _find(request: ConsoleRequest, import_id: int) -> ProductImport:
    found = import_find(store=request.store, import_id=import_id)
    if found is None:
        raise Http404("There is no such import.")
    return found


def _columns_address(request: ConsoleRequest, found: ProductImport) -> str:
    return redirect("console-import-columns", request.store.slug, found.pk).headers["Location"]


def _feed_badge(feed: object) -> tuple[str, str, str]:
    """Words, kind and icon for what became of a feed's newest import."""
    state = getattr(feed, "last_state", None)
    if state is None:
        return "", "", ""
    kind, icon = BADGES[state]
    return State(state).label, kind, icon
