"""The installation: what counts as complete, and what is said when it can't go on."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import bootstrap

PROJECT = Path(bootstrap.__file__).parent


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder with locks, and an environment whose making is only noted."""
    (tmp_path / "requirements.txt").write_text("one==1 \\\n    --hash=sha256:00\n")
    (tmp_path / "requirements-dev.txt").write_text("one==1 \\\n    --hash=sha256:00\ntwo==2\n")
    venv = tmp_path / ".venv"
    monkeypatch.setattr(bootstrap, "PROJECT", tmp_path)
    monkeypatch.setattr(bootstrap, "VENV", venv)
    monkeypatch.setattr(bootstrap, "STAMP", venv / "vitrine-installed")
    monkeypatch.setattr(bootstrap, "UNFINISHED", venv / "vitrine-unfinished")
    monkeypatch.setattr(bootstrap, "is_usable", lambda: (venv / "pyvenv.cfg").exists())
    return tmp_path


@pytest.fixture
def calls(project: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the installation did, in order."""
    done: list[str] = []

    def make_venv() -> None:
        done.append("venv")
        bootstrap.VENV.mkdir(exist_ok=True)
        (bootstrap.VENV / "pyvenv.cfg").write_text("")

    monkeypatch.setattr(bootstrap, "make_venv", make_venv)
    monkeypatch.setattr(bootstrap, "pip_install", lambda lock: done.append(lock.name))
    return done


def test_a_complete_environment_is_left_alone(calls: list[str]) -> None:
    bootstrap.install(dev=False)
    bootstrap.install(dev=False)
    assert calls == ["venv", "requirements.txt"]


def test_the_developers_environment_is_good_for_running_too(calls: list[str]) -> None:
    bootstrap.install(dev=True)
    bootstrap.install(dev=False)
    assert calls == ["venv", "requirements-dev.txt"]


def test_a_changed_lock_is_installed_into_the_same_environment(
    project: Path, calls: list[str]
) -> None:
    bootstrap.install(dev=False)
    (project / "requirements.txt").write_text("one==2\n")
    bootstrap.install(dev=False)
    assert calls == ["venv", "requirements.txt", "requirements.txt"]


def test_an_interrupted_installation_is_made_anew(
    calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(lock: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(bootstrap, "pip_install", interrupted)
        with pytest.raises(KeyboardInterrupt):
            bootstrap.install(dev=False)
    assert not bootstrap.is_complete(dev=False)
    bootstrap.install(dev=False)
    assert calls == ["venv", "venv", "requirements.txt"]
    assert bootstrap.is_complete(dev=False)


def test_too_little_room_is_said_with_the_number(
    calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "ROOM_BYTES", 2**60)
    with pytest.raises(bootstrap.InstallError, match=r"is full: \d+ MB are free"):
        bootstrap.install(dev=False)
    assert calls == []


def test_a_copy_without_its_lock_is_said_to_be_incomplete(project: Path) -> None:
    (project / "requirements.txt").unlink()
    with pytest.raises(bootstrap.InstallError, match="the copy of Vitrine is not complete"):
        bootstrap.install(dev=False)


def test_a_python_without_ensurepip_is_sent_to_debians_package(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(bootstrap.InstallError, match=r"apt install python3\.\d+-venv"):
        bootstrap.make_venv()


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        (
            (
                "  Downloading one-1-py3-none-any.whl\n"
                "ERROR: No matching distribution found for scikit-learn==1.9.1"
            ),
            r"scikit-learn 1\.9\.1 has no ready-made wheel for Python",
        ),
        (
            (
                "WARNING: Retrying after connection broken by 'NewConnectionError'\n"
                "ERROR: No matching distribution found for amqp==5"
            ),
            "registry can't be reached",
        ),
        ("ERROR: No matching distribution found for amqp==5.4.2", "registry can't be reached"),
        ("ERROR: [Errno 28] No space left on device", "disk is full"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES", "not the one that was locked"),
        ("ERROR: something new", "ended with:\nERROR: something new"),
    ],
)
def test_pips_failure_becomes_a_sentence(output: str, sentence: str) -> None:
    assert re.search(sentence, bootstrap.why_pip_failed(output.splitlines()))


def test_an_older_python_can_read_the_file_up_to_its_message() -> None:
    # `compile` with the grammar of 3.8 stands in for a Python that this machine may not have.
    import ast

    ast.parse((PROJECT / "bootstrap.py").read_text(), feature_version=(3, 7))


def test_it_needs_nothing_but_the_standard_library() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", "import runpy; runpy.run_path('bootstrap.py')"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_the_locks_hold_hashes_and_no_address(name: str) -> None:
    text = (PROJECT / name).read_text()
    requirements = re.findall(r"^[A-Za-z0-9].*$", text, re.MULTILINE)
    assert len(requirements) > 50
    assert all(re.search(r"==\S+", line) for line in requirements)
    assert text.count("--hash=sha256:") >= len(requirements)
    assert not re.search(r"https?:|file:|--index|--find-links|--extra", text)


def test_the_developers_lock_holds_the_other_one() -> None:
    def pinned(name: str) -> set[str]:
        return set(
            re.findall(r"^[A-Za-z0-9][^ ]*==[^ ]+", (PROJECT / name).read_text(), re.MULTILINE)
        )

    assert pinned("requirements.txt") <= pinned("requirements-dev.txt")
