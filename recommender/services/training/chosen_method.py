"""The Lab's choice: neighbour lists of whatever method a member chose, for the source "chosen"."""

from __future__ import annotations

from typing import Any

import numpy as np

from recommender.engine.errors import EmptyInputError
from recommender.engine.evaluation.asking import accuracy, ask
from recommender.engine.evaluation.measuring import asking_order
from recommender.engine.methods.base import Method, Model
from recommender.engine.methods.registry import METHODS, missing_for
from recommender.engine.types import NO_ROW, Neighbours
from recommender.models import LabChoice
from recommender.selectors.lab import lab_choice
from recommender.selectors.lab_data import lab_tasks, lab_training
from recommender.selectors.lab_history import LabHistory, lab_history_of
from recommender.services.lab_shelf import DEFAULT_SEED, MIN_QUERIES, PROTOCOL_OF, TEST_DAYS
from recommender.services.training.trained import NotEnoughData, Report, Trained, TrainingData

NEIGHBOURS = 50
QUALITY_QUERIES = 500


def train_chosen_method(data: TrainingData, report: Report) -> Trained:
    """Fit the chosen method on everything, and keep its best partners of every product.

    Whatever a method has learned, lists of partners are served in the time of any other source;
    what it knows of a whole history beyond them is lost.

    Raises
    ------
    NotEnoughData
        Nobody has chosen a method, it isn't there any more, its parameters are none of it, or there
        is nothing to learn from.
    """
    choice = lab_choice(store_id=data.store_id)
    if choice is None:
        raise NotEnoughData("No method was chosen in the Lab yet.")
    method = METHODS.get(choice.method)
    if method is None or choice.protocol not in PROTOCOL_OF:
        raise NotEnoughData(f"This version of Vitrine has no “{choice.title}”: choose another one.")
    if wrong := _odd(choice, method):
        names = ", ".join(wrong)
        raise NotEnoughData(f"{choice.title} can't be learned with what its file says of {names}.")
    history = lab_history_of(store_id=data.store_id, products=data.products, events=data.events)
    report("Measuring on the latest days", 0.05)
    quality = _quality(history, choice)
    report(f"Learning: {choice.title}", 0.35)
    try:
        training = lab_training(history, choice.protocol)
    except EmptyInputError as error:
        raise NotEnoughData(f"{choice.title}: {error}.") from error
    if (why := missing_for(method, training)) is not None:
        raise NotEnoughData(f"{choice.title}: {why}.")
    model = method.fit(training, method.parameters(_known(choice)), DEFAULT_SEED)
    report("Partners of every product", 0.6)
    neighbours = neighbour_lists(model, history.n_items, report)
    return Trained(
        arrays={
            "item_ids": history.item_ids.ids,
            "neighbour_rows": neighbours.indices,
            "neighbour_scores": neighbours.scores,
        },
        parameters={
            "method": choice.method,
            "protocol": choice.protocol,
            # As the method calls itself: explanations of what it shows say these words.
            "title": method.title,
            "because": method.because,
            "otherwise": method.otherwise,
            **_known(choice),
        },
        counts={
            "products": history.n_items,
            "events": len(history.events),
            "products_with_neighbours": int((neighbours.indices[:, 0] >= 0).sum()),
        },
        quality=quality,
        headline=_figure(choice),
        as_of_s=float(data.newest_s),
        marks=data.watermark.marks,
    )


def neighbour_lists(model: Model, n_items: int, report: Report) -> Neighbours:
    """The partners of every item, best first.

    Scores of some methods are products of vectors, and may be below zero: then places count, as
    ``1 / place``, since serving adds up what several products say.
    """
    rows = np.full((n_items, NEIGHBOURS), NO_ROW, np.int32)
    scores = np.zeros((n_items, NEIGHBOURS), np.float32)
    for row in range(n_items):
        found = model.similar(row, NEIGHBOURS)
        rows[row, : len(found)] = found.rows
        scores[row, : len(found)] = found.scores
        if row % 1_000 == 0:
            report("Partners of every product", 0.6 + 0.35 * row / n_items)
    there = rows >= 0
    if (scores[there] <= 0).any():
        places = 1.0 / np.arange(1, NEIGHBOURS + 1, dtype=np.float32)
        scores = np.where(there, places, np.float32(0))
    return Neighbours(rows, scores)


def _quality(history: LabHistory, choice: LabChoice) -> dict[str, float]:
    """The figure that the comparison was decided by, again, on the latest days."""
    method = METHODS[choice.method]
    try:
        tasks = lab_tasks(
            history,
            choice.protocol,
            days=TEST_DAYS,
            min_queries=MIN_QUERIES,
            seed=DEFAULT_SEED,
        )
    except EmptyInputError:
        return {}
    task = tasks.test
    if missing_for(method, task.training) is not None:
        return {}
    model = method.fit(task.training, method.parameters(_known(choice)), DEFAULT_SEED)
    sample = asking_order(len(task.queries), seed=DEFAULT_SEED)[:QUALITY_QUERIES]
    lists = ask(
        task, model.recommend, clock=_no_clock, positions=sample.tolist(), second_table=False
    ).first
    value = accuracy(lists)[PROTOCOL_OF[choice.protocol].figure].mean()
    return {_figure(choice): round(float(value), 4), "n_test_queries": float(len(lists))}


def _figure(choice: LabChoice) -> str:
    """With the method's name: another method isn't held against the one before, since a member
    has compared them already."""
    return f"{choice.method}_{PROTOCOL_OF[choice.protocol].figure.replace('@', '_at_')}"


def _known(choice: LabChoice) -> dict[str, Any]:
    """The tuned parameters that the method still has."""
    return {
        name: value
        for name, value in choice.parameters.items()
        if name in METHODS[choice.method].defaults
    }


def _odd(choice: LabChoice, method: Method) -> list[str]:
    """Parameters of another type than the method tries: an imported configuration may say anything."""
    wrong = []
    for name, value in _known(choice).items():
        kinds = {type(each) for each in (method.defaults[name], *method.grid.get(name, ()))}
        if type(value) not in kinds and not (type(value) is int and float in kinds):
            wrong.append(name)
    return wrong


def _no_clock() -> float:
    return 0.0
