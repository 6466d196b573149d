"""`POST /v1/events`. A plain view: what it accepts stands in `catalog.contract`."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from catalog.api.authentication import authenticate, cors_headers, preflight_response
from catalog.api.bodies import body_read
from catalog.api.envelopes import batch_read
from catalog.api.errors import (
    ApiError,
    ErrorCode,
    MethodNotAllowed,
    json_response,
)
from catalog.contract.limits import (
    BROWSER_MAX_BYTES,
    BROWSER_MAX_EVENTS,
    SERVER_MAX_BYTES,
    SERVER_MAX_EVENTS,
)
from recommender.api.rates import rate_check
from recommender.api.replay_clock import replay_at
from recommender.services.ingest import events_ingest
from recommender.telemetry import events_counted


def events(request: HttpRequest) -> HttpResponse:
    """Store a batch of events. 202 is sent after PostgreSQL has committed.

    The content type isn't looked at: a beacon can only send text/plain without asking first.
    """
    if request.method == "OPTIONS":
        return preflight_response(request)
    if request.method != "POST":
        raise MethodNotAllowed("POST")
    # With a header the key is judged before the body is read, and says how long it may be.
    key = authenticate(request) if "HTTP_AUTHORIZATION" in request.META else None
    from_server = key is not None and key.is_secret
    limit = SERVER_MAX_BYTES if from_server else BROWSER_MAX_BYTES
    envelope = batch_read(body_read(request, limit=limit), member="events")
    if key is None:
        key = authenticate(request, body_key=envelope.key)
    rate_check(request, key)
    n_most = SERVER_MAX_EVENTS if from_server else BROWSER_MAX_EVENTS
    if len(envelope.entries) > n_most:
        raise ApiError(
            ErrorCode.TOO_MANY_EVENTS,
            f"{len(envelope.entries):,} events; at most {n_most:,} per request.",
        )
    answer = events_ingest(
        store_id=key.store_id,
        currency=key.currency,
        signing_secret=key.signing_secret,
        from_server=from_server,
        raw_events=envelope.entries,
        sent_at=envelope.sent_at,
        user_agent=request.META.get("HTTP_USER_AGENT"),
        at=replay_at(request, key),
    )
    events_counted(
        accepted=answer.accepted, duplicate=answer.duplicate, rejected=len(answer.rejected)
    )
    document: dict[str, object] = {
        "accepted": answer.accepted,
        "duplicate": answer.duplicate,
        "rejected": answer.rejected,
    }
    if answer.warnings:
        document["warnings"] = answer.warnings
    return json_response(document, status=202, headers=cors_headers(request, key))
