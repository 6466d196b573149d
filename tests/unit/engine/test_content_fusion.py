"""Parts of a product's description fused into one vector, own vectors, topics, shared words."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender.engine.errors import EmptyInputError, InvalidInputError
from recommender.engine.offline import content_own
from recommender.engine.offline.content_own import fit_own_space
from recommender.engine.offline.content_words import Weighting, fit_word_neighbours
from recommender.engine.offline.topics import fit_topics
from recommender.engine.online.content_fusion import fused, fused_cosines
from recommender.engine.types import Float32Array


def units(rng: np.random.Generator, n: int, d: int, *, missing: float) -> Float32Array:
    vectors = rng.standard_normal((n, d)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1)[:, None]
    vectors[rng.random(n) < missing] = 0
    return vectors


@settings(deadline=None)
@given(
    seed=st.integers(0, 9999),
    weights=st.lists(st.sampled_from([0.0, 1.0, 3.0, 50.0]), min_size=3, max_size=3).filter(any),
)
def test_the_cosine_of_the_whole_is_the_weighted_mean_of_the_cosines_of_what_both_have(
    seed: int, weights: list[float]
) -> None:
    rng = np.random.default_rng(seed)
    n = 7
    parts = [
        (weight, units(rng, n, d, missing=0.3))
        for weight, d in zip(weights, (3, 2, 5), strict=True)
    ]
    vectors = fused(parts)
    assert vectors.shape == (n, sum(part.shape[1] for weight, part in parts if weight))
    for i in range(n):
        cosines = fused_cosines(parts, i)
        for j in range(n):
            has_i = sum(weight for weight, part in parts if part[i].any())
            has_j = sum(weight for weight, part in parts if part[j].any())
            shared = sum(weight * float(part[i] @ part[j]) for weight, part in parts)
            expected = shared / math.sqrt(has_i * has_j) if has_i and has_j else 0.0
            assert float(vectors[i] @ vectors[j]) == pytest.approx(expected, abs=1e-5)
            assert float(cosines[j]) == pytest.approx(expected, abs=1e-5)


def test_one_part_alone_is_itself() -> None:
    text = np.eye(3, dtype=np.float32)
    assert fused([(7.0, text), (0.0, np.ones((3, 2), np.float32))]) is text


def test_products_with_the_same_parts_have_the_same_vector_to_the_last_bit() -> None:
    rng = np.random.default_rng(4)
    text, own = units(rng, 50, 64, missing=0.2), units(rng, 50, 48, missing=0.5)
    text[1::2], own[1::2] = text[::2], own[::2]
    vectors = fused([(100.0, text), (50.0, own)])
    assert (vectors[1::2] == vectors[::2]).all()


# ------------------------------------------------------------------------------------ own vectors


@settings(deadline=None)
@given(seed=st.integers(0, 9999), d=st.integers(1, 6))
def test_own_vectors_are_compared_by_their_direction_from_the_mean(seed: int, d: int) -> None:
    rng = np.random.default_rng(seed)
    raw = (rng.standard_normal((9, d)) * rng.uniform(0.1, 100, (9, 1)) + 3).astype(np.float32)
    raw[3] = 0
    space = fit_own_space(raw)
    found = space.embed(raw)
    there = [i for i in range(9) if raw[i].any()]
    unit = {i: raw[i].astype(float) / math.sqrt(sum(float(x) ** 2 for x in raw[i])) for i in there}
    mean = sum(unit.values()) / len(there)
    for i in there:
        for j in there:
            a, b = unit[i] - mean, unit[j] - mean
            lengths = math.sqrt(float(a @ a)) * math.sqrt(float(b @ b))
            if lengths > 1e-4:
                assert float(found[i] @ found[j]) == pytest.approx(float(a @ b) / lengths, abs=5e-3)
    assert not found[3].any()


def test_many_dimensions_are_cut_to_those_in_which_the_products_differ() -> None:
    rng = np.random.default_rng(2)
    # What there is to know lies in five dimensions of three hundred.
    flat = rng.standard_normal((200, 5)) @ rng.standard_normal((5, 300))
    raw = flat.astype(np.float32)
    exact = fit_own_space(raw, dimensions=300).embed(raw)
    short = fit_own_space(raw, dimensions=16).embed(raw)
    assert short.shape == (200, 16)
    np.testing.assert_allclose(short @ short.T, exact @ exact.T, atol=2e-3)
    assert (fit_own_space(raw, dimensions=16).embed(raw) == short).all()


def test_the_same_own_vector_is_the_same_whatever_stands_beside_it() -> None:
    rng = np.random.default_rng(3)
    raw = rng.standard_normal((70, 200)).astype(np.float32)
    raw[35:] = raw[:35]
    space = fit_own_space(raw)
    found = space.embed(raw)
    assert (found[35:] == found[:35]).all()
    assert (space.embed(raw[4:5]) == found[4]).all()
    assert (space.embed(raw[9:12]) == found[9:12]).all()


def test_directions_are_found_on_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content_own, "NUMBERS", 20 * 90)
    rng = np.random.default_rng(5)
    raw = (rng.standard_normal((100, 3)) @ rng.standard_normal((3, 90))).astype(np.float32)
    space = fit_own_space(raw, dimensions=8)
    exact = fit_own_space(raw, dimensions=90).embed(raw)
    short = space.embed(raw)
    np.testing.assert_allclose(short @ short.T, exact @ exact.T, atol=5e-3)


def test_own_vectors_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(EmptyInputError, match="none of the 3"):
        fit_own_space(np.zeros((3, 4), np.float32))
    space = fit_own_space(np.eye(4, dtype=np.float32))
    with pytest.raises(InvalidInputError, match="have 4 numbers here, not 5"):
        space.embed(np.ones((1, 5), np.float32))
    # All the same: they tell nobody apart.
    same = fit_own_space(np.full((6, 4), 0.3, np.float32))
    assert not same.embed(np.full((6, 4), 0.3, np.float32)).any()


# ------------------------------------------------------------------------------- words and topics


@settings(deadline=None)
@given(
    texts=st.lists(st.lists(st.sampled_from("abcdef"), max_size=5), min_size=1, max_size=8),
    weighting=st.sampled_from(Weighting),
)
def test_words_are_compared_as_worked_out_word_by_word(
    texts: list[list[str]], weighting: Weighting
) -> None:
    n = len(texts)
    found = fit_word_neighbours(texts, weighting=weighting, k=n)

    def idf(word: str) -> float:
        return 1 + math.log((1 + n) / (1 + sum(word in text for text in texts)))

    def vector(text: list[str]) -> dict[str, float]:
        counted = {
            word: text.count(word) * (idf(word) if weighting is Weighting.IDF else 1)
            for word in set(text)
        }
        length = math.sqrt(sum(value**2 for value in counted.values()))
        return {word: value / length for word, value in counted.items()}

    vectors = [vector(text) for text in texts]
    for i in range(n):
        cosines = {
            j: sum(value * vectors[j].get(word, 0) for word, value in vectors[i].items())
            for j in range(n)
            if j != i
        }
        expected = {j: cosine for j, cosine in cosines.items() if cosine > 0}
        rows = found.indices[i][found.indices[i] >= 0].tolist()
        assert set(rows) == set(expected)
        for row, score in zip(rows, found.scores[i].tolist(), strict=False):
            assert score == pytest.approx(expected[row], abs=1e-5)


def test_a_word_of_the_whole_catalog_compares_nothing() -> None:
    texts = [[f"only-{number}", "new"] for number in range(600)]
    assert (fit_word_neighbours(texts, k=3).indices == -1).all()


def test_two_themes_become_two_topics_and_a_mixture_lies_between_them() -> None:
    tea = [["tea", "cup"], ["tea", "leaf"], ["cup", "leaf"], ["tea", "cup", "leaf"]]
    tools = [["nail", "saw"], ["saw", "bolt"], ["nail", "bolt"], ["nail", "saw", "bolt"]]
    found = fit_topics([*tea, *tools, [], ["tea", "cup", "nail", "saw"]], topics=2, iterations=50)
    vectors = found.vectors()
    affinity = vectors @ vectors.T
    assert affinity[:4, :4].min() > affinity[:4, 4:8].max() + 0.3
    assert affinity[4:8, 4:8].min() > affinity[:4, 4:8].max() + 0.3
    assert affinity[9, :8].min() > 0.5
    assert not vectors[8].any()
    np.testing.assert_allclose(found.topic_words.sum(axis=1), 1, atol=1e-5)
    of_tea = int(found.item_topics[0].argmax())
    best = found.topic_words[of_tea].argsort()[-3:]
    assert {found.vocabulary[word] for word in best} == {"tea", "cup", "leaf"}


def test_the_affinity_of_mixtures_is_one_minus_the_square_of_hellingers_distance() -> None:
    found = fit_topics([["a", "b"], ["b", "c"], ["c", "d", "d"]], topics=3)
    p, q = found.item_topics[0].astype(float), found.item_topics[2].astype(float)
    distance = math.sqrt(sum((math.sqrt(a) - math.sqrt(b)) ** 2 for a, b in zip(p, q, strict=True)))
    vectors = found.vectors()
    assert float(vectors[0] @ vectors[2]) == pytest.approx(1 - distance**2 / 2, abs=1e-5)


def test_topics_are_the_same_for_a_seed_and_equal_texts() -> None:
    texts = [["a", "b"], ["b", "c"], ["a", "b"], ["c", "d"]]
    first, again = fit_topics(texts, topics=3, seed=4), fit_topics(texts, topics=3, seed=4)
    assert (first.item_topics == again.item_topics).all()
    assert (first.item_topics[0] == first.item_topics[2]).all()
    with pytest.raises(EmptyInputError):
        fit_topics([[], []])
