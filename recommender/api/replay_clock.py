"""The clock of a past that is played again: `manage.py replay` for demo stores, nobody else.

A recommendation is stamped by the server's clock when it is delivered, and an experiment counts its
days by that stamp. Purchases of weeks ago played today would all belong to impressions of today. So
the replay says with each call when it happened: `Vitrine-Replay-At: 2026-11-02T17:05:00+00:00`.
Impressions, exposures, recommendation ids, and whatever depends on how long ago something was,
take that time. When an event was *received* stays ours: whoever learns by it meets it.

A real store has no such clock: results that can be dated by the caller are worth nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime

from django.http import HttpRequest

from catalog.api.errors import ApiError, ErrorCode, InvalidRequest
from catalog.selectors.keys import ResolvedKey

HEADER = "Vitrine-Replay-At"
_META = "HTTP_VITRINE_REPLAY_AT"


def replay_at(request: HttpRequest, key: ResolvedKey) -> datetime | None:
    """The moment that is played, None for live calls: one look into a dictionary.

    Raises ApiError for a store that is no demo, without a secret key, and for times to come.
    """
    text = request.META.get(_META)
    if text is None:
        return None
    if not key.store_is_demo:
        raise ApiError(ErrorCode.REPLAY_NOT_ALLOWED)
    if not key.is_secret:
        raise ApiError(ErrorCode.SECRET_KEY_REQUIRED, f"`{HEADER}` needs a secret key.")
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None or not 1970 < at.year <= 9998 or at > datetime.now(UTC):
        raise InvalidRequest(
            fields={HEADER: "must be a moment in the past, such as 2026-11-02T17:05:00+00:00"}
        )
    return at
