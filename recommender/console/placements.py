"""Placements: what each spot shows, how it chooses, and the tag to put it on a page."""

from __future__ import annotations

from datetime import timedelta

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from catalog.console.access import EDITORS, ConsoleRequest, can_edit, member_page
from catalog.console.settings import page_snippet
from recommender.console.placement_form import (
    EXCLUSION_CHOICES,
    PlacementForm,
    form_as_typed,
    form_of_placement,
    form_of_recipe,
    placement_fields_from_form,
    version_choices,
)
from recommender.console.placement_tags import placement_tags
from recommender.console.strategy_words import StrategyWords, source_label, strategy_words
from recommender.models import Placement
from recommender.selectors.placement_figures import (
    Delivered,
    delivered_by_placement,
    placement_delivered,
    placement_find,
    placements_of,
)
from recommender.selectors.strategies import strategies_of
from recommender.services.placements import (
    PlacementRefused,
    placement_create,
    placement_edit,
    placement_pause,
)
from recommender.services.recipes import recipe_find
from recommender.serving.request import MAX_LIMIT
from recommender.serving.strategy import InvalidStrategyError, ServingStrategy, strategy_parse
from recommender.serving.trace import REASON_WORDS

# Over which days the pages say what was delivered.
LATELY = timedelta(days=7)


@require_safe
@member_page()
def placement_list(request: ConsoleRequest) -> HttpResponse:
    now = timezone.now()
    delivered = delivered_by_placement(store=request.store, since=now - LATELY)
    rows = []
    for placement in placements_of(store=request.store):
        words = _words(placement)
        rows.append((placement, words, delivered.get(placement.pk, Delivered())))
    context = {
        "rows": rows,
        "lately_days": LATELY.days,
        "read_at": now,
        "can_edit": can_edit(request.member),
    }
    return render(request, "console/placements/list.html", context)


@require_safe
@member_page()
def placement_page(request: ConsoleRequest, slug: str) -> HttpResponse:
    store, now = request.store, timezone.now()
    placement = _find(request, slug)
    delivered = placement_delivered(store=store, placement=placement, since=now - LATELY)
    n_shown = sum(n for _, n in delivered.sources)
    context = {
        "placement": placement,
        "version": placement.strategy_version,
        "strategy": _words(placement),
        "delivered": delivered,
        "reasons": [(REASON_WORDS.get(code, code), n) for code, n in delivered.reasons],
        "shown_sources": [
            (source_label(name), n, round(n / n_shown * 100, 1)) for name, n in delivered.sources
        ],
        "tags": placement_tags(
            placement, snippet=page_snippet(request, store), site=request.build_absolute_uri("/")
        ),
        "other_titles": sorted(placement.title_by_locale.items()),
        "can_edit": can_edit(request.member),
        "lately_days": LATELY.days,
        "read_at": now,
    }
    return render(request, "console/placements/page.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@member_page(roles=EDITORS)
def placement_new(request: ConsoleRequest) -> HttpResponse:
    """`?recipe=` fills the form as a recipe would."""
    if request.method != "POST":
        return _editor(request, form_of_recipe(recipe_find(request.GET.get("recipe", ""))))
    try:
        placement = placement_create(
            store=request.store,
            slug=request.POST.get("slug", "").strip(),
            fields=placement_fields_from_form(request.POST),
            actor=request.user,
        )
    except PlacementRefused as error:
        return _editor(request, form_as_typed(request.POST, error.fields), status=422)
    messages.success(request, f"“{placement.name}” is live. Now put its tag into your page.")
    return redirect("console-placement", request.store.slug, placement.slug)


@require_http_methods(["GET", "HEAD", "POST"])
@member_page(roles=EDITORS)
def placement_editor(request: ConsoleRequest, slug: str) -> HttpResponse:
    placement = _find(request, slug)
    if request.method != "POST":
        return _editor(request, form_of_placement(placement), placement=placement)
    try:
        changed = placement_edit(
            placement=placement,
            fields=placement_fields_from_form(request.POST),
            actor=request.user,
        )
    except PlacementRefused as error:
        form = form_as_typed(request.POST, error.fields)
        return _editor(request, form, placement=placement, status=422)
    if changed:
        messages.success(request, "Saved. Shoppers see it within a second.")
    else:
        messages.info(request, "Nothing was different.")
    return redirect("console-placement", request.store.slug, slug)


@require_POST
@member_page(roles=EDITORS)
def placement_switch(request: ConsoleRequest, slug: str, *, paused: bool) -> HttpResponse:
    placement = _find(request, slug)
    placement_pause(placement=placement, paused=paused, actor=request.user)
    if paused:
        messages.warning(
            request, f"“{placement.name}” is paused: its place on the page stays empty."
        )
    else:
        messages.success(request, f"“{placement.name}” is live again, within a second.")
    return redirect("console-placement", request.store.slug, slug)


def _find(request: ConsoleRequest, slug: str) -> Placement:
    placement = placement_find(store=request.store, slug=slug)
    if placement is None:
        raise Http404
    return placement


def _editor(
    request: ConsoleRequest,
    form: PlacementForm,
    *,
    placement: Placement | None = None,
    status: int = 200,
) -> HttpResponse:
    shown = placement.strategy_version if placement is not None else None
    context = {
        "form": form,
        "placement": placement,
        "choices": version_choices(strategies_of(store=request.store), shown=shown),
        "page_types": Placement.PageType.choices,
        "below_minimum": Placement.BelowMinimum.choices,
        "exclusion_choices": EXCLUSION_CHOICES,
        "max_products": MAX_LIMIT,
    }
    return render(request, "console/placements/editor.html", context, status=status)


def _words(placement: Placement) -> StrategyWords | None:
    """The strategy in words, with what the placement says otherwise; None for a document that this
    version of Vitrine can't read."""
    version = placement.strategy_version
    try:
        document = strategy_parse(version.document)
    except InvalidStrategyError:
        return None
    here = ServingStrategy(version.pk, document, exclude=placement.exclude)
    return strategy_words(here.document)
