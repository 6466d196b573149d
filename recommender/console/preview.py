"""The preview: a placement now and with an edit, for a chosen shopper, and why (not)."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from catalog.console.access import ConsoleRequest, member_page
from catalog.selectors.shopper_list import ShopperRow, shopper_page
from recommender.console.bandit_words import exploration_told
from recommender.console.blend_words import blend_told
from recommender.console.preview_edit import EditOnPage, InvalidEdit, edit_from_form
from recommender.console.preview_form import (
    CONSENTS,
    DEVICES,
    Understood,
    fields_from,
    understand,
)
from recommender.console.price_tag import price_tag_context
from recommender.console.reason_words import (
    WhyNot,
    change_words,
    shown_products,
    why_not_words,
)
from recommender.console.strategy_words import source_label
from recommender.models import Placement
from recommender.selectors.placement_figures import placements_of
from recommender.services.preview import (
    AnyEdit,
    NoPreview,
    PlacementEdit,
    Preview,
    preview,
    preview_new_placement,
)
from recommender.services.price_tag import (
    PERIOD,
    SAMPLE,
    PriceTag,
    PriceTagGone,
    price_tag_continue,
    price_tag_start,
)
from recommender.serving.request import Recommendation
from recommender.serving.rules import InvalidRuleError
from recommender.serving.strategy import InvalidStrategyError
from recommender.serving.trace import REASON_WORDS, Reason
from recommender.stores.client import StoreUnavailable

# Who was seen in the last minutes is offered first.
LIVE = timedelta(minutes=15)
N_OFFERED = 12
OWN_FORM = "preview-form"
KINDS = ("", "strategy", "rule", "placement")
# What a member can do about an answer without a product.
NEXT_STEPS: dict[str, str] = {
    Reason.UNKNOWN_SHOPPER: "Choose a shopper with a past above.",
    Reason.NO_CONTEXT: "Choose a product in view above.",
    Reason.EMPTY_CATALOG: "Import products first.",
    Reason.NOT_TRAINED: "The models page says what is missing.",
}


@dataclass(frozen=True, slots=True)
class Editor:
    """Whose form is previewed.

    Attributes
    ----------
    kind
        "strategy", "rule" or "placement"; empty on the page of its own, which edits nothing.
    form
        The id of the form in the page.
    subject
        Primary key of what is edited, None for something new.
    placement
        Slug of the placement to begin with, empty for the first that the edit concerns.
    """

    kind: str
    form: str
    subject: int | None
    placement: str

    @property
    def is_new_placement(self) -> bool:
        """Nothing is shown there yet: the edit alone is answered."""
        return self.kind == "placement" and self.subject is None

    def query(self, **more: str) -> str:
        """The address of this editor's preview behind the question mark."""
        return urlencode(
            {
                "kind": self.kind,
                "form": self.form,
                "subject": self.subject or "",
                "placement": self.placement,
                **more,
            }
        )


@require_http_methods(["GET", "HEAD", "POST"])
@member_page()
def preview_page(request: ConsoleRequest) -> HttpResponse:
    """The page on GET; beside an editor, by POST of its form, the panel or only its result.

    Without htmx the panel comes as a page, for those who press the button.
    """
    editor = _editor(request)
    sent = request.POST if request.method == "POST" else request.GET
    placements = placements_of(store=request.store)
    fields = fields_from(sent)
    chosen = _chosen_placement(placements, fields.placement, editor)
    fields = replace(fields, placement=chosen.slug if chosen is not None else "")
    is_result = bool(request.htmx) and request.GET.get("part") == "result"
    understood = understand(request.store, fields)
    context = {
        "editor": editor,
        "placement": chosen,
        "understood": understood,
        "fields": understood.fields,
        "cart_text": "\n".join(fields.cart),
        "result_url": f"{_address(request)}?{editor.query(part='result')}",
        **_result(request, editor, chosen, understood),
    }
    if is_result:
        return render(request, "console/preview/_result.html", context)
    context |= {
        "placements": placements,
        "devices": DEVICES,
        "consents": CONSENTS,
        "shoppers": _shopper_options(request, ""),
        "live_minutes": int(LIVE.total_seconds() // 60),
    }
    template = "_panel.html" if request.htmx else "page.html"
    return render(request, f"console/preview/{template}", context)


@require_safe
@member_page()
def shopper_options(request: ConsoleRequest) -> HttpResponse:
    """Shoppers whose id contains what is being typed; those seen last for nothing."""
    words = request.GET.get("preview_shopper", "").replace("\x00", "").strip()[:128]
    options = _shopper_options(request, words)
    return render(request, "console/preview/_options.html", {"options": options})


@require_POST
@member_page()
def price_tag_begin(request: ConsoleRequest) -> HttpResponse:
    """Start the price tag of the edit in the form: a fragment that asks for its own progress."""
    editor = _editor(request)
    placements = _concerned(request, editor)
    try:
        edit = edit_from_form(EditOnPage(editor.kind, editor.subject), request.POST)
        tag = price_tag_start(
            store=request.store, placements=placements, edit=edit, now=timezone.now()
        )
    except _PRICE_TAG_PROBLEMS as error:
        return _price_tag(request, None, editor=editor, problem=_problem_words(error))
    return _price_tag(request, tag, editor=editor, n_placements=len(placements))


@require_safe
@member_page()
def price_tag_progress(request: ConsoleRequest, token: str) -> HttpResponse:
    """Go on with a price tag, and say how far it is."""
    try:
        tag = price_tag_continue(store=request.store, token=token)
    except PriceTagGone as error:
        raise Http404(str(error)) from error
    except _PRICE_TAG_PROBLEMS as error:
        return _price_tag(request, None, problem=_problem_words(error))
    return _price_tag(request, tag)


_PRICE_TAG_PROBLEMS = (
    InvalidEdit,
    InvalidStrategyError,
    InvalidRuleError,
    NoPreview,
    StoreUnavailable,
)


def _problem_words(error: Exception) -> str:
    if isinstance(error, StoreUnavailable):
        return (
            "Valkey, where the progress is kept, can't be reached just now. Try again in a minute."
        )
    return str(error)


def _price_tag(request: ConsoleRequest, tag: PriceTag | None, **more: Any) -> HttpResponse:
    editor = more.get("editor")
    context = {
        **price_tag_context(request.store, tag),
        **more,
        "price_tag_url": _price_tag_address(request, editor) if editor is not None else "",
    }
    return render(request, "console/preview/_price_tag.html", context)


def _price_tag_address(request: ConsoleRequest, editor: Editor) -> str:
    return f"{reverse('console-price-tags', args=[request.store.slug])}?{editor.query()}"


def _concerned(request: ConsoleRequest, editor: Editor) -> list[Placement]:
    """The placements that an edit may change: a rule may concern all of them."""
    placements = placements_of(store=request.store)
    chosen = _chosen_placement(placements, fields_from(request.POST).placement, editor)
    if editor.kind == "rule":
        return placements
    if editor.kind == "strategy":
        users = [p for p in placements if p.strategy_version.strategy_id == editor.subject]
        if users:
            return users
    return [] if chosen is None else [chosen]


def _address(request: ConsoleRequest) -> str:
    return reverse("console-preview", args=[request.store.slug])


def _editor(request: ConsoleRequest) -> Editor:
    kind, form = request.GET.get("kind", ""), request.GET.get("form", OWN_FORM)
    subject, placement = request.GET.get("subject", ""), request.GET.get("placement", "")
    if kind not in KINDS or not re.fullmatch(r"[A-Za-z][\w-]{0,60}", form):
        raise Http404("There is no such editor.")
    is_key = subject.isascii() and subject.isdigit() and len(subject) < 19
    return Editor(kind, form, int(subject) if is_key else None, placement[:80])


def _chosen_placement(placements: list[Placement], slug: str, editor: Editor) -> Placement | None:
    """The one asked for, else the first that the edit concerns, else the first; None for a new one."""
    if editor.is_new_placement:
        return None
    if editor.kind == "placement" and editor.subject is not None:
        placements = [each for each in placements if each.pk == editor.subject]
    by_slug = {each.slug: each for each in placements}
    for asked in (slug, editor.placement):
        if asked in by_slug:
            return by_slug[asked]
    if editor.kind == "strategy" and editor.subject is not None:
        for each in placements:
            if each.strategy_version.strategy_id == editor.subject:
                return each
    return next(iter(placements), None)


def _shopper_options(request: ConsoleRequest, words: str) -> list[tuple[str, str]]:
    rows = shopper_page(store=request.store, words=words, number=1).rows[:N_OFFERED]
    return [(row.shopper.external_id, _seen_words(row)) for row in rows]


def _seen_words(row: ShopperRow) -> str:
    ago = timezone.now() - row.shopper.last_seen_at
    if ago <= LIVE:
        return f"live: seen {max(1, int(ago.total_seconds() // 60))} min ago"
    return f"seen {timezone.localtime(row.shopper.last_seen_at):%d %b %Y, %H:%M}"


def _result(
    request: ConsoleRequest, editor: Editor, chosen: Placement | None, understood: Understood
) -> dict[str, Any]:
    """The answers in words, or what stands in their way."""
    context: dict[str, Any] = {
        "read_at": timezone.now(),
        "sample_size": SAMPLE,
        "period_days": PERIOD.days,
        "price_tag_url": _price_tag_address(request, editor),
    }
    if chosen is None and not editor.is_new_placement:
        return context | {"obstacle": "There is no placement yet to preview."}
    edit: AnyEdit | None = None
    if editor.kind and request.method == "POST":
        try:
            edit = edit_from_form(EditOnPage(editor.kind, editor.subject), request.POST)
        except InvalidEdit as error:
            context["edit_problem"] = str(error)
    if chosen is None:
        return context | _new_placement(request, edit, understood)
    who = understood.who()
    try:
        try:
            seen = preview(store=request.store, placement=chosen.slug, who=who, edit=edit)
        except (InvalidStrategyError, InvalidRuleError) as error:
            context["edit_problem"] = str(error)
            seen = preview(store=request.store, placement=chosen.slug, who=who)
    except NoPreview as error:
        return context | {"obstacle": str(error)}
    return context | _answers(seen, understood)


def _new_placement(
    request: ConsoleRequest, edit: AnyEdit | None, understood: Understood
) -> dict[str, Any]:
    """What a placement that nobody has saved would show; nothing while its form can't be read."""
    if not isinstance(edit, PlacementEdit):
        return {}
    try:
        seen = preview_new_placement(store=request.store, who=understood.who(), edit=edit)
    except (NoPreview, InvalidStrategyError) as error:
        return {"edit_problem": str(error)}
    return _answers(seen, understood, title="As it would be")


def _answers(seen: Preview, understood: Understood, *, title: str = "Now") -> dict[str, Any]:
    snapshot, now, then = seen.runtime.snapshot, seen.now, seen.then
    columns = [_column(title, now, shown_products(now, snapshot, other=then))]
    if then is not None:
        rows = shown_products(then, snapshot, other=now, is_edit=True)
        columns.append(_column("With your edit", then, rows))
    return {
        "columns": columns,
        "summary": change_words(now, then) if then is not None else "",
        "experiments": seen.experiments,
        "why_not": _why_not(seen, understood),
        "why_shown": _is_shown(seen, understood),
        "took_ms": seen.took_ms,
    }


def _column(title: str, answer: Recommendation, products: list[Any]) -> dict[str, Any]:
    return {
        "title": title,
        "products": products,
        "n": len(answer.rows),
        "reason": REASON_WORDS.get(answer.reason, answer.reason) if answer.reason else "",
        "next_step": NEXT_STEPS.get(answer.reason, "") if answer.reason else "",
        "fallback": source_label(answer.fallback) if answer.fallback else "",
        "blend": blend_told(answer),
        "exploration": exploration_told(answer),
    }


def _why_not(seen: Preview, understood: Understood) -> WhyNot | None:
    product = understood.why
    answer = seen.now if seen.then is None else seen.then
    if product is None or answer.trace is None or product.external_id not in seen.why_not:
        return None
    return why_not_words(
        seen.why_not[product.external_id],
        product.title,
        found=answer.trace.found.get(product.external_id, {}),
        rules=answer.trace.rules.get(product.external_id, ()),
    )


def _is_shown(seen: Preview, understood: Understood) -> str:
    """That the product asked about is shown, and where; empty if it isn't."""
    answer = seen.now if seen.then is None else seen.then
    product = understood.why
    if product is None or answer.trace is None:
        return ""
    told = answer.trace.products.get(product.external_id)
    return "" if told is None else f"{product.title} is shown, at place {told['position']}."
