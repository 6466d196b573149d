"""The floor: Django answering a bare view after one Valkey round trip, and nothing else.

What is measured against it says what our own code costs on the same machine in the same minute.
"""

from __future__ import annotations

import os

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import path

if not settings.configured:
    settings.configure(
        ALLOWED_HOSTS=["*"],
        MIDDLEWARE=[],
        REDIS_URL=os.environ["REDIS_URL"],
        ROOT_URLCONF=__name__,
        SECRET_KEY="floor",
    )

from django.core.wsgi import get_wsgi_application

from recommender.stores.client import valkey


def bare(request: HttpRequest) -> HttpResponse:
    """One round trip, a small body."""
    valkey().call("LRANGE", "vt:floor", 0, -1)
    return HttpResponse(b'{"ok":true}', content_type="application/json")


urlpatterns = [path("", bare)]
application = get_wsgi_application()
