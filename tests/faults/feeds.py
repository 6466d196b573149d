"""A server of product feeds that keeps its readers waiting for as long as it is told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class FeedServer:
    """Each address has its feed, and all of them end when `may_end` is set."""

    port: int = 0
    feeds: dict[str, bytes] = field(default_factory=dict)
    may_end: threading.Event = field(default_factory=threading.Event)
    n_asked: int = 0

    def address(self, name: str) -> str:
        return f"http://127.0.0.1:{self.port}/{name}.csv"


@contextmanager
def feed_server() -> Iterator[FeedServer]:
    server = FeedServer()

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            feed = server.feeds[self.path.strip("/").removesuffix(".csv")]
            server.n_asked += 1
            self.send_response(200)
            self.send_header("Content-Type", "text/csv")
            self.send_header("Content-Length", str(len(feed)))
            self.end_headers()
            half = len(feed) // 2
            self.wfile.write(feed[:half])
            self.wfile.flush()
            server.may_end.wait(120)
            self.wfile.write(feed[half:])

        def log_message(self, format: str, *args: object) -> None:
            """Nothing on the terminal."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as http:
        server.port = http.server_port
        thread = threading.Thread(target=http.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.may_end.set()
            http.shutdown()
            thread.join()
