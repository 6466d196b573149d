"""Docstrings, and what the package may know."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import subprocess
import sys

import pytest

import analytics.stats

MODULES = sorted(
    f"analytics.stats.{module.name}" for module in pkgutil.iter_modules(analytics.stats.__path__)
)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_in_the_docstrings_are_true(name: str) -> None:
    tried = doctest.testmod(importlib.import_module(name))
    assert tried.attempted
    assert not tried.failed


def test_the_statistics_import_no_framework_and_not_the_heavy_half_of_scipy() -> None:
    code = (
        "import importlib, sys\n"
        f"for name in {MODULES!r}: importlib.import_module(name)\n"
        "print(sorted({'django', 'celery', 'redis', 'psycopg', 'scipy.stats', 'scipy.optimize'}"
        " & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
