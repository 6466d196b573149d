"""Opening another store. Here and not with the members: a store comes with its placements."""

from __future__ import annotations

from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from catalog.models import Member, User
from catalog.selectors.members import memberships_of
from catalog.services.stores import StoreRefused
from recommender.services.store_opening import store_open

TIME_ZONES = sorted(available_timezones())
CURRENCY = r"^\s*[A-Za-z]{3}\s*$"
LOCALE = r"^[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*$"


class StoreForm(forms.Form):
    """What a store is called, and how it counts money and days."""

    name = forms.CharField(max_length=120, error_messages={"required": "A store needs a name."})
    slug = forms.RegexField(
        r"^[a-z0-9]+(-[a-z0-9]+)*$",
        max_length=60,
        required=False,
        error_messages={"invalid": "Small letters, digits, and single hyphens between them."},
    )
    currency = forms.RegexField(
        CURRENCY, error_messages={"invalid": "An ISO 4217 code of three letters, such as EUR."}
    )
    locale = forms.RegexField(
        LOCALE, max_length=16, error_messages={"invalid": "A language tag such as en or de-AT."}
    )
    time_zone = forms.ChoiceField(choices=[(zone, zone) for zone in TIME_ZONES])


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def store_new(request: HttpRequest) -> HttpResponse:
    """The form and what comes of it, for whoever owns a store already."""
    assert isinstance(request.user, User)
    owned = [
        member.store
        for member in memberships_of(user=request.user)
        if member.role == Member.Role.OWNER
    ]
    if not owned:
        raise PermissionDenied("Only somebody who owns a store opens another.")
    if request.method != "POST":
        like: dict[str, Any] = {
            name: getattr(owned[0], name) for name in ("currency", "locale", "time_zone")
        }
        return _page(request, StoreForm(initial=like))
    form = StoreForm(request.POST)
    if not form.is_valid():
        return _page(request, form)
    try:
        store = store_open(
            **form.cleaned_data | {"slug": form.cleaned_data["slug"] or None}, owner=request.user
        )
    except StoreRefused as error:
        # The form has looked at all else: what is left is that the address is taken.
        form.add_error("slug", str(error))
        return _page(request, form)
    messages.success(request, f"{store.name} is open, with its usual placements. Begin here.")
    return redirect("console-overview", store.slug)


def _page(request: HttpRequest, form: StoreForm) -> HttpResponse:
    context = {"form": form, "time_zones": TIME_ZONES}
    return render(request, "console/store_new.html", context, status=422 if form.errors else 200)
