from __future__ import annotations

import doctest
import json
import math
from pathlib import Path

import pytest

from benchmarks import generator, report, traffic
from benchmarks.report import (
    DOCUMENT,
    NAMES,
    BenchmarkError,
    Promise,
    Report,
    Table,
    as_object,
    between_markers,
    figure,
    from_object,
    growth_exponent,
    markdown,
    percentile,
    section,
)

REPORT = Report(
    benchmark="serving",
    figures=[
        figure("p99", 9.0, "ms", promise=Promise(at_most=7.0), floor=3.0),
        figure("saturated", 2_000.0, "requests/s", promise=Promise(at_least=1_000.0)),
    ],
    tables=[Table("Rounds", ("", "p50"), [("floor", 1.25), ("product", None)])],
    notes=["A note.", "Another."],
    options={"offered_seconds": 30},
    machine=report.machine(),
    took_s=61.0,
)


@pytest.mark.parametrize("module", [report, generator, traffic])
def test_the_examples_in_the_docstrings_are_true(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]


def test_a_percentile_is_a_value_that_was_measured() -> None:
    thousand = [float(n) for n in range(1, 1001)]
    assert percentile(thousand[::-1], 0.99) == 990.0
    assert percentile(thousand, 1.0) == 1000.0
    assert percentile([7.0], 0.01) == 7.0


def test_an_answer_that_never_came_is_in_the_percentile() -> None:
    assert percentile([1.0, 2.0, math.inf], 0.99) == math.inf


def test_nothing_measured_keeps_no_promise() -> None:
    assert math.isnan(percentile([], 0.5))
    assert not Promise(at_most=7.0).kept_by(percentile([], 0.5))
    assert not Promise(at_least=40.0).kept_by(math.nan)


def test_cost_that_grows_with_the_square_has_exponent_two() -> None:
    assert growth_exponent([1, 3, 10], [5, 45, 500]) == pytest.approx(2.0)
    assert math.isnan(growth_exponent([3], [45]))


def test_a_report_shows_value_promise_and_floor() -> None:
    text = markdown(REPORT)
    assert "| p99 | 9 ms | ≤ 7 ms | **no** | 3 ms | 300% |" in text
    assert "| saturated | 2,000 requests/s | ≥ 1,000 requests/s | yes |  |  |" in text
    assert "| product |  |" in text
    assert text.endswith("* A note.\n* Another.")


def test_one_broken_promise_breaks_the_report() -> None:
    assert not REPORT.kept
    assert Report("serving", REPORT.figures[1:]).kept


def test_the_object_is_json_and_leads_back_to_the_report() -> None:
    unknown = Report("serving", [figure("p99", math.inf, "ms", promise=Promise(at_most=7.0))])
    found = json.loads(json.dumps(as_object(unknown), allow_nan=False))
    assert found["figures"][0]["value"] is None
    assert found["figures"][0]["kept"] is False
    assert markdown(from_object(json.loads(json.dumps(as_object(REPORT))))) == markdown(REPORT)


def test_the_section_says_how_and_on_what_it_was_measured() -> None:
    text = section(as_object(REPORT))
    assert text.startswith("`python -m benchmarks.serving --offered-seconds 30`, ")
    assert "cores" in text.splitlines()[0]


def test_only_what_is_between_the_markers_is_replaced() -> None:
    document = "before\n<!-- ingest: begin -->\nold\n<!-- ingest: end -->\nafter\n"
    new = between_markers(document, "ingest", "new")
    assert new == "before\n<!-- ingest: begin -->\n\nnew\n\n<!-- ingest: end -->\nafter\n"
    assert between_markers(new, "ingest", "new") == new
    with pytest.raises(BenchmarkError, match="serving: begin"):
        between_markers(document, "serving", "new")


def test_the_document_has_a_place_for_every_benchmark() -> None:
    document = DOCUMENT.read_text()
    for name in NAMES:
        assert between_markers(document, name, "new") != document


def test_writing_keeps_the_object_and_changes_its_own_section_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = tmp_path / "performance.md"
    document.write_text(DOCUMENT.read_text())
    monkeypatch.setattr(report, "DOCUMENT", document)
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    report.write(as_object(REPORT))
    kept = json.loads((tmp_path / "results" / "serving.json").read_text())
    assert kept["figures"][0]["name"] == "p99"
    expected = between_markers(DOCUMENT.read_text(), "serving", section(kept))
    assert document.read_text() == expected
