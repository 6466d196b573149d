"""What makes products similar: weights of text, attributes and own vectors, with a look ahead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.contrib import messages
from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from catalog.console.access import EDITORS, ConsoleRequest, can_edit, member_page
from catalog.models import Product
from catalog.selectors.product_list import products_named
from recommender.models import Run
from recommender.selectors.content_preview import (
    ContentModelFacts,
    ContentPreview,
    content_model_facts,
    content_preview,
)
from recommender.selectors.content_weights import (
    AUTOMATIC,
    MAX_WEIGHT,
    PARTS,
    Weights,
    content_weights_row,
    weights_of,
)
from recommender.services.content_weights import (
    ContentWeightsRefused,
    content_weights_check,
    content_weights_restore,
    content_weights_save,
)

PART_WORDS: dict[str, tuple[str, str]] = {
    "text": (
        "Text",
        "Title, brand, category and attributes as words, rare ones counting more.",
    ),
    "attributes": (
        "Attributes",
        "Brand, category and attributes alone, whatever the titles say.",
    ),
    "own_vectors": (
        "Own vectors",
        "The numbers of a picture or text model that your shop sends with its products.",
    ),
}


@dataclass(frozen=True, slots=True)
class PartRow:
    """One part in the form. `typed` is what stands in its field, right or wrong."""

    name: str
    label: str
    meaning: str
    typed: str
    note: str
    error: str


@require_safe
@member_page()
def similarity_page(request: ConsoleRequest) -> HttpResponse:
    """The page; with `product` in the address, with a look at its similar products."""
    return _page(request, request.GET)


@require_safe
@member_page()
def similarity_preview(request: ConsoleRequest) -> HttpResponse:
    """The similar products of one product, with the weights that stand in the form."""
    model = content_model_facts(store=request.store)
    typed = _typed(request.GET, _start(request, model))
    context = _preview(request, typed, request.GET.get("product", ""))
    return render(request, "console/models/_similarity.html", context)


@require_POST
@member_page(roles=EDITORS)
def similarity_save(request: ConsoleRequest) -> HttpResponse:
    """Save and train; `look` shows what would come of it instead, `restore` leaves it to us."""
    if "look" in request.POST:
        return _page(request, request.POST)
    if "restore" in request.POST:
        run = content_weights_restore(store=request.store, member=request.user)
        return _saved(request, run, "It is left to Vitrine again.")
    try:
        weights = {name: _number(request.POST.get(name, "")) for name in PARTS}
        run = content_weights_save(store=request.store, weights=weights, member=request.user)
    except ContentWeightsRefused as error:
        return _page(request, request.POST, errors=error.fields)
    return _saved(request, run, "Saved.")


def _saved(request: ConsoleRequest, run: Run | None, words: str) -> HttpResponse:
    if run is None:
        messages.success(request, f"{words} Similar products follow with the next training.")
        return redirect("console-similarity", request.store.slug)
    messages.success(request, f"{words} Similar products follow when this training is through.")
    return redirect("console-run", request.store.slug, run.pk)


def _number(typed: str) -> int:
    """What was typed; -1, which no weight is, if it is no number."""
    typed = typed.strip()
    return int(typed) if typed.isascii() and typed.isdigit() and len(typed) < 9 else -1


def _start(request: ConsoleRequest, model: ContentModelFacts | None) -> Weights:
    """What stands in the form at first: what was chosen, else what counts now."""
    row = content_weights_row(store_id=request.store.pk)
    if row is not None:
        return weights_of(row)
    if model is not None and model.weights is not None:
        return model.weights
    return {**AUTOMATIC, "own_vectors": 0}


def _typed(form: QueryDict, start: Weights) -> dict[str, str]:
    return {name: form.get(name, str(start[name])) for name in PARTS}


def _page(
    request: ConsoleRequest, form: QueryDict, *, errors: Mapping[str, str] | None = None
) -> HttpResponse:
    model = content_model_facts(store=request.store)
    typed = _typed(form, _start(request, model))
    wrong = errors or {}
    context = {
        "rows": [
            PartRow(name, label, meaning, typed[name], _note(name, model), wrong.get(name, ""))
            for name, (label, meaning) in PART_WORDS.items()
        ],
        "chosen": content_weights_row(store_id=request.store.pk),
        "model": model,
        "max_weight": MAX_WEIGHT,
        "can_edit": can_edit(request.member),
        "has_errors": bool(wrong),
        **_preview(request, typed, form.get("product", "")),
    }
    status = 422 if wrong else 200
    return render(request, "console/models/similarity.html", context, status=status)


def _note(name: str, model: ContentModelFacts | None) -> str:
    """How many products have own vectors, since they count for those alone."""
    if name != "own_vectors" or model is None:
        return ""
    n = model.n_with_own_vector
    words = f"{n:,} of {model.n_products:,} products have one that can be compared."
    if model.n_left_out:
        have = "has" if model.n_left_out == 1 else "have"
        words += (
            f" {model.n_left_out:,} more {have} one of another length than most, which can't be:"
            " send all from one model."
        )
    return words


def _preview(request: ConsoleRequest, typed: Mapping[str, str], named: str) -> dict[str, object]:
    """What `_similarity.html` shows, or says instead."""
    external_id = named.strip()[:128]
    context: dict[str, object] = {"product_id": external_id, "read_at": timezone.now()}
    weights = {name: _number(typed[name]) for name in PARTS}
    try:
        content_weights_check(weights)
    except ContentWeightsRefused as error:
        return {**context, "missing": " ".join(dict.fromkeys(error.fields.values()))}
    if not external_id:
        return {**context, "missing": "Choose a product to see its similar products, now and then."}
    product = products_named(store=request.store, external_ids=[external_id]).get(external_id)
    if product is None or product.deleted_at is not None:
        return {**context, "missing": "No product has this id."}
    found = content_preview(store=request.store, product_id=product.pk, weights=weights)
    if found is None:
        words = "The model that serves doesn't know this product yet, or is of an earlier version."
        return {**context, "missing": f"{words} Retrain content embeddings, then look again."}
    return {
        **context,
        "product": product,
        "lists": _lists(found),
        "lacks": [PART_WORDS[name][0].lower() for name in found.lacks if weights[name]],
    }


def _lists(found: ContentPreview) -> list[tuple[str, list[tuple[Product, float, bool]]]]:
    """Both lists, each product with its cosine and whether the other list lacks it."""
    now, then = ({product.pk for product, _ in pairs} for pairs in (found.now, found.then))
    return [
        ("Now", [(product, score, product.pk not in then) for product, score in found.now]),
        (
            "With these weights",
            [(product, score, product.pk not in now) for product, score in found.then],
        ),
    ]
