"""The Lab: asking for a comparison of methods, cancelling it, and using what won.

Imported by web processes: nothing here trains (`lab_running`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from celery import current_app
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone
from kombu.exceptions import OperationalError

from catalog.models import Store, User
from catalog.services.audit import audit_record
from catalog.services.locks import turn
from recommender.models import LabChoice, LabRun, Run, Strategy
from recommender.selectors.lab import ACTIVE
from recommender.services.lab_shelf import (
    DEFAULT_SEED,
    MAX_MINUTES,
    METHOD_OF,
    PROTOCOL_OF,
)
from recommender.services.strategies import store_lock
from recommender.services.strategy_editing import StrategyRefused, strategy_create
from recommender.services.training.runs import RunActive, run_request
from recommender.serving.strategy import SOURCE_NAMES

CHOSEN = "chosen"
"""The source that serves whatever method a member chose here."""
# A single fit of a method that isn't quick may take this long without a sign of life.
DEAD_AFTER = timedelta(minutes=30)
# Where nothing is being trained, one that was silent for so long is made by nobody.
SILENT_AFTER = timedelta(minutes=2)
# A queued comparison that no worker took is handed over again.
FORGOTTEN_AFTER = timedelta(seconds=30)
KEPT_RUNS = 50

log = structlog.get_logger(__name__)


class LabRefused(Exception):
    """A comparison that can't be made; `fields` says for each field what is wrong."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        self.fields = dict(fields)
        super().__init__("; ".join(fields.values()))


class LabBusy(Exception):
    """A comparison of this store is queued or running already."""

    def __init__(self, active: LabRun | None) -> None:
        self.active = active
        super().__init__("A comparison is on its way already.")


class NotMeasured(Exception):
    """The comparison has no such row, or one without figures."""


@dataclass(frozen=True, slots=True)
class Used:
    """What came of "use this".

    Attributes
    ----------
    strategy
        New, in no placement.
    source
        That it is made of.
    run
        The training that the source still needs; None where it serves already, or where one is on
        (what it lacks is trained after it).
    """

    strategy: Strategy
    source: str
    run: Run | None


def lab_request(
    *,
    store: Store,
    protocol: str,
    methods: Sequence[str],
    minutes: float,
    seed: int = DEFAULT_SEED,
    asked_by: User | None = None,
) -> LabRun:
    """Queue a comparison. Whoever calls it hands it to the workers on commit (`lab_hand_over`).

    Raises
    ------
    LabRefused
        The protocol, a method or the time is none that there is.
    LabBusy
        One is active: the database allows one per store.
    """
    _check(protocol, methods, minutes)
    labs_bury_dead(store=store)
    chosen = [key for key in METHOD_OF if key in methods]
    try:
        with transaction.atomic():
            run = LabRun.objects.create(
                store=store,
                asked_by=asked_by,
                settings={
                    "protocol": protocol,
                    "methods": chosen,
                    "minutes": minutes,
                    "seed": seed,
                },
            )
            if asked_by is not None:
                audit_record(
                    store=store,
                    actor=asked_by,
                    action="lab.start",
                    subject=PROTOCOL_OF[protocol].title,
                    subject_key=str(run.pk),
                    after=run.settings,
                )
    except IntegrityError as error:
        raise LabBusy(LabRun.objects.filter(store=store, state__in=ACTIVE).first()) from error
    _prune(store)
    return run


def lab_hand_over(*, run: LabRun) -> None:
    """Send a queued comparison to the worker that trains, by name: see `run_hand_over`.

    Sent twice, it is made once. While the broker is away it stays queued, and the schedule hands
    it over later.
    """
    try:
        current_app.send_task("recommender.tasks.compare_methods", args=[run.pk], queue="training")
    except OperationalError as error:
        log.warning("the broker is away; the comparison waits", lab=run.pk, error=str(error))


def labs_forgotten() -> list[LabRun]:
    """Queued comparisons that no worker took: another training was on, or the broker forgot."""
    return list(
        LabRun.objects.filter(
            state=LabRun.State.QUEUED, queued_at__lt=timezone.now() - FORGOTTEN_AFTER
        ).order_by("queued_at")
    )


def labs_bury_dead(*, store: Store) -> int:
    """End comparisons without a pulse: their process was killed. What they found stays."""
    return _bury(_silent_for(DEAD_AFTER).filter(store=store))


def labs_bury_killed() -> int:
    """End the comparisons of all stores whose process was killed, or broke, without a word.

    A fit may be silent for long, but whoever makes a comparison has the turn of trainings. Most
    come back to a worker, which ends them (`lab_execute`): not after a crash that lost the queue as
    well, or a fit that took all the time of a task.
    """
    silent = _silent_for(SILENT_AFTER)
    if not silent.exists():
        return 0
    with turn("training") as nobody_trains:
        return _bury(silent) if nobody_trains else 0


def _silent_for(time: timedelta) -> QuerySet[LabRun]:
    return LabRun.objects.filter(state=LabRun.State.RUNNING, heartbeat_at__lt=timezone.now() - time)


def _bury(dead: QuerySet[LabRun]) -> int:
    return dead.update(
        state=LabRun.State.FAILED,
        finished_at=timezone.now(),
        step="",
        message="The process that compared stopped answering.",
    )


def lab_cancel(*, store: Store, lab_id: int, actor: User | None = None) -> LabRun:
    """End a comparison. What was measured so far stays; one that has ended stays as it is.

    The worker notices at its next step: a fit that has begun is finished first.

    Raises
    ------
    LabRun.DoesNotExist
        The store has no such comparison.
    """
    with transaction.atomic():
        run = LabRun.objects.select_for_update(of=("self",)).get(store=store, pk=lab_id)
        if run.state not in ACTIVE:
            return run
        run.state = LabRun.State.CANCELLED
        run.finished_at = timezone.now()
        run.step = ""
        run.save(update_fields=["state", "finished_at", "step"])
        audit_record(
            store=store,
            actor=actor,
            action="lab.cancel",
            subject=PROTOCOL_OF[run.settings["protocol"]].title,
            subject_key=str(run.pk),
        )
    return run


def lab_use(*, run: LabRun, method: str, actor: User | None = None) -> Used:
    """Make a strategy of a row: of the source that serves its method, else of the Lab's choice.

    A store has one choice; another one replaces it, and every strategy with the source "chosen"
    answers by the new one once it is trained. The strategy is shown nowhere until a member puts it
    into a placement. Whoever calls it hands the training over on commit.

    Raises
    ------
    NotMeasured
        The comparison has no figures for this method.
    """
    row = row_of(run, method)
    source = row["source"] if row["source"] in SOURCE_NAMES else CHOSEN
    protocol = PROTOCOL_OF[run.settings["protocol"]]
    estimate = row["metrics"].get(protocol.figure)
    figure = "" if estimate is None else f", {protocol.figure} {estimate['value']:.3f}"
    with transaction.atomic():
        # Two members who use the same row at once get two names.
        store_lock(run.store_id)
        training = None
        if source == CHOSEN:
            training = lab_choose(
                store=run.store,
                method=row["key"],
                title=row["title"],
                protocol=run.settings["protocol"],
                parameters=row["parameters"],
                run=run,
                actor=actor,
            )
        strategy = _strategy(
            run.store,
            title=row["title"],
            description=f"Made in the Lab: {protocol.title.lower()}{figure}.",
            source=source,
            note=f"Comparison {run.pk}{figure}; {parameter_words(row['parameters'])}",
            actor=actor,
        )
    return Used(strategy, source, training)


def row_of(run: LabRun, method: str) -> dict[str, Any]:
    """The row of a measured method.

    Raises
    ------
    NotMeasured
        There is none, or it has no figures.
    """
    rows = run.document.get("board", {}).get("rows", [])
    row: dict[str, Any] | None = next((each for each in rows if each["key"] == method), None)
    if row is None or row["missing"] is not None:
        raise NotMeasured(f"The comparison has no figures for “{method}”.")
    return row


def parameter_words(parameters: Mapping[str, Any]) -> str:
    """Parameters on one line.

    >>> parameter_words({"k": 50, "position_decay": None}), parameter_words({})
    ('k 50, position decay none', 'no parameters')
    """
    words = [
        f"{name.replace('_', ' ')} {'none' if value is None else value}"
        for name, value in parameters.items()
    ]
    return ", ".join(words) or "no parameters"


def lab_choose(
    *,
    store: Store,
    method: str,
    title: str,
    protocol: str,
    parameters: Mapping[str, Any],
    run: LabRun | None = None,
    actor: User | None = None,
) -> Run | None:
    """Let a method of the shelf serve as the source "chosen", and ask for its training.

    Within the transaction of whoever calls it, who hands the training over on commit. None if one
    is active: if that has begun it has read the choice before, and this one is due when it is done.
    """
    before = LabChoice.objects.filter(store=store).first()
    choice, _ = LabChoice.objects.update_or_create(
        store=store,
        defaults={
            "method": method,
            "title": title,
            "parameters": dict(parameters),
            "protocol": protocol,
            "lab_run": run,
            "chosen_by": actor,
            "chosen_at": timezone.now(),
        },
    )
    audit_record(
        store=store,
        actor=actor,
        action="lab.choose",
        subject=choice.title,
        subject_key="" if run is None else str(run.pk),
        before=None if before is None else _said(before),
        after=_said(choice),
    )
    try:
        return run_request(
            store=store,
            family=Run.Family.CHOSEN_METHOD,
            trigger=Run.Trigger.MEMBER,
            requested_by=actor,
        )
    except RunActive:
        return None


def _said(choice: LabChoice) -> dict[str, Any]:
    return {
        "method": choice.method,
        "parameters": choice.parameters,
        "protocol": choice.protocol,
    }


def _strategy(
    store: Store, *, title: str, description: str, source: str, note: str, actor: User | None
) -> Strategy:
    """A strategy of one source, under the first free name."""
    taken = set(
        Strategy.objects.filter(store=store, name__istartswith=f"Lab: {title}").values_list(
            "name", flat=True
        )
    )
    names = (f"Lab: {title}", *(f"Lab: {title} {n}" for n in range(2, len(taken) + 3)))
    lowered = {name.lower() for name in taken}
    for name in names:
        if name.lower() in lowered:
            continue
        return strategy_create(
            store=store,
            name=name,
            description=description,
            document={"sources": [{"source": source, "weight": 1.0}]},
            note=note,
            actor=actor,
        )
    raise StrategyRefused({"name": f"Every name for “{title}” is taken."})


def _check(protocol: str, methods: Collection[str], minutes: float) -> None:
    wrong: dict[str, str] = {}
    if protocol not in PROTOCOL_OF:
        wrong["protocol"] = "Choose what is asked of the methods."
    if not methods or not METHOD_OF.keys() >= set(methods):
        wrong["methods"] = "Tick at least one method."
    if not 0 < minutes <= MAX_MINUTES:
        wrong["minutes"] = f"Between a moment and {MAX_MINUTES:.0f} minutes."
    if wrong:
        raise LabRefused(wrong)


def _prune(store: Store) -> None:
    """Forget the oldest comparisons."""
    old = LabRun.objects.filter(store=store).order_by("-queued_at").values_list("pk", flat=True)
    LabRun.objects.filter(pk__in=list(old[KEPT_RUNS:])).exclude(state__in=ACTIVE).delete()
