"""Metrics, splits, formats, protocols, and the command that runs them."""

import itertools
import json
import lzma
from io import StringIO
from math import log2
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError
from hypothesis import given
from hypothesis import strategies as st

from recommender.engine.errors import EmptyInputError, EngineError, InvalidInputError
from recommender.engine.evaluation import formats, protocols
from recommender.engine.evaluation.ranking_metrics import hits_of, list_metrics, mean_metrics
from recommender.engine.evaluation.runner import evaluate, parse_recipe
from recommender.engine.evaluation.splits import before_and_after, hold_out, sample_positions
from recommender.engine.evaluation.tuning import tune
from recommender.management.commands.evaluate import Command

DAY = 86_400


def test_the_metrics_of_a_list_worked_by_hand() -> None:
    found = list_metrics(np.array([False, True, False, True]), 3, k=4)
    assert found == pytest.approx(
        {
            "hr@4": 1.0,
            "mrr@4": 1 / 2,
            "recall@4": 2 / 3,
            "precision@4": 2 / 4,
            "f1@4": 2 * (2 / 4) * (2 / 3) / (2 / 4 + 2 / 3),
            "ndcg@4": (1 / log2(3) + 1 / log2(5)) / (1 + 1 / log2(3) + 1 / log2(4)),
            "map@4": (1 / 2 + 2 / 4) / 3,
        }
    )


@given(hits=st.lists(st.booleans(), max_size=8), more=st.integers(0, 5), k=st.integers(1, 6))
def test_metrics_are_shares_and_a_better_list_is_never_worse(
    hits: list[bool], more: int, k: int
) -> None:
    n_relevant = sum(hits) + more
    if not n_relevant:
        with pytest.raises(InvalidInputError):
            list_metrics(np.array(hits, np.bool_), 0, k=k)
        return
    found = list_metrics(np.array(hits, np.bool_), n_relevant, k=k)
    sorted_ = list_metrics(np.array(sorted(hits, reverse=True), np.bool_), n_relevant, k=k)
    first = hits[:k]
    assert found[f"hr@{k}"] == float(any(first))
    assert found[f"mrr@{k}"] == (1 / (first.index(True) + 1) if any(first) else 0)
    assert found[f"recall@{k}"] == sum(first) / n_relevant
    assert found[f"precision@{k}"] == sum(first) / k
    for name, value in found.items():
        assert 0 <= value <= sorted_[name] + 1e-12 <= 1 + 1e-9


def test_means_weigh_each_query_alike_and_need_one() -> None:
    assert mean_metrics([{"x": 1.0}, {"x": 0.0}, {"x": 0.5}]) == {"x": 0.5}
    assert hits_of([3, 1], [1]).tolist() == [False, True]
    with pytest.raises(EmptyInputError):
        mean_metrics([])


def test_a_cut_falls_so_many_days_before_the_last_entry() -> None:
    before, after, cut_s = before_and_after([0, 69 * DAY, 70 * DAY, 100 * DAY], days=30)
    assert (before.tolist(), cut_s) == ([True, True, False, False], 70 * DAY)
    assert (before ^ after).all()
    short, _, _ = before_and_after([0, 7 * DAY, 9 * DAY, 10 * DAY], days=30)
    assert short.tolist() == [True, True, False, False]
    with pytest.raises(EmptyInputError):
        before_and_after([5, 5], days=30)


@given(sizes=st.lists(st.integers(0, 12), max_size=5), seed=st.integers(0, 99))
def test_a_share_of_every_group_is_held_out(sizes: list[int], seed: int) -> None:
    groups = np.repeat(np.arange(len(sizes)), sizes)
    held = hold_out(groups, share=0.25, seed=seed)
    expected = [max(int(0.25 * size), 1) if size > 1 else 0 for size in sizes]
    assert np.bincount(groups[held], minlength=len(sizes)).tolist() == expected
    assert (held == hold_out(groups, share=0.25, seed=seed)).all()


def test_a_sample_is_repeatable_and_ascending() -> None:
    sample = sample_positions(100, at_most=7, seed=1)
    assert len(set(sample.tolist())) == 7
    assert (
        sample.tolist()
        == sorted(sample.tolist())
        == sample_positions(100, at_most=7, seed=1).tolist()
    )


def test_clicks_with_times_become_sessions_by_time() -> None:
    lines = [
        "SessionId\tItemId\tTime\r\n",
        "late\ta\t30.0\r\n",
        "\r\n",
        "early\tb\t2\n",
        "early\tc\t1",
    ]
    log = formats.parse_sessions(lines)
    assert (log.sessions, log.times_s) == ([["c", "b"], ["a"]], [2, 30])
    queries = formats.parse_next_item_queries(lines)
    assert (queries.prefixes, queries.next_items) == ([["c"]], ["b"])


@pytest.mark.parametrize(
    ("parse", "lines", "message"),
    [
        (formats.parse_sessions, [], "empty"),
        (formats.parse_sessions, ["SessionId\tItemId\tTime"], "no click"),
        (formats.parse_sessions, ["SessionId\tItemId\tTime", "1\t2"], "line 2"),
        (formats.parse_sessions, ["SessionId\tItemId\tTime", "1\t2\tnoon"], "noon"),
        (formats.parse_sessions, ["a\0b"], "not text"),
        (formats.parse_next_item_queries, ["1 2", "3"], "line 1"),
        (formats.parse_next_item_queries, ["1\t2 3"], "next item"),
        (formats.parse_user_items, ["1", " "], "no line"),
        (formats.parse_orders, [], "empty"),
        (formats.parse_orders, ["a,b"], "InvoiceNo"),
    ],
)
def test_what_can_not_be_read_says_where_and_why(
    parse: Any, lines: list[str], message: str
) -> None:
    with pytest.raises(EngineError, match=message):
        parse(lines)


HEADER = "InvoiceNo,InvoiceDate,CustomerID,Country,StockCode,Description,Quantity,UnitPrice"


def test_returns_gifts_and_postage_are_not_sales() -> None:
    lines = formats.parse_orders(
        [HEADER, "1,2011-01-01T10:00,7,UK,12345a,Cup,1,2", "C2,2011-01-01,7,UK,12345,Cup,1,2",
         "3,2011-01-01,7,UK,12345,Cup,-1,2", "4,2011-01-01,7,UK,12345,Cup,1,0",
         "5,2011-01-01,7,UK,POST,Post,1,2", '6,2011-01-02,,UK,12345,"Cup, red",1,2']
    )  # fmt: skip
    assert lines.items == ["12345A", "12345"]
    assert lines.customers == ["7", ""]
    assert lines.titles == ["Cup", "Cup, red"]
    with pytest.raises(InvalidInputError, match="line 2"):
        formats.parse_orders([HEADER, "1,yesterday,7,UK,12345,Cup,1,2"])
    with pytest.raises(InvalidInputError, match="fields"):
        formats.parse_orders([HEADER, "1,2011-01-01"])


def ticks() -> Any:
    counter = itertools.count()
    return lambda: next(counter) * 1e-3


def test_a_repeat_counts_in_the_first_table_and_misses_in_the_second() -> None:
    log = formats.parse_sessions(["a b"] * 5 + ["b c"])
    queries = formats.parse_next_item_queries(["a\tb", "a b\tb", "a\tunheard", "unheard\ta"])
    report = evaluate(
        protocols.next_click_task(log, queries), parse_recipe("session_neighbours", {}), seed=0,
        clock=ticks(),
    )  # fmt: skip
    assert report.metrics["hr@20"] == 0.5
    assert report.metrics_without_repeats is not None
    assert report.metrics_without_repeats["hr@20"] == 0.25
    assert report.query_us["p50"] == pytest.approx(1000)
    assert report.query_us_without_repeats is not None
    assert report.query_us_without_repeats["p50"] == pytest.approx(1000)


def test_items_that_training_never_saw_count_against_recall_and_known_ones_are_not_sought() -> None:
    train = {str(u): ["a", "b", "c"] for u in range(9)} | {"me": ["a", "b"]}
    task = protocols.top_n_task(train, {"me": ["a", "c", "x", "y", "z"], "stranger": ["a"]})
    report = evaluate(task, parse_recipe("for_you", {"regularisation": 1}), seed=0, clock=ticks())
    assert len(task.queries) == 1
    assert report.metrics["recall@20"] == 0.25
    assert report.metrics_without_repeats is None


def order_lines(n_orders: int = 120) -> formats.OrderLines:
    """Two kinds of baskets, one line a product, two orders a day."""
    out = formats.OrderLines()
    for order in range(n_orders):
        kind = order % 2
        for item in range(4):
            out.orders.append(str(order))
            out.times_s.append(order * DAY // 2)
            out.customers.append(f"c{order % 16}")
            out.items.append(f"1000{kind}{item}")
            out.titles.append(f"thing {kind}")
    return out


def test_the_hidden_product_of_a_basket_is_found_among_its_kind() -> None:
    task = protocols.basket_completion_task(order_lines(), seed=3, cut_days=20)
    assert len(task.queries) == 41
    assert all(len(q.rows) == 3 and not np.isin(r, q.rows).any()
               for q, r in zip(task.queries, task.relevant, strict=True))  # fmt: skip
    report = evaluate(task, parse_recipe("bought_together", {}), seed=0, clock=ticks())
    assert report.metrics["mrr@20"] == 1.0
    lists = evaluate(task, parse_recipe("bought_together", {"lists": True}), seed=0, clock=ticks())
    assert lists.metrics["mrr@20"] == 1.0


def test_next_purchases_knows_only_what_was_before_the_cut() -> None:
    lines = order_lines()
    task = protocols.next_purchases_task(lines, cut_days=20)
    times = task.training.purchases.times_s if task.training.purchases else np.empty(0)
    assert times.max() < task.training.now_s <= max(lines.times_s) - 20 * DAY
    assert len(task.queries) == 16
    report = evaluate(task, parse_recipe("buy_again", {}), seed=0, clock=ticks())
    assert report.metrics["recall@20"] == 1.0
    assert report.metrics_without_repeats is None
    earlier = protocols.before_cut(lines, with_customer=True, cut_days=20)
    assert max(earlier.times_s) < max(lines.times_s) - 19 * DAY


def test_baskets_of_the_test_part_are_not_counted_either() -> None:
    task = protocols.next_purchases_task(order_lines(), cut_days=20)
    baskets = task.training.baskets
    assert baskets is not None
    # Pearson's correlation divides by how many there are.
    assert (np.diff(baskets.indptr) == 4).all()
    assert baskets.shape[0] == 79


def test_the_left_out_purchase_may_have_been_viewed_but_not_bought() -> None:
    views = {str(u): ["a", "b", "c"] for u in range(9)}
    buys = {str(u): ["a", "b"] for u in range(9)} | {"8": ["a"]}
    task = protocols.multi_behaviour_task({"purchase": buys, "view_item": views}, {"8": ["b"]})
    assert [len(query.removed) for query in task.queries] == [1]
    report = evaluate(task, parse_recipe("for_you", {"regularisation": 1}), seed=0, clock=ticks())
    assert report.metrics["hr@20"] == 1.0


def test_tuning_leaves_alone_what_was_named_and_chooses_the_weights_of_a_blend() -> None:
    task = protocols.next_purchases_task(order_lines(), cut_days=20)
    recipe = parse_recipe("buy_again,bestsellers", {"buy_again.urgency": 0.5})
    tuned = tune(task, recipe, seed=0, clock=lambda: 0.0, budget_seconds=1)
    assert tuned.parameters_of("buy_again")["urgency"] == 0.5
    assert None not in tuned.weights.values()
    assert tuned.flat()["buy_again.weight"] == 1.0
    same = tune(task, recipe, seed=0, clock=lambda: 0.0, budget_seconds=0)
    assert same.parameters_of("buy_again") == recipe.parameters_of("buy_again")


@pytest.mark.parametrize(
    ("source", "parameters", "message"),
    [
        ("magic", {}, "no source 'magic'"),
        ("", {}, "no source"),
        ("for_you=much", {}, "no number"),
        ("for_you=-1", {}, "above 0"),
        ("for_you", {"colour": 1}, "no parameter 'colour'"),
        ("for_you,bestsellers", {"scaling": "loud"}, "scaling"),
    ],
)
def test_an_impossible_recipe_is_refused_by_name(
    source: str, parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        parse_recipe(source, parameters)


def run(*arguments: str) -> str:
    out = StringIO()
    command = Command(stdout=out)
    parser = command.create_parser("manage.py", "evaluate")
    command.handle(**vars(parser.parse_args(list(arguments))))
    return out.getvalue()


@pytest.fixture
def clicks(tmp_path: Path) -> list[str]:
    train, test = tmp_path / "train.txt.xz", tmp_path / "test.txt"
    train.write_bytes(lzma.compress(b"1 2 3\r\n2 3\r\n\r\n" * 30))
    test.write_bytes(b"1\t2\r\n1 2\t3\r\n9\t9\r\n")
    return ["--protocol", "next-click", "--train", str(train), "--test", str(test)]


def test_the_command_prints_one_object_with_the_documented_keys(clicks: list[str]) -> None:
    arguments = ("--source", "session_neighbours", "--tune-seconds", "1", "--parameter", "k=7")
    result = json.loads(run(*clicks, "--json", *arguments))
    assert list(result) == [
        "protocol", "source", "parameters", "metrics", "metrics_without_repeats", "fit_seconds",
        "query_us", "query_us_without_repeats", "peak_mb",
    ]  # fmt: skip
    assert result["source"] == "session_neighbours"
    assert result["parameters"]["k"] == 7
    assert result["metrics"]["hr@20"] == pytest.approx(2 / 3, abs=1e-5)
    assert set(result["query_us"]) == {"p50", "p99"}


def test_next_click_is_measured_without_being_told_how(clicks: list[str]) -> None:
    result = json.loads(run(*clicks, "--json"))
    assert result["source"] == "next_click"
    assert result["metrics"]["hr@20"] == pytest.approx(2 / 3, abs=1e-5)
    assert result["metrics"]["mrr@20"] == pytest.approx(2 / 3, abs=1e-5)


def test_one_file_with_times_is_cut_into_train_and_test(tmp_path: Path) -> None:
    path = tmp_path / "clicks.tsv"
    lines = ["SessionId\tItemId\tTime"]
    for session in range(40):
        lines += [f"{session}\t{item}\t{100 * session + item}.0" for item in (1, 2, 3)]
    path.write_text("\n".join(lines) + "\n")
    result = json.loads(
        run("--protocol", "next-click", "--train", str(path), "--test-share", "0.1", "--json")
    )
    assert result["metrics"]["mrr@20"] == pytest.approx(1)
    assert result["metrics_without_repeats"]["mrr@20"] == pytest.approx(1)
    with pytest.raises(CommandError, match="between 0 and 1"):
        run("--protocol", "next-click", "--train", str(path), "--test-share", "1.5")


def test_the_command_prints_a_table_for_people(clicks: list[str]) -> None:
    text = run(*clicks, "--tune-seconds", "0")
    assert "hr@20" in text
    assert "no repeats" in text


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (b"", "train.txt", "empty"),
        (b"\xff\xfe\x00garbage", "train.txt", "UTF-8"),
        (b"not packed at all", "train.txt.xz", "xz"),
        (lzma.compress(b"1 2 3\n" * 500)[:-20], "train.txt.xz", "xz"),
        (None, "absent.txt", "can't be read"),
    ],
)
def test_a_file_that_can_not_be_read_is_one_sentence(
    clicks: list[str], tmp_path: Path, content: bytes | None, name: str, message: str
) -> None:
    path = tmp_path / "wrong" / name
    path.parent.mkdir()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CommandError, match=message):
        run("--protocol", "next-click", "--train", str(path), "--test", clicks[-1])


def test_a_missing_option_or_a_source_without_its_data_is_refused(clicks: list[str]) -> None:
    with pytest.raises(CommandError, match="--orders"):
        run("--protocol", "basket-completion")
    with pytest.raises(CommandError, match="purchases"):
        run(*clicks, "--source", "buy_again", "--tune-seconds", "0")
    with pytest.raises(CommandError, match="KEY=VALUE"):
        run(*clicks, "--parameter", "k")
