"""Imports that hang, and imports whose worker dies: nobody waits, and no product is lost."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
import pytest

from tests.faults.client import Page
from tests.faults.feeds import FeedServer, feed_server
from tests.faults.figures import Figures, Judge
from tests.faults.stack import WORKER, Stack, wait_until
from tests.faults.test_workers import RECOVERY_S

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.xdist_group("faults")]

# As many as the worker does at the same time, one for an import included.
N_SLOTS = 3


@pytest.fixture
def feeds(stack: Stack) -> Iterator[FeedServer]:
    wait_until(lambda: bool(stack.children(WORKER)), 60, "the worker runs")
    with feed_server() as server:
        yield server


def feed_of(products: Sequence[tuple[str, str, str]]) -> bytes:
    return "\n".join(["id,title,price", *(",".join(each) for each in products)]).encode()


def import_begin(stack: Stack, key: str, url: str, **wanted: Any) -> int:
    with Page(stack.port, key) as page:
        status, answer = page.ask("POST", "/v1/imports", {"url": url, **wanted})
    assert status == 202, answer
    return int(answer["id"])


def states(stack: Stack, imports: Sequence[int]) -> list[str]:
    rows = stack.ask(
        "SELECT state FROM catalog_productimport WHERE id = ANY(%s) ORDER BY id", list(imports)
    )
    return [state for (state,) in rows]


def content_versions(stack: Stack, store_id: int) -> int:
    (row,) = stack.ask(
        "SELECT count(*) FROM recommender_run WHERE store_id = %s AND family = 'content'"
        " AND trigger = 'increment' AND state = 'published'",
        store_id,
    )
    return int(row[0])


def test_feeds_that_hang_keep_no_other_store_from_learning(
    stack: Stack, judge: Judge, feeds: FeedServer
) -> None:
    trained = stack.python("manage.py", "train", "--store", "corner", "--family", "content")
    assert trained.wait(90) == 0
    feeds.feeds["slow"] = feed_of([(f"slow{n}", f"Slow {n}", "1.00") for n in range(4)])
    imports = [
        import_begin(stack, key, feeds.address("slow"))
        for key in (stack.other_secret, stack.secret) * N_SLOTS
    ]
    wait_until(lambda: feeds.n_asked > 0, 30, "a feed is being read")
    began_at = time.monotonic()
    before = content_versions(stack, stack.store_id)
    with Page(stack.port, stack.secret) as page:
        product = {"id": "new-1", "title": "New product", "price": "3.00"}
        assert page.ask("PUT", "/v1/products", {"products": [product]})[0] == 200
    learned = lambda: content_versions(stack, stack.store_id) > before  # noqa: E731
    wait_until(learned, RECOVERY_S, "the new product is learned")
    recovery_s = time.monotonic() - began_at
    # All this time one import hung, and the others waited for it.
    assert feeds.n_asked == 1
    assert sorted(states(stack, imports)) == ["checking", *["queued"] * (2 * N_SLOTS - 1)]

    feeds.may_end.set()
    done = lambda: set(states(stack, imports)) == {"done"}  # noqa: E731
    wait_until(done, RECOVERY_S, "all imports are done, one after the other")
    judge.keep(Figures("feeds that hang; another store learns", recovery_s=recovery_s))
    judge.queues_drain()


def test_an_import_whose_worker_is_killed_in_the_middle_loses_and_doubles_nothing(
    stack: Stack, judge: Judge, feeds: FeedServer
) -> None:
    # Stored in the order of their ids: the products that the shop has stand in the middle.
    known = [f"p{n}" for n in range(55)]
    ids = [*(f"a{n:04}" for n in range(2_500)), *known, *(f"z{n:04}" for n in range(2_445))]
    wanted = {each: (f"Title of {each}", n + 1) for n, each in enumerate(ids)}
    feeds.feeds["large"] = feed_of(
        [(each, title, f"{minor / 100:.2f}") for each, (title, minor) in wanted.items()]
    )
    feeds.may_end.set()
    with psycopg.connect(stack.servers.database_url) as somebody:
        # Whoever writes one of them waits.
        somebody.execute(
            "SELECT FROM catalog_product WHERE store_id = %s AND external_id = 'p7' FOR UPDATE",
            [stack.other_id],
        )
        address = feeds.address("large")
        made = import_begin(stack, stack.other_secret, address, remove_vanished=True)
        wait_until(lambda: n_stored(stack) >= 2_000, 60, "two blocks of it are stored")
        time.sleep(0.5)
        assert (states(stack, [made]), n_stored(stack)) == (["importing"], 2_000)
        killed_at = time.monotonic()
        os.killpg(stack.group(WORKER), signal.SIGKILL)
        somebody.rollback()
    # The block that was being written is taken back whole.
    assert n_stored(stack) == 2_000
    done = lambda: states(stack, [made]) == ["done"]  # noqa: E731
    wait_until(done, RECOVERY_S + 30, "the import is finished by the next worker")
    recovery_s = time.monotonic() - killed_at

    rows = stack.ask(
        "SELECT external_id, title, price_minor FROM catalog_product"
        " WHERE store_id = %s AND deleted_at IS NULL",
        stack.other_id,
    )
    stored = {external_id: (title, minor) for external_id, title, minor in rows}
    lost = sum(stored.get(each) != said for each, said in wanted.items())
    judge.keep(
        Figures(
            "kill -9 worker in the middle of an import",
            sent=len(wanted),
            accepted=len(wanted),
            stored=len(stored),
            lost=lost,
            doubled=len(rows) - len(stored),
            recovery_s=recovery_s,
        )
    )
    assert stored == wanted
    assert len(rows) == len(stored)
    assert recovery_s <= RECOVERY_S
    # What the history says of it.
    ((n_attempts, n_new, n_changed, n_unchanged, n_vanished, message),) = stack.ask(
        "SELECT n_attempts, n_new, n_changed, n_unchanged, n_vanished, message"
        " FROM catalog_productimport WHERE id = %s",
        made,
    )
    assert (n_attempts, n_new, n_changed, n_unchanged) == (2, 2_945, 55, 2_000)
    assert n_vanished > 0
    assert "was killed at “Storing" in message
    assert "counts as unchanged" in message
    entries = stack.ask(
        "SELECT count(*) FROM catalog_auditentry WHERE action = 'catalog.import'"
        " AND subject_key = %s",
        str(made),
    )
    assert entries == [(1,)]
    judge.queues_drain()


def n_stored(stack: Stack) -> int:
    """Products of the other store that the large feed brought."""
    (row,) = stack.ask(
        "SELECT count(*) FROM catalog_product WHERE store_id = %s AND title LIKE 'Title of %%'",
        stack.other_id,
    )
    return int(row[0])
