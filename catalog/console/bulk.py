"""One change to many products of the list: asked first, with the number, then done."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib import messages
from django.db.models import QuerySet
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_POST

from catalog.console.access import EDITORS, ConsoleRequest, member_page
from catalog.console.catalog import filter_read
from catalog.models import Product
from catalog.selectors.product_list import ProductFilter, products_matching
from catalog.services.product_bulk import BulkRefused, products_change

N_EXAMPLES = 5
# A page of the list has 50; whoever sends thousands of ids means "all that fit".
MAX_IDS = 1_000


@dataclass(frozen=True, slots=True)
class Words:
    """An action as a question, and as what was done."""

    verb: str
    done: str
    effect: str


WORDS: dict[str, Words] = {
    "hide": Words(
        "Hide", "hidden", "They are recommended nowhere until somebody shows them again."
    ),
    "show": Words("Show", "shown", "They can be recommended again, as far as they are in stock."),
    "tag": Words("Add the tag to", "tagged", "Rules and campaigns can name them by it."),
    "untag": Words("Take the tag off", "without the tag", "Rules that name it no longer fit them."),
}


@require_POST
@member_page(roles=EDITORS)
def products_bulk(request: ConsoleRequest) -> HttpResponse:
    """Say what an action would touch; with `confirmed`, do it."""
    action, tag = request.POST.get("action", ""), request.POST.get("tag", "").strip()
    if action not in WORDS:
        raise Http404("There is no such action.")
    wanted = filter_read(request.POST)
    everything = request.POST.get("everything") == "1"
    ids = _ids(request)
    chosen = _chosen(request, wanted, ids, everything=everything)
    back = _list_address(request, wanted)
    n_chosen = chosen.count()
    if not n_chosen:
        messages.warning(request, "No product is chosen. Tick some, or take all that fit.")
        return redirect(back)
    if "confirmed" in request.POST:
        try:
            done = products_change(
                store=request.store, user=request.user, products=chosen, action=action, tag=tag
            )
        except BulkRefused as refused:
            messages.error(request, str(refused))
            return redirect(back)
        n_already = done.n_chosen - done.n_changed
        rest = f" {n_already:,} were like that already." if n_already else ""
        messages.success(
            request,
            f"{done.n_changed:,} product{'' if done.n_changed == 1 else 's'} {WORDS[action].done}.{rest}",
        )
        return redirect(back)
    context = {
        "action": action,
        "tag": tag,
        "words": WORDS[action],
        "needs_tag": action in ("tag", "untag"),
        "n_chosen": n_chosen,
        "examples": list(chosen.order_by("title", "pk")[:N_EXAMPLES]),
        "ids": ids,
        "everything": everything,
        "wanted": wanted,
        "back": back,
    }
    return render(request, "console/catalog/bulk.html", context)


def _ids(request: ConsoleRequest) -> list[int]:
    texts = request.POST.getlist("product")[:MAX_IDS]
    return [int(text) for text in texts if text.isascii() and text.isdigit() and len(text) < 19]


def _chosen(
    request: ConsoleRequest, wanted: ProductFilter, ids: list[int], *, everything: bool
) -> QuerySet[Product]:
    if everything:
        fitting = products_matching(store=request.store, wanted=wanted)
        # By id, so that the change isn't made over the search's own columns.
        return Product.objects.filter(store=request.store, pk__in=fitting.values("pk"))
    return Product.objects.filter(store=request.store, deleted_at=None, pk__in=ids)


def _list_address(request: ConsoleRequest, wanted: ProductFilter) -> str:
    query = {
        "q": wanted.words,
        "category": wanted.category,
        "state": wanted.state,
        "sort": wanted.sort,
    }
    address = reverse("console-catalog", args=[request.store.slug])
    return f"{address}?{urlencode({name: value for name, value in query.items() if value})}"
