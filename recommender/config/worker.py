"""What makes Celery's worker recover from everything that may end it, within seconds.

Celery hands a task of a killed *child* back at once (`reject_on_worker_lost`). A task of a killed
*worker* lies among the unacknowledged ones until it has been there for the visibility timeout,
which would have to be longer than the longest task. Here it is `config.celery.VISIBLE_AFTER_S`, and a living
worker says every few seconds which tasks it still executes: only those of a dead or stopped worker
grow old, and the next worker takes them.

The same timer notices a worker that is alive but takes nothing although there is work and it has
room: first its connection is made anew, then it ends itself, to be started again. And a thread
tells the supervisor that the event loop turns.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from functools import partial
from typing import Any

import structlog
from celery import bootsteps
from celery.exceptions import WorkerTerminate
from celery.worker import state
from celery.worker.consumer import Consumer

from recommender.config.pulse import pulse
from recommender.stores.client import StoreUnavailable
from recommender.stores.process_pulses import process_pulse_write

# Several times within `config.celery.VISIBLE_AFTER_S`.
CONFIRM_EVERY_S = 2.0
# Work waits, there is room, and nothing is taken.
IDLE_LOOKS = 3
# The event loop's longest turn: it reads and sends with timeouts of 3 s.
LOOP_SILENT_AFTER_S = 8.0

log = structlog.get_logger(__name__)


class NotConsuming(ConnectionError):
    """Nothing arrives over this connection although there is work: Celery makes it anew."""


class Watch(bootsteps.StartStopStep):
    """Confirms the tasks in work, and watches that the worker works."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **kwargs: Any) -> None:
        super().__init__(consumer, **kwargs)
        self._queues: tuple[str, ...] = tuple(consumer.app.amqp.queues.consume_from)
        self._timer: Any = None
        self._connected = False
        self._turned_at = time.monotonic()
        self._idle_looks = 0
        self._n_taken = -1
        self._tried_again = False
        threading.Thread(target=self._tell_supervisor, name="vitrine-pulse", daemon=True).start()

    def start(self, consumer: Any) -> None:
        """Called after each (re)connection."""
        self._turned_at = time.monotonic()
        self._connected = True
        self._idle_looks = 0
        self._timer = consumer.timer.call_repeatedly(CONFIRM_EVERY_S, self._look, (consumer,))

    def stop(self, consumer: Any) -> None:
        """Called when the connection is lost and at the end."""
        self._connected = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    shutdown = stop

    def _look(self, consumer: Any) -> None:
        self._turned_at = time.monotonic()
        channel = consumer.task_consumer.channel
        with channel.conn_or_acquire() as client:
            tags = _tags_in_work(channel)
            if tags:
                # XX: a task that was acknowledged meanwhile stays gone.
                client.zadd(channel.unacked_index_key, dict.fromkeys(tags, time.time()), xx=True)
            n_waiting = sum(client.llen(queue) for queue in self._queues)
        self._check_consuming(n_waiting, has_room=channel.qos.can_consume())
        try:
            process_pulse_write(
                kind="worker",
                name=consumer.hostname,
                facts={
                    "busy": len(state.active_requests),
                    "slots": consumer.pool.num_processes,
                    "queues": self._queues,
                },
            )
        except StoreUnavailable:
            return

    def _check_consuming(self, n_waiting: int, *, has_room: bool) -> None:
        n_taken = state.all_total_count[0]
        idle = n_waiting > 0 and has_room and n_taken == self._n_taken
        if n_taken != self._n_taken:
            self._tried_again = False
        self._n_taken = n_taken
        self._idle_looks = self._idle_looks + 1 if idle else 0
        if self._idle_looks < IDLE_LOOKS:
            return
        self._idle_looks = 0
        if self._tried_again:
            log.critical(
                "worker takes no tasks over a new connection either; it ends", waiting=n_waiting
            )
            raise WorkerTerminate(1)
        self._tried_again = True
        log.error("worker takes no tasks; it connects anew", waiting=n_waiting)
        raise NotConsuming(f"{n_waiting} tasks wait and none arrives")

    def _tell_supervisor(self) -> None:
        while True:
            turns = time.monotonic() - self._turned_at < LOOP_SILENT_AFTER_S
            # Without a connection Celery tries again, in a loop with timeouts of its own.
            if turns or not self._connected:
                pulse()
            time.sleep(1.0)


def _tags_in_work(channel: Any) -> set[str]:
    """Delivery tags of the messages that this worker has, also those of a connection before."""
    tags = set(channel.qos._delivered)
    requests: Iterable[Any] = (*state.active_requests, *state.reserved_requests)
    for request in requests:
        if not request.acknowledged:
            tags.add(request.message.delivery_tag)
    return tags


class PatientConsumer(Consumer):
    """Tries to reach the broker every few seconds; Celery would wait for up to half a minute."""

    def ensure_connected(self, conn: Any) -> Any:
        conn.ensure_connection = partial(
            conn.ensure_connection, interval_start=0.5, interval_step=0.5, interval_max=3
        )
        return super().ensure_connected(conn)
