"""Settings of a store: the snippet and the keys."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from catalog.console.access import OWNERS, ConsoleRequest, can_edit, can_own, member_page
from catalog.models import ApiKey, Store
from catalog.selectors.keys import api_keys_of, publishable_key
from catalog.services.keys import OriginRefused, api_key_create, api_key_revoke


@require_safe
@member_page()
def settings_page(request: ConsoleRequest) -> HttpResponse:
    return _page(request)


@require_POST
@member_page(roles=OWNERS)
def key_create(request: ConsoleRequest) -> HttpResponse:
    """Make a key. A secret key's text is in this one answer, and nowhere else ever."""
    form = {name: request.POST.get(name, "").strip() for name in ("kind", "name", "origins")}
    if form["kind"] not in ApiKey.Kind.values or not 1 <= len(form["name"]) <= 80:
        return _page(request, form=form, error="A key needs a kind and a name of up to 80 letters.")
    try:
        key, text = api_key_create(
            store=request.store,
            kind=form["kind"],
            name=form["name"],
            origins=form["origins"].split(),
            actor=request.user,
        )
    except OriginRefused as error:
        return _page(request, form=form, error=str(error))
    return _page(request, made=key, made_text=text)


@require_POST
@member_page(roles=OWNERS)
def key_revoke(request: ConsoleRequest, key_id: int) -> HttpResponse:
    try:
        key = api_key_revoke(store=request.store, key_id=key_id, actor=request.user)
    except ApiKey.DoesNotExist as error:
        raise Http404 from error
    messages.success(
        request,
        f"The key {key.prefix}… ({key.name}) is revoked. It stops working within 5 seconds.",
    )
    return redirect("console-settings", request.store.slug)


def page_snippet(request: HttpRequest, store: Store) -> str | None:
    """The tag for the shop's pages; None for a store without a publishable key."""
    try:
        key = publishable_key(store)
    except ApiKey.DoesNotExist:
        return None
    # Without the hash in its name: merchants paste it once, and it must survive every upgrade.
    script = request.build_absolute_uri(f"{settings.STATIC_URL}js/vitrine.js")
    return f'<script defer src="{script}" data-key="{key}"></script>'


def _page(
    request: ConsoleRequest,
    *,
    form: dict[str, str] | None = None,
    error: str = "",
    made: ApiKey | None = None,
    made_text: str = "",
) -> HttpResponse:
    context = {
        "snippet": page_snippet(request, request.store),
        "keys": api_keys_of(store=request.store),
        "can_own": can_own(request.member),
        "can_audit": can_edit(request.member),
        "form": form or {"kind": ApiKey.Kind.SECRET.value, "name": "", "origins": ""},
        "error": error,
        "made": made,
        "made_text": made_text,
    }
    response = render(request, "console/settings/page.html", context, status=422 if error else 200)
    if made:
        # The text of a key is in no history and no cache.
        response.headers["Cache-Control"] = "no-store"
    return response
