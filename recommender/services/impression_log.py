"""Impressions leave the request path through a bounded buffer, written by a thread of its own.

A request writes its line out and appends it to a deque. The thread sends all that has gathered
twice a second with one COPY: if it had to write the lines out itself, it would hold up whatever
requests come just then for some milliseconds. While PostgreSQL is away the buffer keeps the newest
`CAPACITY` impressions and counts what it had to drop; a killed process loses at most half a second
of them. (Accepted *events* are never held like this: they are committed before their answer.)
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

import orjson
import structlog
from django.db import DatabaseError, InterfaceError, close_old_connections

from catalog.memory import Bounded
from recommender.services.impressions import (
    ExposureRow,
    ImpressionRow,
    exposures_store,
    impression_line,
    impression_lines_store,
)
from recommender.serving.request import Recommendation, RecommendationRequest
from recommender.telemetry import (
    IMPRESSIONS_DROPPED,
    IMPRESSIONS_WAITING,
    recommendation_counted,
)

CAPACITY = 50_000
FLUSH_SECONDS = 0.5
BLOCK = 2_000
# Whose exposure is written down is remembered for so long: who is erased and comes back is exposed
# again. Writing it once more does nothing.
EXPOSED_SECONDS = 60.0

log = structlog.get_logger(__name__)


class Delivered(NamedTuple):
    """A recommendation on its way into the log."""

    store_id: int
    delivered_at_s: float
    request: RecommendationRequest
    recommendation: Recommendation
    product_ids: list[int]


class _Waiting(NamedTuple):
    """An impression as COPY reads it, and the exposures that may be the first."""

    line: str
    exposures: tuple[ExposureRow, ...]


class ImpressionLog:
    """The buffer of this process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._buffer: deque[_Waiting] = deque()
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._flushing = threading.Lock()
        self._exposed: Bounded[tuple[int, str], bool] = Bounded(CAPACITY, EXPOSED_SECONDS, clock)

    def append(self, delivered: Delivered) -> None:
        """Remember one impression. Never waits, never fails; the oldest goes if there is no room."""
        exposures = self._first_exposures(delivered) if delivered.recommendation.exposures else ()
        self._buffer.append(_Waiting(impression_line(_row(delivered)), exposures))
        self._drop_oldest()
        recommendation_counted(delivered.recommendation.fallback, delivered.recommendation.reason)

    def __len__(self) -> int:
        return len(self._buffer)

    def clear(self) -> None:
        """Forget everything: what waits, and whose exposure is written down."""
        self._buffer.clear()
        self._exposed.clear()

    def flush(self) -> int:
        """Write what has gathered. Returns how many; on an error nothing is lost for which there is
        room.

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
                    self._store(block)
                except (DatabaseError, InterfaceError):
                    self._buffer.extendleft(reversed(block))
                    self._drop_oldest()
                    raise
                written += len(block)
        return written

    def _drop_oldest(self) -> None:
        while len(self._buffer) > CAPACITY:
            self._buffer.popleft()
            IMPRESSIONS_DROPPED.inc()

    def _first_exposures(self, delivered: Delivered) -> tuple[ExposureRow, ...]:
        """Those that aren't known to be written down already."""
        known = self._exposed.get
        return tuple([each for each in _exposures(delivered) if not known(_key(each))])

    def _store(self, block: list[_Waiting]) -> None:
        exposures = [exposure for each in block for exposure in each.exposures]
        exposures_store(rows=exposures)
        impression_lines_store(lines=[each.line for each in block])
        for exposure in exposures:
            self._exposed.put(_key(exposure), True)

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
            IMPRESSIONS_WAITING.set(len(self._buffer))
            if stopping:
                return


def _row(delivered: Delivered) -> ImpressionRow:
    request, recommendation = delivered.request, delivered.recommendation
    experiment, variant = recommendation.experiment, recommendation.variant
    return ImpressionRow(
        store_id=delivered.store_id,
        recommendation_id=recommendation.recommendation_id,
        delivered_at_s=delivered.delivered_at_s,
        placement_id=recommendation.placement_id,
        strategy_version_id=recommendation.strategy_version_id,
        experiment_id=None if experiment is None else experiment.experiment_id,
        variant_id=None if variant is None else variant.variant_id,
        shopper_external_id=request.shopper_id,
        session_id=request.session_id,
        product_ids=delivered.product_ids,
        sources=recommendation.sources,
        propensities=recommendation.propensities,
        fallback=recommendation.fallback,
        reason=recommendation.reason,
        device=request.device,
        took_us=recommendation.took_us,
        context=request_context(request),
        rule_id=recommendation.rule_id,
        teams=recommendation.teams,
        situation=recommendation.situation,
    )


def request_context(request: RecommendationRequest) -> str:
    """What the answer started from beside the shopper, as JSON: enough to ask the same again.

    The words of a search aren't kept, only that there was one: nothing is found by them.
    """
    named = request.product_ids or request.category or request.locale or request.exclude
    if not named and request.cart is None and request.query is None:
        return "{}"
    asked = {
        "product_ids": request.product_ids,
        "category": request.category,
        "cart": request.cart,
        "exclude": request.exclude,
        "locale": request.locale,
        "search": request.query is not None,
    }
    # An empty cart that the page named is not the same as none.
    kept = {
        name: value for name, value in asked.items() if value or (value == () and name == "cart")
    }
    return orjson.dumps(kept).decode()


def _exposures(delivered: Delivered) -> list[ExposureRow]:
    recommendation, shopper_id = delivered.recommendation, delivered.request.shopper_id
    if shopper_id is None:
        return []
    return [
        ExposureRow(
            delivered.store_id,
            experiment.experiment_id,
            shopper_id,
            variant.variant_id,
            datetime.fromtimestamp(delivered.delivered_at_s, UTC),
            bucket,
            recommendation.recommendation_id,
        )
        for experiment, variant, bucket in recommendation.exposures
    ]


def _key(exposure: ExposureRow) -> tuple[int, str]:
    return exposure.experiment_id, exposure.shopper_external_id


IMPRESSIONS = ImpressionLog()
