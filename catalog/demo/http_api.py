"""The public API over HTTP, on connections that stay open."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from catalog.demo.playing import PlayRefused

# A server that is restarted, or a database that comes back, is waited for so long.
PATIENCE_S = 60.0
TIMEOUT_S = 30.0
_LATER = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)


class ServerAway(Exception):
    """Nobody answers at the address; the text is the last reason."""


class HttpApi:
    """One connection, for one thread."""

    def __init__(
        self,
        base_url: str,
        key: str,
        *,
        host_header: str | None = None,
        patience_s: float = PATIENCE_S,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        address = urlsplit(base_url)
        kind = (
            http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
        )
        self._connection = kind(address.netloc, timeout=TIMEOUT_S)
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        if host_header:
            self._headers["Host"] = host_header
        self._patience_s = patience_s
        self._stopping = stopping

    def post(self, path: str, body: Mapping[str, Any], *, at: datetime) -> Any:
        """The answer to a call that happened at a moment of the past.

        Repeats it while nobody answers or the server says later: the same events are duplicates.
        Raises ServerAway, and PlayRefused for any other answer than success.
        """
        raw = json.dumps(body).encode()
        headers = {**self._headers, "Vitrine-Replay-At": at.isoformat()}
        until = time.monotonic() + self._patience_s
        while True:
            try:
                self._connection.request("POST", path, raw, headers)
                response = self._connection.getresponse()
                status, answer = response.status, response.read()
                reason, pause_s = f"status {status}", float(response.headers.get("Retry-After", 1))
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                status, answer = 0, b""
                reason, pause_s = str(error) or type(error).__name__, 0.5
            if status in (HTTPStatus.OK, HTTPStatus.ACCEPTED):
                return json.loads(answer)
            if status and status not in _LATER:
                raise PlayRefused(f"{path} answered {status}: {answer[:300].decode()}")
            if time.monotonic() + pause_s > until or self._stopping():
                raise ServerAway(reason)
            time.sleep(pause_s)

    def close(self) -> None:
        self._connection.close()
