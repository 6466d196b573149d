"""A training whose process is killed: it begins again, but not forever."""

from __future__ import annotations

import os
import signal
import time
from contextlib import nullcontext
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from catalog.models import Store
from recommender.models import Run
from recommender.services.training import execution, runs
from recommender.services.training.execution import MAX_DEATHS, run_take
from recommender.services.training.runs import run_request, runs_bury_dead
from recommender.services.training.trained import NotEnoughData, Report, TrainingData

pytestmark = pytest.mark.django_db(transaction=True)


def killed(_: TrainingData, report: Report) -> None:
    """As the kernel does when memory runs out."""
    report("Reading events", 0.1)
    os.kill(os.getpid(), signal.SIGKILL)


def everybody_let_go() -> None:
    """PostgreSQL notices a process that is gone, and frees its lock, a moment after the kernel."""
    for _ in range(200):
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pid, application_name, backend_start, state, query"
                " FROM pg_locks JOIN pg_stat_activity USING (pid)"
                " WHERE locktype = 'advisory' AND database = "
                "   (SELECT oid FROM pg_database WHERE datname = current_database())"
            )
            holders = cursor.fetchall()
        if not holders:
            return
        time.sleep(0.1)
    raise AssertionError(f"somebody still has the turn: {holders}")


def delivered(run: Run) -> int:
    """Take the run in a process of its own, as a worker's child does; the signal that ended it."""
    everybody_let_go()
    connection.close()
    child = os.fork()
    if child == 0:
        # A loop of the browser tests runs in this thread, and Django's connections are the loop's as
        # long as it does. Not so in a fork, which finds the thread's own: it would speak over the
        # parent's socket.
        connection.connection = None
        try:
            run_take(run_id=run.pk)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    run.refresh_from_db()
    return os.WTERMSIG(status)


def test_a_run_without_a_pulse_is_dead_unless_somebody_trains_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, dead, later = (
        run_request(store=store, family=family, trigger=Run.Trigger.SCHEDULE)
        for family in (Run.Family.CHOSEN_METHOD, Run.Family.CONTENT, Run.Family.PROFILES)
    )
    silent = timezone.now() - timedelta(hours=1)
    for run, minutes in ((slow, 90), (dead, 80), (later, 70)):
        Run.objects.filter(pk=run.pk).update(
            state=Run.State.RUNNING,
            heartbeat_at=silent if run != later else timezone.now(),
            started_at=timezone.now() - timedelta(minutes=minutes),
        )
    with monkeypatch.context() as somebody_trains:
        somebody_trains.setattr(runs, "run_held", lambda run: nullcontext(run != slow))
        assert runs_bury_dead(store=store) == 1
    for run in (slow, dead, later):
        run.refresh_from_db()
    assert (slow.state, later.state) == (Run.State.RUNNING, Run.State.RUNNING)
    assert dead.state == Run.State.FAILED
    assert dead.message == "The process that trained it stopped answering."
    assert runs_bury_dead(store=store) == 1
    slow.refresh_from_db()
    assert slow.state == Run.State.FAILED


def test_who_trains_by_a_command_holds_the_run_too(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[bool] = []

    def looked_at(_: TrainingData, __: Report) -> None:
        # By another process, as the schedule looks: within one connection a turn can be taken again.
        other = connection.copy()
        with other.cursor() as cursor:
            cursor.execute(
                "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", [f"run:{run.pk}"]
            )
            held.append(not cursor.fetchone()[0])
        other.close()
        raise NotEnoughData("Nothing to learn from.")

    monkeypatch.setitem(execution.FAMILIES, Run.Family.CONTENT, looked_at)
    run = run_request(store=store, family=Run.Family.CONTENT, trigger=Run.Trigger.COMMAND)
    execution.run_execute(run=run)
    assert held == [True]
    assert run.state == Run.State.REJECTED


def test_a_run_that_another_process_trains_is_left_to_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_request(store=store, family=Run.Family.CONTENT, trigger=Run.Trigger.SCHEDULE)
    monkeypatch.setattr(execution, "run_held", lambda run: nullcontext(False))
    assert execution.run_execute(run=run).state == Run.State.QUEUED


def test_what_kills_its_process_every_time_is_given_up(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(execution.FAMILIES, Run.Family.CONTENT, killed)
    run = run_request(store=store, family=Run.Family.CONTENT, trigger=Run.Trigger.SCHEDULE)
    waiting = run_request(store=store, family=Run.Family.PROFILES, trigger=Run.Trigger.SCHEDULE)
    for _ in range(MAX_DEATHS):
        assert delivered(run) == signal.SIGKILL
        assert run.state == Run.State.RUNNING
    assert delivered(run) == 0
    assert run.state == Run.State.FAILED
    assert run.finished_at is not None
    assert run.message.startswith("The process that trained it was killed 3 times")
    assert "memory" in run.message
    everybody_let_go()
    # The next one in line gets its turn, and this family may be asked for again.
    assert run_take(run_id=run.pk) == waiting
    run_request(store=store, family=Run.Family.CONTENT, trigger=Run.Trigger.MEMBER)


def test_a_run_that_was_cut_off_once_is_trained_the_next_time(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(_: TrainingData, __: Report) -> None:
        raise NotEnoughData("Nothing to learn from.")

    monkeypatch.setitem(execution.FAMILIES, Run.Family.CONTENT, nothing)
    run = run_request(store=store, family=Run.Family.CONTENT, trigger=Run.Trigger.SCHEDULE)
    Run.objects.filter(pk=run.pk).update(state=Run.State.RUNNING, started_at=timezone.now())
    everybody_let_go()
    run_take(run_id=run.pk)
    run.refresh_from_db()
    assert (run.state, run.message) == (Run.State.REJECTED, "Nothing to learn from.")
