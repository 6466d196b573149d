"""Feeds that are read again and again: times, address, and by hand."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from catalog.console.access import EDITORS, ConsoleRequest, member_page
from catalog.feeds.mapping import MappingRefused, mapping_words
from catalog.feeds.rows import FeedRefused
from catalog.models import ProductFeed, ProductImport
from catalog.selectors.imports import feed_find, import_find
from catalog.services.feed_imports import import_hand_over
from catalog.services.feed_schedule import (
    feed_columns_begin,
    feed_create,
    feed_delete,
    feed_edit,
    feed_import,
)

Every = ProductFeed.Every


@require_POST
@member_page(roles=EDITORS)
def feed_make(request: ConsoleRequest, import_id: int) -> HttpResponse:
    """Read the address of an import regularly from now on."""
    found = import_find(store=request.store, import_id=import_id)
    every = request.POST.get("every", "")
    if found is None or not found.url or every not in Every.values:
        raise Http404("There is no such import with an address.")
    feed = feed_create(
        store=request.store,
        user=request.user,
        product_import=found,
        name=request.POST.get("name", ""),
        every=every,
    )
    messages.success(request, f"“{feed.name}” is kept: {feed.get_every_display().lower()}.")
    return redirect("console-imports", request.store.slug)


@require_http_methods(["GET", "HEAD", "POST"])
@member_page(roles=EDITORS)
def feed_page(request: ConsoleRequest, feed_id: int) -> HttpResponse:
    """Name, address and times of a feed."""
    feed = _find(request, feed_id)
    form: dict[str, object] = {
        "name": feed.name,
        "url": feed.url,
        "every": feed.every,
        "remove_vanished": feed.remove_vanished,
    }
    error = ""
    if request.method == "POST":
        form = {name: request.POST.get(name, "").strip() for name in ("name", "url", "every")}
        form["remove_vanished"] = "remove_vanished" in request.POST
        if form["every"] not in Every.values:
            raise Http404("There is no such rhythm.")
        try:
            feed_edit(
                feed=feed,
                user=request.user,
                name=str(form["name"]),
                url=str(form["url"]),
                every=str(form["every"]),
                remove_vanished=bool(form["remove_vanished"]),
            )
        except FeedRefused as refused:
            error = str(refused)
        else:
            messages.success(request, f"“{feed.name}” is changed.")
            return redirect("console-imports", request.store.slug)
    context = {
        "feed": feed,
        "form": form,
        "error": error,
        "rhythms": Every.choices,
        "mapped": mapping_words(feed.mapping),
    }
    return render(request, "console/imports/feed.html", context, status=422 if error else 200)


@require_POST
@member_page(roles=EDITORS)
def feed_run(request: ConsoleRequest, feed_id: int) -> HttpResponse:
    """Read a feed now."""
    return _begun(request, feed_id, feed_import)


@require_POST
@member_page(roles=EDITORS)
def feed_columns(request: ConsoleRequest, feed_id: int) -> HttpResponse:
    """Fetch a feed to choose its columns anew: its first rows are needed for that."""
    return _begun(request, feed_id, feed_columns_begin)


def _begun(
    request: ConsoleRequest, feed_id: int, begin: Callable[..., ProductImport]
) -> HttpResponse:
    """The page of an import that begins with a feed, or the feed's with what is against it."""
    feed = _find(request, feed_id)
    try:
        made = begin(feed=feed, user=request.user)
    except (FeedRefused, MappingRefused) as error:
        messages.warning(request, str(error))
        return redirect("console-feed", request.store.slug, feed.pk)
    transaction.on_commit(lambda: import_hand_over(import_id=made.pk))
    return redirect("console-import", request.store.slug, made.pk)


@require_POST
@member_page(roles=EDITORS)
def feed_remove(request: ConsoleRequest, feed_id: int) -> HttpResponse:
    feed = _find(request, feed_id)
    feed_delete(feed=feed, user=request.user)
    messages.success(request, f"“{feed.name}” is deleted. Its products stay in the catalog.")
    return redirect("console-imports", request.store.slug)


def _find(request: ConsoleRequest, feed_id: int) -> ProductFeed:
    feed = feed_find(store=request.store, feed_id=feed_id)
    if feed is None:
        raise Http404("There is no such feed.")
    return feed
