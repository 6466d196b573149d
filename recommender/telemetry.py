"""What Prometheus can ask about requests, events and impressions.

Counted in the process that does it, in memory-mapped files that all web processes of a server
share (`metrics_folder_use`): whichever of them is asked answers for all.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

FOLDER = "PROMETHEUS_MULTIPROC_DIR"

REQUEST_SECONDS = Histogram(
    "vitrine_request_seconds",
    "Time to answer the API's hot calls.",
    ["endpoint", "status"],
    # Around the promises: 7 ms for recommendations, 50 ms for events.
    buckets=(0.001, 0.002, 0.003, 0.005, 0.007, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0, 5.0),
)
EVENTS = Counter("vitrine_events", "Events by what became of them.", ["verdict"])
RECOMMENDATIONS = Counter(
    "vitrine_recommendations",
    "Answers by the fallback that filled them and the reason why they are empty or short.",
    ["fallback", "reason"],
)
VALKEY_UNAVAILABLE = Counter(
    "vitrine_valkey_unavailable", "Questions to Valkey that were left unanswered or not asked."
)
IMPRESSIONS_WAITING = Gauge(
    "vitrine_impressions_waiting",
    "Impressions that wait to be written.",
    multiprocess_mode="livesum",
)
IMPRESSIONS_DROPPED = Counter(
    "vitrine_impressions_dropped", "Impressions given up because too many were waiting."
)

# Looking a child up by its labels costs more than counting.
_requests: dict[tuple[str, int], Histogram] = {}
_recommendations: dict[tuple[str | None, str | None], Counter] = {}
_verdicts = {verdict: EVENTS.labels(verdict) for verdict in ("accepted", "duplicate", "rejected")}


def request_observed(endpoint: str, status: int, seconds: float) -> None:
    """Count a request. 3 µs."""
    child = _requests.get((endpoint, status))
    if child is None:
        child = _requests[endpoint, status] = REQUEST_SECONDS.labels(endpoint, str(status))
    child.observe(seconds)


def recommendation_counted(fallback: str | None, reason: str | None) -> None:
    child = _recommendations.get((fallback, reason))
    if child is None:
        child = RECOMMENDATIONS.labels(fallback or "", reason or "")
        _recommendations[fallback, reason] = child
    child.inc()


def events_counted(*, accepted: int, duplicate: int, rejected: int) -> None:
    for verdict, count in (
        ("accepted", accepted),
        ("duplicate", duplicate),
        ("rejected", rejected),
    ):
        if count:
            _verdicts[verdict].inc(count)


def exposition() -> bytes:
    """Everything counted, in Prometheus' text format: of all web processes, if they share a folder."""
    folder = os.environ.get(FOLDER)
    if not folder:
        return generate_latest(REGISTRY)
    for path in Path(folder).glob("gauge_live*.db"):
        pid = int(path.stem.rpartition("_")[2])
        if not _is_alive(pid):
            path.unlink(missing_ok=True)
    registry = CollectorRegistry()
    MultiProcessCollector(registry, folder)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


def _is_alive(pid: int) -> bool:
    with suppress(PermissionError):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
    return True
