"""The Lab: which method is best on this store's own history, and using it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db import transaction
from django.http import Http404, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from catalog.console.access import EDITORS, ConsoleRequest, can_edit, member_page
from catalog.models import Store
from recommender.console.lab_exports import lab_csv, lab_json
from recommender.console.lab_plot import accuracy_plot
from recommender.console.lab_words import (
    COST_MEANINGS,
    METRICS,
    STATE_BADGES,
    finding_of,
    history_words,
    reports_of,
    table_of,
)
from recommender.models import LabRun
from recommender.selectors.lab import ACTIVE, history_stocks, lab_choice, lab_run_find, lab_runs
from recommender.services.lab import (
    CHOSEN,
    LabBusy,
    LabRefused,
    NotMeasured,
    lab_cancel,
    lab_hand_over,
    lab_request,
    lab_use,
)
from recommender.services.lab_shelf import (
    DEFAULT_MINUTES,
    MAX_MINUTES,
    PROTOCOL_OF,
    PROTOCOLS,
    QUICK,
    SHELF,
    TEST_DAYS,
    Protocol,
)
from recommender.services.training.runs import run_hand_over

EARLIER_PER_PAGE = 10


@dataclass(frozen=True, slots=True)
class Question:
    """A protocol in the form; `missing` says what isn't there yet, empty if it can be asked."""

    protocol: Protocol
    missing: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class Form:
    """What stands in the form, right or wrong."""

    protocol: str
    methods: frozenset[str]
    minutes: str
    errors: dict[str, str]


@require_safe
@member_page()
def lab_page(request: ConsoleRequest) -> HttpResponse:
    """The form, the latest comparison, and the earlier ones."""
    form = Form("", frozenset(QUICK), f"{DEFAULT_MINUTES:g}", {})
    return _page(request, form)


@require_safe
@member_page()
def lab_run_page(request: ConsoleRequest, lab_id: int) -> HttpResponse:
    """One comparison. While it runs, the page asks for its middle again every second."""
    run = _find(request, lab_id)
    template = "_run.html" if request.htmx else "run.html"
    return render(request, f"console/lab/{template}", _run_context(request, run))


@require_POST
@member_page(roles=EDITORS)
def lab_start(request: ConsoleRequest) -> HttpResponse:
    form = Form(
        request.POST.get("protocol", ""),
        frozenset(request.POST.getlist("methods")),
        request.POST.get("minutes", "").strip(),
        {},
    )
    try:
        run = lab_request(
            store=request.store,
            protocol=form.protocol,
            methods=sorted(form.methods),
            minutes=_minutes(request.POST),
            asked_by=request.user,
        )
    except LabRefused as error:
        wrong = Form(form.protocol, form.methods, form.minutes, error.fields)
        return _page(request, wrong, status=422)
    except LabBusy as error:
        messages.warning(request, str(error))
        if error.active is None:
            return redirect("console-lab", request.store.slug)
        return redirect("console-lab-run", request.store.slug, error.active.pk)
    transaction.on_commit(lambda: lab_hand_over(run=run))
    return redirect("console-lab-run", request.store.slug, run.pk)


@require_POST
@member_page(roles=EDITORS)
def lab_stop(request: ConsoleRequest, lab_id: int) -> HttpResponse:
    try:
        lab_cancel(store=request.store, lab_id=lab_id, actor=request.user)
    except LabRun.DoesNotExist as error:
        raise Http404 from error
    return redirect("console-lab-run", request.store.slug, lab_id)


@require_POST
@member_page(roles=EDITORS)
def lab_use_row(request: ConsoleRequest, lab_id: int) -> HttpResponse:
    """Make a strategy of a row, and go to its editor, where the preview is: no shopper sees it."""
    run = _find(request, lab_id)
    try:
        used = lab_use(run=run, method=request.POST.get("method", ""), actor=request.user)
    except NotMeasured as error:
        raise Http404 from error
    training = used.run
    if training is not None:
        transaction.on_commit(lambda: run_hand_over(run=training))
    waits = ""
    if training is not None:
        waits = " The method is being trained for it; until that is done, its fallback answers."
    elif used.source == CHOSEN:
        waits = (
            " A training of the Lab's choice is on already: this method comes with it or right after"
            " it. Until then what was trained before answers."
        )
    messages.success(
        request,
        f"“{used.strategy.name}” is a strategy now, and in no placement yet: look at what it would"
        f" show, then choose it in a placement.{waits}",
    )
    return redirect("console-strategy-edit", request.store.slug, used.strategy.key)


@require_safe
@member_page()
def lab_export(request: ConsoleRequest, lab_id: int, as_csv: bool) -> HttpResponse:
    run = _find(request, lab_id)
    return lab_csv(run) if as_csv else lab_json(run)


def _find(request: ConsoleRequest, lab_id: int) -> LabRun:
    run = lab_run_find(store=request.store, lab_id=lab_id)
    if run is None:
        raise Http404
    return run


def _minutes(typed: QueryDict) -> float:
    try:
        return float(typed.get("minutes", "").strip().replace(",", "."))
    except ValueError:
        return 0.0


def _page(request: ConsoleRequest, form: Form, *, status: int = 200) -> HttpResponse:
    runs = lab_runs(store=request.store)
    page = Paginator(runs, EARLIER_PER_PAGE).get_page(request.GET.get("page"))
    latest = runs.first()
    questions = _questions(request.store, form)
    context: dict[str, Any] = {
        "form": form,
        "questions": questions,
        "can_ask": any(not question.missing for question in questions),
        "quick": [method for method in SHELF if method.quick],
        "slow": [method for method in SHELF if not method.quick],
        "max_minutes": f"{MAX_MINUTES:g}",
        "test_days": f"{TEST_DAYS:g}",
        "page": page,
        "earlier": [(run, *_line(run)) for run in page],
        "choice": lab_choice(store_id=request.store.pk),
        "can_edit": can_edit(request.member),
        "run": None,
    }
    if latest is not None:
        context |= _run_context(request, latest)
    return render(request, "console/lab/page.html", context, status=status)


def _questions(store: Store, form: Form) -> list[Question]:
    """What can be asked of this history; the first of it is chosen unless another was."""
    stocks = history_stocks(
        store=store, enough={protocol.stock: protocol.enough for protocol in PROTOCOLS}
    )
    out: list[Question] = []
    asked = form.protocol
    for protocol in PROTOCOLS:
        n = stocks[protocol.stock]
        missing = "" if n >= protocol.enough else _missing_words(protocol, n)
        if not missing and not asked:
            asked = protocol.key
        out.append(Question(protocol, missing, protocol.key == asked))
    return out


def _missing_words(protocol: Protocol, n: int) -> str:
    there = "none yet" if not n else f"1 {protocol.one}" if n == 1 else f"{n:,} {protocol.many}"
    return f"Needs {protocol.enough:,} {protocol.many}; there {'is' if n <= 1 else 'are'} {there}."


def _run_context(request: ConsoleRequest, run: LabRun) -> dict[str, Any]:
    table = table_of(run)
    is_active = run.state in ACTIVE
    protocol = PROTOCOL_OF[run.settings["protocol"]]
    there = {metric.key for metric in table.all_head} if table is not None else set()
    return {
        "run": run,
        "badge": STATE_BADGES[run.state],
        "protocol": protocol,
        "is_active": is_active,
        "percent": round(100 * run.progress),
        "table": table,
        "finding": finding_of(table) if table is not None else "",
        "history": history_words(run),
        "plot": None if is_active else accuracy_plot(run),
        "reports": [] if is_active else reports_of(run),
        "meanings": [metric for metric in METRICS if metric.key in there],
        "cost_meanings": COST_MEANINGS,
        "can_edit": can_edit(request.member),
        "read_at": timezone.now(),
    }


def _line(run: LabRun) -> tuple[str, str, str, str]:
    """Badge kind, icon, question, and the best of an earlier comparison."""
    kind, icon = STATE_BADGES[run.state]
    table = table_of(run)
    best = table.best if table is not None else None
    words = "" if best is None else f"{best.title}, {best.figure.value}"
    return kind, icon, PROTOCOL_OF[run.settings["protocol"]].title, words
