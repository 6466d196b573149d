"""The floors over HTTP: Django answering bare views, and nothing else.

What is measured against them says what our own code costs on the same machine in the same minute.
`/` is one Valkey round trip, `/insert` reads the body and commits it as one row.
"""

from __future__ import annotations

from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import path

from recommender.config.env import from_environ

INSERT_TABLE = "bench_floor_body"

if not settings.configured:
    _env = from_environ()
    settings.configure(
        ALLOWED_HOSTS=["*"],
        DATABASES={"default": _env.database_config},
        DATA_UPLOAD_MAX_MEMORY_SIZE=2 * 1024 * 1024,
        MIDDLEWARE=[],
        REDIS_URL=_env.redis_url,
        ROOT_URLCONF=__name__,
        SECRET_KEY="floor",
    )

from django.core.wsgi import get_wsgi_application  # noqa: E402

from recommender.stores.client import valkey  # noqa: E402


def bare(request: HttpRequest) -> HttpResponse:
    """One round trip, a small body."""
    valkey().call("LRANGE", "vt:floor", 0, -1)
    return _answer(200)


def insert(request: HttpRequest) -> HttpResponse:
    """One row, one commit."""
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {INSERT_TABLE} (body) VALUES (%s)", [request.body])
    return _answer(202)


def _answer(status: int) -> HttpResponse:
    body = b'{"ok":true}'
    # As the product's hot answers: without a length it would go out in chunks.
    return HttpResponse(
        body,
        status=status,
        content_type="application/json",
        headers={"Content-Length": str(len(body))},
    )


urlpatterns = [path("", bare), path("insert", insert)]
application = get_wsgi_application()
