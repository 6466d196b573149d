"""The load generator: raw HTTP/1.1 over a few sockets, at a constant rate or as fast as answered.

At a constant rate request number *i* is due at *i* ÷ rate, whatever the server does, and its latency
is counted from that moment: a request that had to wait for a free connection has waited. (A generator
that sends when the last answer came pauses together with a server that hangs, and reports one slow
answer where hundreds of shoppers would have waited: "coordinated omission".)

It runs in a process of its own and costs about 40 µs of a core per request, which it reports. `wrk`
costs less, and measures saturation; but it has no rate, and shows no answers.
"""

from __future__ import annotations

import gc
import multiprocessing
import select
import socket
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

# How long the last answers are waited for, and a connection.
GRACE_S = 10.0
_CONTENT_LENGTH = b"content-length:"


@dataclass(frozen=True, slots=True)
class Driven:
    """What became of the requests that were sent, in the order in which they were due.

    Attributes
    ----------
    latencies_ms
        From when a request was due to the last byte of its answer; without a rate, from when it was
        sent. Infinite for one without an answer.
    statuses
        0 for one without an answer.
    bodies
        Empty unless they were asked for.
    late_ms
        How much later than due each was sent: what the generator itself, or the want of a free
        connection, has added.
    seconds
        From the first request to the last answer.
    core_share
        Of one core, used by the generator.
    """

    latencies_ms: list[float]
    statuses: list[int]
    bodies: list[bytes]
    late_ms: list[float]
    seconds: float
    core_share: float

    @property
    def n_failed(self) -> int:
        """Requests without an answer of 2xx."""
        return sum(not 200 <= status < 300 for status in self.statuses)

    @property
    def per_second(self) -> float:
        """Answers of 2xx per second."""
        return (len(self.statuses) - self.n_failed) / self.seconds if self.seconds else 0.0


@dataclass(slots=True)
class _Connection:
    """A socket and the answer that is on its way through it."""

    address: tuple[str, int]
    socket: socket.socket
    busy_with: int = -1
    received: bytearray = field(default_factory=bytearray)


def get_request(path: str, *, key: str | None = None) -> bytes:
    """A GET as it goes over the wire."""
    authorization = f"Authorization: Bearer {key}\r\n" if key else ""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{authorization}\r\n".encode()


def post_request(path: str, body: bytes, *, key: str | None = None) -> bytes:
    """A POST of JSON as it goes over the wire."""
    authorization = f"Authorization: Bearer {key}\r\n" if key else ""
    return (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{authorization}"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def drive(
    address: str,
    requests: Sequence[bytes],
    *,
    connections: int,
    rate: float | None = None,
    seconds: float | None = None,
    keep_bodies: bool = False,
) -> Driven:
    """Send the requests in order, each once, from a process of its own.

    Ends when all are sent, or after `seconds`. `rate` per second; None sends as fast as answered.
    """
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_drive, (address, requests, connections, rate, seconds, keep_bodies))


def _drive(
    address: str,
    requests: Sequence[bytes],
    connections: int,
    rate: float | None,
    seconds: float | None,
    keep_bodies: bool,
) -> Driven:
    parts = urlsplit(address)
    return _Drive(
        (parts.hostname or "127.0.0.1", parts.port or 80), requests, connections, rate, keep_bodies
    ).run(seconds)


class _Drive:
    """One run of the generator."""

    def __init__(
        self,
        address: tuple[str, int],
        requests: Sequence[bytes],
        connections: int,
        rate: float | None,
        keep_bodies: bool,
    ) -> None:
        self._requests = requests
        self._interval = None if rate is None else 1.0 / rate
        self._keep_bodies = keep_bodies
        self._idle = deque(_connect(address) for _ in range(connections))
        self._busy: dict[int, _Connection] = {}
        self._due: list[float] = []
        self._sent: list[float] = []
        self._done: list[float] = []
        self._statuses: list[int] = []
        self._bodies: list[bytes] = []

    def run(self, seconds: float | None) -> Driven:
        gc.disable()
        cpu = time.process_time()
        start = time.perf_counter()
        end = start + seconds if seconds is not None else float("inf")
        last = len(self._requests)
        while True:
            now = time.perf_counter()
            while self._idle and len(self._sent) < last:
                due = self._due_at(len(self._sent), start, now)
                if due > now or due >= end:
                    break
                self._send(due)
                now = time.perf_counter()
            next_due = self._due_at(len(self._sent), start, now)
            over = len(self._sent) >= last or (next_due >= end and now >= end)
            if over and not self._busy:
                break
            if over and now > self._sent[-1] + GRACE_S:
                break
            self._wait(now, next_due if self._idle and not over else now + 0.1)
        finished = max((at for at in self._done if at), default=start)
        cpu_s = time.process_time() - cpu
        for connection in (*self._idle, *self._busy.values()):
            connection.socket.close()
        return Driven(
            latencies_ms=[
                (done - due) * 1000 if done else float("inf")
                for due, done in zip(self._due, self._done, strict=True)
            ],
            statuses=self._statuses,
            bodies=self._bodies,
            late_ms=[(sent - due) * 1000 for due, sent in zip(self._due, self._sent, strict=True)],
            seconds=finished - start,
            core_share=cpu_s / max(finished - start, 1e-9),
        )

    def _due_at(self, place: int, start: float, now: float) -> float:
        return now if self._interval is None else start + place * self._interval

    def _send(self, due: float) -> None:
        connection = self._idle.popleft()
        place = len(self._sent)
        connection.busy_with = place
        self._due.append(due)
        self._sent.append(time.perf_counter())
        self._done.append(0.0)
        self._statuses.append(0)
        if self._keep_bodies:
            self._bodies.append(b"")
        try:
            connection.socket.sendall(self._requests[place])
        except OSError:
            self._idle.append(_connect(connection.address))
            connection.socket.close()
            return
        self._busy[connection.socket.fileno()] = connection

    def _wait(self, now: float, until: float) -> None:
        # select and not epoll: its timeout counts in microseconds, epoll's in whole milliseconds.
        readable, _, _ = select.select(list(self._busy), [], [], max(0.0, until - now))
        for descriptor in readable:
            self._receive(self._busy[descriptor])

    def _receive(self, connection: _Connection) -> None:
        try:
            part = connection.socket.recv(1 << 18)
        except OSError:
            part = b""
        if not part:
            del self._busy[connection.socket.fileno()]
            connection.socket.close()
            self._idle.append(_connect(connection.address))
            return
        connection.received += part
        found = parse_answer(connection.received)
        if found is None:
            return
        place, (status, body) = connection.busy_with, found
        self._done[place] = time.perf_counter()
        self._statuses[place] = status
        if self._keep_bodies:
            self._bodies[place] = body
        connection.received.clear()
        del self._busy[connection.socket.fileno()]
        self._idle.append(connection)


def _connect(address: tuple[str, int]) -> _Connection:
    connected = socket.create_connection(address, timeout=GRACE_S)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return _Connection(address, connected)


def parse_answer(received: bytes | bytearray) -> tuple[int, bytes] | None:
    """Status and body of a whole HTTP/1.1 answer; None while a part is missing.

    >>> parse_answer(b"HTTP/1.1 202 Accepted\\r\\nContent-Length: 2\\r\\n\\r\\nok")
    (202, b'ok')
    """
    head, found, body = bytes(received).partition(b"\r\n\r\n")
    if not found:
        return None
    status = int(head[9:12])
    lowered = head.lower()
    at = lowered.find(_CONTENT_LENGTH)
    if at >= 0:
        length = int(lowered[at + len(_CONTENT_LENGTH) :].split(b"\r\n", 1)[0])
        return (status, body[:length]) if len(body) >= length else None
    if b"transfer-encoding: chunked" in lowered:
        return (status, _unchunked(body)) if body.endswith(b"0\r\n\r\n") else None
    return status, b""


def _unchunked(body: bytes) -> bytes:
    whole = bytearray()
    while True:
        size, _, rest = body.partition(b"\r\n")
        length = int(size, 16)
        if not length:
            return bytes(whole)
        whole += rest[:length]
        body = rest[length + 2 :]
