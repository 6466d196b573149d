"""One error envelope for the whole API: {"error": {"code", "message", "fields"}}."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from http import HTTPStatus
from typing import Any

import msgspec
from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.views import defaults
from rest_framework import exceptions as drf
from rest_framework.response import Response

API_PREFIX = "/v1/"
RETRY_AFTER_S = 5


class ErrorCode(StrEnum):
    """Every code the API answers with. What each means stands in `ERRORS`."""

    NOT_JSON = "not_json"
    INVALID_REQUEST = "invalid_request"
    TOO_MANY_EVENTS = "too_many_events"
    TOO_MANY_PRODUCTS = "too_many_products"
    KEY_IN_URL = "key_in_url"
    KEY_MISSING = "key_missing"
    KEY_MALFORMED = "key_malformed"
    KEY_UNKNOWN = "key_unknown"
    SECRET_KEY_IN_BODY = "secret_key_in_body"  # noqa: S105
    SECRET_KEY_IN_BROWSER = "secret_key_in_browser"  # noqa: S105
    SECRET_KEY_REQUIRED = "secret_key_required"  # noqa: S105
    ORIGIN_NOT_ALLOWED = "origin_not_allowed"
    REPLAY_NOT_ALLOWED = "replay_not_allowed"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    NOT_ACCEPTABLE = "not_acceptable"
    LENGTH_REQUIRED = "length_required"
    BODY_TOO_LARGE = "body_too_large"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    TOO_MANY_REQUESTS = "too_many_requests"
    INTERNAL_ERROR = "internal_error"
    UNAVAILABLE = "unavailable"


# code → (HTTP status, what it means to the caller). The API's documentation is made from it.
ERRORS: dict[ErrorCode, tuple[int, str]] = {
    ErrorCode.NOT_JSON: (400, "The body isn't a JSON object."),
    ErrorCode.INVALID_REQUEST: (400, "A parameter or member is missing or wrong; see `fields`."),
    ErrorCode.TOO_MANY_EVENTS: (400, "More events than one request may carry."),
    ErrorCode.TOO_MANY_PRODUCTS: (400, "More products than one request may carry."),
    ErrorCode.KEY_IN_URL: (400, "A key stands in the URL, where logs and referrers would keep it."),
    ErrorCode.KEY_MISSING: (401, "The request carries no key."),
    ErrorCode.KEY_MALFORMED: (401, "The Authorization header isn't `Bearer pk_…` or `sk_…`."),
    ErrorCode.KEY_UNKNOWN: (401, "The key doesn't exist or was revoked."),
    ErrorCode.SECRET_KEY_IN_BODY: (401, "Only a publishable key may stand in the body."),
    ErrorCode.SECRET_KEY_IN_BROWSER: (403, "A secret key came from a browser: revoke it."),
    ErrorCode.SECRET_KEY_REQUIRED: (403, "This call needs a secret key."),
    ErrorCode.ORIGIN_NOT_ALLOWED: (403, "The key may not be used on this web origin."),
    ErrorCode.REPLAY_NOT_ALLOWED: (403, "Only a demo store's past can be played again."),
    ErrorCode.FORBIDDEN: (403, "The key may not do this."),
    ErrorCode.NOT_FOUND: (404, "Nothing with this address exists in the key's store."),
    ErrorCode.METHOD_NOT_ALLOWED: (405, "The address exists, but not with this method."),
    ErrorCode.NOT_ACCEPTABLE: (406, "The API answers in JSON only."),
    ErrorCode.LENGTH_REQUIRED: (411, "The server can't read a body of unknown length."),
    ErrorCode.BODY_TOO_LARGE: (413, "The body is larger than the call allows."),
    ErrorCode.UNSUPPORTED_MEDIA_TYPE: (415, "The API reads JSON only."),
    ErrorCode.TOO_MANY_REQUESTS: (429, "Too many requests; see the Retry-After header."),
    ErrorCode.INTERNAL_ERROR: (500, "A mistake on our side; it has been logged."),
    ErrorCode.UNAVAILABLE: (503, "Nothing was stored. Send it again after Retry-After seconds."),
}


class ApiError(Exception):
    """An answer other than success. `fields` says for each member what is wrong with it."""

    def __init__(
        self,
        code: ErrorCode,
        message: str | None = None,
        *,
        fields: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.code = code
        self.status, meaning = ERRORS[code]
        self.message = message or meaning
        self.fields = dict(fields or {})
        self.headers = dict(headers or {})
        super().__init__(f"{code}: {self.message}")


class InvalidRequest(ApiError):
    def __init__(self, message: str | None = None, *, fields: Mapping[str, str]) -> None:
        super().__init__(ErrorCode.INVALID_REQUEST, message, fields=fields)


class KeyRefused(ApiError):
    """The key is missing, wrong, or used where it may not be."""

    def __init__(self, code: ErrorCode, message: str | None = None) -> None:
        status, _ = ERRORS[code]
        headers = {"WWW-Authenticate": "Bearer"} if status == HTTPStatus.UNAUTHORIZED else {}
        super().__init__(code, message, headers=headers)


class NotFound(ApiError):
    def __init__(self, message: str | None = None) -> None:
        super().__init__(ErrorCode.NOT_FOUND, message)


class MethodNotAllowed(ApiError):
    def __init__(self, allowed: str) -> None:
        super().__init__(
            ErrorCode.METHOD_NOT_ALLOWED,
            f"Use {allowed} here.",
            headers={"Allow": f"{allowed}, OPTIONS"},
        )


class BodyTooLarge(ApiError):
    def __init__(self, limit: int) -> None:
        super().__init__(ErrorCode.BODY_TOO_LARGE, f"The body may have at most {limit:,} bytes.")


class Unavailable(ApiError):
    """Something that we need is away. Nothing was stored, and the same request may be repeated."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(
            ErrorCode.UNAVAILABLE, message, headers={"Retry-After": str(RETRY_AFTER_S)}
        )


class TooManyRequests(ApiError):
    """Called too often. The same request may be repeated later."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(
            ErrorCode.TOO_MANY_REQUESTS,
            f"Too many requests; send it again in {retry_after_s} seconds.",
            headers={"Retry-After": str(retry_after_s)},
        )


# What a lost database looks like from a view.
DATABASE_AWAY = (OperationalError, InterfaceError)


def json_response(
    document: object, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> HttpResponse:
    """A JSON answer that no cache keeps."""
    response = HttpResponse(
        msgspec.json.encode(document), status=status, content_type="application/json"
    )
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    for name, value in (headers or {}).items():
        response.headers[name] = value
    return response


def error_document(error: ApiError) -> dict[str, Any]:
    return {"error": {"code": error.code.value, "message": error.message, "fields": error.fields}}


def error_response(error: ApiError, *, headers: Mapping[str, str] | None = None) -> HttpResponse:
    response = json_response(
        error_document(error), status=error.status, headers={**error.headers, **(headers or {})}
    )
    # A caller's mistake is told to the caller; a line per refusal would let anybody fill the log.
    response._has_been_logged = error.status < HTTPStatus.INTERNAL_SERVER_ERROR  # type: ignore[attr-defined]
    return response


# ------------------------------------------------------------------------ Django REST framework

_CODE_OF_DRF: tuple[tuple[type[Exception], ErrorCode], ...] = (
    (drf.ValidationError, ErrorCode.INVALID_REQUEST),
    (drf.ParseError, ErrorCode.NOT_JSON),
    (drf.NotAuthenticated, ErrorCode.KEY_MISSING),
    (drf.AuthenticationFailed, ErrorCode.KEY_UNKNOWN),
    (drf.PermissionDenied, ErrorCode.FORBIDDEN),
    (DjangoPermissionDenied, ErrorCode.FORBIDDEN),
    (drf.NotFound, ErrorCode.NOT_FOUND),
    (Http404, ErrorCode.NOT_FOUND),
    (drf.MethodNotAllowed, ErrorCode.METHOD_NOT_ALLOWED),
    (drf.NotAcceptable, ErrorCode.NOT_ACCEPTABLE),
    (drf.UnsupportedMediaType, ErrorCode.UNSUPPORTED_MEDIA_TYPE),
    (drf.Throttled, ErrorCode.TOO_MANY_REQUESTS),
)


def api_error_of(error: Exception) -> ApiError | None:
    """The envelope for an exception of ours, of DRF or of the database; None for a real mistake."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, DATABASE_AWAY):
        return Unavailable("The database can't be reached at the moment.")
    for kind, code in _CODE_OF_DRF:
        if isinstance(error, kind):
            return _from_drf(error, code)
    return None


def exception_handler(error: Exception, _context: Mapping[str, Any]) -> Response | None:
    """DRF's hook: every refusal leaves in the envelope, a mistake goes on to the 500 page."""
    api_error = api_error_of(error)
    if api_error is None:
        return None
    return Response(error_document(api_error), status=api_error.status, headers=api_error.headers)


def _from_drf(error: Exception, code: ErrorCode) -> ApiError:
    headers: dict[str, str] = {}
    if code is ErrorCode.KEY_MISSING:
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, drf.Throttled):
        headers["Retry-After"] = str(RETRY_AFTER_S)
    if isinstance(error, drf.ValidationError):
        return ApiError(code, fields=_flat_fields(error.detail), headers=headers)
    detail = error.detail if isinstance(error, drf.APIException) else None
    message = str(detail) if detail else None
    return ApiError(code, message, headers=headers)


def _flat_fields(detail: Any, path: str = "") -> dict[str, str]:
    """DRF's nested errors as {"products.0.title": "…"}."""
    if isinstance(detail, Mapping):
        branches = [(str(name), branch) for name, branch in detail.items()]
    elif isinstance(detail, list) and any(isinstance(part, Mapping | list) for part in detail):
        branches = [(str(number), branch) for number, branch in enumerate(detail)]
    elif isinstance(detail, list):
        return {path or "body": " ".join(str(part) for part in detail)}
    else:
        return {path or "body": str(detail)}
    flat: dict[str, str] = {}
    for name, branch in branches:
        flat.update(_flat_fields(branch, f"{path}.{name}" if path else name))
    return flat


# ------------------------------------------------------- Django's error pages, JSON below /v1/


def v1_not_found(request: HttpRequest) -> HttpResponse:
    """Any address below /v1/ that doesn't exist."""
    return error_response(NotFound(f"There is no {request.path}. See /v1/docs."))


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if request.path.startswith(API_PREFIX):
        return v1_not_found(request)
    return defaults.page_not_found(request, exception)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if request.path.startswith(API_PREFIX):
        return error_response(ApiError(ErrorCode.INVALID_REQUEST, "The request can't be read."))
    return defaults.bad_request(request, exception)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    if request.path.startswith(API_PREFIX):
        return error_response(ApiError(ErrorCode.FORBIDDEN))
    return defaults.permission_denied(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    if request.path.startswith(API_PREFIX):
        return error_response(ApiError(ErrorCode.INTERNAL_ERROR))
    return defaults.server_error(request)
