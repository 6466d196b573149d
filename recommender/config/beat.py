"""Celery's clock, of which one ticks, however many are started.

Whoever holds an advisory lock in PostgreSQL sends; the others look every second whether it is
free. The lock belongs to a database session, so it is free when its holder dies. A holder that
hangs lets its session idle, and PostgreSQL ends it.

The schedule is kept in memory and begins with everything due: all periodic tasks do nothing a
second time, and a file of the last times would be one machine's.
"""

from __future__ import annotations

import os
import socket
import time
from datetime import UTC, datetime
from typing import Any

import structlog
from celery.beat import Scheduler
from django.db import DatabaseError, InterfaceError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from recommender.config.pulse import pulse
from recommender.stores.client import StoreUnavailable
from recommender.stores.process_pulses import process_pulse_write

LOCK = int.from_bytes(b"vt beat", "big")
LOOK_EVERY_S = 1.0
# A holder asks for its lock every second. One that didn't for so long is stopped or cut off.
LEASE_S = 10
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)

log = structlog.get_logger(__name__)


class BeatLock:
    """The lock, on a connection of its own."""

    def __init__(self) -> None:
        self._session: BaseDatabaseWrapper | None = None

    def held(self) -> bool:
        """Whether this process holds the lock, now that PostgreSQL was asked. Takes it if it is free."""
        try:
            if self._session is None:
                self._session = self._open()
            with self._session.cursor() as cursor:
                # Taken once: a lock that is taken again must be released as often.
                cursor.execute(
                    "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted"
                    " AND pid = pg_backend_pid() AND (classid::bigint << 32 | objid::bigint) = %s)",
                    (LOCK,),
                )
                row = cursor.fetchone()
                if row is not None and row[0]:
                    return True
                cursor.execute("SELECT pg_try_advisory_lock(%s)", (LOCK,))
                row = cursor.fetchone()
                return bool(row is not None and row[0])
        except (DatabaseError, InterfaceError):
            self.release()
            return False

    def release(self) -> None:
        """End the session, and with it the lock."""
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def _open(self) -> BaseDatabaseWrapper:
        session = connections.create_connection("default")
        with session.cursor() as cursor:
            cursor.execute(f"SET idle_session_timeout = '{LEASE_S}s'")
            # On another machine that lost its power nobody closes the connection.
            cursor.execute("SET tcp_keepalives_idle = 5")
            cursor.execute("SET tcp_keepalives_interval = 2")
            cursor.execute("SET tcp_keepalives_count = 3")
        return session


class SingleBeat(Scheduler):
    """Sends what is due while it holds the lock."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._lock = BeatLock()
        self._leads = False
        self._asked_at = float("-inf")
        self._name = f"beat@{socket.gethostname()}:{os.getpid()}"
        super().__init__(*args, **kwargs)

    def setup_schedule(self) -> None:
        super().setup_schedule()
        self._everything_is_due()

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send one task that is due. Returns the seconds until the next look."""
        self._look()
        if not self._leads:
            return LOOK_EVERY_S
        return min(float(super().tick(*args, **kwargs)), LOOK_EVERY_S)

    def close(self) -> None:
        super().close()
        self._lock.release()

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._asked_at < LOOK_EVERY_S / 2:
            return
        led, self._leads = self._leads, self._lock.held()
        self._asked_at = now
        if self._leads != led:
            log.info("beat leads" if self._leads else "beat waits for the lock", beat=self._name)
        if self._leads and not led:
            # Whoever led before is gone, and what it sent last is unknown.
            self._everything_is_due()
        pulse()
        try:
            process_pulse_write(kind="beat", name=self._name, facts={"leads": self._leads})
        except StoreUnavailable:
            return

    def _everything_is_due(self) -> None:
        for entry in self.schedule.values():
            entry.last_run_at = LONG_AGO
        self._heap = None
