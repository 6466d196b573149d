"""An error that nobody expected ends what it broke, in words, so that it can be asked for again."""

from __future__ import annotations

import pytest

from catalog.models import Store
from recommender import tasks
from recommender.models import LabRun, Run
from recommender.services import lab_running
from recommender.services.lab import lab_request
from recommender.services.training import execution
from recommender.services.training.runs import run_request

pytestmark = pytest.mark.django_db(transaction=True)


def break_in_a_library(*_args: object, **_named: object) -> None:
    raise TypeError("can't multiply /secret/path")


WORDS = "It broke with an error that nobody expected (TypeError). The log says where."


def test_a_training_that_breaks_is_over_and_may_be_asked_for_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(execution.FAMILIES, Run.Family.CONTENT, break_in_a_library)
    run = run_request(store=store, family=Run.Family.CONTENT, trigger=Run.Trigger.COMMAND)
    done = tasks.train_family.apply(args=(run.pk,))
    assert done.failed()
    run.refresh_from_db()
    assert (run.state, run.message) == (Run.State.FAILED, WORDS)
    assert run.finished_at is not None
    run_request(store=store, family=Run.Family.CONTENT, trigger=Run.Trigger.COMMAND)


def test_a_comparison_that_breaks_is_over(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab_running._Comparison, "make", break_in_a_library)
    run = lab_request(
        store=store, protocol="next-purchases", methods=["bestsellers"], minutes=1, seed=1
    )
    tasks.compare_methods.apply(args=(run.pk,))
    run.refresh_from_db()
    assert (run.state, run.message) == (LabRun.State.FAILED, WORDS)
