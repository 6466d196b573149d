"""Reading a request's body, never more of it than the call allows."""

from __future__ import annotations

from django.http import HttpRequest
from django.http.request import UnreadablePostError

from catalog.api.errors import ApiError, BodyTooLarge, ErrorCode


def body_read(request: HttpRequest, *, limit: int) -> bytes:
    """The body of at most `limit` bytes; a longer one is refused before it is read.

    A body in chunks says no length. It is read until the limit where the server marks its end
    (granian does), and refused elsewhere: Django would take it for empty.
    """
    declared = request.META.get("CONTENT_LENGTH")
    if declared:
        if not declared.isascii() or not declared.isdigit():
            raise ApiError(ErrorCode.LENGTH_REQUIRED)
        if int(declared) > limit:
            raise BodyTooLarge(limit)
        return _read(request, limit)
    if "HTTP_TRANSFER_ENCODING" not in request.META:
        return b""
    if not request.META.get("wsgi.input_terminated"):
        raise ApiError(ErrorCode.LENGTH_REQUIRED)
    return _read(request.META["wsgi.input"], limit)


def _read(stream: object, limit: int) -> bytes:
    parts: list[bytes] = []
    n_bytes = 0
    while n_bytes <= limit:
        try:
            part: bytes = stream.read(limit + 1 - n_bytes)  # type: ignore[attr-defined]
        except (UnreadablePostError, OSError) as error:
            raise ApiError(ErrorCode.NOT_JSON, "The body broke off.") from error
        if not part:
            return b"".join(parts)
        parts.append(part)
        n_bytes += len(part)
    raise BodyTooLarge(limit)
