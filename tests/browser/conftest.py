"""A real Chromium, and a small shop server whose answers a test decides."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from playwright.sync_api import Browser, Page, sync_playwright
from pytest_django.live_server_helper import LiveServer

from catalog.models import Store, User
from tests.conftest import MemberClient

SCRIPT = Path(__file__).resolve().parents[2] / "static" / "js" / "vitrine.js"
KEY = "pk_test"
LogIn = Callable[[Store, str], None]
CONSOLE_SIZES = {"desk": (1280, 900), "phone": (390, 844)}


def chromium_path() -> str | None:
    names = (os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if name and (path := shutil.which(name))), None)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for the run; tests get a context of their own."""
    path = chromium_path()
    if path is None:
        pytest.skip("no Chromium here: install it, or name it in CHROMIUM")
    before = os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE")
    # Playwright's loop runs in this thread, and Django would take every query for one inside it.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield launched
        launched.close()
    if before is None:
        del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]
    else:
        os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = before


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page in a context of its own. A script that throws fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    opened = context.new_page()
    opened.set_default_timeout(10_000)
    thrown: list[str] = []
    opened.on("pageerror", lambda error: thrown.append(str(error)))
    yield opened
    context.close()
    assert not thrown


@pytest.fixture
def log_in(page: Page, live_server: LiveServer, member_client: MemberClient) -> LogIn:
    """`log_in(store, role)` makes `page` that of a new member."""

    def make(store: Store, role: str) -> None:
        session = member_client(store, role).cookies[settings.SESSION_COOKIE_NAME].value
        page.context.add_cookies(
            [{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": live_server.url}]
        )

    return make


@pytest.fixture(params=CONSOLE_SIZES)
def member_page(
    request: pytest.FixtureRequest, browser: Browser, live_server: LiveServer, owner: User
) -> Iterator[Page]:
    """A logged-in page of each size; whatever the console complains about fails the test."""
    width, height = CONSOLE_SIZES[request.param]
    context = browser.new_context(
        viewport={"width": width, "height": height}, base_url=live_server.url
    )
    page = context.new_page()
    page.set_default_timeout(20_000)
    complaints: list[str] = []
    page.on(
        "console",
        lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None,
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto("/console/login/")
    page.get_by_label("E-mail address").fill(owner.email)
    page.get_by_label("Password").fill("a-long-password")
    page.keyboard.press("Enter")
    page.wait_for_url("**/overview/")
    yield page
    context.close()
    assert complaints == []


@dataclass
class Answer:
    """What the fake API says to one request."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0


@dataclass
class Received:
    """A request as it came over the wire."""

    at: float
    method: str
    path: str
    content_type: str
    body: dict[str, Any]


class FakeShop:
    """A shop's pages and Vitrine's API on one port of this machine."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.pages: dict[str, str] = {}
        self.headers: dict[str, str] = {}
        self.on_events: Callable[[dict[str, Any]], Answer] = accept_all
        self.on_recommendations: Callable[[dict[str, Any]], Answer] = answer_all
        shop = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                if path == "/vitrine.js":
                    self.reply(200, SCRIPT.read_bytes(), {"Content-Type": "text/javascript"})
                elif path in shop.pages:
                    html = {"Content-Type": "text/html; charset=utf-8"} | shop.headers
                    self.reply(200, shop.pages[path].encode(), html)
                else:
                    self.reply(404, b"", {})

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                body = json.loads(raw)
                content_type = self.headers.get("Content-Type", "")
                shop.received.append(
                    Received(time.monotonic(), "POST", self.path, content_type, body)
                )
                decide = shop.on_events if self.path == "/v1/events" else shop.on_recommendations
                answer = decide(body)
                time.sleep(answer.delay_s)
                self.reply(answer.status, json.dumps(answer.body).encode(), answer.headers)

            def reply(self, status: int, body: bytes, headers: dict[str, str]) -> None:
                try:
                    self.send_response(status)
                    for name, value in headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                except (BrokenPipeError, ConnectionResetError):
                    pass  # the page went away while we were thinking

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def serve(self, body: str, *, path: str = "/", attributes: str = f'data-key="{KEY}"') -> str:
        """Put a page up; answers its address."""
        self.pages[path] = (
            '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Shop</title>'
            '<link rel="icon" href="data:,">'
            f'<script defer src="/vitrine.js" {attributes}></script></head><body>{body}</body>'
        )
        return self.url + path

    def asked(self) -> list[dict[str, Any]]:
        """The bodies of the recommendation requests."""
        return [each.body for each in self.received if each.path == "/v1/recommendations"]

    def posts(self) -> list[Received]:
        return [each for each in self.received if each.path == "/v1/events"]

    def events(self, kind: str | None = None) -> list[dict[str, Any]]:
        """All events that arrived, with repetitions, in order of arrival."""
        everything = [event for post in self.posts() for event in post.body["events"]]
        return [event for event in everything if kind in (None, event["type"])]


def accept_all(body: dict[str, Any]) -> Answer:
    return Answer(202, {"accepted": len(body["events"]), "duplicate": 0, "rejected": []})


def product(number: int, **fields: Any) -> dict[str, Any]:
    """A product card as the API answers it."""
    return {
        "product_id": str(number),
        "position": number,
        "title": f"Product {number}",
        "url": f"/products/{number}",
        "image_url": "",
        "price": "12.50",
        "list_price": None,
        "currency": "USD",
        "source": "trending",
        **fields,
    }


def answer_with(items: list[dict[str, Any]]) -> Callable[[dict[str, Any]], Answer]:
    """The same products for every placement, each answer under an id of its own."""
    count = iter(range(1, 1_000_000))

    def decide(body: dict[str, Any]) -> Answer:
        answers = [
            {
                "recommendation_id": f"r{next(count)}-{placement['slug']}",
                "placement": placement["slug"],
                "title": f"Title of {placement['slug']}",
                "items": items[: placement.get("limit") or 12],
                "fallback": None,
                "reason": None if items else "no_candidates",
            }
            for placement in body["placements"]
        ]
        return Answer(200, {"recommendations": answers})

    return decide


answer_all = answer_with([product(number) for number in range(1, 13)])


@pytest.fixture
def shop() -> Iterator[FakeShop]:
    running = FakeShop()
    running.on_recommendations = answer_with([product(number) for number in range(1, 13)])
    yield running
    running.close()


def eventually(condition: Callable[[], Any], page: Page, *, timeout_s: float = 20) -> Any:
    """Wait until a condition on the server's side holds, while the browser goes on."""
    until = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < until, "it never happened"
        page.wait_for_timeout(20)
    return found
