"""Shoppers: who they are, what is known of them, and what they would see now."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib import messages
from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from catalog.console.access import EDITORS, OWNERS, ConsoleRequest, can_edit, can_own, member_page
from catalog.models import Product, Shopper, ShopperLink
from catalog.selectors.activity import EVENT_WORDS, latest_events
from catalog.selectors.product_list import products_by_id
from catalog.selectors.shopper_links import Person, links_of, person_of
from catalog.selectors.shopper_list import (
    has_shoppers,
    orders_of,
    shopper_find,
    shopper_page,
    shoppers_by_external_id,
)
from catalog.services.shopper_links import LinkRefused
from recommender.console.strategy_words import source_label
from recommender.selectors.shopper_held import shopper_export
from recommender.services.erasure import EraseRefused, shopper_erase
from recommender.services.identity import person_link, person_unlink
from recommender.services.shopper_preview import (
    ShopperKnown,
    WouldSee,
    shopper_known,
    shopper_would_see,
)
from recommender.serving.trace import REASON_WORDS

N_EVENTS = 30
N_PAST_LINKS = 20


@dataclass(frozen=True, slots=True)
class Shelf:
    """A few products under a heading, and what to say if there are none."""

    title: str
    products: list[Product]
    note: str
    empty: str


@dataclass(frozen=True, slots=True)
class Row:
    """What a placement would show: products with the source of each, in words."""

    answer: WouldSee
    products: list[tuple[Product, str]]
    reason: str
    fallback: str


@require_safe
@member_page()
def shopper_list(request: ConsoleRequest) -> HttpResponse:
    """The list; its table alone for htmx."""
    words = request.GET.get("q", "").strip().replace("\x00", "")[:128]
    page = shopper_page(store=request.store, words=words, number=_page_number(request))
    context = {
        "words": words,
        "page": page,
        "nobody_yet": not page.rows and not has_shoppers(store=request.store),
        "read_at": timezone.now(),
    }
    template = "_table.html" if request.htmx else "list.html"
    return render(request, f"console/shoppers/{template}", context)


@require_safe
@member_page()
def shopper_detail(request: ConsoleRequest, shopper_id: int) -> HttpResponse:
    return _page(request, _find(request, shopper_id))


@require_POST
@member_page(roles=EDITORS)
def shopper_link_make(request: ConsoleRequest, shopper_id: int) -> HttpResponse:
    """Link the shopper to the customer that was typed."""
    shopper = _find(request, shopper_id)
    typed = request.POST.get("customer_id", "").strip()
    try:
        person_link(
            store=request.store,
            shopper_external_id=shopper.external_id,
            customer_external_id=typed,
            linked_by=ShopperLink.LinkedBy.MEMBER,
            member=request.user,
        )
    except LinkRefused as error:
        return _page(request, shopper, typed=typed, error=str(error))
    messages.success(
        request,
        f"{shopper.external_id} is {typed} from now on: their next page already knows.",
    )
    return redirect("console-shopper", request.store.slug, shopper.pk)


@require_POST
@member_page(roles=EDITORS)
def shopper_link_undo(request: ConsoleRequest, shopper_id: int) -> HttpResponse:
    """Undo the shopper's link, and go back to the page from where it was asked for."""
    shopper = _find(request, shopper_id)
    link = person_unlink(
        store=request.store, shopper_external_id=shopper.external_id, member=request.user
    )
    if link is None:
        messages.warning(request, f"{shopper.external_id} isn't linked to anybody.")
    else:
        messages.success(
            request,
            f"{link.shopper.external_id} and {link.customer.external_id} are two again, each with"
            " their own past.",
        )
    back = request.POST.get("back", "")
    target = shopper_find(store=request.store, shopper_id=int(back)) if _is_id(back) else None
    return redirect("console-shopper", request.store.slug, (target or shopper).pk)


@require_safe
@member_page(roles=OWNERS)
def shopper_download(request: ConsoleRequest, shopper_id: int) -> StreamingHttpResponse:
    """Everything held about the shopper, as a file."""
    shopper = _find(request, shopper_id)
    document = shopper_export(store=request.store, external_id=shopper.external_id)
    if document is None:
        raise Http404
    answer = StreamingHttpResponse(document, content_type="application/json")
    # The pseudonym may be anything: it isn't part of a file name.
    answer["Content-Disposition"] = f'attachment; filename="shopper-{shopper.pk}.json"'
    return answer


@require_http_methods(["GET", "HEAD", "POST"])
@member_page(roles=OWNERS)
def shopper_erasing(request: ConsoleRequest, shopper_id: int) -> HttpResponse:
    """What erasing would touch; then, with POST, erase."""
    shopper = _find(request, shopper_id)
    asks = request.method != "POST"
    try:
        erased = shopper_erase(
            store=request.store,
            external_id=shopper.external_id,
            member=request.user,
            dry_run=asks,
        )
    except EraseRefused as error:
        messages.error(request, str(error))
        return redirect("console-shopper", request.store.slug, shopper.pk)
    if erased is None:
        raise Http404
    if asks:
        others = shoppers_by_external_id(store=request.store, external_ids=erased.linked)
        context = {
            "shopper": shopper,
            "erased": erased,
            "others": others.values(),
            "read_at": timezone.now(),
        }
        return render(request, "console/shoppers/erase.html", context)
    if not erased.sessions_forgotten:
        messages.warning(
            request,
            "The memory of recent events is away: what it has of the shopper is forgotten within"
            " 30 days, or at once when you erase the id again over the API.",
        )
    messages.success(
        request,
        f"Erased: {erased.n_events:,} lines of events, {erased.n_exposures:,} exposures,"
        f" {erased.n_links:,} links; {erased.n_impressions:,} delivered recommendations no longer"
        " say to whom. Figures follow within minutes.",
    )
    return redirect("console-shoppers", request.store.slug)


def _find(request: ConsoleRequest, shopper_id: int) -> Shopper:
    shopper = shopper_find(store=request.store, shopper_id=shopper_id)
    if shopper is None:
        raise Http404
    return shopper


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19


def _page_number(request: ConsoleRequest) -> int:
    text = request.GET.get("page", "1")
    if not (text.isascii() and text.isdigit() and len(text) < 6):
        raise Http404("This is no page number.")
    return int(text)


def _page(
    request: ConsoleRequest, shopper: Shopper, *, typed: str = "", error: str = ""
) -> HttpResponse:
    store = request.store
    person = person_of(store=store, external_id=shopper.external_id)
    members = _members(request, shopper, person)
    known = shopper_known(store=store, external_id=shopper.external_id)
    answers = shopper_would_see(store=store, external_id=shopper.external_id)
    wanted = {*known.viewed, *known.cart, *known.searched, *known.hidden, *known.history}
    wanted |= {product_id for answer in answers for product_id in answer.product_ids}
    products = products_by_id(store=store, product_ids=wanted)
    links = list(links_of(store=store, shopper=shopper)[:N_PAST_LINKS])
    context = {
        "shopper": shopper,
        "person": person,
        "customer": next(
            (m for m in members if person is not None and m.external_id == person.customer), None
        ),
        "members": [
            (member, next((link for link in links if _ties(link, shopper, member)), None))
            for member in members
            if member.pk != shopper.pk
        ],
        "own_link": next(
            (link for link in links if link.undone_at is None and link.shopper_id == shopper.pk),
            None,
        ),
        "past_links": [link for link in links if link.undone_at is not None],
        "orders": orders_of(store=store, shoppers=members),
        "known": known,
        "shelves": _shelves(known, products),
        "rows": [_row(answer, products) for answer in answers],
        "events": [
            (event, *EVENT_WORDS[event.type])
            for event in latest_events(store=store, limit=N_EVENTS, shoppers=members)
        ],
        "n_events": N_EVENTS,
        "can_edit": can_edit(request.member),
        "can_own": can_own(request.member),
        "typed": typed,
        "error": error,
        "read_at": timezone.now(),
    }
    return render(request, "console/shoppers/shopper.html", context, status=422 if error else 200)


def _members(request: ConsoleRequest, shopper: Shopper, person: Person | None) -> list[Shopper]:
    """All shoppers that are this person, the shopper itself first."""
    if person is None:
        return [shopper]
    found = shoppers_by_external_id(store=request.store, external_ids=person.members)
    others = [found[name] for name in person.members if name in found]
    return [shopper, *(other for other in others if other.pk != shopper.pk)]


def _ties(link: ShopperLink, shopper: Shopper, other: Shopper) -> bool:
    return link.undone_at is None and {link.shopper_id, link.customer_id} == {shopper.pk, other.pk}


def _shelves(known: ShopperKnown, products: dict[int, Product]) -> list[Shelf]:
    def shelf(title: str, product_ids: list[int], empty: str, note: str = "") -> Shelf:
        return Shelf(title, [products[pk] for pk in product_ids if pk in products], note, empty)

    history_note = f"the {len(known.history)} that count most of {known.n_history:,}"
    return [
        shelf("Looked at lately", known.viewed, "Nothing in the last 30 days."),
        shelf("In the cart", known.cart, "The cart is empty."),
        shelf(
            "History",
            known.history,
            "The last training knew nothing of them."
            if known.history_as_of
            else "No profiles have been trained yet.",
            history_note if known.history else "",
        ),
        shelf("Found by searching", known.searched, "No search in the last 30 days."),
        shelf("Hidden", known.hidden, "They have hidden nothing.", "never shown to them"),
    ]


def _row(answer: WouldSee, products: dict[int, Product]) -> Row:
    shown = [
        (products[product_id], source_label(source))
        for product_id, source in zip(answer.product_ids, answer.sources, strict=True)
        if product_id in products
    ]
    return Row(
        answer=answer,
        products=shown,
        reason=REASON_WORDS.get(answer.reason, answer.reason) if answer.reason else "",
        fallback=source_label(answer.fallback) if answer.fallback else "",
    )
