"""Who calls too often waits, and under which name that is counted."""

from __future__ import annotations

import ipaddress
import time
from typing import Any

from django.http import HttpRequest
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from catalog.api.errors import TooManyRequests
from catalog.selectors.keys import ResolvedKey
from recommender.stores.limiter import (
    address_pseudonym,
    call_limits,
    client_address,
    retry_after,
)


def rate_check(request: HttpRequest, key: ResolvedKey) -> None:
    """Count a call. Raises TooManyRequests; nothing was done then, and it may be sent again later."""
    now_s = time.time()
    limits = call_limits(
        key_id=key.key_id, is_secret=key.is_secret, address=_address(request), now_s=now_s
    )
    wait_s = retry_after(limits, now_s=now_s)
    if wait_s is not None:
        raise TooManyRequests(wait_s)


class CallRate(BaseThrottle):
    """The same for the views of Django REST framework: products and shoppers."""

    def allow_request(self, request: Request, view: Any) -> bool:
        key: ResolvedKey | None = request.auth  # type: ignore[assignment]
        if key is not None:
            rate_check(request._request, key)
        return True


def sign_in_address(request: HttpRequest) -> str:
    """A pseudonym of the address from which somebody signs in, for `AXES_CLIENT_IP_CALLABLE`.

    In the form of an IPv6 address that belongs to nobody, because it is kept in a column for those.
    """
    address = _address(request) or request.META.get("REMOTE_ADDR", "")
    digest = bytes.fromhex(address_pseudonym(address, now_s=time.time()))
    return str(ipaddress.IPv6Address(b"\xfd" + digest.rjust(15, b"\0")))


def _address(request: HttpRequest) -> str | None:
    return client_address(
        peer=request.META.get("REMOTE_ADDR", ""),
        forwarded_for=request.META.get("HTTP_X_FORWARDED_FOR"),
    )
