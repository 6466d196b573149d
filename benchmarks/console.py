"""Console pages over HTTP: how long each takes on a store with more than 1.4 million event lines.

The pages are found among the project's addresses and by following links as a member would, so new
ones are measured without being listed here. Of pages that differ only by an id, one is measured.
"""

from __future__ import annotations

import argparse
import http.client
import re
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urljoin, urlsplit

from benchmarks.command import main, say
from benchmarks.report import (
    BenchmarkError,
    Promise,
    Report,
    Table,
    figure,
    percentile,
)
from benchmarks.web import web

if TYPE_CHECKING:
    from benchmarks.world import World

P95_MS = Promise(at_most=300.0)
MAX_PAGES = 200
_PARAMETER = re.compile(r"<[^>]+>")
_LINK = re.compile(r"""\b(?:href|hx-get)=["']([^"'#]+)""")


@dataclass(frozen=True, slots=True)
class Page:
    """An address and its size."""

    path: str
    n_bytes: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--times", type=int, default=20, help="how often each page is opened")


def run(world: World, options: argparse.Namespace) -> Report:
    """Measure."""
    with web() as address:
        browser = _Browser(address, _session_cookie(world))
        pages, failed = _walk(browser, start="/console/", within=f"/console/{world.store.slug}/")
        say(f"{len(pages)} pages, {options.times} times each")
        took: dict[str, list[float]] = {page.path: [] for page in pages}
        floor: list[float] = []
        for _ in range(options.times):
            floor.append(browser.open("/healthz")[2])
            for page in pages:
                took[page.path].append(browser.open(page.path)[2])
    return _report(world, pages, failed, took, floor)


def _session_cookie(world: World) -> str:
    from django.test import Client

    client = Client()
    client.force_login(world.owner, backend="django.contrib.auth.backends.ModelBackend")
    return f"sessionid={client.cookies['sessionid'].value}"


class _Browser:
    """One keep-alive connection of a member who is logged in."""

    def __init__(self, address: str, cookie: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)
        self._headers = {"Cookie": cookie, "Host": "localhost", "Accept-Encoding": "identity"}

    def open(self, path: str) -> tuple[int, http.client.HTTPResponse, float, bytes]:
        """Status, answer, milliseconds to the last byte, and the body."""
        began = time.perf_counter()
        self._connection.request("GET", path, headers=self._headers)
        response = self._connection.getresponse()
        body = response.read()
        return response.status, response, 1000 * (time.perf_counter() - began), body


def _walk(browser: _Browser, *, start: str, within: str) -> tuple[list[Page], list[str]]:
    """Follow links below `within`, one address per pattern and names in the query.

    Returns the pages, and what answered something else, in words.
    """
    waiting = deque([start, *_fixed_addresses(within)])
    seen: set[tuple[str, frozenset[str]]] = set()
    pages: list[Page] = []
    failed: list[str] = []
    while waiting and len(pages) < MAX_PAGES:
        path = waiting.popleft()
        kind = _kind(path)
        if kind is None or kind in seen:
            continue
        seen.add(kind)
        status, response, _, body = browser.open(path)
        if status in (301, 302):
            waiting.append(urljoin(path, response.headers["Location"] or ""))
        elif status == 200 and response.headers.get("Content-Type", "").startswith("text/html"):
            if path.startswith(within):
                pages.append(Page(path, len(body)))
            targets = (urljoin(path, unescape(link)) for link in _LINK.findall(body.decode()))
            waiting.extend(target for target in targets if target.startswith(within))
        elif status not in (200, 405):  # 405: only changes something
            failed.append(f"`{path}` answered {status}")
    if not pages and not failed:
        raise BenchmarkError(f"No page was found from {start}: the session isn't taken.")
    return pages, failed


def _fixed_addresses(within: str) -> list[str]:
    """Every address of a store that needs nothing but the store, so that no page needs a link."""
    from django.urls import URLPattern, URLResolver, get_resolver

    def routes(resolver: URLResolver, before: str) -> Iterator[str]:
        for each in resolver.url_patterns:
            route = before + str(each.pattern)
            if isinstance(each, URLPattern):
                yield route
            else:
                yield from routes(each, route)

    found = (
        _PARAMETER.sub(within.split("/")[2], "/" + route)
        for route in routes(get_resolver(), "")
        if len(_PARAMETER.findall(route)) == 1
    )
    return [path for path in found if path.startswith(within)]


def _kind(path: str) -> tuple[str, frozenset[str]] | None:
    """What makes two addresses the same page: their pattern, and the names in their query."""
    from django.urls import Resolver404, resolve

    parts = urlsplit(path)
    try:
        return resolve(parts.path).route, frozenset(parse_qs(parts.query))
    except Resolver404:
        return None


def _report(
    world: World,
    pages: list[Page],
    failed: list[str],
    took: dict[str, list[float]],
    floor: list[float],
) -> Report:
    p95 = {page.path: percentile(took[page.path], 0.95) for page in pages}
    every = [each for times in took.values() for each in times]
    return Report(
        benchmark="console",
        figures=[
            figure(
                "p95 of the slowest page", max(p95.values(), default=float("nan")), "ms", promise=P95_MS,
                floor=percentile(floor, 0.95),
            ),
            figure("p95 of all pages", percentile(every, 0.95), "ms", promise=P95_MS),
            figure("p50 of all pages", percentile(every, 0.5), "ms"),
            figure("pages", len(pages), ""),
            figure("pages that failed", len(failed), "", promise=Promise(at_most=0.0)),
        ],
        tables=[
            Table(
                "Pages, slowest first",
                ("page", "KB", "p50 ms", "p95 ms", "most"),
                [
                    (
                        f"`{page.path}`", page.n_bytes / 1000,
                        percentile(took[page.path], 0.5), p95[page.path], max(took[page.path]),
                    )
                    for page in sorted(pages, key=lambda page: -p95[page.path])
                ],
            )
        ],
        notes=[
            (f"A store with {world.built.n_event_lines:,} event lines, {world.built.n_products:,}"
            f" products and {world.built.n_shoppers:,} shoppers; one member, one page at a time,"
            f" after each page was opened once."),
            "The floor is /healthz over the same connection: all middleware, no work.",
            *failed,
        ],
    )  # fmt: skip


if __name__ == "__main__":
    main(["console"])
