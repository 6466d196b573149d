"""Making a comparison: read, cut, measure method after method, report; the row is kept up to date.

Only what trains imports this. A page and a command watch the same row.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from math import ceil, isfinite
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import structlog
from django.conf import settings
from django.db import DatabaseError
from django.utils import timezone

from catalog.services.locks import turn
from recommender.artifacts.manifest import ArtifactError
from recommender.artifacts.reader import artifact_open
from recommender.artifacts.writer import artifact_folder
from recommender.engine.errors import EmptyInputError, EngineError
from recommender.engine.evaluation.asking import Lists, accuracy, ask
from recommender.engine.evaluation.beyond_accuracy import (
    Yardstick,
    interaction_counts,
    likeness_of_vectors,
    popularity_percentiles,
    self_information,
    yardstick_for,
)
from recommender.engine.evaluation.cold_start import Group, cold_start, shortened
from recommender.engine.evaluation.fairness import fairness
from recommender.engine.evaluation.intervals import ratio_estimates
from recommender.engine.evaluation.leaderboard import (
    Budget,
    Estimate,
    Phase,
    Progress,
    Row,
    board_to_document,
    leaderboard_of,
    ordered,
    worth,
)
from recommender.engine.evaluation.leaderboard import run as measured_rows
from recommender.engine.evaluation.measuring import asking_order
from recommender.engine.evaluation.tasks import Task
from recommender.engine.id_map import IdMap
from recommender.engine.methods.base import Model
from recommender.engine.methods.registry import method_of, missing_for
from recommender.models import Artifact, LabRun, Run
from recommender.selectors.lab_data import LabTasks, lab_tasks
from recommender.selectors.lab_history import LabHistory, lab_history
from recommender.services.failures import failure_words
from recommender.services.lab_shelf import MIN_QUERIES, TEST_DAYS
from recommender.services.training.trained import HISTORY
from recommender.stores.process_memory import peak_mb

Say: TypeAlias = Callable[[str, float], None]

# Each method is asked so many questions at most: a sample is as good, and the ten are done sooner.
MAX_QUERIES = 2_000
# A history with more events for each minute takes the defaults: half of the time would go into
# choosing parameters, and the other half wouldn't do for asking.
TUNED_EVENTS_PER_MINUTE = 150_000
# Of the time, for the tables of who is served well; the rest is for the methods.
REPORT_SHARE = 0.15
REPORT_QUERIES = 1_000
SHORTENED_QUERIES = 300
SHORTENED_TO = (1, 2, 5, 10)
REPORTED = 3
# Where on the bar the methods begin and end.
BAR_BEGINS, BAR_ENDS = 0.08, 0.88
PHASES = {Phase.TUNING: ("choosing parameters", 0.1), Phase.FITTING: ("learning", 0.5),
          Phase.ASKING: ("answering", 0.8)}  # fmt: skip

log = structlog.get_logger(__name__)


class LabCancelled(Exception):
    """A member has cancelled it, or somebody else has ended it."""


def lab_take(*, run_id: int) -> Run | None:
    """Make a queued comparison; returns the training that is next in line.

    It takes turns with trainings: two at once would take the memory of both. One that has to wait
    stays queued and is handed over again by the schedule.
    """
    with turn("training") as mine:
        if not mine:
            return None
        run = LabRun.objects.filter(pk=run_id).first()
        if run is not None:
            lab_execute(run=run)
    return Run.objects.filter(state=Run.State.QUEUED).order_by("queued_at").first()


def lab_execute(*, run: LabRun, say: Say | None = None) -> LabRun:
    """Make a comparison and keep its row up to date.

    One that has ended already is left alone: a task that is delivered twice compares once. One
    that is found running was left by a process that was killed; it isn't begun again.
    """
    if run.state == LabRun.State.RUNNING:
        _end(run, LabRun.State.FAILED, "The process that compared was killed.")
        return run
    now = timezone.now()
    started = LabRun.objects.filter(pk=run.pk, state=LabRun.State.QUEUED).update(
        state=LabRun.State.RUNNING, started_at=now, heartbeat_at=now, step="Reading the history"
    )
    run.refresh_from_db()
    if not started:
        return run
    try:
        _Comparison(run, say).make()
        _end(run, LabRun.State.DONE, "")
    except LabCancelled:
        log.info("comparison cancelled", lab=run.pk)
    except EmptyInputError as error:
        _end(run, LabRun.State.FAILED, f"The history is too short: {error}.")
    except (EngineError, DatabaseError, OSError, MemoryError) as error:
        log.error("comparison failed", lab=run.pk, error=str(error))
        _end(run, LabRun.State.FAILED, failure_words(error))
    run.refresh_from_db()
    return run


class _Comparison:
    """One comparison while it is made."""

    def __init__(self, run: LabRun, say: Say | None) -> None:
        self._run = run
        self._say = say
        self._seed = int(run.settings["seed"])
        self._began = time.perf_counter()
        self._told = 0.0
        self._document: dict[str, Any] = {}

    def make(self) -> None:
        self._tell("Reading the history", 0.01)
        history = lab_history(store_id=self._run.store_id, since=timezone.now() - HISTORY)
        self._tell("Cutting the history", 0.04)
        tasks = lab_tasks(
            history,
            self._run.settings["protocol"],
            days=TEST_DAYS,
            min_queries=MIN_QUERIES,
            seed=self._seed,
        )
        self._tell("Preparing the measures", 0.06)
        yardstick = yardstick_of(self._run.store_id, history, tasks.test, seed=self._seed)
        rows = self._measure(tasks, yardstick)
        self._report(history, tasks, rows)

    def _measure(self, tasks: LabTasks, yardstick: Yardstick) -> list[Row]:
        rows: list[Row] = []
        methods = [method_of(key) for key in self._run.settings["methods"]]
        # First what can't be measured: nobody else's time should be kept for it.
        methods.sort(key=lambda method: missing_for(method, tasks.test.training) is None)
        whole_s = 60 * float(self._run.settings["minutes"])
        left_s = (1 - REPORT_SHARE) * whole_s - (time.perf_counter() - self._began)
        self._keep(tasks, rows, yardstick)
        for row in measured_rows(
            tasks.test,
            tasks.validation,
            methods,
            seed=self._seed,
            clock=time.perf_counter,
            budget=Budget(max(left_s, 1.0), max_queries=MAX_QUERIES, tune=not self._untuned(tasks)),
            memory=peak_mb,
            progress=self._progress,
            yardstick=yardstick,
        ):
            rows.append(row)
            self._keep(tasks, rows, yardstick)
        return ordered(rows, tasks.test.objective)

    def _progress(self, at: Progress) -> None:
        words, share = PHASES[at.phase]
        if at.phase == Phase.TUNING and at.tried:
            words = f"{words}, {at.tried} tried"
        done = (at.done + share) / max(at.total, 1)
        self._tell(
            f"{at.title} ({at.done + 1} of {at.total}): {words}",
            BAR_BEGINS + (BAR_ENDS - BAR_BEGINS) * done,
            # Between a fit and the next nothing can be told: the page should know which it is.
            at_once=at.phase != Phase.TUNING or not at.tried,
        )

    def _report(self, history: LabHistory, tasks: LabTasks, rows: Sequence[Row]) -> None:
        """Who is served well by the best: the first always, others while there is time."""
        whole_s = 60 * float(self._run.settings["minutes"])
        self._document["reports"] = []
        objective = tasks.test.objective
        best = [row for row in rows if isfinite(worth(row, objective))][:REPORTED]
        for number, row in enumerate(best):
            expected_s = 2 * (row.fit_s or 0.0)
            if number and time.perf_counter() - self._began + expected_s > whole_s:
                break
            self._tell(
                f"Who is served well by {row.title}",
                BAR_ENDS + (0.99 - BAR_ENDS) * number / REPORTED,
                at_once=True,
            )
            model = method_of(row.key).fit(tasks.test.training, row.parameters, self._seed)
            self._document["reports"].append(
                {"key": row.key, "title": row.title}
                | report_of(tasks.test, model, history.brands, seed=self._seed)
            )
            self._save()

    def _untuned(self, tasks: LabTasks) -> str:
        """Why parameters aren't chosen, as a clause; empty if they are."""
        minutes = float(self._run.settings["minutes"])
        if tasks.validation is None:
            return "the history before the cut is too short to choose parameters on"
        if tasks.n_events > TUNED_EVENTS_PER_MINUTE * minutes:
            enough = ceil(tasks.n_events / TUNED_EVENTS_PER_MINUTE)
            return f"to choose parameters on so long a history, give it {enough} minutes"
        return ""

    def _keep(self, tasks: LabTasks, rows: Sequence[Row], yardstick: Yardstick) -> None:
        """The table so far."""
        board = leaderboard_of(
            tasks.test,
            [_finite(row) for row in rows],
            yardstick,
            data=self._run.store.name,
            seed=self._seed,
            took_s=time.perf_counter() - self._began,
        )
        self._document |= {
            "board": board_to_document(board),
            "history": {
                "first_at": _moment(tasks.first_s),
                "cut_at": _moment(tasks.cut_s),
                "last_at": _moment(tasks.last_s),
                "n_events": tasks.n_events,
                "untuned": self._untuned(tasks),
            },
        }
        self._save()

    def _save(self) -> None:
        self._written(document=self._document)

    def _tell(self, step: str, share: float, *, at_once: bool = False) -> None:
        if at_once or time.monotonic() - self._told > 0.25:
            self._told = time.monotonic()
            self._written(step=step[:120], progress=min(max(share, 0.0), 1.0))
        if self._say is not None:
            self._say(step, share)

    def _written(self, **values: Any) -> None:
        """Write into the row while it is ours.

        Raises
        ------
        LabCancelled
            It isn't running any more.
        """
        if not LabRun.objects.filter(pk=self._run.pk, state=LabRun.State.RUNNING).update(
            heartbeat_at=timezone.now(), **values
        ):
            raise LabCancelled


def report_of(task: Task, model: Model, brands: Sequence[str], *, seed: int) -> dict[str, Any]:
    """Accuracy where little is known, and whose products are seen, of one fitted model."""
    sample = asking_order(len(task.queries), seed=seed)[:REPORT_QUERIES]
    lists = ask(
        task,
        model.recommend,
        clock=time.perf_counter,
        positions=sample.tolist(),
        second_table=False,
    ).first
    counts = interaction_counts(task.training)
    found = cold_start(task, lists, counts, seed=seed)
    return {
        "n_queries": len(lists),
        "shoppers": [_group(group) for group in found.shoppers],
        "products": [_group(group) for group in found.products],
        "same_shoppers": _same_shoppers(task.subset(sample[:SHORTENED_QUERIES]), model, seed),
        "fairness": [
            asdict(each) for each in fairness(task, lists, counts, seed=seed, brand_names=brands)
        ],
    }


def yardstick_of(store_id: int, history: LabHistory, task: Task, *, seed: int) -> Yardstick:
    """By the merchant's vectors, else by the content model that serves, which saves learning one."""
    vectors = None if history.facts.vectors is not None else _content_vectors(store_id, history)
    if vectors is None:
        return yardstick_for(task.training, seed=seed)
    counts = interaction_counts(task.training)
    return Yardstick(
        counts,
        self_information(counts),
        popularity_percentiles(counts),
        likeness_of_vectors(vectors, of="texts"),
    )


def _content_vectors(store_id: int, history: LabHistory) -> np.ndarray[Any, Any] | None:
    """float32[n_items, d], zeros for an item that the model doesn't know; None without a model."""
    serving = Artifact.objects.filter(
        store_id=store_id, family=Run.Family.CONTENT, serving=True
    ).first()
    if serving is None:
        return None
    folder = artifact_folder(
        Path(settings.ARTIFACT_DIR),
        store_id=store_id,
        family=serving.family,
        version=serving.version,
    )
    try:
        artifact = artifact_open(folder, verify=False)
        ids, vectors = artifact["item_ids"], artifact["vectors"]
    except ArtifactError as error:
        log.warning("content vectors can't be read", store=store_id, error=str(error))
        return None
    # An increment appends what is new, in no order.
    order = np.argsort(ids, kind="stable")
    rows = IdMap(np.ascontiguousarray(np.asarray(ids)[order], np.int64)).rows_of(
        history.item_ids.ids
    )
    out = np.zeros((history.n_items, vectors.shape[1]), np.float32)
    out[rows >= 0] = np.asarray(vectors)[order[rows[rows >= 0]]]
    return out


def _same_shoppers(task: Task, model: Model, seed: int) -> list[dict[str, Any]]:
    """The same questions with less known of each shopper."""
    out: list[dict[str, Any]] = []
    for at_most in SHORTENED_TO:
        lists: Lists = ask(
            shortened(task, at_most, seed=seed),
            model.recommend,
            clock=time.perf_counter,
            second_table=False,
        ).first
        metrics = accuracy(lists)
        estimates = ratio_estimates(
            {name: metrics[name] for name in ("hr@20", "recall@20")}, seed=seed
        )
        out.append(
            {
                "at_most": at_most,
                "n": len(lists),
                "metrics": {name: asdict(estimate) for name, estimate in estimates.items()},
            }
        )
    return out


def _group(group: Group) -> dict[str, Any]:
    return {
        "label": group.label,
        "n": group.n,
        "metrics": {
            name: asdict(estimate)
            for name, estimate in group.metrics.items()
            if _is_finite(estimate)
        },
    }


def _is_finite(estimate: Estimate) -> bool:
    return isfinite(estimate.value) and isfinite(estimate.low) and isfinite(estimate.high)


def _finite(row: Row) -> Row:
    """Without metrics that are no number (diversity of lists of one): JSON has no such thing."""
    for metrics in (row.metrics, row.metrics_without_repeats):
        for name in [name for name, found in metrics.items() if not _is_finite(found)]:
            del metrics[name]
    return row


def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def _end(run: LabRun, state: str, message: str) -> None:
    """A comparison that was cancelled meanwhile stays cancelled."""
    LabRun.objects.filter(pk=run.pk, state=LabRun.State.RUNNING).update(
        state=state,
        message=message,
        finished_at=timezone.now(),
        step="",
        **({"progress": 1.0} if state == LabRun.State.DONE else {}),
    )
    run.refresh_from_db()
