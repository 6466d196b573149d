"""Item2vec: what it is compared by, and how a history is folded in."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.engine.errors import EmptyInputError
from recommender.engine.methods.embeddings import METHODS, ItemEmbeddings, fit_item2vec
from recommender.engine.methods.inputs import Query
from recommender.engine.offline.item_embeddings import fit_item_embeddings
from tests.unit.engine.methods.worlds import N_SEEN, checkerboard

ITEM2VEC = METHODS[0]


@given(
    seed=st.integers(0, 999),
    history=st.lists(st.integers(-1, 8), min_size=1, max_size=6),
    decay=st.sampled_from([1.0, 0.5]),
)
def test_scores_are_cosines_to_the_weighted_mean_of_the_history(
    seed: int, history: list[int], decay: float
) -> None:
    vectors = np.random.default_rng(seed).standard_normal((9, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[8] = 0
    model = ItemEmbeddings(vectors, ITEM2VEC.parameters({"position_decay": decay}))
    query = Query(np.array(history, np.int32), removed=np.empty(0, np.int32))
    found = model.scores(query)
    known = [row for row in history if 0 <= row < 8]
    if not known:
        assert found is None
        assert model.unknown(query) is not None
        return
    mean = np.zeros(4)
    for age, row in enumerate(reversed(known)):
        mean += decay**age * vectors[row]
    assert found is not None
    for item in range(8):
        cosine = vectors[item] @ mean / np.linalg.norm(mean)
        assert found[item] == pytest.approx(cosine, abs=1e-4)
    assert np.isneginf(found[8])


def test_vectors_have_length_one_or_none() -> None:
    groups = [np.array([0, 1, 2]), np.array([0, 2]), np.array([4])] * 9
    lengths = np.linalg.norm(fit_item_embeddings(groups, n_items=5, dimensions=6), axis=1)
    assert lengths.round(5).tolist() == [1, 1, 1, 0, 0]


def test_neighbours_are_of_the_same_sessions() -> None:
    world = checkerboard()
    training = replace(world.training, baskets=None)
    model = fit_item2vec(training, ITEM2VEC.parameters({}), 0)
    same = [world.blocks[model.similar(row, 5).rows] == world.blocks[row] for row in range(N_SEEN)]
    assert np.mean(same) > 0.9


def test_the_order_of_the_catalog_says_nothing_about_baskets() -> None:
    # The places in a basket are drawn, so with a window of 1 the seed decides who stands together.
    training = replace(checkerboard().training, sessions=None)
    first = fit_item2vec(training, ITEM2VEC.parameters({"window": 1}), 0)
    other = fit_item2vec(training, ITEM2VEC.parameters({"window": 1}), 1)
    assert first.similar(0, 3).scores.tolist() != other.similar(0, 3).scores.tolist()


def test_nothing_to_stand_beside_is_refused() -> None:
    with pytest.raises(EmptyInputError, match="two items"):
        fit_item_embeddings([np.array([1])], n_items=3)
