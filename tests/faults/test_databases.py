"""Databases that crash, stop, hang, forget, or run out of room."""

from __future__ import annotations

import os
import signal
import time
from statistics import quantiles

import pytest

from tests.faults.client import Crowd, Page, Tally, event
from tests.faults.figures import FULL, Figures, Judge, long_form
from tests.faults.stack import Stack, wait_until

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.xdist_group("faults")]

# While Valkey is away. On a machine that is busy with other tests everything is slower, also before.
SLOWEST_MS = 50.0


@pytest.mark.parametrize(
    ("how", "signum"),
    [("immediate", signal.SIGQUIT), pytest.param("fast", signal.SIGINT, marks=long_form)],
)
def test_restarting_postgresql_in_a_stream_of_events_loses_and_doubles_nothing(
    stack: Stack, judge: Judge, how: str, signum: signal.Signals
) -> None:
    restarts = 5 if FULL else 1
    worst_s = 0.0
    postgres = stack.servers.postgres
    with Crowd(stack.port, stack.publishable) as crowd:
        for _ in range(restarts):
            time.sleep(1.0)
            pid = postgres.running_pid()
            assert pid is not None
            down_at = time.monotonic()
            os.kill(pid, signum)
            wait_until(lambda: postgres.running_pid() is None, 30, "PostgreSQL is down")
            time.sleep(1.0)
            postgres.start()
            up_at = time.monotonic()
            n_before = crowd.tally.posts
            wait_until(lambda n=n_before: crowd.tally.posts > n, 30, "events are accepted")  # type: ignore[misc]
            worst_s = max(worst_s, crowd.tally.silence_s(down_at) - (up_at - down_at))
        time.sleep(0.5)
    assert crowd.tally.statuses.get(503), "nobody noticed"
    judge.events(f"PostgreSQL restarted ({how}) ×{restarts}", crowd.tally, recovery_s=worst_s)


def test_while_postgresql_is_away_recommendations_go_on_and_events_are_put_off(
    stack: Stack, judge: Judge
) -> None:
    postgres = stack.servers.postgres
    tally = Tally()
    with Page(stack.port, stack.publishable) as page:
        page.send(tally, [event(3, shopper="night-owl")])
        assert page.recently_viewed("night-owl") == ["p3"]
        postgres.stop()
        try:
            late = event(4, shopper="night-owl")
            status, answer = page.ask("POST", "/v1/events", {"events": [late]})
            assert (status, answer["error"]["code"]) == (503, "unavailable")
            assert page.last_headers["Retry-After"].isdigit()
            for _ in range(20):
                assert page.recently_viewed("night-owl") == ["p3"]
            status, _ = page.ask("GET", "/v1/placements/category-top/recommendations")
            assert status == 200
        finally:
            postgres.start()
        back_at = time.monotonic()
        page.send(tally, [late])
        assert page.recently_viewed("night-owl") == ["p4", "p3"]
    judge.events("PostgreSQL away", tally, recovery_s=time.monotonic() - back_at)


def test_valkey_may_stop_forget_and_come_back(stack: Stack, judge: Judge) -> None:
    valkey = stack.servers.valkey
    tally = Tally()
    with Page(stack.port, stack.publishable) as page:
        page.send(tally, [event(1, shopper="wanderer")])
        before_ms = [_latency_ms(page) for _ in range(200)]
        # What it kept is there again after the restart, and lacks what happened meanwhile.
        with stack.valkey() as client:
            client.save()
        valkey.stop()
        try:
            for number in (2, 3):
                page.send(tally, [event(number, shopper="wanderer")])
            _, answer = page.ask(
                "GET", "/v1/placements/recently-viewed/recommendations?shopper_id=wanderer"
            )
            assert answer["items"] == []
            took_ms = [_latency_ms(page) for _ in range(200)]
        finally:
            valkey.start()
        back_at = time.monotonic()
        wait_until(lambda: page.recently_viewed("wanderer") == ["p3", "p2", "p1"], 15, "it knows")
        recovery_s = time.monotonic() - back_at
        page.send(tally, [event(4, shopper="wanderer")])
        assert page.recently_viewed("wanderer") == ["p4", "p3", "p2", "p1"]
    judge.events("Valkey stopped", tally, recovery_s=recovery_s, p99_ms=_p99(took_ms))
    assert _p99(took_ms) <= max(SLOWEST_MS, 2 * _p99(before_ms))


def test_a_flushed_valkey_is_filled_again_from_postgresql(stack: Stack, judge: Judge) -> None:
    with Crowd(stack.port, stack.publishable) as crowd:
        time.sleep(0.5)
        with stack.valkey() as client:
            client.flushall()
        time.sleep(0.5)
    with Page(stack.port, stack.publishable) as page:
        page.send(crowd.tally, [event(5, shopper="forgotten"), event(6, shopper="forgotten")])
        with stack.valkey() as client:
            client.flushall()
        assert sorted(page.recently_viewed("forgotten")) == ["p5", "p6"]
        page.send(crowd.tally, [event(7, shopper="forgotten")])
        assert page.recently_viewed("forgotten")[0] == "p7"
    judge.events("Valkey flushed", crowd.tally)


def test_a_hanging_valkey_costs_no_answer_and_hardly_any_time(stack: Stack, judge: Judge) -> None:
    pid = stack.servers.valkey.running_pid()
    assert pid is not None
    tally = Tally()
    with Page(stack.port, stack.publishable) as page:
        page.send(tally, [event(1, shopper="patient")])
        before_ms = [_latency_ms(page) for _ in range(200)]
        os.kill(pid, signal.SIGSTOP)
        try:
            took_ms = [_latency_ms(page) for _ in range(300)]
            page.send(tally, [event(2, shopper="patient")])
        finally:
            os.kill(pid, signal.SIGCONT)
        back_at = time.monotonic()
        wait_until(lambda: page.recently_viewed("patient") == ["p2", "p1"], 15, "it knows")
    recovery_s = time.monotonic() - back_at
    judge.events("Valkey hangs (SIGSTOP)", tally, recovery_s=recovery_s, p99_ms=_p99(took_ms))
    assert _p99(took_ms) <= max(SLOWEST_MS, 2 * _p99(before_ms))


def test_a_quarantine_without_room_stops_no_good_event(stack: Stack, judge: Judge) -> None:
    stack.do(
        "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION"
        " 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$"
    )
    stack.do(
        "CREATE TRIGGER no_room BEFORE INSERT ON catalog_quarantinedevent"
        " FOR EACH ROW EXECUTE FUNCTION no_room()"
    )
    tally = Tally()
    try:
        with Page(stack.port, stack.publishable) as page:
            for number in range(20):
                page.send(
                    tally,
                    [
                        event(number, shopper="lucky"),
                        event(number, shopper="lucky", type="no such type"),
                    ],
                )
            assert page.recently_viewed("lucky")[0] == "p19"
    finally:
        stack.do("DROP TRIGGER no_room ON catalog_quarantinedevent")
        stack.do("DROP FUNCTION no_room")
    assert tally.rejected == 20
    judge.events("disk full for the quarantine", tally)


def test_impressions_survive_a_postgresql_that_is_away(stack: Stack, judge: Judge) -> None:
    shopper = "looker"
    with Page(stack.port, stack.publishable) as page:
        page.send(Tally(), [event(1, shopper=shopper)])
        stack.servers.postgres.stop()
        try:
            ids = [page.recommendation_id("recently-viewed", shopper) for _ in range(25)]
        finally:
            stack.servers.postgres.start()

    def n_logged() -> int:
        query = "SELECT count(*) FROM recommender_impression WHERE shopper_external_id = %s"
        return int(stack.ask(query, shopper)[0][0])

    took_s = wait_until(lambda: n_logged() >= len(ids), 20, "the impressions are logged")
    assert n_logged() == len(ids) == len(set(ids))
    judge.keep(
        Figures(
            "impressions while PostgreSQL is away",
            sent=len(ids),
            accepted=len(ids),
            stored=n_logged(),
            recovery_s=took_s,
        )
    )


def _latency_ms(page: Page) -> float:
    began = time.perf_counter()
    status, _ = page.ask("GET", "/v1/placements/recently-viewed/recommendations?shopper_id=patient")
    took_ms = (time.perf_counter() - began) * 1000
    assert status == 200
    return took_ms


def _p99(took_ms: list[float]) -> float:
    return quantiles(took_ms, n=100)[98]
