"""One Vitrine for all scenarios of a process, and the table of their figures.

`VITRINE_FAULTS=full` repeats each scenario as often as the promises say; without it the same
scenarios run in small numbers. `VITRINE_FAULTS_JSON` names a file for the figures.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tests.faults.figures import HEADER, PROPERTY, Figures, Judge
from tests.faults.stack import Stack, running_stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("faults")) as running:
        yield running


@pytest.fixture
def judge(stack: Stack, record_property: Any) -> Judge:
    return Judge(stack, record_property)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    figures = [
        Figures(**value)
        for reports in terminalreporter.stats.values()
        for report in reports
        for name, value in getattr(report, "user_properties", [])
        if name == PROPERTY and getattr(report, "when", "") == "call"
    ]
    if not figures:
        return
    terminalreporter.section("faults")
    terminalreporter.write_line(HEADER)
    for each in figures:
        terminalreporter.write_line(each.line())
    path = os.environ.get("VITRINE_FAULTS_JSON")
    if path:
        Path(path).write_text(json.dumps([asdict(each) for each in figures]))
