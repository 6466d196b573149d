"""Networks: what they compute, what they are taught with, and that they learn a small world."""

import math
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from recommender.engine.errors import EmptyInputError, InvalidInputError
from recommender.engine.methods import neural
from recommender.engine.methods.base import Method
from recommender.engine.methods.inputs import Query, Training
from recommender.engine.methods.neural import GruSession, TwoTowers
from recommender.engine.neural.attention import fit_attention
from recommender.engine.neural.batches import Sampler, pieces_of, shuffled_batches
from recommender.engine.neural.forward import (
    AttentionModel,
    Block,
    GruModel,
    Norm,
    TowerModel,
    attention_state,
    gru_state,
    tower_state,
)
from recommender.engine.neural.gru import fit_gru
from recommender.engine.neural.training import Schedule
from recommender.engine.types import Float32Array, Int32Array, Int64Array, Sessions

METHODS: dict[str, Method] = {method.key: method for method in neural.METHODS}
NOTHING = np.empty(0, np.int32)
RING = 12

needs_torch = pytest.mark.skipif(
    find_spec("torch") is None, reason="the extra vitrine[neural] is not installed"
)
histories = st.lists(st.integers(0, 5), min_size=1, max_size=9)
seeds = st.integers(0, 999)


@pytest.fixture
def torch() -> Iterator[ModuleType]:
    found: ModuleType = pytest.importorskip(
        "torch", reason="the extra vitrine[neural] is not installed"
    )
    threads = found.get_num_threads()
    yield found
    assert found.get_num_threads() == threads


def normal(rng: np.random.Generator, *shape: int) -> Float32Array:
    return rng.normal(0, 0.7, shape).astype(np.float32)


def gru_model(seed: int, d: int = 3, max_length: int = 5) -> GruModel:
    rng = np.random.default_rng(seed)
    return GruModel(
        normal(rng, 6, d),
        normal(rng, 6),
        normal(rng, 3 * d, d),
        normal(rng, 3 * d, d),
        normal(rng, 3 * d),
        normal(rng, 3 * d),
        max_length,
    )


def attention_model(seed: int, d: int = 4, max_length: int = 5) -> AttentionModel:
    rng = np.random.default_rng(seed)

    def norm() -> Norm:
        return Norm(normal(rng, d), normal(rng, d))

    def square() -> Float32Array:
        return normal(rng, d, d)

    blocks = tuple(
        Block(
            attention_norm=norm(),
            query=square(),
            key=square(),
            value=square(),
            output=square(),
            network_norm=norm(),
            inner_weights=square(),
            inner_biases=normal(rng, d),
            outer_weights=square(),
            outer_biases=normal(rng, d),
        )
        for _ in range(2)
    )
    return AttentionModel(
        normal(rng, 6, d), normal(rng, 6), normal(rng, max_length, d), blocks, norm(), heads=2
    )


def tower_model(seed: int, d: int = 3) -> TowerModel:
    rng = np.random.default_rng(seed)
    return TowerModel(
        normal(rng, 6, d), normal(rng, 6), normal(rng, 6, d), normal(rng, d, d), normal(rng, d)
    )


def schedule(**given: float) -> Schedule:
    small = Schedule(
        epochs=1, batch_size=32, learning_rate=0.02, dropout=0.0, negatives=64, min_steps=150
    )
    return replace(small, **given)  # type: ignore[arg-type]


def ring_walks(n: int = 60, seed: int = 0) -> Sessions:
    """Sessions that walk along a ring, whoever starts where."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(2, 8, n)
    walks = [
        (start + np.arange(length)) % RING
        for start, length in zip(rng.integers(RING, size=n), lengths, strict=True)
    ]
    return Sessions(
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        np.concatenate(walks).astype(np.int32),
        np.arange(n),
    )


# ------------------------------------------------------------------------------- what is computed


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


@given(seed=seeds, history=histories)
def test_a_recurrent_state_is_the_one_of_plain_loops(seed: int, history: list[int]) -> None:
    model = gru_model(seed)
    d = model.item_vectors.shape[1]
    state = [0.0] * d
    for place in history[-model.max_length :]:
        click = model.item_vectors[place].tolist()

        def gate(k: int, x: list[float] = click) -> float:
            return float(np.dot(model.input_weights[k], x) + model.input_biases[k])

        def kept(k: int, h: list[float] = state) -> float:
            return float(np.dot(model.hidden_weights[k], h) + model.hidden_biases[k])

        after = []
        for i in range(d):
            reset = sigmoid(gate(i) + kept(i))
            update = sigmoid(gate(d + i) + kept(d + i))
            new = math.tanh(gate(2 * d + i) + reset * kept(2 * d + i))
            after.append((1 - update) * new + update * state[i])
        state = after
    expected = np.array(state) + model.item_vectors[history[-1]]
    np.testing.assert_allclose(gru_state(model, np.array(history)), expected, rtol=1e-4, atol=1e-5)


@given(seed=seeds, history=histories)
def test_an_attentive_state_is_the_one_of_plain_loops(seed: int, history: list[int]) -> None:
    model = attention_model(seed)
    read = history[-len(model.position_vectors) :]
    size = model.item_vectors.shape[1] // model.heads

    def normed(x: Float32Array, norm: Norm) -> Float32Array:
        out: Float32Array = (x - x.mean()) / np.sqrt(x.var() + 1e-5) * norm.scale + norm.shift
        return out

    clicks = [model.item_vectors[p] + model.position_vectors[i] for i, p in enumerate(read)]
    for block in model.blocks:
        after = []
        for last in range(len(clicks)):
            seen = [normed(click, block.attention_norm) for click in clicks[: last + 1]]
            found = []
            for head in range(model.heads):
                part = slice(head * size, (head + 1) * size)
                query = (block.query @ seen[-1])[part]
                ties = [float(query @ (block.key @ x)[part]) / math.sqrt(size) for x in seen]
                total = sum(math.exp(tie) for tie in ties)
                shares = [math.exp(tie) / total for tie in ties]
                values = [(block.value @ x)[part] for x in seen]
                found.append(sum(s * v for s, v in zip(shares, values, strict=True)))
            click = clicks[last] + block.output @ np.concatenate(found)
            inner = block.inner_weights @ normed(click, block.network_norm) + block.inner_biases
            after.append(click + block.outer_weights @ np.maximum(inner, 0) + block.outer_biases)
        clicks = after
    expected = normed(clicks[-1], model.last_norm)
    found_state = attention_state(model, np.array(history))
    np.testing.assert_allclose(found_state, expected, rtol=1e-3, atol=1e-4)


@given(seed=seeds, history=st.lists(st.integers(0, 5), min_size=1, max_size=6, unique=True))
def test_a_tower_adds_up_a_history_of_any_length_in_any_order(
    seed: int, history: list[int]
) -> None:
    model = tower_model(seed)
    weights = np.random.default_rng(seed).uniform(0.1, 3, len(history)).astype(np.float32)
    length = math.sqrt(sum(float(w) ** 2 for w in weights))
    total = sum(
        float(w) / length * model.history_vectors[p] for p, w in zip(history, weights, strict=True)
    )
    expected = [
        math.tanh(float(np.dot(line, total)) + float(bias))
        for line, bias in zip(model.tower_weights, model.tower_biases, strict=True)
    ]
    found = tower_state(model, np.array(history), weights)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    again = tower_state(model, np.array(history[::-1]), 10 * weights[::-1])
    np.testing.assert_allclose(again, found, rtol=1e-4, atol=1e-5)


def test_arrays_that_do_not_fit_are_refused() -> None:
    gru, attention, tower = gru_model(0), attention_model(0), tower_model(0)
    with pytest.raises(InvalidInputError, match="5 biases"):
        replace(gru, item_biases=gru.item_biases[:5])
    with pytest.raises(InvalidInputError, match=r"must be \(9, 3\)"):
        replace(gru, hidden_weights=gru.hidden_weights[:6])
    with pytest.raises(InvalidInputError, match="3 heads"):
        replace(attention, heads=3)
    with pytest.raises(InvalidInputError, match="history vectors"):
        replace(tower, history_vectors=tower.history_vectors[:5])


# ------------------------------------------------------------------------- what is taught with


@given(lengths=st.lists(st.integers(0, 9), min_size=1, max_size=8), max_length=st.integers(1, 4))
def test_every_click_but_the_first_of_a_session_is_foreseen_once(
    lengths: list[int], max_length: int
) -> None:
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    pieces = pieces_of(offsets, np.arange(int(offsets[-1])), max_length=max_length)
    assert (pieces.lengths >= 2).all()
    assert (pieces.lengths <= max_length + 1).all()
    if not len(pieces):
        assert max(lengths) < 2
        return
    read, following, there = pieces.batch(np.arange(len(pieces)))
    # Clicks are numbered, so what follows a click is the next number.
    assert (following[there] == read[there] + 1).all()
    foreseen = sorted(following[there].tolist())
    assert foreseen == sorted(set(range(int(offsets[-1]))) - set(offsets[:-1].tolist()))


@given(n=st.integers(1, 200), size=st.integers(1, 40), seed=seeds)
def test_an_epoch_sees_every_history_once(n: int, size: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    batches = list(shuffled_batches(rng.integers(1, 9, n), batch_size=size, rng=rng))
    assert sorted(np.concatenate(batches).tolist()) == list(range(n))
    assert all(len(batch) <= size for batch in batches)


def test_a_batch_holds_sessions_of_like_length() -> None:
    rng = np.random.default_rng(0)
    lengths = np.repeat([2, 20], 320)
    batches = list(shuffled_batches(lengths, batch_size=32, rng=rng))
    assert sum(len(set(lengths[batch].tolist())) == 1 for batch in batches) == len(batches)


def test_items_are_drawn_as_often_as_the_sampler_says() -> None:
    counts = np.array([1, 16, 81, 0])
    sampler = Sampler(np.maximum(counts, 1), size=100, exponent=0.5, seed=3)
    drawn = np.bincount(np.concatenate([sampler.draw() for _ in range(400)]), minlength=4) / 400
    # Shares 1 : 4 : 9 : 1 of 100 draws; six standard errors of the mean of 400 steps.
    expected = [100 / 15, 80 / 3, 60, 100 / 15]
    np.testing.assert_allclose(np.exp(sampler.log_expected), expected, rtol=1e-5)
    np.testing.assert_allclose(drawn, expected, atol=6 * 5 / 20)
    again = Sampler(np.maximum(counts, 1), size=100, exponent=0.5, seed=3)
    other = Sampler(np.maximum(counts, 1), size=100, exponent=0.5, seed=4)
    first = again.draw().tolist()
    assert first == Sampler(np.maximum(counts, 1), size=100, exponent=0.5, seed=3).draw().tolist()
    assert first != other.draw().tolist()


# ------------------------------------------------------------------------------------ the answers


def rows(*given: int) -> Int32Array:
    return np.array(given, np.int32)


def test_items_that_were_not_learned_have_no_score_and_say_nothing() -> None:
    learned = rows(1, 2, 4, 6, 7, 9)
    model = GruSession(gru_model(1), learned, 11)
    scores = model.scores(Query(rows(4, 1), removed=NOTHING))
    assert scores is not None
    assert np.isfinite(scores).nonzero()[0].tolist() == learned.tolist()
    with_strangers = model.scores(Query(rows(-1, 4, 3, 1, 10), removed=NOTHING))
    assert with_strangers is not None
    assert with_strangers.tolist() == scores.tolist()
    nobody = Query(rows(-1, 3, 10), removed=NOTHING)
    assert model.scores(nobody) is None
    assert len(model.recommend(nobody, 5)) == 0
    assert model.unknown(nobody) is not None
    assert len(model.recommend(Query(rows(4), removed=rows(4)), 99)) == 5


def test_the_reason_is_the_item_of_the_history_that_is_most_like_the_answer() -> None:
    vectors = np.array([[1, 0], [0, 1], [0.9, 0.1], [0.1, 0.9], [5, 5]], np.float32)
    network = replace(
        tower_model(0, d=2),
        item_vectors=vectors,
        item_biases=np.zeros(5, np.float32),
        history_vectors=vectors,
    )
    model = TwoTowers(network, rows(0, 1, 2, 3, 4), 5, {})
    query = Query(rows(0, 1), removed=NOTHING)
    # Nothing is shown because of itself.
    assert model.because(query, rows(2, 3, 0, 1)).tolist() == [0, 1, 1, 0]
    # Length says how popular an item is, not how alike.
    assert model.because(Query(rows(4, 0), removed=NOTHING), rows(2)).tolist() == [0]
    assert model.because(Query(rows(-1), removed=NOTHING), rows(2)).tolist() == [-1]
    assert model.because(query, NOTHING).tolist() == []


def test_views_count_for_a_tower_as_much_as_its_parameters_say() -> None:
    model = TwoTowers(tower_model(2), np.arange(6, dtype=np.int32), 6, {"weight_view_item": 0.0})
    both = Query(rows(1, 4), removed=NOTHING, kinds=(("purchase", rows(1)), ("view_item", rows(4))))
    alone = model.scores(Query(rows(1), removed=NOTHING))
    found = model.scores(both)
    assert alone is not None
    assert found is not None
    assert found.tolist() == alone.tolist()


def test_nothing_imports_torch_before_something_is_fitted() -> None:
    code = "import sys, recommender.engine.methods.neural; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]


# ------------------------------------------------------------------- the same as PyTorch computes


@needs_torch
def test_a_recurrent_state_is_the_one_that_was_trained(torch: ModuleType) -> None:
    model = gru_model(5, max_length=9)
    network = torch.nn.GRU(3, 3, batch_first=True)
    network.load_state_dict(
        {
            "weight_ih_l0": torch.from_numpy(model.input_weights),
            "weight_hh_l0": torch.from_numpy(model.hidden_weights),
            "bias_ih_l0": torch.from_numpy(model.input_biases),
            "bias_hh_l0": torch.from_numpy(model.hidden_biases),
        }
    )
    history = [0, 5, 3, 3, 1, 2]
    given = torch.from_numpy(model.item_vectors[history][None])
    states = (network(given)[0] + given).detach().numpy()[0]
    for last in range(1, len(history) + 1):
        found = gru_state(model, np.array(history[:last]))
        np.testing.assert_allclose(found, states[last - 1], rtol=1e-4, atol=1e-6)


@needs_torch
def test_an_attentive_state_is_the_one_that_was_trained(torch: ModuleType) -> None:
    from recommender.engine.neural import attention

    model = attention_model(5, max_length=9)
    layers = [
        {
            name: torch.from_numpy(array)
            for name, array in {
                **{n: getattr(block, n) for n in ("query", "key", "value", "output")},
                **{f"{n}_weights": getattr(block, f"{n}_weights") for n in ("inner", "outer")},
                **{f"{n}_biases": getattr(block, f"{n}_biases") for n in ("inner", "outer")},
                "attention_scale": block.attention_norm.scale,
                "attention_shift": block.attention_norm.shift,
                "network_scale": block.network_norm.scale,
                "network_shift": block.network_norm.shift,
            }.items()
        }
        for block in model.blocks
    ]
    history = [0, 5, 3, 3, 1, 2]
    # Two sessions side by side, the second one padded.
    read = np.array([history, [4, 2, 0, 0, 0, 0]])
    clicks = torch.from_numpy(model.item_vectors[read] + model.position_vectors[: len(history)])
    for layer in layers:
        clicks = attention._block(clicks, layer, model.heads, dropout=0.0)
    states = attention._normed(
        clicks, torch.from_numpy(model.last_norm.scale), torch.from_numpy(model.last_norm.shift)
    ).numpy()
    for last in range(1, len(history) + 1):
        found = attention_state(model, np.array(history[:last]))
        np.testing.assert_allclose(found, states[0, last - 1], rtol=1e-3, atol=1e-5)
    found = attention_state(model, np.array([4, 2]))
    np.testing.assert_allclose(found, states[1, 1], rtol=1e-3, atol=1e-5)


@needs_torch
@pytest.mark.parametrize("owned", [False, True])
@pytest.mark.parametrize("drawn", [None, [2, 2, 5, 0]])
def test_the_loss_is_the_one_of_plain_loops(
    torch: ModuleType, owned: bool, drawn: list[int] | None
) -> None:
    from recommender.engine.neural.losses import softmax_loss
    from recommender.engine.neural.training import Lesson

    rng = np.random.default_rng(0)
    states, vectors, biases = normal(rng, 3, 4), normal(rng, 7, 4), normal(rng, 7)
    rarity = normal(rng, 7)
    owners = [0, 0, 1, 2, 2] if owned else [0, 1, 2]
    targets = [3, 2, 6, 4, 1][: len(owners)]
    losses = []
    for owner, target in zip(owners, targets, strict=True):
        scores = vectors @ states[owner] + biases
        held = list(range(7))
        if drawn is not None:
            # Towers have many right answers each, so there a drawn one may be a right one.
            held = [target, *(item for item in drawn if owned or item != target)]
        weights = np.ones(7) if drawn is None else np.exp(-rarity)
        # The target counts as it is, whatever is drawn.
        counted = [1.0, *weights[held[1:]]] if drawn is not None else weights.tolist()
        below = sum(math.exp(scores[i]) * w for i, w in zip(held, counted, strict=True))
        losses.append(math.log(below) - float(scores[target]))
    lesson = Lesson(
        torch.from_numpy(vectors),
        torch.from_numpy(biases),
        torch.empty(0),
        torch.tensor(targets),
        None if drawn is None else torch.tensor(drawn),
        None if drawn is None else torch.from_numpy(rarity),
    )
    found = softmax_loss(torch.from_numpy(states), lesson, torch.tensor(owners) if owned else None)
    assert float(found) == pytest.approx(np.mean(losses), rel=1e-5)


@needs_torch
def test_the_loss_over_drawn_items_comes_near_the_one_over_all(torch: ModuleType) -> None:
    from recommender.engine.neural.losses import softmax_loss
    from recommender.engine.neural.training import Lesson

    rng = np.random.default_rng(0)
    counts = rng.integers(1, 100, 50)
    # Popular items are the likely answers, as in a shop.
    arrays = normal(rng, 50, 4), normal(rng, 50) + np.log(counts).astype(np.float32)
    vectors, biases = (torch.from_numpy(array) for array in arrays)
    likely = rng.choice(50, 400, p=counts / counts.sum())
    states, targets = torch.from_numpy(normal(rng, 400, 4)), torch.from_numpy(likely)
    whole = float(softmax_loss(states, Lesson(vectors, biases, torch.empty(0), targets)))
    sampler = Sampler(counts, size=2000, exponent=0.75, seed=1)
    rarity = torch.from_numpy(sampler.log_expected)
    found = [
        Lesson(vectors, biases, torch.empty(0), targets, torch.from_numpy(sampler.draw()), rarity)
        for _ in range(20)
    ]
    drawn = np.mean([float(softmax_loss(states, lesson)) for lesson in found])
    assert drawn == pytest.approx(whole, rel=0.02)


@needs_torch
@given(seed=seeds, n=st.integers(1, 6), drawn=st.lists(st.integers(0, 5), min_size=1, max_size=8))
def test_a_sum_of_scores_and_its_slopes_are_those_of_torch(
    seed: int, n: int, drawn: list[int]
) -> None:
    import torch

    from recommender.engine.neural.losses import _equal_pairs, log_sums

    rng = np.random.default_rng(seed)
    targets, columns = rng.integers(0, 6, n), np.array(drawn)
    equal = targets[:, None] == columns[None, :]
    pairs = _equal_pairs(targets, columns)
    assert set(zip(*(part.tolist() for part in pairs), strict=True)) == set(
        zip(*(part.tolist() for part in equal.nonzero()), strict=True)
    )
    # A line that is left out as a whole has no sum to compare.
    kept = ~equal.all(axis=1)
    slope = torch.from_numpy(normal(rng, n) * kept)
    arrays = normal(rng, n, 3), normal(rng, len(drawn), 3), normal(rng, len(drawn))
    mine = tuple(torch.from_numpy(array.copy()).requires_grad_() for array in arrays)
    states, vectors, biases = mine
    plain = [torch.from_numpy(array.copy()).requires_grad_() for array in arrays]
    found = log_sums(states, vectors, biases, pairs)
    table = plain[0] @ plain[1].T + plain[2]
    expected = torch.logsumexp(table.masked_fill(torch.from_numpy(equal), -1e9), dim=1)
    np.testing.assert_allclose(found.detach()[kept], expected.detach()[kept], rtol=1e-4, atol=1e-5)
    found.backward(slope)
    expected.backward(slope)
    for one, other in zip(mine, plain, strict=True):
        np.testing.assert_allclose(one.grad, other.grad, rtol=1e-3, atol=1e-5)


@needs_torch
@given(seed=seeds)
def test_a_loss_of_many_targets_is_the_one_of_their_list(seed: int) -> None:
    import torch

    from recommender.engine.neural.losses import multinomial_loss, softmax_loss
    from recommender.engine.neural.training import Lesson

    rng = np.random.default_rng(seed)
    wanted = (rng.random((4, 7)) < 0.4).astype(np.float32)
    wanted[:, 0] = 1
    owners, targets = wanted.nonzero()
    arrays = normal(rng, 4, 3), normal(rng, 7, 3), normal(rng, 7)
    mine = tuple(torch.from_numpy(array.copy()).requires_grad_() for array in arrays)
    states, vectors, biases = mine
    plain = [torch.from_numpy(array.copy()).requires_grad_() for array in arrays]
    found = multinomial_loss(states, vectors, biases, torch.from_numpy(wanted))
    lesson = Lesson(plain[1], plain[2], torch.empty(0), torch.from_numpy(targets))
    expected = softmax_loss(plain[0], lesson, torch.from_numpy(owners))
    assert found.item() == pytest.approx(expected.item(), rel=1e-4)
    (3 * found).backward()
    (3 * expected).backward()
    for one, other in zip(mine, plain, strict=True):
        np.testing.assert_allclose(one.grad, other.grad, rtol=1e-3, atol=1e-5)


@needs_torch
def test_a_score_far_below_all_others_has_a_finite_loss(torch: ModuleType) -> None:
    from recommender.engine.neural.losses import multinomial_loss

    biases = torch.tensor([-300.0, 200.0])
    wanted = torch.tensor([[1.0, 0.0]])
    found = multinomial_loss(torch.zeros(1, 2), torch.zeros(2, 2), biases, wanted)
    assert float(found) == pytest.approx(500.0)


@needs_torch
@pytest.mark.parametrize("share", [0.25, 0.5, 0.9])
def test_what_is_left_of_numbers_makes_up_for_what_is_dropped(
    torch: ModuleType, share: float
) -> None:
    from recommender.engine.neural.losses import dropped

    torch.manual_seed(0)
    # No multiple of eight, of which the words of random bits are made.
    numbers = torch.ones(401, 37, requires_grad=True)
    found = dropped(numbers, share)
    lost = round(256 * share) / 256
    assert {round(value, 4) for value in found.unique().tolist()} == {0.0, round(1 / (1 - lost), 4)}
    # Six standard errors of 14,837 draws.
    gone = float((found == 0).float().mean())
    assert gone == pytest.approx(lost, abs=6 * math.sqrt(lost * (1 - lost) / 14837))
    assert not torch.equal(found, dropped(numbers, share))
    found.sum().backward()
    assert torch.equal(numbers.grad, found.detach())
    assert dropped(numbers, 0.0) is numbers


@needs_torch
def test_a_lesson_names_the_lines_of_its_items(torch: ModuleType) -> None:
    from recommender.engine.neural.training import Catalog

    for negatives in (3, 64):
        catalog = Catalog(np.arange(20), 4, schedule(negatives=negatives))
        vectors, biases = catalog.learned()
        read, targets = np.array([[7, 3], [3, 19]]), np.array([19, 0])
        lesson = catalog.lesson(read, targets)
        given = lesson.vectors.detach().numpy()
        assert given[lesson.read.numpy()].tolist() == vectors[read].tolist()
        assert given[lesson.targets.numpy()].tolist() == vectors[targets].tolist()
        assert lesson.biases.detach()[lesson.targets].tolist() == biases[targets].tolist()
        if lesson.drawn is None:
            assert (negatives, len(given)) == (64, 20)
        else:
            assert lesson.rarity is not None
            assert (len(lesson.drawn), len(lesson.rarity)) == (negatives, len(given))


@needs_torch
def test_a_table_read_as_a_whole_is_changed_by_adam(torch: ModuleType) -> None:
    from recommender.engine.neural.training import Table

    table = Table(5, 3)
    other = torch.from_numpy(table.learned().copy()).requires_grad_()
    adam = torch.optim.Adam([other], lr=0.1)
    for _ in range(4):
        (table.read(np.arange(5)) ** 3).sum().backward()
        table.step(0.1)
        adam.zero_grad()
        (other**3).sum().backward()
        adam.step()
    np.testing.assert_allclose(table.learned(), other.detach().numpy(), rtol=1e-3, atol=1e-5)


@needs_torch
def test_a_line_that_was_not_read_stays_as_it_is_and_does_not_count_the_step(
    torch: ModuleType,
) -> None:
    from recommender.engine.neural.training import Table

    table = Table(3, 2, zeros=1)
    before = table.learned().copy()
    assert before[:, 1].tolist() == [0, 0, 0]
    for rows in ([0, 1], [0], [0, 2]):
        table.read(np.array(rows)).sum().backward()
        table.step(0.1)
    # The first steps of Adam are all as long as the rate, whatever the gradient.
    expected = before - np.array([[0.3], [0.1], [0.1]])
    np.testing.assert_allclose(table.learned(), expected, rtol=1e-4, atol=1e-6)


# ---------------------------------------------------------------------------- that they learn


@needs_torch
@pytest.mark.parametrize("key", ["gru", "sasrec"])
@pytest.mark.parametrize("negatives", [64, 4])
def test_the_next_step_of_a_ring_is_learned(key: str, negatives: int) -> None:
    # Few negatives: the catalog of 12 is then too large to be used whole.
    given = {"negatives": negatives, "factors": 16, "dropout": 0.0, "learning_rate": 0.02}
    training = Training(RING + 2, sessions=ring_walks())
    model = METHODS[key].fit(training, METHODS[key].parameters(given), 0)
    for start in range(RING):
        walk = rows(*((start + np.arange(3)) % RING))
        found = model.recommend(Query(walk, removed=walk), 1)
        assert found.rows.tolist() == [(start + 3) % RING]
        assert set(found.because.tolist()) <= set(walk.tolist())


@needs_torch
@pytest.mark.parametrize("negatives", [64, 4])
def test_what_goes_together_is_learned_for_histories_never_seen(negatives: int) -> None:
    rng = np.random.default_rng(0)
    blocks = np.arange(RING) // 4
    liked = np.zeros((90, RING), np.float32)
    for shopper in range(90):
        liked[shopper, rng.permutation(np.flatnonzero(blocks == shopper % 3))[:3]] = 1
    given = {"negatives": negatives, "factors": 16}
    model = METHODS["ncf"].fit(
        Training(RING, shoppers={"any": csr_matrix(liked)}), METHODS["ncf"].parameters(given), 0
    )
    for item in range(RING):
        assert set(blocks[model.similar(item, 3).rows].tolist()) == {blocks[item]}


@needs_torch
def test_a_fit_is_the_same_for_a_seed_and_leaves_the_random_numbers_of_others_alone(
    torch: ModuleType,
) -> None:
    walks = ring_walks()
    torch.manual_seed(7)
    expected = torch.rand(3).tolist()
    torch.manual_seed(7)
    fits = [
        fit_attention(
            walks.offsets,
            walks.item_rows,
            n_places=RING,
            factors=8,
            blocks=1,
            heads=2,
            max_length=4,
            schedule=schedule(dropout=0.3, negatives=4, seed=seed, min_steps=20),
        )
        for seed in (1, 1, 2)
    ]
    assert torch.rand(3).tolist() == expected
    assert fits[0].item_vectors.tolist() == fits[1].item_vectors.tolist()
    assert fits[0].blocks[0].query.tolist() == fits[1].blocks[0].query.tolist()
    assert fits[0].item_vectors.tolist() != fits[2].item_vectors.tolist()


@needs_torch
def test_the_loss_of_every_epoch_is_told_and_falls() -> None:
    walks = ring_walks()
    told: list[tuple[int, float]] = []
    fit_gru(
        walks.offsets,
        walks.item_rows,
        n_places=RING,
        factors=8,
        max_length=9,
        schedule=schedule(epochs=30, min_steps=1),
        on_epoch=lambda epoch, loss: told.append((epoch, loss)),
    )
    assert [epoch for epoch, _ in told] == list(range(1, 31))
    assert told[0][1] > math.log(RING) * 0.8
    assert told[-1][1] < told[0][1] / 3


@needs_torch
@pytest.mark.parametrize(
    ("min_steps", "max_steps", "epochs", "expected"),
    [
        (1, None, 3, [4, 4, 4]),
        (7, None, 1, [4, 4]),
        (1, 6, 3, [4, 2]),
        (1, 2, 3, [2]),
        (1, 99, 1, [4]),
        (300, 5, 1, [4, 1]),
    ],
)
def test_a_fit_makes_as_many_steps_as_its_schedule_says(
    torch: ModuleType, min_steps: int, max_steps: int | None, epochs: int, expected: list[int]
) -> None:
    from recommender.engine.neural.training import optimise

    weight = torch.ones(2, requires_grad=True)
    seen: list[int] = []
    told: list[int] = []
    steps: list[int] = []

    def loss_of(numbers: Int64Array) -> object:
        seen.extend(numbers.tolist())
        steps.append(len(numbers))
        return (weight * weight).sum()

    def on_epoch(epoch: int, loss: float) -> None:
        told.append(len(steps))

    plan = schedule(epochs=epochs, batch_size=8, min_steps=min_steps)
    plan = replace(plan, max_steps=max_steps)
    optimise([weight], [], loss_of, np.full(30, 5), plan, on_epoch)
    assert np.diff([0, *told]).tolist() == expected
    # No history is seen twice before all were.
    assert len(set(seen[:30])) == min(len(seen), 30)


@needs_torch
def test_what_is_learned_is_arrays() -> None:
    walks = ring_walks()
    model = METHODS["sasrec"].fit(
        Training(RING, sessions=walks), METHODS["sasrec"].parameters({"factors": 8}), 0
    )
    network = vars(model)["_model"]
    assert isinstance(network, AttentionModel)
    assert isinstance(network.item_vectors, np.ndarray)
    assert all(isinstance(block.query, np.ndarray) for block in network.blocks)


@needs_torch
@pytest.mark.parametrize("key", ["gru", "sasrec"])
def test_sessions_of_one_click_teach_nothing(key: str) -> None:
    lonely = Sessions(np.arange(4), np.arange(3, dtype=np.int32), np.arange(3))
    with pytest.raises(EmptyInputError, match="two clicks"):
        METHODS[key].fit(Training(3, sessions=lonely), METHODS[key].defaults, 0)


@needs_torch
def test_heads_that_do_not_divide_the_vectors_are_refused() -> None:
    training = Training(RING, sessions=ring_walks())
    with pytest.raises(InvalidInputError, match="3 heads"):
        METHODS["sasrec"].fit(training, METHODS["sasrec"].parameters({"heads": 3, "factors": 8}), 0)


@needs_torch
def test_towers_without_any_interaction_are_refused() -> None:
    nothing = csr_matrix(np.zeros((2, 3), np.float32))
    with pytest.raises(EmptyInputError):
        METHODS["ncf"].fit(Training(3, shoppers={"any": nothing}), METHODS["ncf"].defaults, 0)
