"""The client of Valkey: nobody waits for a server that is away, and it comes back by itself."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from recommender.config import embedded
from recommender.config.embedded.process import wait_for
from recommender.stores import client as store_client
from recommender.stores.client import StoreUnavailable, Valkey


@pytest.fixture(scope="module")
def server() -> Iterator[embedded.Servers]:
    """A Valkey of its own, which may be stopped."""
    with embedded.temporary() as servers:
        yield servers


@pytest.fixture
def client(server: embedded.Servers) -> Iterator[Valkey]:
    made = Valkey(server.redis_url)
    yield made
    made.close()


@pytest.mark.slow
def test_a_server_that_stops_and_comes_back_is_used_again_without_being_asked_by_requests(
    server: embedded.Servers, client: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.call("SET", "kept", "1")
    server.valkey.stop()
    try:
        with pytest.raises(StoreUnavailable):
            client.call("GET", "kept")
        assert client.is_away

        def refuse(*_: object) -> None:
            raise AssertionError("a request went to a server that is away")

        monkeypatch.setattr(client, "_execute", refuse)
        for _ in range(100):
            with pytest.raises(StoreUnavailable, match="left alone"):
                client.call("GET", "kept")
        monkeypatch.undo()
    finally:
        server.valkey.start()
    assert wait_for(lambda: not client.is_away, 10)
    assert client.call("SET", "kept", "2")


@pytest.mark.slow
def test_a_server_that_hangs_costs_one_short_wait(server: embedded.Servers, client: Valkey) -> None:
    client.call("PING")
    pid = server.valkey.running_pid()
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(StoreUnavailable, match=r"[Tt]imeout"):
            client.call("PING")
        with pytest.raises(StoreUnavailable, match="left alone"):
            client.call("PING")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert wait_for(lambda: not client.is_away, 10)
    # Either the connection is made anew or it is there: a request waits for one of the two.
    assert max(store_client.READ_TIMEOUT_S, store_client.CONNECT_TIMEOUT_S) < 0.05


def test_a_command_that_is_refused_closes_nothing(client: Valkey) -> None:
    client.call("SET", "text", "1")
    with pytest.raises(StoreUnavailable, match="WRONGTYPE"):
        client.call("LPUSH", "text", "2")
    assert not client.is_away
    assert client.call("GET", "text") == b"1"


def test_a_forked_process_looks_for_the_server_itself(tmp_path: Path) -> None:
    path = tmp_path / "nobody.sock"
    client = Valkey(f"unix://{path}?db=0")
    with pytest.raises(StoreUnavailable):
        client.call("PING")
    probe = client._probe
    assert probe is not None
    client._closed.set()
    probe.join(5)
    client._closed.clear()  # as after a fork: away, and the thread isn't there
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        answering = threading.Thread(target=_answer_pings, args=(listener,), daemon=True)
        answering.start()
        with pytest.raises(StoreUnavailable):
            client.call("PING")
        assert wait_for(lambda: not client.is_away, 10)
    client.close()


def _answer_pings(listener: socket.socket) -> None:
    try:
        while True:
            connection, _ = listener.accept()
            with connection:
                while asked := connection.recv(4096):
                    answer = b"+PONG\r\n" if b"PING" in asked else b"+OK\r\n"
                    connection.sendall(answer * max(asked.count(b"\r\n*") + 1, 1))
    except OSError:
        return
