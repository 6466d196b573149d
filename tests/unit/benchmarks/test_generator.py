from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.generator import Driven, drive, get_request, parse_answer, post_request

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def test_an_answer_in_parts_is_waited_for() -> None:
    for cut in range(len(OK)):
        assert parse_answer(OK[:cut]) is None
    assert parse_answer(OK) == (200, b"ok")


def test_the_header_may_be_written_in_any_case() -> None:
    answer = b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\nretry-after: 1\r\n\r\n"
    assert parse_answer(answer) == (503, b"")


def test_chunks_are_put_together() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert parse_answer(head + b"3\r\nabc\r\n") is None
    assert parse_answer(head + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n") == (200, b"abcde")


def test_requests_carry_key_and_length() -> None:
    assert b"\r\nAuthorization: Bearer pk_1\r\n" in get_request("/", key="pk_1")
    assert b"Authorization" not in get_request("/")
    posted = post_request("/v1/events", b"{}", key="pk_1")
    assert posted.endswith(b"Content-Length: 2\r\n\r\n{}")


def test_every_request_is_sent_once_and_its_answer_kept_in_order() -> None:
    with answering(echo) as (address, seen):
        requests = [get_request(f"/{number}") for number in range(50)]
        driven = drive(address, requests, connections=4, keep_bodies=True)
    assert driven.statuses == [200] * 50
    assert driven.bodies == [b"/%d" % number for number in range(50)]
    assert sorted(seen, key=int) == [str(number) for number in range(50)]
    assert driven.n_failed == 0


def test_a_connection_that_breaks_is_a_failure_and_not_the_end() -> None:
    with answering(break_at_3) as (address, _):
        requests = [get_request(f"/{number}") for number in range(6)]
        driven = drive(address, requests, connections=1)
    assert driven.statuses == [200, 200, 200, 0, 200, 200]
    assert driven.latencies_ms[3] == float("inf")
    assert driven.n_failed == 1


def test_at_a_rate_waiting_for_a_connection_counts_as_latency() -> None:
    """The first answer is held back on the only connection: the second request was due meanwhile."""
    with answering(hold_the_first) as (address, _):
        requests = [get_request(f"/{number}") for number in range(3)]
        driven = drive(address, requests, connections=1, rate=1_000.0)
    assert driven.statuses == [200] * 3
    waited_at_least_ms = 1000 * HELD_S - 1.0
    assert driven.late_ms[1] >= waited_at_least_ms
    assert driven.latencies_ms[1] >= driven.late_ms[1]


def test_without_a_rate_a_request_is_due_when_it_is_sent() -> None:
    with answering(hold_the_first) as (address, _):
        driven = drive(address, [get_request(f"/{n}") for n in range(3)], connections=1)
    assert driven.latencies_ms[0] >= 1000 * HELD_S
    assert max(driven.late_ms) < 1000 * HELD_S


def test_answers_per_second_count_only_what_succeeded() -> None:
    driven = Driven([1.0] * 4, [200, 202, 503, 0], [], [0.0] * 4, seconds=2.0, core_share=0.0)
    assert driven.n_failed == 2
    assert driven.per_second == 1.0


# ---------------------------------------------------------------------------------- small servers

HELD_S = 0.2


def echo(path: str) -> bytes | None:
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(path)}\r\n\r\n{path}".encode()


def break_at_3(path: str) -> bytes | None:
    return None if path == "/3" else echo(path)


def hold_the_first(path: str) -> bytes | None:
    if path == "/0":
        threading.Event().wait(HELD_S)
    return echo(path)


@contextmanager
def answering(answer: object) -> Iterator[tuple[str, list[str]]]:
    """A server of a few lines; `answer` gives the bytes for a path, None to hang up."""
    seen: list[str] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as lines:
            while line := lines.readline():
                while lines.readline() != b"\r\n":
                    pass
                path = line.split()[1].decode()
                seen.append(path[1:])
                answered = answer(path)  # type: ignore[operator]
                if answered is None:
                    connection.shutdown(socket.SHUT_RDWR)
                    return
                connection.sendall(answered)

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", seen
    finally:
        listener.close()
