"""The people of a store: who is in, as what, and who was asked in."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from catalog.console.access import OWNERS, ConsoleRequest, can_edit, can_own, member_page
from catalog.models import Invitation, Member
from catalog.selectors.invitations import invitations_open
from catalog.selectors.members import member_of_store, members_of, owner_count
from catalog.services.invitations import (
    NOTE_MAX_CHARS,
    OPEN_DAYS,
    InvitationRefused,
    invitation_create,
    invitation_revoke,
)
from catalog.services.members import LastOwner, member_remove, member_role_change

# Said wherever a role is chosen; the matrix behind it is in docs/people.md.
MAY: dict[str, str] = {
    Member.Role.OWNER: "Everything: keys, members and stores, and all that a merchant may.",
    Member.Role.MERCHANT: "Change what shoppers see, work on the catalog, train and confirm models,"
    " read the audit log.",
    Member.Role.MARKETER: "Look at every page except the audit log. Changes nothing.",
    Member.Role.VIEWER: "Look at every page except the audit log. Changes nothing.",
}
ROLES = [(role.value, role.label, MAY[role]) for role in Member.Role]


@require_safe
@member_page()
def member_list(request: ConsoleRequest) -> HttpResponse:
    return _page(request)


@require_safe
@member_page(roles=OWNERS)
def member_detail(request: ConsoleRequest, member_id: int) -> HttpResponse:
    """One member: another role, or out. What each touches stands beside its button."""
    return _member(request, member_id)


@require_POST
@member_page(roles=OWNERS)
def member_role(request: ConsoleRequest, member_id: int) -> HttpResponse:
    role = request.POST.get("role", "")
    if role not in Member.Role.values:
        return _member(request, member_id, error="Choose one of the roles.")
    try:
        member = member_role_change(
            store=request.store, member_id=member_id, role=role, actor=request.user
        )
    except Member.DoesNotExist as error:
        raise Http404 from error
    except LastOwner as error:
        return _member(request, member_id, error=str(error))
    messages.success(
        request,
        f"{member.user.email} is {member.get_role_display().lower()} now. It counts from the next"
        " click on.",
    )
    return redirect("console-members", request.store.slug)


@require_POST
@member_page(roles=OWNERS)
def member_out(request: ConsoleRequest, member_id: int) -> HttpResponse:
    try:
        member = member_remove(store=request.store, member_id=member_id, actor=request.user)
    except Member.DoesNotExist as error:
        raise Http404 from error
    except LastOwner as error:
        return _member(request, member_id, error=str(error))
    if member.user_id == request.user.pk:
        return redirect("console-home")
    messages.success(request, f"{member.user.email} is no member of {request.store.name} any more.")
    return redirect("console-members", request.store.slug)


@require_POST
@member_page(roles=OWNERS)
def invitation_make(request: ConsoleRequest) -> HttpResponse:
    """Make an invitation. Its link is in this one answer, and nowhere else ever."""
    form = {"role": request.POST.get("role", ""), "note": request.POST.get("note", "").strip()}
    if form["role"] not in Member.Role.values:
        return _page(request, form=form, error="Choose what the person will be.")
    if len(form["note"]) > NOTE_MAX_CHARS or "\x00" in form["note"]:
        return _page(request, form=form, error=f"A note has up to {NOTE_MAX_CHARS} letters.")
    invitation, token = invitation_create(store=request.store, actor=request.user, **form)
    link = request.build_absolute_uri(reverse("invitation", args=[token]))
    return _page(request, made=invitation, made_link=link)


@require_POST
@member_page(roles=OWNERS)
def invitation_undo(request: ConsoleRequest, invitation_id: int) -> HttpResponse:
    try:
        invitation_revoke(store=request.store, invitation_id=invitation_id, actor=request.user)
    except Invitation.DoesNotExist as error:
        raise Http404 from error
    except InvitationRefused:
        messages.warning(request, "This invitation was used meanwhile: see the members.")
    else:
        messages.success(request, "The invitation is revoked. Its link lets nobody in any more.")
    return redirect("console-members", request.store.slug)


def _page(
    request: ConsoleRequest,
    *,
    form: dict[str, str] | None = None,
    error: str = "",
    made: Invitation | None = None,
    made_link: str = "",
) -> HttpResponse:
    is_owner = can_own(request.member)
    now = timezone.now()
    context = {
        "members": [(member, MAY[member.role]) for member in members_of(store=request.store)],
        "invitations": invitations_open(store=request.store, now=now) if is_owner else [],
        "roles": ROLES,
        "form": form or {"role": Member.Role.VIEWER.value, "note": ""},
        "note_max": NOTE_MAX_CHARS,
        "open_days": OPEN_DAYS,
        "error": error,
        "made": made,
        "made_link": made_link,
        "can_own": is_owner,
        "can_audit": can_edit(request.member),
        "read_at": now,
    }
    response = render(request, "console/members/list.html", context, status=422 if error else 200)
    if made:
        # The link is in no history and no cache.
        response.headers["Cache-Control"] = "no-store"
    return response


def _member(request: ConsoleRequest, member_id: int, *, error: str = "") -> HttpResponse:
    member = member_of_store(store=request.store, member_id=member_id)
    if member is None:
        raise Http404
    is_owner = member.role == Member.Role.OWNER
    context = {
        "member": member,
        "roles": ROLES,
        "is_self": member.user_id == request.user.pk,
        "is_only_owner": is_owner and owner_count(store=request.store) == 1,
        "n_invitations": len(
            invitations_open(store=request.store, now=timezone.now(), made_by=member.user)
        ),
        "error": error,
        "can_audit": True,
    }
    return render(request, "console/members/member.html", context, status=422 if error else 200)
