"""Strategies that learn whom chance draws, and answers of theirs in the log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from catalog.models import EventType, Product, Shopper, Store
from recommender.engine.online.source_bandit import GRID, N_SITUATIONS
from recommender.models import Impression, Placement, Run
from recommender.selectors.source_bandit import MAX_A_DAY
from recommender.services.publishing import artifact_publish
from recommender.services.training.runs import run_request
from recommender.services.training.trained import Trained
from recommender.serving.runtime import RUNTIMES
from tests.factories import make_event, make_impression, make_shopper


def bandit_document(*sources: str, **fields: Any) -> dict[str, Any]:
    """A strategy of these sources, all alike, in which the bandit fills three in ten places."""
    return {
        "sources": [{"source": name, "weight": 1.0} for name in sources],
        "diversity": 0,
        "fallback": [],
        "exploration": 0.3,
        "explore_by": "bandit",
        **fields,
    }


def hand_made_table(
    store: Store, placement: Placement, chances: Mapping[str, float], *, grid: Any = GRID
) -> Run:
    """Publish a table with the same chances in every situation."""
    told = [
        {"source": name, "shown": 200, "clicked": 10, "low": 0.03, "high": 0.09, "chance": chance}
        for name, chance in chances.items()
    ]
    run = run_request(store=store, family=Run.Family.SOURCE_BANDIT, trigger=Run.Trigger.COMMAND)
    artifact_publish(
        run=run,
        trained=Trained(
            arrays={
                "chances_0": np.tile(
                    np.array(list(chances.values()), np.float32), (N_SITUATIONS, 1)
                )
            },
            parameters={
                "placements": [{"placement_id": placement.pk, "sources": told, "situations": []}],
                "names": sorted(chances),
                "grid": grid,
                "days": 42,
                "half_life_days": 14.0,
                "least_places": 100,
            },
            counts={},
            quality={},
            headline="",
            as_of_s=0.0,
            state={"trials": np.empty((0, 6), np.int64)},
            marks={"delivered_us": 1},
        ),
    )
    RUNTIMES.refresh()
    return run


def random_places(
    placement: Placement,
    shopper: Shopper,
    product: Product,
    *,
    source: str,
    n: int,
    n_clicked: int,
    at: datetime,
    situation: int | None = 0,
    **fields: Any,
) -> list[Any]:
    """Log answers of one place by rank and one given to chance, some of the latter clicked.

    Whatever is more than one shopper is heard for goes to others.
    """
    values: dict[str, Any] = {"propensities": [0.7, 0.1], "sources": ["trending", source], **fields}
    shown = []
    first = Impression.objects.filter(placement_id=placement.pk, delivered_on=at.date()).count()
    for number in range(n):
        who = one_of_many(shopper, (first + number) // MAX_A_DAY)
        answer = make_impression(
            placement.store,
            placement,
            who.external_id,
            [product, product],
            at=at,
            situation=situation,
            **values,
        )
        if number < n_clicked:
            click(answer, who, product, at=at + timedelta(seconds=30))
        shown.append(answer)
    return shown


def one_of_many(shopper: Shopper, number: int) -> Shopper:
    """The shopper, or another one of the same store."""
    if number == 0:
        return shopper
    name = f"{shopper.external_id}-{number}"
    known = Shopper.objects.filter(store=shopper.store, external_id=name).first()
    return known or make_shopper(shopper.store, name)


def click(answer: Any, shopper: Shopper, product: Product, *, at: datetime, **fields: Any) -> None:
    make_event(
        shopper.store,
        shopper,
        product,
        type=EventType.RECOMMENDATION_CLICK,
        at=at,
        recommendation_id=answer.recommendation_id,
        **fields,
    )


def told_of(run: Run, placement: Placement) -> dict[str, tuple[int, int]]:
    """Shown and clicked by source, as a run wrote it down."""
    said: Sequence[dict[str, Any]] = run.parameters["placements"]
    (own,) = [each for each in said if each["placement_id"] == placement.pk]
    return {each["source"]: (each["shown"], each["clicked"]) for each in own["sources"]}
