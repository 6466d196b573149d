"""Impressions leave the request path through a bounded buffer, written by a thread of its own.

A request only appends to a deque. The thread writes all that has gathered twice a second with one
COPY. While PostgreSQL is away the buffer keeps the newest `CAPACITY` impressions and counts what it
had to drop; a killed process loses at most half a second of them. (Accepted *events* are never
held like this: they are committed before their answer.)
"""

from __future__ import annotations

import threading
from collections import deque
from typing import NamedTuple

import structlog
from django.db import DatabaseError, InterfaceError, close_old_connections

from recommender.services.impressions import ImpressionRow, impressions_store
from recommender.serving.request import Recommendation, RecommendationRequest

CAPACITY = 50_000
FLUSH_SECONDS = 0.5
BLOCK = 2_000

log = structlog.get_logger(__name__)


class Delivered(NamedTuple):
    """A recommendation on its way into the log, unresolved so that the request stays short."""

    store_id: int
    delivered_at_s: float
    request: RecommendationRequest
    recommendation: Recommendation
    product_ids: list[int]


class ImpressionLog:
    """The buffer of this process."""

    def __init__(self) -> None:
        self._buffer: deque[Delivered] = deque(maxlen=CAPACITY)
        self._appended = 0
        self._flushed = 0
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._flushing = threading.Lock()

    def append(self, delivered: Delivered) -> None:
        """Remember one impression. Never waits, never fails."""
        self._buffer.append(delivered)

    def __len__(self) -> int:
        return len(self._buffer)

    def flush(self) -> int:
        """Write what has gathered. Returns how many; on an error nothing is lost.

        Raises
        ------
        DatabaseError, InterfaceError
            PostgreSQL is away; the impressions are back in the buffer.
        """
        written = 0
        with self._flushing:
            while self._buffer:
                block = [self._buffer.popleft() for _ in range(min(BLOCK, len(self._buffer)))]
                try:
                    impressions_store(rows=[_row(delivered) for delivered in block])
                except (DatabaseError, InterfaceError):
                    self._buffer.extendleft(reversed(block))
                    raise
                written += len(block)
        return written

    def start(self) -> None:
        """Write in the background from now on. Safe to call again."""
        if self._thread is not None and self._thread.is_alive():
            return
        self._thread = threading.Thread(target=self._run, name="vitrine-impressions", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Write the rest and end the thread: part of a graceful stop."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def _run(self) -> None:
        away = False
        while True:
            stopping = self._stop.wait(FLUSH_SECONDS)
            try:
                close_old_connections()
                self.flush()
                away = False
            except (DatabaseError, InterfaceError) as error:
                if not away:
                    log.warning("impressions wait for PostgreSQL", error=str(error))
                away = True
            if stopping:
                return


def _row(delivered: Delivered) -> ImpressionRow:
    request, recommendation = delivered.request, delivered.recommendation
    return ImpressionRow(
        store_id=delivered.store_id,
        recommendation_id=recommendation.recommendation_id,
        delivered_at_s=delivered.delivered_at_s,
        placement_id=recommendation.placement_id,
        strategy_version_id=recommendation.strategy_version_id,
        shopper_external_id=request.shopper_id,
        session_id=request.session_id,
        product_ids=delivered.product_ids,
        sources=recommendation.sources,
        propensities=recommendation.propensities,
        fallback=recommendation.fallback,
        reason=recommendation.reason,
        device=request.device,
        took_us=recommendation.took_us,
    )


IMPRESSIONS = ImpressionLog()
