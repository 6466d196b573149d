"""Whoever changes what a store shows waits for the store before it holds anything else."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.db import connection, transaction

from catalog.models import Store
from recommender.models import (
    EventWeights,
    LabChoice,
    LabRun,
    Placement,
    Rule,
    Segment,
    Strategy,
)
from recommender.services.event_weights import event_weights_save
from recommender.services.lab import lab_use
from recommender.services.placements import PlacementFields, placement_edit, placement_pause
from recommender.services.rules import rule_switch
from recommender.services.segments import segment_create, segment_delete, segment_edit
from recommender.services.strategies import store_lock, strategy_version_create
from recommender.services.strategy_editing import (
    strategy_edit,
    strategy_rename,
    strategy_restore,
)

MEASURED: dict[str, Any] = {
    "key": "svd",
    "title": "SVD",
    "source": None,
    "metrics": {},
    "parameters": {},
    "missing": None,
}
CHANGED = {"sources": [{"source": "new_arrivals", "weight": 1.0}]}


def changes(store: Store) -> dict[str, Callable[[], object]]:
    """Each would change something."""
    placement = Placement.objects.select_related("store", "strategy_version__strategy").get(
        store=store, slug="home-trending"
    )
    strategy = placement.strategy_version.strategy
    version = strategy_version_create(strategy=strategy, document=CHANGED)
    segment = segment_create(
        store=store, name="New ones", document={"type": "new", "days": 1}, member=None
    )
    rule = Rule.objects.create(
        store=store,
        name="Away",
        document={"action": {"type": "exclude"}, "target": {"brands": ["X"]}, "condition": {}},
    )
    event_weights_save(store=store, weights={"purchase": 3.0}, member=None)
    LabChoice.objects.create(store=store, method="slim", title="SLIM", protocol="next-click")
    comparison = LabRun.objects.create(
        store=store,
        state=LabRun.State.DONE,
        settings={"protocol": "next-click"},
        document={"board": {"rows": [MEASURED]}},
    )
    fields = PlacementFields(
        name="Another",
        title="",
        page_type=placement.page_type,
        n_products=4,
        n_minimum=1,
        below_minimum=placement.below_minimum,
        position=1,
        strategy_version_id=version.pk,
    )
    return {
        "placement edited": partial(placement_edit, placement=placement, fields=fields, actor=None),
        "placement paused": partial(placement_pause, placement=placement, paused=True, actor=None),
        "strategy edited": partial(
            strategy_edit,
            strategy=strategy,
            document={"sources": [{"source": "trending", "weight": 2.0}]},
            base_number=version.number,
            note="",
            placements=[placement.slug],
            actor=None,
        ),
        "strategy restored": partial(
            strategy_restore, strategy=strategy, number=1, placements=[placement.slug], actor=None
        ),
        "strategy renamed": partial(
            strategy_rename, strategy=strategy, name="Another", description="", actor=None
        ),
        "rule switched": partial(rule_switch, rule=rule, on=False, member=None),
        "weights saved": partial(
            event_weights_save, store=store, weights={"purchase": 4.0}, member=None
        ),
        "segment edited": partial(
            segment_edit,
            segment=segment,
            name="Newest",
            document={"type": "new", "days": 2},
            member=None,
        ),
        "segment deleted": partial(segment_delete, segment=segment, member=None),
        "Lab's row used": partial(lab_use, run=comparison, method="svd"),
    }


@pytest.mark.django_db(transaction=True)
def test_a_change_that_waits_for_the_store_holds_nothing_that_its_owner_may_want(
    store: Store,
) -> None:
    for what, change in changes(store).items():
        failed: list[BaseException] = []
        waiting = threading.Thread(target=_run, args=(change, failed))
        with transaction.atomic():
            store_lock(store.pk)
            waiting.start()
            assert _somebody_waits(), what
            # What it has to change is free: an experiment that is shipped right now takes it.
            for model in (Placement, Strategy, Segment, Rule, EventWeights, LabChoice):
                rows = model.objects.filter(store=store).select_for_update(skip_locked=True)
                assert len(rows) == model.objects.filter(store=store).count(), (what, model)
        waiting.join(timeout=20)
        assert not waiting.is_alive()
        assert failed == [], what


def _run(change: Callable[[], object], failed: list[BaseException]) -> None:
    try:
        change()
    except Exception as error:  # noqa: BLE001
        failed.append(error)
    finally:
        connection.close()


def _somebody_waits() -> bool:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        with connection.cursor() as cursor:
            # A wait for another transaction names no database; what its process holds does.
            cursor.execute(
                "SELECT count(*) FROM pg_locks WHERE NOT granted AND pid IN (SELECT pid"
                " FROM pg_locks AS held JOIN pg_database AS here ON here.oid = held.database"
                " WHERE here.datname = current_database())"
            )
            if cursor.fetchone()[0]:
                return True
        time.sleep(0.01)
    return False
