"""What a query says about its own history, and what models make of it."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recommender.engine.evaluation.cold_start import shortened
from recommender.engine.evaluation.tasks import Task
from recommender.engine.methods.inputs import Purchases, Query, Training
from recommender.engine.methods.registry import METHODS
from recommender.engine.types import SECONDS_PER_DAY, Int32Array


def rows(*values: int) -> Int32Array:
    return np.array(values, np.int32)


@pytest.mark.parametrize(
    ("held", "removed", "allowed"),
    [
        ((1, 2), (), True),
        ((1, 2), (1,), True),
        ((1, 2), (1, 2), False),
        ((1, 2), (7, 8, 9), True),  # what stands above on the page, say
        ((1, 2), (2, 1, 7), False),
        ((-1, 2), (2, -1), False),
        ((-1,), (), False),
        ((), (), False),
        ((), (4,), False),
    ],
)
def test_repeats_are_allowed_where_a_known_item_of_the_history_is_not_removed(
    held: tuple[int, ...], removed: tuple[int, ...], allowed: bool
) -> None:
    assert Query(rows(*held), rows(*removed)).repeats_allowed is allowed
    same = rows(*held)
    if removed == held:
        assert Query(same, same).repeats_allowed is allowed


@pytest.mark.parametrize("key", ["for_you", "for_you_als"])
def test_what_was_viewed_is_an_answer_still_when_less_is_known_of_the_shopper(key: str) -> None:
    # Everybody who viewed 4 bought it; this one bought 0 to 3, and viewed 4 last.
    views = csr_matrix(np.tile(np.array([0, 0, 0, 0, 1], np.float32), (9, 1)))
    buys = csr_matrix(np.array([[1, 1, 1, 1, 1]] * 8 + [[1, 1, 1, 1, 0]], np.float32))
    training = Training(5, shoppers={"purchase": buys, "view_item": views})
    query = Query(
        rows(0, 1, 2, 3, 4),
        removed=rows(0, 1, 2, 3),
        kinds=[("purchase", rows(0, 1, 2, 3)), ("view_item", rows(4))],
    )
    task = Task("multi-behaviour", training, [query], [rows(4)], ("hr@20",))
    model = METHODS[key].fit(training, METHODS[key].parameters({"regularisation": 1.0}), 0)
    assert model.recommend(query, 5).rows.tolist() == [4]
    (less,) = shortened(task, 3, seed=1).queries
    assert 4 in less.rows
    assert model.recommend(less, 5).rows.tolist() == [4]


def test_a_long_history_counts_whole_however_its_lines_are_numbered() -> None:
    # 300 items, two halves; the shopper has all but the last of the second and ten of the first.
    rng = np.random.default_rng(0)
    dense = np.zeros((120, 600), np.float32)
    for shopper in range(120):
        half = 300 * (shopper % 2)
        dense[shopper, half + rng.choice(300, 260, replace=False)] = 1
    method = METHODS["for_you_als"]
    given = method.parameters({"factors": 8, "regularisation": 1.0})
    model = method.fit(Training(600, shoppers={"any": csr_matrix(dense)}), given, 0)
    # First 250 items of the first half, then 205 of the second: the later rows are fewer.
    history = np.concatenate([np.arange(250), 300 + np.arange(205)]).astype(np.int32)
    found = model.recommend(Query(history, removed=history), 20)
    assert (found.rows < 300).mean() > 0.5


def test_what_is_due_is_due_at_the_moment_that_is_asked_about() -> None:
    days = np.array([0, 10, 20, 30, 0, 20]) * SECONDS_PER_DAY
    bought = Purchases(rows(0, 0, 0, 0, 1, 1), rows(0, 0, 0, 0, 1, 1), days)
    training = Training(2, now_s=int(days.max()), purchases=bought)
    method = METHODS["buy_again"]
    model = method.fit(training, method.parameters({"urgency": 0.5, "demand_exponent": 0.0}), 0)

    def asked(at_day: int) -> list[float]:
        query = Query(
            rows(0),
            removed=rows(),
            counts=rows(4),
            last_at_s=days[3:4],
            at_s=at_day * SECONDS_PER_DAY,
        )
        return [float(score) for score in model.recommend(query, 1).scores]

    assert asked(0) == []  # No moment is named: that of the fit, right after the purchase.
    assert asked(42) > asked(31) > []
