"""Reading an address never becomes a way into our own network."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from catalog.services import feed_fetch as fetching
from catalog.services.feed_fetch import FetchRefused, addresses_of, feed_fetch, is_public

PRIVATE = (
    "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254",
    "100.64.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "255.255.255.255", "240.0.0.1",
    "::", "::1", "fe80::1", "fc00::1", "fd12::1", "ff02::1", "::ffff:10.0.0.1",
    "::ffff:169.254.169.254", "64:ff9b::7f00:1", "2002:7f00:1::1", "2001:db8::1", "::127.0.0.1",
    "fe80::1%eth0",
)  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_only_public_addresses_are_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["93.184.215.14", "1.1.1.1", "2606:4700:4700::1111"])
def test_public_addresses_are(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/feed.xml",
        "http://127.1/feed.xml",
        "http://2130706433/feed.xml",
        "http://0x7f000001/",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://10.0.0.8/",
        "https://192.168.0.1/",
        "http://localhost:5432/",
    ],
)
def test_our_own_network_is_refused_before_a_connection(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections: list[Any] = []
    monkeypatch.setattr(socket, "create_connection", lambda *a, **k: connections.append(a))
    with pytest.raises(FetchRefused, match="doesn't lead to a public address"):
        list(feed_fetch(url))
    assert connections == []


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "gopher://shop.example/",
        "ftp://shop.example/feed",
        "//shop.example/feed",
        "shop.example/feed",
        "http://",
        "http://shop.example:99999/",
        "http://user:secret@shop.example/",
        "http://shop.example/a b",
        "http://shop.example/\r\nHost: x",
        "http://" + "x" * 2_000,
    ],
)
def test_what_is_no_plain_web_address_is_refused(url: str) -> None:
    with pytest.raises(FetchRefused):
        list(feed_fetch(url))


Resolver = Callable[..., None]


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Resolver:
    """`resolve("shop.test", "1.1.1.1")` decides what a name leads to."""
    known: dict[str, tuple[str, ...]] = {}
    really = socket.getaddrinfo

    def answer(host: str, port: int, *rest: Any, **more: Any) -> Any:
        if host in known:
            return [
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in known[host]
            ]
        return really(host, port, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    return lambda name, *addresses: known.update({name: addresses})


def test_a_name_that_leads_to_a_private_address_is_refused(resolve: Resolver) -> None:
    resolve("shop.test", "10.0.0.8")
    with pytest.raises(FetchRefused, match="public address"):
        list(feed_fetch("http://shop.test/feed.xml"))


def test_one_private_address_among_public_ones_is_enough(resolve: Resolver) -> None:
    resolve("shop.test", "93.184.215.14", "127.0.0.1")
    with pytest.raises(FetchRefused, match="public address"):
        addresses_of("shop.test", 80)


def test_the_connection_goes_to_the_address_that_was_checked(
    resolve: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve("shop.test", "93.184.215.14")
    asked: list[Any] = []

    def refuse(address: Any, **_: Any) -> None:
        asked.append(address)
        resolve("shop.test", "127.0.0.1")  # what a name server of an attacker would answer next
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", refuse)
    with pytest.raises(FetchRefused, match="doesn't answer"):
        list(feed_fetch("http://shop.test/feed.xml"))
    assert asked == [("93.184.215.14", 80)]


# ------------------------------------------------------------------------- over a real server


class Shop:
    """A web server on this machine whose answers a test decides."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.drags_on = threading.Event()
        self.was_waited_for = False
        shop = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                shop.asked.append((self.path, dict(self.headers)))
                status, headers, body = shop.answers.get(self.path, (404, {}, b""))
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)
                if self.path == "/slow":
                    shop.was_waited_for = not shop.drags_on.wait(5)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    def url(self, path: str) -> str:
        return f"http://shop.test:{self.port}{path}"


@pytest.fixture
def shop(resolve: Resolver, settings: Any) -> Iterator[Shop]:
    """Reachable as shop.test, which the operator has allowed."""
    running = Shop()
    resolve("shop.test", "127.0.0.1")
    settings.IMPORT_ALLOWED_HOSTS = ("Shop.test",)
    yield running
    running.server.shutdown()
    running.thread.join()
    running.server.server_close()


def test_an_allowed_host_is_read_without_any_credential(shop: Shop) -> None:
    shop.answers["/feed.csv?v=1"] = (200, {}, b"id,title")
    assert b"".join(feed_fetch(shop.url("/feed.csv?v=1"))) == b"id,title"
    ((path, headers),) = shop.asked
    assert path == "/feed.csv?v=1"
    assert set(headers) == {"Host", "User-Agent", "Accept", "Accept-Encoding", "Connection"}
    assert headers["Host"] == f"shop.test:{shop.port}"


@pytest.mark.parametrize(
    "target", ["http://127.0.0.1:{port}/secret", "http://[::1]/", "//10.0.0.1/"]
)
def test_a_redirect_into_our_network_is_refused(shop: Shop, target: str) -> None:
    shop.answers["/feed"] = (302, {"Location": target.format(port=shop.port)}, b"")
    shop.answers["/secret"] = (200, {}, b"secret")
    with pytest.raises(FetchRefused, match="public address"):
        list(feed_fetch(shop.url("/feed")))
    assert [path for path, _ in shop.asked] == ["/feed"]


def test_a_redirect_to_a_file_is_refused(shop: Shop) -> None:
    shop.answers["/feed"] = (302, {"Location": "file:///etc/passwd"}, b"")
    with pytest.raises(FetchRefused, match="http:// or https://"):
        list(feed_fetch(shop.url("/feed")))


def test_three_redirects_are_followed_and_no_more(shop: Shop) -> None:
    for number in range(5):
        shop.answers[f"/{number}"] = (302, {"Location": f"/{number + 1}"}, b"")
    shop.answers["/5"] = (200, {}, b"feed")
    assert b"".join(feed_fetch(shop.url("/2"))) == b"feed"
    with pytest.raises(FetchRefused, match="more than 3 times"):
        list(feed_fetch(shop.url("/1")))


def test_a_file_that_is_too_large_or_broken_off_is_refused(shop: Shop, settings: Any) -> None:
    settings.IMPORT_MAX_BYTES = 10
    shop.answers["/large"] = (200, {}, b"x" * 11)
    with pytest.raises(FetchRefused, match="more than"):
        list(feed_fetch(shop.url("/large")))
    shop.answers["/short"] = (200, {"Content-Length": "9"}, b"x")
    with pytest.raises(FetchRefused, match="broke off"):
        list(feed_fetch(shop.url("/short")))


def test_an_answer_that_is_no_feed_is_told(shop: Shop) -> None:
    with pytest.raises(FetchRefused, match="answers 404"):
        list(feed_fetch(shop.url("/nothing")))


def test_a_server_that_drags_on_is_hung_up_on(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "DEADLINE_S", 0.2)
    shop.answers["/slow"] = (200, {"Content-Length": "1000000"}, b"x")
    with pytest.raises(FetchRefused, match="broke off"):
        list(feed_fetch(shop.url("/slow")))
    assert not shop.was_waited_for
    shop.drags_on.set()
