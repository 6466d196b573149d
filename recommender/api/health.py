"""`/healthz`, `/readyz`, `/metrics`: for whoever operates it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress

from django.db import DatabaseError, InterfaceError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from recommender.selectors.artifact_ages import serving_artifact_ages
from recommender.serving.runtime import RUNTIMES
from recommender.stores.client import StoreUnavailable, valkey
from recommender.stores.process_pulses import process_states, queue_lengths
from recommender.telemetry import exposition

STALE_AFTER_S = 30


def healthz(request: HttpRequest) -> HttpResponse:
    """The process is alive. Asks nobody else."""
    return JsonResponse({"status": "ok"})


def readyz(request: HttpRequest) -> HttpResponse:
    """The process can serve: stores are loaded. Says what is degraded without failing for it."""
    checks = {"postgresql": _postgresql(), "valkey": _valkey(), "stores": _stores(), **_processes()}
    ready = checks["stores"] != "not loaded"
    status = "ok" if all(each == "ok" for each in checks.values()) else "degraded"
    return JsonResponse(
        {"status": status if ready else "not ready", "checks": checks},
        status=200 if ready else 503,
    )


def metrics(request: HttpRequest) -> HttpResponse:
    """What the web processes of this server counted, and how the rest is at this moment."""
    now = CollectorRegistry(auto_describe=False)
    now.register(_Present())
    return HttpResponse(exposition() + generate_latest(now), content_type=CONTENT_TYPE_LATEST)


class _Present(Collector):
    """Gauges that are read when they are asked for. What can't be read is left out."""

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("vitrine_up", "Whether a server answers.", labels=["server"])
        up.add_metric(["postgresql"], _postgresql() == "ok")
        up.add_metric(["valkey"], _valkey() == "ok")
        yield up
        with suppress(StoreUnavailable):
            yield from self._queues_and_processes()
        with suppress(DatabaseError, InterfaceError):
            yield self._artifacts()

    def _queues_and_processes(self) -> Iterator[Metric]:
        queues = GaugeMetricFamily(
            "vitrine_queue_length", "Tasks that wait; `unacked` are in work.", labels=["queue"]
        )
        for queue, length in queue_lengths().items():
            queues.add_metric([queue], length)
        yield queues
        ages = GaugeMetricFamily(
            "vitrine_process_silence_seconds",
            "Since the last sign of life of any worker, any trainer and the leading beat.",
            labels=["process"],
        )
        for kind, state in process_states().items():
            if state.age_s is not None:
                ages.add_metric([kind], state.age_s)
        yield ages

    def _artifacts(self) -> Metric:
        ages = GaugeMetricFamily(
            "vitrine_artifact_age_seconds",
            "Since the serving artifact was made.",
            labels=["store", "family"],
        )
        for store_id, family, age_s in serving_artifact_ages(now=timezone.now()):
            ages.add_metric([str(store_id), family], age_s)
        return ages


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


def _processes() -> dict[str, str]:
    try:
        return {kind: state.words for kind, state in process_states().items()}
    except StoreUnavailable:
        return {"worker": "unknown", "trainer": "unknown", "beat": "unknown"}
