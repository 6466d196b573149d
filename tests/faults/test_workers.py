"""Workers that die, hang, or stop listening: the work is done all the same, within 30 seconds."""

from __future__ import annotations

import os
import signal
import time
from uuid import uuid4

import psutil
import pytest
from celery import Celery

from recommender.config.env import broker_url
from tests.faults.figures import FULL, Figures, Judge, long_form
from tests.faults.stack import BEAT, TRAINER, WORKER, Stack, wait_until

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.xdist_group("faults")]

# What is promised; a machine that runs the other tests as well takes longer to start a process.
RECOVERY_S = 30.0 if FULL else 120.0


class Work:
    """Tasks that were handed over, and what became of them."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.celery = Celery(broker=broker_url(stack.servers.redis_url))
        self.tokens: list[str] = []

    def hand_over(self, n_tasks: int, *, seconds: float = 1.0, queue: str = "default") -> None:
        for _ in range(n_tasks):
            self.tokens.append(str(uuid4()))
            self.celery.send_task("tests.faults.slow", args=[self.tokens[-1], seconds], queue=queue)

    def steps(self, step: str) -> list[tuple[str, int]]:
        return self.stack.ask(
            "SELECT token, pid FROM fault_task_log WHERE step = %s AND token = ANY(%s) ORDER BY at",
            step,
            self.tokens,
        )

    def n_done(self) -> int:
        return len({token for token, _ in self.steps("done")})

    def wait(self, since: float) -> float:
        """Seconds from `since` until all is done."""
        wait_until(lambda: self.n_done() == len(self.tokens), RECOVERY_S + 30, "the tasks are done")
        return time.monotonic() - since

    def close(self) -> None:
        self.celery.close()


@pytest.fixture
def work(stack: Stack) -> Work:
    for workers in (WORKER, TRAINER):
        wait_until(lambda which=workers: bool(stack.children(which)), 60, "the workers run")  # type: ignore[misc]
    return Work(stack)


def judged(judge: Judge, work: Work, scenario: str, recovery_s: float) -> None:
    done = work.n_done()
    figures = Figures(
        scenario,
        sent=len(work.tokens),
        accepted=len(work.tokens),
        stored=done,
        lost=len(work.tokens) - done,
        recovery_s=recovery_s,
    )
    judge.keep(figures)
    work.close()
    assert figures.lost == 0
    assert recovery_s <= RECOVERY_S
    judge.queues_drain()


def test_a_task_of_a_killed_child_is_done_by_another(
    stack: Stack, judge: Judge, work: Work
) -> None:
    kills = 5 if FULL else 1
    worst_s = 0.0
    for _ in range(kills):
        work.hand_over(4, seconds=1.0)
        n_before = len(work.steps("began"))
        wait_until(lambda n=n_before: len(work.steps("began")) > n, 20, "a task began")  # type: ignore[misc]
        _, pid = work.steps("began")[-1]
        killed_at = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        worst_s = max(worst_s, work.wait(killed_at))
    judged(judge, work, f"kill -9 worker child ×{kills}", worst_s)


def test_tasks_of_a_killed_worker_are_done_within_thirty_seconds(
    stack: Stack, judge: Judge, work: Work
) -> None:
    # As many as it can do at once, one that waits, and one that trains.
    work.hand_over(3, seconds=2.0)
    work.hand_over(1, seconds=2.0, queue="training")
    wait_until(lambda: len(work.steps("began")) >= 3, 60, "three tasks began")
    killed_at = time.monotonic()
    os.killpg(stack.group(WORKER), signal.SIGKILL)
    os.killpg(stack.group(TRAINER), signal.SIGKILL)
    judged(judge, work, "kill -9 worker and all its children", work.wait(killed_at))
    # Each child began it anew at most once: no task was handed to two workers.
    assert len(work.steps("done")) == len(work.tokens)


@long_form
def test_a_task_that_takes_longer_than_the_visibility_timeout_is_done_once(
    stack: Stack, judge: Judge, work: Work
) -> None:
    work.hand_over(1, seconds=40.0)
    work.wait(time.monotonic())
    assert len(work.steps("began")) == 1
    judge.queues_drain()


@long_form
def test_a_worker_that_hangs_is_noticed_and_replaced(
    stack: Stack, judge: Judge, work: Work
) -> None:
    work.hand_over(1, seconds=2.0)
    wait_until(lambda: len(work.steps("began")) == 1, 20, "a task began")
    stopped_at = time.monotonic()
    worker = psutil.Process(stack.group(WORKER))
    for each in (worker, *worker.children()):
        each.suspend()
    # A stopped process has asked for its next task already; that one would be in its socket.
    time.sleep(1.5)
    work.hand_over(2, seconds=0.1)
    judged(judge, work, "worker hangs (SIGSTOP)", work.wait(stopped_at))
    assert "worker runs but doesn't work" in stack.said()


@long_form
def test_a_worker_that_no_longer_listens_to_a_queue_ends_and_comes_back(
    stack: Stack, judge: Judge, work: Work
) -> None:
    group = stack.group(WORKER)
    work.celery.control.cancel_consumer("default")
    time.sleep(1.0)
    deaf_at = time.monotonic()
    work.hand_over(1, seconds=0.1)
    recovery_s = work.wait(deaf_at)
    assert stack.group(WORKER) != group
    judge.keep(
        Figures("worker doesn't consume", sent=1, accepted=1, stored=1, recovery_s=recovery_s)
    )
    work.close()
    judge.queues_drain()


@long_form
def test_worker_and_beat_outlive_databases_that_are_away_or_hang(
    stack: Stack, judge: Judge, work: Work
) -> None:
    groups = stack.group(WORKER), stack.group(BEAT)
    servers = stack.servers
    servers.valkey.stop()
    servers.postgres.stop()
    time.sleep(20.0 if FULL else 2.0)
    servers.postgres.start()
    servers.valkey.start()
    back_at = time.monotonic()
    work.hand_over(2, seconds=0.1)
    worst_s = work.wait(back_at)
    wait_until(lambda: stack.leading_beats() == 1, 20, "a beat leads")

    pid = servers.valkey.running_pid()
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    time.sleep(20.0 if FULL else 2.0)
    os.kill(pid, signal.SIGCONT)
    back_at = time.monotonic()
    work.hand_over(2, seconds=0.1)
    worst_s = max(worst_s, work.wait(back_at))
    judged(judge, work, "worker, beat: databases away, Valkey hangs", worst_s)
    assert (stack.group(WORKER), stack.group(BEAT)) == groups, "they were started again"


def test_of_two_beats_one_sends_and_the_other_takes_over_within_seconds(
    stack: Stack, judge: Judge
) -> None:
    def leading_sessions() -> list[int]:
        rows = stack.ask("SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted")
        return [pid for (pid,) in rows]

    wait_until(lambda: stack.leading_beats() == 1, 20, "one beat leads")
    (first,) = leading_sessions()
    second = stack.python(
        "-m", "celery", "--app", "recommender.config.celery", "beat", "--pidfile="
    )
    log = stack.data_dir / "logs" / f"extra-{len(stack.extra) - 1}.log"
    wait_until(lambda: "beat: Starting" in log.read_text(), 30, "the second beat runs")
    time.sleep(2.0)
    assert leading_sessions() == [first]
    assert "Sending due task" not in log.read_text()

    leader = stack.group(BEAT)
    killed_at = time.monotonic()
    os.kill(leader, signal.SIGKILL)
    wait_until(lambda: "Sending due task" in log.read_text(), RECOVERY_S, "the second one sends")
    recovery_s = time.monotonic() - killed_at
    wait_until(lambda: stack.group(BEAT) != leader, 30, "the first one was started again")
    time.sleep(1.0)
    assert len(leading_sessions()) == 1

    if FULL:
        # PostgreSQL ends the session of one that hangs; the other leads.
        os.kill(second.pid, signal.SIGSTOP)
        hung_at = time.monotonic()
        (held,) = leading_sessions()
        wait_until(
            lambda: leading_sessions() not in ([], [held]), RECOVERY_S, "the other one leads"
        )
        recovery_s = max(recovery_s, time.monotonic() - hung_at)
        os.kill(second.pid, signal.SIGCONT)
        time.sleep(2.0)
        assert len(leading_sessions()) == 1
    name = "two beats: kill -9, then SIGSTOP" if FULL else "two beats: kill -9"
    judge.keep(Figures(name, recovery_s=recovery_s))
    second.send_signal(signal.SIGTERM)
    assert second.wait(10) == 0
    judge.queues_drain()
