"""The command that measures everything, on files of a few lines."""

import json
import lzma
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError

from recommender.engine.evaluation.leaderboard import board_from_document
from recommender.management.commands.evaluate import Command


def run(*arguments: str) -> tuple[str, str]:
    out, said = StringIO(), StringIO()
    command = Command(stdout=out, stderr=said)
    parser = command.create_parser("manage.py", "evaluate")
    command.handle(**vars(parser.parse_args(list(arguments))))
    return out.getvalue(), said.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two of the known data sets, one of them packed."""
    clicks = tmp_path / "sessions" / "bol"
    clicks.mkdir(parents=True)
    (clicks / "train.txt.xz").write_bytes(lzma.compress(b"1 2 3\n2 3\n3 1 2\n" * 30))
    (clicks / "test.txt").write_text("1\t2\n1 2\t3\n9\t9\n")
    lists = tmp_path / "topn" / "ml-1m"
    lists.mkdir(parents=True)
    users = [f"{u} {u % 5} {(u + 1) % 5} {(u + 2) % 5}" for u in range(40)]
    (lists / "train.txt").write_text("\n".join(users))
    (lists / "test.txt").write_text("\n".join(f"{u} {(u + 3) % 5}" for u in range(40)))
    return tmp_path


def test_every_method_on_every_data_set_of_a_folder(folder: Path) -> None:
    document = folder / "algorithms.md"
    document.write_text("# Algorithms\n<!-- results:begin -->\n<!-- results:end -->\nTail\n")
    out, said = run(
        "--all", "--data", str(folder), "--methods", "bestsellers,also_viewed,similar_content",
        "--minutes", "2", "--json", "--write", str(document),
    )  # fmt: skip
    boards = [board_from_document(one) for one in json.loads(out)["leaderboards"]]
    assert [(board.data, board.protocol) for board in boards] == [
        ("bol.com", "next-click"), ("MovieLens-1M", "top-n"),
    ]  # fmt: skip
    best = boards[0].rows[0]
    assert best.key == "also_viewed"
    assert best.tried > 1
    assert best.metrics["hr@20"].value == pytest.approx(2 / 3)
    assert best.peak_mb is not None
    assert best.query_us["p50"] > 0  # the clock goes in steps shorter than a query
    assert boards[0].rows[-1].missing == "there are no texts to learn from"
    assert "bol.com, next-click (1 of 2): 3 queries, 3 items" in said
    text = document.read_text()
    assert text.startswith("# Algorithms\n")
    assert text.endswith("Tail\n")
    assert "### MovieLens-1M, top-n" in text


def test_one_protocol_and_a_table_for_people(folder: Path) -> None:
    files = [
        "--train", str(folder / "topn/ml-1m/train.txt"),
        "--test", str(folder / "topn/ml-1m/test.txt"),
    ]  # fmt: skip
    out, _ = run(
        "--all", "--protocol", "top-n", *files, "--methods", "bestsellers", "--minutes", "0.1",
        "--tune-seconds", "0",
    )  # fmt: skip
    assert "train, top-n: 40 queries, 5 items, best first by recall@20" in out
    assert "bestsellers  1.000 ± .000" in out


def test_cold_start_and_fairness_of_one_source(folder: Path) -> None:
    arguments = [
        "--protocol", "next-click", "--train", str(folder / "sessions/bol/train.txt.xz"),
        "--test", str(folder / "sessions/bol/test.txt"), "--source", "also_viewed",
        "--tune-seconds", "0", "--cold-start", "--fairness",
    ]  # fmt: skip
    out, _ = run(*arguments, "--json")
    result = json.loads(out)
    groups = {group["label"]: group["n"] for group in result["cold_start"]["shoppers"]}
    assert groups == {"0": 1, "1": 1, "2–4": 1, "5–9": 0, "10+": 0}
    same = {
        part["at_most"]: part["metrics"]["hr@20"] for part in result["cold_start"]["same_shoppers"]
    }
    assert same[0]["value"] == 0
    assert same[10]["value"] == pytest.approx(2 / 3)
    assert [kind["of"] for kind in result["fairness"]] == ["popularity"]
    text, _ = run(*arguments)
    assert "shoppers by number of events" in text
    assert "exposure of popularity" in text


def test_ratings_are_a_protocol_of_the_command(tmp_path: Path) -> None:
    path = tmp_path / "ratings.csv"
    path.write_text("\n".join(f"{u},{i},{1 + (u + i) % 5}" for u in range(8) for i in range(10)))
    out, _ = run(
        "--protocol", "ratings", "--ratings", str(path), "--source", "bestsellers", "--json"
    )
    assert json.loads(out)["metrics"]["hr@20"] == 1.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--all"], "--protocol"),
        (["--all", "--data", "{folder}/topn"], "none of the data sets"),
        (["--all", "--data", "{folder}", "--methods", "magic"], "no method 'magic'"),
        (["--all", "--data", "{folder}", "--fairness"], "one --source"),
        ([], "--protocol"),
        (["--protocol", "ratings"], "needs --ratings"),
    ],
)
def test_what_can_not_be_done_is_one_sentence(
    folder: Path, arguments: list[str], message: str
) -> None:
    with pytest.raises(CommandError, match=message):
        run(*(argument.format(folder=folder) for argument in arguments))
