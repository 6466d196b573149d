"""Strategies: how placements choose, as an editor with versions that can be compared and restored."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib import messages
from django.http import Http404, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from catalog.console.access import EDITORS, ConsoleRequest, can_edit, member_page
from recommender.console.bandit_words import exploration_words
from recommender.console.blend_words import learned_words
from recommender.console.strategy_form import (
    BLENDS,
    CATEGORIES,
    EXPLORATIONS,
    PREFERENCES,
    PRICE_BANDS,
    StrategyForm,
    StrategyFormRefused,
    form_as_typed,
    form_of_document,
    strategy_document_from_form,
)
from recommender.console.strategy_words import StrategyWords, source_label, strategy_words
from recommender.models import Placement, Strategy, StrategyVersion
from recommender.selectors.placement_figures import placements_of
from recommender.selectors.strategies import (
    strategies_of,
    strategy_find,
    strategy_placements,
    strategy_variants,
    strategy_versions,
)
from recommender.services.recipes import MORE_RECIPES, RECIPES, Recipe, recipe_find
from recommender.services.strategy_editing import (
    Saved,
    StaleStrategy,
    StrategyRefused,
    strategy_create,
    strategy_edit,
    strategy_rename,
    strategy_restore,
)
from recommender.serving.strategy import (
    FALLBACK_NAMES,
    MAX_EXPLORATION,
    MAX_HANDPICKED,
    InvalidStrategyError,
    StrategyDocument,
    strategy_parse,
)
from recommender.serving.strategy_changes import strategy_changes

# A strategy from nothing begins with what every store can answer.
_EMPTY = strategy_parse({"sources": [{"source": "bestsellers", "weight": 1}]})


@dataclass(frozen=True, slots=True)
class VersionRow:
    """One version in the list; what is different from the one before it, None if unreadable."""

    version: StrategyVersion
    changes: list[str] | None
    placements: list[Placement]


@require_safe
@member_page()
def strategy_list(request: ConsoleRequest) -> HttpResponse:
    rows = [(row, _words(row.latest)) for row in strategies_of(store=request.store)]
    context = {"rows": rows, "can_edit": can_edit(request.member)}
    return render(request, "console/strategies/list.html", context)


@require_safe
@member_page()
def strategy_gallery(request: ConsoleRequest) -> HttpResponse:
    """Where a new strategy starts from."""
    by_page: dict[str, list[tuple[Recipe, StrategyWords]]] = {}
    for recipe in (*RECIPES, *MORE_RECIPES):
        page = by_page.setdefault(recipe.page_type.label, [])
        page.append((recipe, strategy_words(recipe.document)))
    order = [label for _, label in Placement.PageType.choices if label in by_page]
    context = {
        "pages": [(label, by_page[label]) for label in order],
        "can_edit": can_edit(request.member),
    }
    return render(request, "console/strategies/gallery.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@member_page(roles=EDITORS)
def strategy_new(request: ConsoleRequest, recipe: str) -> HttpResponse:
    """The editor of a strategy that doesn't exist yet; `recipe` is where it starts from."""
    start = recipe_find(recipe)
    if start is None and recipe != "blank":
        raise Http404
    if request.method != "POST":
        texts = {"name": start.name if start else "", "description": _description(start)}
        form = form_of_document(start.document if start else _EMPTY)
        return _editor(request, form, start=start, recipe=recipe, texts=texts)
    try:
        strategy = strategy_create(
            store=request.store,
            name=request.POST.get("name", ""),
            description=request.POST.get("description", "").strip(),
            document=strategy_document_from_form(request.POST),
            note=request.POST.get("note", "").strip() or f"Started from “{_start_name(start)}”",
            actor=request.user,
        )
    except (StrategyRefused, InvalidStrategyError) as error:
        form = _refused(request.POST, error)
        return _editor(request, form, start=start, recipe=recipe, texts=request.POST, status=422)
    messages.success(
        request, f"“{strategy.name}” is saved. Now choose it in a placement to show it."
    )
    return redirect("console-strategy", request.store.slug, strategy.key)


@require_safe
@member_page()
def strategy_page(request: ConsoleRequest, key: str) -> HttpResponse:
    """What it does, where it is used, and its versions; `?from=1&to=3` compares two."""
    strategy = _find(request, key)
    versions = strategy_versions(strategy=strategy)
    if not versions:
        raise Http404
    placements = strategy_placements(strategy=strategy)
    context = {
        "strategy": strategy,
        "latest": versions[0],
        "words": _words(versions[0]),
        "learned": learned_words(request.store, _document(versions[0])),
        "exploration": exploration_words(request.store, strategy, _document(versions[0])),
        "versions": _version_rows(versions, placements),
        "placements": placements,
        "n_behind": sum(each.strategy_version_id != versions[0].pk for each in placements),
        "variants": list(strategy_variants(strategy=strategy)),
        "compared": _compared(request.GET, versions),
        "can_edit": can_edit(request.member),
    }
    return render(request, "console/strategies/page.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@member_page(roles=EDITORS)
def strategy_editor(request: ConsoleRequest, key: str) -> HttpResponse:
    strategy = _find(request, key)
    versions = strategy_versions(strategy=strategy)
    latest = versions[0]
    if request.method != "POST":
        document = _document(latest)
        form = form_of_document(document or _EMPTY)
        return _editor(request, form, strategy=strategy, latest=latest, unreadable=document is None)
    try:
        saved = strategy_edit(
            strategy=strategy,
            document=strategy_document_from_form(request.POST),
            base_number=_number(request.POST, "base"),
            note=request.POST.get("note", ""),
            placements=request.POST.getlist("placements"),
            actor=request.user,
        )
    except StaleStrategy as error:
        form = form_as_typed(request.POST, {})
        based_on = _number(request.POST, "base")
        base = next((each for each in versions if each.number == based_on), None)
        others = _changes(base, error.latest) if base is not None else None
        return _editor(
            request,
            form,
            strategy=strategy,
            latest=error.latest,
            stale=True,
            others=others,
            texts=request.POST,
            status=409,
        )
    except InvalidStrategyError as error:
        form = _refused(request.POST, error)
        return _editor(
            request, form, strategy=strategy, latest=latest, texts=request.POST, status=422
        )
    _tell(request, saved)
    return redirect("console-strategy", request.store.slug, strategy.key)


@require_POST
@member_page(roles=EDITORS)
def strategy_back(request: ConsoleRequest, key: str) -> HttpResponse:
    """Restore an old version: a new one with its document, shown wherever the strategy is."""
    strategy = _find(request, key)
    slugs = [each.slug for each in strategy_placements(strategy=strategy)]
    number = _number(request.POST, "number")
    try:
        saved = strategy_restore(
            strategy=strategy, number=number, placements=slugs, actor=request.user
        )
    except StrategyVersion.DoesNotExist as error:
        raise Http404 from error
    except InvalidStrategyError:
        messages.error(request, f"Version {number} can't be read by this version of Vitrine.")
        return redirect("console-strategy", request.store.slug, strategy.key)
    _tell(request, saved)
    return redirect("console-strategy", request.store.slug, strategy.key)


@require_POST
@member_page(roles=EDITORS)
def strategy_name(request: ConsoleRequest, key: str) -> HttpResponse:
    strategy = _find(request, key)
    try:
        strategy_rename(
            strategy=strategy,
            name=request.POST.get("name", ""),
            description=request.POST.get("description", ""),
            actor=request.user,
        )
    except StrategyRefused as error:
        messages.error(request, str(error))
    else:
        messages.success(request, "The name is saved.")
    return redirect("console-strategy", request.store.slug, strategy.key)


def _find(request: ConsoleRequest, key: str) -> Strategy:
    strategy = strategy_find(store=request.store, key=key)
    if strategy is None:
        raise Http404
    return strategy


def _editor(
    request: ConsoleRequest,
    form: StrategyForm,
    *,
    strategy: Strategy | None = None,
    latest: StrategyVersion | None = None,
    start: Recipe | None = None,
    recipe: str = "",
    texts: QueryDict | dict[str, str] | None = None,
    stale: bool = False,
    others: list[str] | None = None,
    unreadable: bool = False,
    status: int = 200,
) -> HttpResponse:
    placements = strategy_placements(strategy=strategy) if strategy is not None else []
    typed = texts if isinstance(texts, QueryDict) else None
    chosen = typed.getlist("placements") if typed is not None else [p.slug for p in placements]
    context = {
        "form": form,
        "strategy": strategy,
        "latest": latest,
        "start": start,
        "recipe": recipe,
        "texts": texts or {},
        "stale": stale,
        "others": others,
        "unreadable": unreadable,
        "placements": [(each, each.slug in chosen) for each in placements],
        "blends": BLENDS,
        "categories": CATEGORIES,
        "price_bands": PRICE_BANDS,
        "preferences": PREFERENCES,
        "explorations": EXPLORATIONS,
        "fallbacks": [(name, source_label(name)) for name in FALLBACK_NAMES],
        "max_exploration": round(MAX_EXPLORATION * 100),
        "max_handpicked": MAX_HANDPICKED,
        "tried_on": _tried_on(request, start),
    }
    return render(request, "console/strategies/editor.html", context, status=status)


def _tried_on(request: ConsoleRequest, start: Recipe | None) -> str:
    """Where the preview of a recipe begins: the first placement of the pages that it is for."""
    if start is None:
        return ""
    placements = placements_of(store=request.store)
    return next((each.slug for each in placements if each.page_type == start.page_type), "")


def _refused(post: QueryDict, error: StrategyRefused | InvalidStrategyError) -> StrategyForm:
    if isinstance(error, StrategyRefused | StrategyFormRefused):
        return form_as_typed(post, error.fields)
    return form_as_typed(post, {"sources": str(error)})


def _tell(request: ConsoleRequest, saved: Saved) -> None:
    number, names = saved.version.number, [each.name for each in saved.placements]
    if not saved.is_new and not names:
        messages.info(request, f"Nothing was different from version {number}: no new version.")
        return
    what = f"Version {number} is saved." if saved.is_new else f"Version {number} is the newest."
    if names:
        what += f" {_list_of(names)} {'shows' if len(names) == 1 else 'show'} it within a second."
    else:
        what += " No placement shows it yet."
    messages.success(request, what)


def _version_rows(versions: list[StrategyVersion], placements: list[Placement]) -> list[VersionRow]:
    rows = []
    for place, version in enumerate(versions):
        before = versions[place + 1] if place + 1 < len(versions) else None
        used = [each for each in placements if each.strategy_version_id == version.pk]
        rows.append(VersionRow(version, _changes(before, version) if before else [], used))
    return rows


def _compared(query: QueryDict, versions: list[StrategyVersion]) -> dict[str, object] | None:
    """Two versions of the query string side by side in words; None if it names none."""
    by_number = {each.number: each for each in versions}
    before = by_number.get(_number(query, "from"))
    after = by_number.get(_number(query, "to"))
    if before is None or after is None:
        return None
    return {"before": before, "after": after, "changes": _changes(before, after)}


def _changes(before: StrategyVersion, after: StrategyVersion) -> list[str] | None:
    was, is_now = _document(before), _document(after)
    return None if was is None or is_now is None else strategy_changes(was, is_now)


def _document(version: StrategyVersion) -> StrategyDocument | None:
    """None for a document that this version of Vitrine can't read."""
    try:
        return strategy_parse(version.document)
    except InvalidStrategyError:
        return None


def _words(version: StrategyVersion) -> StrategyWords | None:
    document = _document(version)
    return None if document is None else strategy_words(document)


def _number(fields: QueryDict, name: str) -> int:
    """A number of a version; 0, which none has, for anything else."""
    text = fields.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0


def _description(start: Recipe | None) -> str:
    return start.description if start is not None else ""


def _start_name(start: Recipe | None) -> str:
    return start.name if start is not None else "nothing"


def _list_of(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
