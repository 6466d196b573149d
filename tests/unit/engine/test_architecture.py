"""What the engine may import, and that its examples run."""

import doctest
import importlib
import pkgutil
import subprocess
import sys

import pytest

import recommender.engine

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(recommender.engine.__path__, "recommender.engine.")
    if not module.ispkg
)
ONLINE = [name for name in MODULES if ".online." in name]
FRAMEWORKS = ("django", "rest_framework", "celery", "redis", "psycopg")


def loaded_after_importing(modules: list[str]) -> set[str]:
    """Packages, and their parts, that a fresh interpreter has loaded afterwards."""
    code = (
        "import importlib, sys\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
        "print(' '.join(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_online_side_loads_numpy_and_nothing_heavier() -> None:
    assert len(ONLINE) >= 8
    loaded = loaded_after_importing(ONLINE)
    assert "numpy" in loaded
    # numba looks at the version of SciPy where there is one; nothing of it is loaded.
    heavy = {"scipy.sparse", "scipy.linalg", "sklearn", "gensim", "implicit"}
    assert not loaded & {*heavy, *FRAMEWORKS}


def test_no_part_of_the_engine_loads_a_framework() -> None:
    assert not loaded_after_importing(MODULES) & set(FRAMEWORKS)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_in_the_docstrings_are_true(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0
