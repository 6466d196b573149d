"""Who is asking: API keys in headers and beacons, web origins, CORS.

The hot views call `authenticate`; views of Django REST framework get the same through
`ApiKeyAuthentication` and `HasApiKey`.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl

from django.http import HttpRequest, HttpResponse
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from catalog.api.errors import ApiError, ErrorCode, KeyRefused, Unavailable
from catalog.selectors.keys import KeysUnavailable, ResolvedKey, api_key_resolve

KEY = re.compile(r"[ps]k_[0-9A-Za-z]{32}")
KEY_PARAMETERS = frozenset({"key", "api_key", "apikey", "access_token", "token"})

CORS_METHODS = "GET, POST, OPTIONS"
CORS_HEADERS = "Authorization, Content-Type"
CORS_MAX_AGE_S = 86_400

UNKNOWN_KEY = "There is no such key, or it was revoked."


def authenticate(
    request: HttpRequest, *, body_key: str | None = None, secret_only: bool = False
) -> ResolvedKey:
    """The key of a request, from its Authorization header or, for beacons, from its body.

    Raises ApiError: a key in the URL, none, a wrong or revoked one, a publishable key on a foreign
    origin, a secret key in a browser or in a body.
    """
    refuse_key_in_url(request)
    header = request.META.get("HTTP_AUTHORIZATION")
    if header is not None:
        text = _bearer(header)
    elif body_key is not None:
        text = body_key
        if text.startswith("sk_"):
            raise KeyRefused(ErrorCode.SECRET_KEY_IN_BODY)
    else:
        raise KeyRefused(
            ErrorCode.KEY_MISSING, "Send the header `Authorization: Bearer pk_…` or `sk_…`."
        )
    # A wrong form can't be in the table: no need to ask for it.
    if not KEY.fullmatch(text):
        raise KeyRefused(ErrorCode.KEY_UNKNOWN, UNKNOWN_KEY)
    try:
        key = api_key_resolve(text)
    except KeysUnavailable as error:
        raise Unavailable("The key can't be looked up at the moment.") from error
    if key is None:
        raise KeyRefused(ErrorCode.KEY_UNKNOWN, UNKNOWN_KEY)
    _check_use(request, key, secret_only=secret_only)
    return key


def refuse_key_in_url(request: HttpRequest) -> None:
    """URLs are kept in logs, histories and referrers: a key there is a leaked key."""
    query = request.META.get("QUERY_STRING", "")
    lower = query.lower()
    if "key" not in lower and "token" not in lower and "k_" not in lower:
        return
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name.lower() in KEY_PARAMETERS or KEY.fullmatch(value):
            raise ApiError(
                ErrorCode.KEY_IN_URL,
                "Never put a key into a URL: logs keep it. Send `Authorization: Bearer …`, or from"
                ' a beacon the member "key" of the body. If it was a secret key, revoke it.',
                fields={name[:80]: "not allowed in the URL"},
            )


def _bearer(header: str) -> str:
    scheme, _, text = header.partition(" ")
    if scheme.lower() != "bearer" or not text.strip():
        raise KeyRefused(ErrorCode.KEY_MALFORMED, "Write `Authorization: Bearer pk_…` or `sk_…`.")
    return text.strip()


def _check_use(request: HttpRequest, key: ResolvedKey, *, secret_only: bool) -> None:
    origin = request.META.get("HTTP_ORIGIN")
    if key.is_secret:
        if origin is not None:
            raise KeyRefused(
                ErrorCode.SECRET_KEY_IN_BROWSER,
                "A secret key was sent from a web page, where every visitor can read it. Revoke it"
                " in the console's settings and use the publishable key there.",
            )
        return
    if secret_only:
        raise KeyRefused(
            ErrorCode.SECRET_KEY_REQUIRED, "Call this from your server, with a secret key."
        )
    # Browsers can't leave the header out of a foreign request or forge it. Other programs can: a
    # publishable key is no secret, and what it may do is meant for everybody.
    if origin is not None and key.origins and origin.lower() not in key.origins:
        raise KeyRefused(
            ErrorCode.ORIGIN_NOT_ALLOWED,
            f"This key may not be used on {origin[:200]}. Add the origin to the key in the"
            " console's settings.",
        )


# ------------------------------------------------------------------------------------------ CORS


def cors_headers(request: HttpRequest, key: ResolvedKey | None) -> dict[str, str]:
    """The headers that let the asking page read an answer; none if no web page is asking.

    `key` is None for errors: they are readable everywhere, so that a script can tell "refused"
    from "no network" and doesn't try forever. Cookies are never involved.
    """
    origin = request.META.get("HTTP_ORIGIN")
    if origin is None:
        return {}
    headers = {"Access-Control-Expose-Headers": "Retry-After"}
    if key is not None and key.origins:
        return {**headers, "Access-Control-Allow-Origin": origin, "Vary": "Origin"}
    return {**headers, "Access-Control-Allow-Origin": "*"}


def preflight_response(_request: HttpRequest) -> HttpResponse:
    """The answer to OPTIONS. It carries no key, so the origin is judged with the call itself."""
    response = HttpResponse(status=204)
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Access-Control-Allow-Methods"] = CORS_METHODS
    response.headers["Access-Control-Allow-Headers"] = CORS_HEADERS
    response.headers["Access-Control-Max-Age"] = str(CORS_MAX_AGE_S)
    return response


# ------------------------------------------------------------------------- Django REST framework


class ApiKeyAuthentication(BaseAuthentication):
    """The key becomes `request.auth`; there is no user."""

    def authenticate(self, request: Request) -> tuple[None, ResolvedKey] | None:
        refuse_key_in_url(request._request)
        if "HTTP_AUTHORIZATION" not in request.META:
            return None
        return None, authenticate(request._request)

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class HasApiKey(BasePermission):
    """Any key; with `secret_key_required = True` on the view a secret one."""

    def has_permission(self, request: Request, view: Any) -> bool:
        key: ResolvedKey | None = request.auth  # type: ignore[assignment]
        if key is None:
            raise KeyRefused(
                ErrorCode.KEY_MISSING, "Send the header `Authorization: Bearer pk_…` or `sk_…`."
            )
        if getattr(view, "secret_key_required", False) and not key.is_secret:
            raise KeyRefused(
                ErrorCode.SECRET_KEY_REQUIRED, "Call this from your server, with a secret key."
            )
        return True
