"""Learning: what each kind of event says about taste."""

from __future__ import annotations

import math
from dataclasses import dataclass

from django.contrib import messages
from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from catalog.console.access import EDITORS, ConsoleRequest, can_edit, member_page
from recommender.engine.weighting import EVENT_WEIGHTS
from recommender.selectors.event_weights import MAX_WEIGHT, event_weights, event_weights_row
from recommender.services.event_weights import (
    WeightsRefused,
    event_weights_restore,
    event_weights_save,
)

# What an event is called, and what it tells; in the order of how much it usually counts.
EVENT_MEANINGS: dict[str, tuple[str, str]] = {
    "purchase": ("Bought", "The product is one of a paid order."),
    "add_to_cart": ("Put into the cart", "The product was wanted, at least for a while."),
    "begin_checkout": ("Went to the checkout", "The product was in the cart then."),
    "add_to_wishlist": ("Wished for", "Kept for later."),
    "rate_item": ("Rated", "Whatever the rating was: who rates a product has had it."),
    "view_item": ("Looked at", "The product's page was opened."),
    "select_item": ("Chose from a list", "Clicked in a category, a search, or another list."),
    "recommendation_click": ("Clicked a recommendation", "In one of your placements."),
    "search": ("Searched for", "For each of the five products that the search finds first."),
    "remove_from_cart": ("Took out of the cart", "Second thoughts: usually below zero."),
    "hide_item": (
        "Hid",
        "The shopper doesn't want to see it, and won't. Below zero, what is like it drops, too.",
    ),
}


@dataclass(frozen=True, slots=True)
class WeightRow:
    """One event in the form. `text` is what stands in the field, right or wrong."""

    name: str
    label: str
    meaning: str
    text: str
    default: str
    is_changed: bool
    error: str


@require_safe
@member_page()
def weights_page(request: ConsoleRequest) -> HttpResponse:
    return _page(request)


@require_POST
@member_page(roles=EDITORS)
def weights_save(request: ConsoleRequest) -> HttpResponse:
    """Save all weights, or go back to the defaults."""
    if "restore" in request.POST:
        event_weights_restore(store=request.store, member=request.user)
        messages.success(request, "Every event counts as by default again.")
        return redirect("console-weights", request.store.slug)
    weights = {name: _number(request.POST, name) for name in EVENT_WEIGHTS}
    try:
        event_weights_save(store=request.store, weights=weights, member=request.user)
    except WeightsRefused as error:
        return _page(request, typed=request.POST, errors=error.fields)
    messages.success(
        request,
        "Saved. What shoppers do right now counts so within a second, their history after the next"
        " training.",
    )
    return redirect("console-weights", request.store.slug)


def _number(form: QueryDict, name: str) -> float:
    """What was typed; not a number if it is none."""
    try:
        return float(form.get(name, "").strip().replace(",", "."))
    except ValueError:
        return math.nan


def _page(
    request: ConsoleRequest,
    *,
    typed: QueryDict | None = None,
    errors: dict[str, str] | None = None,
) -> HttpResponse:
    weights = event_weights(store_id=request.store.pk)
    wrong = errors or {}
    rows = [
        WeightRow(
            name=name,
            label=label,
            meaning=meaning,
            text=typed.get(name, "") if typed is not None else f"{weights[name]:g}",
            default=f"{EVENT_WEIGHTS[name]:g}",
            is_changed=weights[name] != EVENT_WEIGHTS[name],
            error=wrong.get(name, ""),
        )
        for name, (label, meaning) in EVENT_MEANINGS.items()
    ]
    context = {
        "rows": rows,
        "changed": event_weights_row(store_id=request.store.pk),
        "any_changed": any(row.is_changed for row in rows),
        "can_edit": can_edit(request.member),
        "max_weight": f"{MAX_WEIGHT:g}",
        "has_errors": bool(wrong),
    }
    return render(request, "console/models/weights.html", context, status=422 if wrong else 200)
