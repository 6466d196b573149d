"""The short way for the API's hot calls.

Stands before Django's WSGI application. Recommendations and events go straight to their views, past
middleware, signals and everything else that only pages need: a fifth of the time of an answer.
Requests and responses are Django's, so a view can't tell which way it was reached. All other calls
take the usual way, where the same views are listed for `reverse` and for Django's test client.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from typing import Any, cast
from wsgiref.types import StartResponse

from django.core.handlers.exception import convert_exception_to_response
from django.core.handlers.wsgi import WSGIRequest
from django.db import connection
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.views.decorators.csrf import csrf_exempt

from catalog.api.authentication import cors_headers
from catalog.api.errors import DATABASE_AWAY, ApiError, Unavailable, error_response
from recommender.api.events import events
from recommender.api.recommendations import page_recommendations, placement_recommendations
from recommender.telemetry import request_observed

View = Callable[..., HttpResponse]
Environ = dict[str, Any]
Body = Iterable[bytes] | HttpResponseBase

_PLACEMENT = re.compile(r"/v1/placements/([-0-9A-Za-z_]{1,80})/recommendations")


class FastLane:
    """A WSGI application that answers the hot calls itself and hands on the others."""

    def __init__(self, application: Callable[[Environ, StartResponse], Body]) -> None:
        self._application = application

    def __call__(self, environ: Environ, start_response: StartResponse) -> Body:
        view = _view_of(environ["PATH_INFO"])
        if view is None:
            return self._application(environ, start_response)
        # Django does this by signal, before and after each request, and for every database and cache.
        connection.close_if_unusable_or_obsolete()
        response = view(WSGIRequest(environ))
        start_response(f"{response.status_code} {response.reason_phrase}", [*response.items()])
        return (response.content,)


@lru_cache(maxsize=4096)
def _view_of(path: str) -> View | None:
    """The view behind a path."""
    if path == "/v1/events":
        return _guarded(hot_events)
    if path == "/v1/recommendations":
        return _guarded(hot_page)
    placement = _PLACEMENT.fullmatch(path)
    if placement is not None:
        return _guarded(partial(hot_placement, slug=placement[1]))
    return None


def _guarded(view: View) -> View:
    """The view, and a mistake of ours as the 500 that Django makes of it."""
    return cast("View", convert_exception_to_response(view))


def hot(view: View, *, counted_as: str) -> View:
    """The view with its refusals in the envelope, readable for the asking page, and its times
    counted."""

    @csrf_exempt
    def answer(request: HttpRequest, **arguments: str) -> HttpResponse:
        began = time.perf_counter()
        status = 500
        try:
            response = _answer(request, view, **arguments)
            status = response.status_code
            return response
        finally:
            request_observed(counted_as, status, time.perf_counter() - began)

    return answer


def _answer(request: HttpRequest, view: View, **arguments: str) -> HttpResponse:
    try:
        response = view(request, **arguments)
    except ApiError as error:
        response = error_response(error, headers=cors_headers(request, None))
    except DATABASE_AWAY:
        # Whatever state the connection is in, the next request gets a new one.
        connection.close()
        away = Unavailable("The database can't be reached at the moment.")
        response = error_response(away, headers=cors_headers(request, None))
    # Elsewhere CommonMiddleware does this. Without it the body would go out in chunks.
    response.headers["Content-Length"] = str(len(response.content))
    return response


hot_events = hot(events, counted_as="events")
hot_page = hot(page_recommendations, counted_as="recommendations")
hot_placement = hot(placement_recommendations, counted_as="placement")
