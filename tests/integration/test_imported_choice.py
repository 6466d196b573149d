"""The Lab's choice as a configuration file brought it, where anybody may have typed into it."""

from __future__ import annotations

from typing import Any

import pytest

from catalog.models import Store
from recommender.models import LabChoice, Run
from recommender.services.training.execution import run_execute
from recommender.services.training.runs import run_request


@pytest.mark.parametrize("k", ["many", 2.5, True, [50], {"most": 50}])
def test_a_parameter_that_the_method_cannot_read_is_named_and_ends_the_training(
    store: Store, k: Any
) -> None:
    LabChoice.objects.create(
        store=store,
        method="item_knn_cosine",
        title="Item kNN, cosine",
        protocol="basket-completion",
        parameters={"k": k, "shrinkage": 5, "position_decay": None, "gone": "whatever"},
    )

    run = run_execute(
        run=run_request(store=store, family=Run.Family.CHOSEN_METHOD, trigger=Run.Trigger.COMMAND)
    )

    assert run.state == Run.State.REJECTED
    assert run.message == "Item kNN, cosine can't be learned with what its file says of k."
