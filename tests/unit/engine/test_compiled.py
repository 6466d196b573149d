"""Every compiled kernel answers what its NumPy form answers, in the same order.

Scores are small fractions of powers of two, so sums are exact and equal scores really are equal:
the order must agree in every tie.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender.engine.online import compiled, lookups
from recommender.engine.online.blending import SCALINGS, blend
from recommender.engine.online.compiled import FEW
from recommender.engine.online.diversity import rerank
from recommender.engine.online.fold_in import ease_add_session, ease_fold_history
from recommender.engine.online.neighbours import expand_neighbours
from recommender.engine.online.next_click import RunningSession, _rank, _rank_without_repeats
from recommender.engine.online.profiles import buy_again
from recommender.engine.types import Candidates, EaseModel, Neighbours, NextClickModel
from tests.unit.engine import numpy_oracle as oracle

seeds = st.integers(0, 2**32 - 1)


def candidates(rng: np.random.Generator, n_items: int, n: int) -> Candidates:
    """Best first, with many ties."""
    rows = rng.permutation(n_items)[:n].astype(np.int32)
    scores = rng.integers(0, 6, len(rows)).astype(np.float32) / np.float32(4)
    order = np.lexsort((rows, -scores))
    return Candidates(rows[order], scores[order], np.full(len(rows), -1, np.int32))


@given(seeds, st.sampled_from(sorted(SCALINGS)), st.integers(1, 40))
def test_blending_is_the_sum_of_the_scaled_lists(seed: int, scaling: str, limit: int) -> None:
    rng = np.random.default_rng(seed)
    allowed = rng.random(60) < 0.8
    parts = [
        (f"s{n}", float(rng.integers(0, 4)) / 2, candidates(rng, 60, int(rng.integers(0, 30))))
        for n in range(int(rng.integers(2, 4)))
    ]
    found = blend(parts, allowed=allowed.take, limit=limit, scaling=scaling)
    expected = oracle.blended(parts, allowed, 60, scaling)
    scores = {row: score for row, score, _ in expected}
    assert found.scores.tolist() == pytest.approx([s for _, s, _ in expected][:limit], rel=3e-6)
    # Thirds and sums of them are rounded: there the order within a tie is the order of the roundings.
    assert [scores[row] for row in found.rows.tolist()] == pytest.approx(
        found.scores.tolist(), rel=3e-6
    )
    lines = {row: own for row, _, own in expected}
    for position, row in enumerate(found.rows.tolist()):
        for got, want in zip(found.shares(position), lines[row], strict=True):
            assert got == pytest.approx(want, rel=3e-6)


@given(seeds, st.integers(1, 60))
def test_blending_breaks_ties_by_row(seed: int, limit: int) -> None:
    rng = np.random.default_rng(seed)
    parts = [(f"s{n}", 0.5, candidates(rng, 60, 30)) for n in range(2)]
    found = blend(parts, limit=limit, scaling="none")
    expected = oracle.blended(parts, np.ones(60, np.bool_), limit, "none")
    assert found.rows.tolist() == [row for row, _, _ in expected]
    assert found.scores.tolist() == [score for _, score, _ in expected]
    sources, _ = found.leading(np.arange(len(found)))
    for source, (_, _, own) in zip(sources, expected, strict=True):
        assert source == max(own, key=lambda line: (line[2], -line[0]))[0]


@given(seeds, st.sampled_from([0.0, 0.25, 1.0]), st.integers(1, 30))
def test_reranking_is_mmr_within_the_caps(seed: int, trade_off: float, limit: int) -> None:
    rng = np.random.default_rng(seed)
    n_items = 40
    rows = rng.permutation(n_items)[: int(rng.integers(1, 30))].astype(np.int32)
    # Corners of a cube: every cosine is exact.
    vectors = (rng.choice([-0.5, 0.5], (n_items, 4))).astype(np.float32)
    vector_rows = np.where(rng.random(len(rows)) < 0.8, rows, -1).astype(np.int32)
    brands = rng.integers(-1, 5, n_items).astype(np.int32)
    categories = rng.integers(-1, 3, n_items).astype(np.int32)
    # Two scores, so that the spread is a power of two.
    scores = rng.choice([0.5, 1.5], len(rows)).astype(np.float32)
    own = np.where(vector_rows[:, None] >= 0, vectors[vector_rows], np.float32(0))
    found = rerank(
        rows,
        scores,
        vectors=vectors,
        vector_rows=vector_rows,
        trade_off=trade_off,
        limit=limit,
        brand_codes=brands,
        max_per_brand=2,
        category_codes=categories,
        max_per_category=3,
    )
    caps = [(brands[rows], 2), (categories[rows], 3)]
    assert found.tolist() == oracle.reranked(scores, own, trade_off, caps, limit)


@given(seeds, st.integers(0, 20), st.booleans())
def test_neighbours_add_up(seed: int, limit: int, exclude_seeds: bool) -> None:
    rng = np.random.default_rng(seed)
    n, k = 30, 6
    # More than a few are looked up in a table.
    most = FEW + 20 if rng.random() < 0.5 else 8
    lists = np.array([rng.permutation(n)[:k] for _ in range(n)], np.int32)
    scores = -np.sort(-rng.integers(1, 8, (n, k)).astype(np.float32) / 8, axis=1)
    ends = rng.integers(0, k + 1, n)
    padded = np.arange(k)[None, :] >= ends[:, None]
    neighbours = Neighbours(np.where(padded, -1, lists), np.where(padded, 0, scores))
    wanted = rng.integers(-1, n + 1, int(rng.integers(2, most))).astype(np.int32)
    weights = rng.choice([-0.5, 0.5, 1.0], len(wanted)).astype(np.float32)
    found = expand_neighbours(neighbours, wanted, weights, limit=limit, exclude_seeds=exclude_seeds)
    expected = oracle.expanded(neighbours, wanted, weights, limit, exclude_seeds)
    assert found.rows.tolist() == expected.rows.tolist()
    assert found.scores.tolist() == expected.scores.tolist()
    assert found.because.tolist() == expected.because.tolist()


@given(seeds, st.booleans(), st.integers(1, 30), st.integers(0, 25))
def test_a_session_is_added_to_a_history(seed: int, past: bool, limit: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    m = 24
    model = EaseModel(
        np.sort(rng.permutation(50)[:m]).astype(np.int32),
        rng.integers(-4, 8, (m, m)).astype(np.float32) / np.float32(16),
    )
    history = None
    if past:
        history = ease_fold_history(
            model, model.item_rows[:3], np.array([1, 2, -1], np.float32), max_history=None
        )
    rows = rng.integers(-1, 50, n).astype(np.int32)
    weights = rng.choice([0.5, 1.0, 2.0], n).astype(np.float32)
    found = ease_add_session(
        model, history, rows, weights, session_share=0.5, limit=limit, max_session=6
    )
    scores = oracle.linear(model, history, rows[-24:], weights[-24:], 0.5, 6)
    best = oracle.best_of(scores, limit)
    # Sums that are nothing but rounding may fall on either side of 0.
    told, expected = (each[each > 1e-5] for each in (found.scores, scores[best]))
    assert told == pytest.approx(expected, rel=1e-5, abs=1e-6)
    places = np.searchsorted(model.item_rows, found.rows)
    assert scores[places] == pytest.approx(found.scores, rel=1e-5, abs=1e-6)
    assert (found.because >= 0).all()


def test_half_precision_is_read_as_numpy_reads_it() -> None:
    every = np.arange(2**16, dtype=np.uint16)
    finite = np.isfinite(every.view(np.float16))
    halves = every[finite]
    found = compiled.from_halves(halves, np.float32(0.7))
    assert (found == halves.view(np.float16).astype(np.float32) * np.float32(0.7)).all()


@given(seeds, st.sampled_from([(1.0, 0.25, 0.25, 0.1), (1.0, 0.0, 0.0, 0.0), (0.7, 0.3, 1, 0.5)]))
def test_what_runs_out_is_scored_as_the_formula_says(
    seed: int, exponents: tuple[float, float, float, float]
) -> None:
    rng = np.random.default_rng(seed)
    n_items, now_s = 30, 1_000 * 86_400
    n = int(rng.integers(0, 25))
    rows = (rng.permutation(n_items + 4)[:n] - 2).astype(np.int32)
    counts = rng.integers(0, 4, n).astype(np.int32)
    last = now_s - rng.integers(-1, 90, n) * 43_200
    days = rng.choice([7, 14, 60], n_items).astype(np.float32)
    repeats = rng.choice([0.25, 0.5], n_items).astype(np.float32)
    demand = rng.choice([0, 1, 3], n_items).astype(np.float32)
    frequency, repeat, urgency, popular = exponents
    found = buy_again(
        rows,
        counts,
        last,
        interval_days=days,
        repeat_probability=repeats,
        demand=demand,
        now_s=now_s,
        limit=10,
        min_days=1.0,
        frequency_exponent=frequency,
        repeat_exponent=repeat,
        urgency=urgency,
        demand_exponent=popular,
    )
    expected = oracle.due_again(
        rows, counts, last, days, repeats, demand, now_s, 1.0, exponents, 10
    )
    assert found.scores == pytest.approx(expected.scores, rel=1e-6)
    assert len(found) == len(expected)
    assert found.because.tolist() == found.rows.tolist()


@given(seeds, st.integers(1, 30))
def test_the_next_click_is_ranked_as_step_by_step(seed: int, limit: int) -> None:
    rng = np.random.default_rng(seed)
    n, d = 40, 8
    lengths = rng.integers(0, 12, n)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    partners = np.concatenate(
        [np.sort(rng.permutation(n)[:length]) for length in lengths] or [np.empty(0, np.int64)]
    ).astype(np.int32)
    model = NextClickModel(
        offsets=offsets,
        partners=partners,
        ties=rng.standard_normal((7, len(partners))).astype(np.float32),
        vectors=(rng.standard_normal((n, d)) / 3).astype(np.float32),
        item_scores=rng.standard_normal((3, n)).astype(np.float32),
        near_weights=rng.standard_normal((3, 4)).astype(np.float32),
        repeat_weights=np.zeros(18, np.float32),
        weights=np.zeros((2, 63), np.float32),
        popular=rng.permutation(n)[:5].astype(np.int32),
    )
    clicks = rng.integers(0, n, int(rng.integers(1, 15))).tolist()
    session = RunningSession.of(clicks, n)
    found = _rank_without_repeats(model, session, limit, True)
    expected = _rank(model, session, limit, True)
    assert found.rows.tolist() == expected.rows.tolist()
    assert found.scores == pytest.approx(expected.scores, rel=1e-4)
    assert found.because.tolist() == expected.because.tolist()


@given(seeds, st.integers(0, 80))
def test_a_shoppers_list_is_unpacked_by_time(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    table = np.empty(n, np.dtype([("a", ">u4"), ("t", "u1"), ("p", ">i8"), ("q", ">u2")]))
    table["a"] = rng.choice([5, 6, 7, 2**32 - 1], n)
    table["t"] = rng.integers(0, 5, n)
    table["p"] = rng.choice([1, 2, 3, 2**62, -1], n)
    table["q"] = rng.choice([0, 1, 2, 65_535], n)
    packed = table.tobytes()
    found = lookups.unpack(np.frombuffer(packed, np.uint8), 1, 2, 3)
    for got, want in zip(found, oracle.unpacked(packed, 1, 2, 3), strict=True):
        assert got.tolist() == want.tolist()


@given(st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(0, 50), unique=True), st.data())
@settings(max_examples=200)
def test_ids_are_found_whatever_their_gaps(ids: list[int], data: st.DataObject) -> None:
    rows = {each: row for row, each in enumerate(ids)}
    wanted = data.draw(st.lists(st.sampled_from(ids) | st.integers(-5, 60) if ids else st.just(1)))
    found = lookups.find(
        np.array(sorted(ids), np.int64),
        np.array([rows[each] for each in sorted(ids)], np.int32),
        np.array(wanted, np.int64),
    )
    assert found.tolist() == [rows.get(each, -1) for each in wanted]


def test_a_kernel_refuses_other_types_instead_of_compiling_for_a_request() -> None:
    with pytest.raises(TypeError):
        lookups.find(np.empty(0), np.empty(0, np.int32), np.empty(0, np.int64))


def test_a_machine_that_lets_nothing_be_kept_compiles_in_memory(tmp_path: Path) -> None:
    # A file where the folder should be can't be written into, not even by root.
    (tmp_path / "taken").write_text("")
    code = (
        "import numpy as np\n"
        "from recommender.engine.online import lookups\n"
        "print(lookups.find(np.array([3]), np.array([7], np.int32), np.array([3])))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "taken" / "kernels")},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.stdout.strip() == "[7]", done.stderr
