"""A shop's pages, as far as faults concern them: events kept until 202, sent again with their ids."""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from email.message import Message
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

PATIENCE_S = 90.0
PAUSE_S = 0.1


def event(product: int = 0, *, shopper: str = "shopper-1", **members: Any) -> dict[str, Any]:
    """A product view now."""
    return {
        "event_id": str(uuid4()),
        "type": "view_item",
        "shopper_id": shopper,
        "session_id": "visit-1",
        "occurred_at": int(time.time() * 1000),
        "product_id": f"p{product}",
        **members,
    }


@dataclass
class Tally:
    """What all clients of a scenario were told."""

    sent: int = 0
    accepted: int = 0
    duplicate: int = 0
    rejected: int = 0
    posts: int = 0
    retries: int = 0
    statuses: dict[int, int] = field(default_factory=dict)
    confirmed: set[UUID] = field(default_factory=set)
    answered_at: list[float] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def told(self, events: Sequence[dict[str, Any]], answer: dict[str, Any]) -> None:
        refused = {each["index"] for each in answer["rejected"]}
        ids = {UUID(each["event_id"]) for at, each in enumerate(events) if at not in refused}
        with self._lock:
            self.posts += 1
            self.accepted += answer["accepted"]
            self.duplicate += answer["duplicate"]
            self.rejected += len(refused)
            self.sent += len(ids - self.confirmed)
            self.confirmed |= ids
            self.answered_at.append(time.monotonic())

    def again(self, status: int) -> None:
        with self._lock:
            self.retries += 1
            self.statuses[status] = self.statuses.get(status, 0) + 1

    def silence_s(self, since: float = 0.0) -> float:
        """The longest time without any 202."""
        times = sorted(at for at in self.answered_at if at >= since)
        return max((later - at for at, later in pairwise(times)), default=0.0)


class Page:
    """One connection to the API, made anew whenever it breaks. Not for several threads."""

    def __init__(self, port: int, key: str) -> None:
        self._port = port
        self._key = key
        self._connection: http.client.HTTPConnection | None = None
        self.last_headers: Message = Message()

    def ask(
        self, method: str, path: str, body: Any = None, *, timeout_s: float = 10.0
    ) -> tuple[int, Any]:
        """One try; status 0 if there was no answer."""
        connection = self._connection
        if connection is None:
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=timeout_s)
            self._connection = connection
        try:
            connection.request(
                method,
                path,
                None if body is None else json.dumps(body),
                {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"},
            )
            response = connection.getresponse()
            raw = response.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            self._connection = None
            return 0, None
        self.last_headers = response.headers
        if response.will_close:
            connection.close()
            self._connection = None
        return response.status, json.loads(raw) if raw else None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Page:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, tally: Tally, events: Sequence[dict[str, Any]], **envelope: Any) -> None:
        """Send until they are confirmed, as vitrine.js does with what it keeps."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            status, answer = self.ask("POST", "/v1/events", {"events": list(events), **envelope})
            if status == 202:
                tally.told(events, answer)
                return
            assert status in (0, 429, 500, 502, 503), (status, answer)
            assert time.monotonic() < deadline, f"not accepted within {PATIENCE_S:.0f} s: {answer}"
            tally.again(status)
            time.sleep(PAUSE_S)

    def recently_viewed(self, shopper: str) -> list[str]:
        """What the next page would show: the products seen last, newest first."""
        status, answer = self.ask(
            "GET", f"/v1/placements/recently-viewed/recommendations?shopper_id={shopper}"
        )
        assert status == 200, (status, answer)
        return [item["product_id"] for item in answer["items"]]

    def recommendation_id(self, placement: str, shopper: str) -> str:
        """Of one answer."""
        path = f"/v1/placements/{placement}/recommendations?shopper_id={shopper}"
        status, answer = self.ask("GET", path)
        assert status == 200, (status, answer)
        return str(answer["recommendation_id"])


class Crowd:
    """Several pages at once, sending until they are told to stop."""

    def __init__(
        self, port: int, key: str, *, n_pages: int = 4, per_post: int = 5, pause_s: float = 0.01
    ) -> None:
        self.tally = Tally()
        self._stop = threading.Event()
        self._failed: list[BaseException] = []
        self._threads = [
            threading.Thread(target=self._guarded, args=(self._browse, port, key, number, per_post))
            for number in range(n_pages)
        ]
        self._pause_s = pause_s

    def __enter__(self) -> Crowd:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE_S + 30)
        assert not self._failed, self._failed

    def _guarded(self, work: Callable[..., None], *arguments: Any) -> None:
        try:
            work(*arguments)
        except (AssertionError, OSError, ValueError) as error:
            self._failed.append(error)

    def _browse(self, port: int, key: str, number: int, per_post: int) -> None:
        chance = random.Random(number)
        with Page(port, key) as page:
            while not self._stop.is_set():
                events = [
                    event(chance.randrange(60), shopper=f"crowd-{number}") for _ in range(per_post)
                ]
                page.send(self.tally, events)
                time.sleep(self._pause_s)


def in_parallel(work: Callable[[Any], None], portions: Iterable[Any], *, n_threads: int) -> None:
    """Hand the portions out to threads; the first failure is raised here."""
    waiting = list(portions)[::-1]
    failed: list[BaseException] = []

    def take() -> None:
        while waiting and not failed:
            try:
                portion = waiting.pop()
            except IndexError:
                return
            try:
                work(portion)
            except (AssertionError, OSError, ValueError) as error:
                failed.append(error)

    threads = [threading.Thread(target=take) for _ in range(n_threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed, failed
