"""The short way for the API's hot calls.

Placed first in MIDDLEWARE. Recommendations and events go straight to their views, past sessions,
CSRF, templates and everything else that only pages need. All other requests take the usual way.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from functools import partial

from django.db import connection
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.views.decorators.csrf import csrf_exempt

from catalog.api.authentication import cors_headers
from catalog.api.errors import API_PREFIX, DATABASE_AWAY, ApiError, Unavailable, error_response
from recommender.api.events import events
from recommender.api.recommendations import page_recommendations, placement_recommendations
from recommender.telemetry import request_observed

View = Callable[..., HttpResponse]

_PLACEMENT = re.compile(r"/v1/placements/([-0-9A-Za-z_]{1,80})/recommendations")
_VIEWS: dict[str, View] = {
    "/v1/events": events,
    "/v1/recommendations": page_recommendations,
}


class FastLaneMiddleware:
    """Answers the hot calls itself."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        path = request.path_info
        if not path.startswith(API_PREFIX):
            return self._get_response(request)
        view = _VIEWS.get(path)
        if view is not None:
            return _observed(path[4:], request, view)
        placement = _PLACEMENT.fullmatch(path)
        if placement is not None:
            return _observed("placement", request, placement_recommendations, slug=placement[1])
        return self._get_response(request)


def _observed(endpoint: str, request: HttpRequest, view: View, **arguments: str) -> HttpResponse:
    """The answer, counted with its time; a mistake of ours as the 500 that Django makes of it."""
    began = time.perf_counter()
    status = 500
    try:
        response = hot_answer(request, view, **arguments)
        status = response.status_code
        return response
    finally:
        request_observed(endpoint, status, time.perf_counter() - began)


def hot_answer(request: HttpRequest, view: View, **arguments: str) -> HttpResponse:
    """The view's answer, or its refusal in the envelope, readable for the asking page.

    A mistake of ours goes on to Django, which logs it and calls `catalog.api.errors.server_error`.
    """
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


def hot(view: View) -> View:
    """The same answers for a URL pattern."""
    return csrf_exempt(partial(hot_answer, view=view))
