"""Who may open a page of the console.

Every page of a store has the store's slug in its address. Somebody who isn't a member gets the
same 404 as for a store that doesn't exist: a store's existence is nobody else's business.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection
from typing import Any, cast
from zoneinfo import ZoneInfo

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponseBase
from django.utils import timezone
from django_htmx.http import HttpResponseClientRefresh
from django_htmx.middleware import HtmxDetails

from catalog.models import Member, Store, User
from catalog.selectors.members import member_find

EDITORS = frozenset({Member.Role.OWNER, Member.Role.MERCHANT})
OWNERS = frozenset({Member.Role.OWNER})
# Who plans, starts and decides experiments.
TESTERS = frozenset({Member.Role.OWNER, Member.Role.MERCHANT, Member.Role.MARKETER})


class ConsoleRequest(HttpRequest):
    """A request of a logged-in member, as `member_page` hands it to a view."""

    user: User
    member: Member
    store: Store
    htmx: HtmxDetails


View = Callable[..., HttpResponseBase]


def member_page(*, roles: Collection[str] = frozenset(Member.Role)) -> Callable[[View], View]:
    """Open a view to the members of the store in its address, with `request.member`.

    Not logged in: to the login page and back. Not a member: 404. A member without one of `roles`:
    403, which says so. Times on the page are the store's.
    """

    def open_to_members(view: View) -> View:
        @functools.wraps(view)
        def opened(request: HttpRequest, store: str, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not request.user.is_authenticated:
                if request.headers.get("HX-Request"):
                    # A fragment that polls must not be swapped for a login page.
                    return HttpResponseClientRefresh()
                return redirect_to_login(request.get_full_path())
            member = member_find(user=request.user, store_slug=store)
            if member is None:
                raise Http404
            if member.role not in roles:
                raise PermissionDenied(
                    f"Your role in {member.store.name} is {member.get_role_display().lower()};"
                    f" this needs {' or '.join(sorted(Member.Role(role).label.lower() for role in roles))}."
                )
            console_request = cast(ConsoleRequest, request)
            console_request.member, console_request.store = member, member.store
            with timezone.override(ZoneInfo(member.store.time_zone)):
                return view(console_request, *args, **kwargs)

        # Who may is part of the view, so that a walk over all addresses can compare it.
        cast(Any, opened).member_roles = frozenset(roles)
        return opened

    return open_to_members


def can_edit(member: Member) -> bool:
    """May change what shoppers see: retrain, confirm, edit."""
    return member.role in EDITORS


def can_own(member: Member) -> bool:
    """May change who and what gets in: keys and members."""
    return member.role in OWNERS


def can_test(member: Member) -> bool:
    """May plan, start and decide experiments."""
    return member.role in TESTERS
