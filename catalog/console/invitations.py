"""/invitations/<token>/: where the link of an invitation leads. It belongs to no store's pages.

Strangers learn nothing from a link that lets nobody in: not whose it was, nor from whom.
"""

from __future__ import annotations

from django import forms
from django.contrib.auth import login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from catalog.console.members import MAY
from catalog.models import Invitation, Member, User
from catalog.selectors.invitations import InvitationState, invitation_find, invitation_state
from catalog.selectors.members import member_find
from catalog.services.accounts import EMAIL_MAX_CHARS, NAME_MAX_CHARS, AccountRefused
from catalog.services.invitations import (
    AlreadyMember,
    InvitationRefused,
    invitation_accept,
    invitation_accept_with_account,
)

# What a link that lets nobody in answers: unknown ones are not there, the others have been.
STATUS = {InvitationState.UNKNOWN: 404}
GONE = 410
BACKEND = "django.contrib.auth.backends.ModelBackend"


class AccountForm(forms.Form):
    """What an account needs. Whether it can be is the service's to say."""

    email = forms.CharField(max_length=EMAIL_MAX_CHARS)
    name = forms.CharField(max_length=NAME_MAX_CHARS)
    password = forms.CharField(max_length=256, strip=False)


@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
def invitation(request: HttpRequest, token: str) -> HttpResponse:
    """Join with one click; or log in, or make an account, and join."""
    found = invitation_find(token=token)
    user = request.user if request.user.is_authenticated else None
    if found is not None and user is not None:
        # Also with a link that was used: mostly by this very person.
        member = member_find(user=user, store_slug=found.store.slug)
        if member is not None:
            return _already(request, member)
    state = invitation_state(found, now=timezone.now())
    if found is None or state != InvitationState.OPEN:
        return _closed(request, state)
    if request.method != "POST":
        return _page(request, found, AccountForm())
    try:
        return _join(request, found, token, user)
    except InvitationRefused as error:
        return _closed(request, error.state)
    except AlreadyMember as error:
        return _already(request, error.member)


def _join(request: HttpRequest, found: Invitation, token: str, user: User | None) -> HttpResponse:
    if user is not None:
        invitation_accept(token=token, user=user)
        return redirect("console-overview", found.store.slug)
    form = AccountForm(request.POST)
    if not form.is_valid():
        return _page(request, found, form)
    try:
        member = invitation_accept_with_account(token=token, **form.cleaned_data)
    except AccountRefused as error:
        for field, why in error.fields.items():
            form.add_error(field, why)
        return _page(request, found, form)
    login(request, member.user, backend=BACKEND)
    return redirect("console-overview", found.store.slug)


def _page(request: HttpRequest, found: Invitation, form: AccountForm) -> HttpResponse:
    context = {"invitation": found, "may": MAY[found.role], "form": form}
    return render(
        request, "console/members/invitation.html", context, status=422 if form.errors else 200
    )


def _closed(request: HttpRequest, state: InvitationState) -> HttpResponse:
    context = {"state": state.value}
    return render(
        request, "console/members/invitation_closed.html", context, status=STATUS.get(state, GONE)
    )


def _already(request: HttpRequest, member: Member) -> HttpResponse:
    return render(request, "console/members/invitation_already.html", {"member": member})


urlpatterns = [path("<str:token>/", invitation, name="invitation")]
