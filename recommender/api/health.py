"""`/healthz`, `/readyz`, `/metrics`: for whoever operates it."""

from __future__ import annotations

import time

from django.db import DatabaseError, InterfaceError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest

from recommender.serving.runtime import RUNTIMES
from recommender.stores.client import StoreUnavailable, valkey

STALE_AFTER_S = 30


def healthz(request: HttpRequest) -> HttpResponse:
    """The process is alive. Asks nobody else."""
    return JsonResponse({"status": "ok"})


def readyz(request: HttpRequest) -> HttpResponse:
    """The process can serve: stores are loaded. Says what is degraded without failing for it."""
    checks = {"postgresql": _postgresql(), "valkey": _valkey(), "stores": _stores()}
    ready = checks["stores"] != "not loaded"
    status = "ok" if all(each == "ok" for each in checks.values()) else "degraded"
    return JsonResponse(
        {"status": status if ready else "not ready", "checks": checks},
        status=200 if ready else 503,
    )


def metrics(request: HttpRequest) -> HttpResponse:
    """This process's metrics in Prometheus' text format."""
    return HttpResponse(generate_latest(REGISTRY), content_type=CONTENT_TYPE_LATEST)


def _postgresql() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except (DatabaseError, InterfaceError):
        return "away"
    return "ok"


def _valkey() -> str:
    try:
        valkey().call("PING")
    except StoreUnavailable:
        return "away"
    return "ok"


def _stores() -> str:
    if RUNTIMES.refreshed_at is None:
        return "not loaded"
    return "ok" if time.monotonic() - RUNTIMES.refreshed_at < STALE_AFTER_S else "stale"
