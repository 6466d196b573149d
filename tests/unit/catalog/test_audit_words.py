"""Whatever the code records in the audit log is said in words."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from catalog.console.audit_words import ACTION_WORDS, action_words
from catalog.services.product_bulk import _CHANGES
from recommender.config.env import PROJECT_DIR

ACTION = re.compile(r"[a-z_]+\.[a-z_]+")
# Actions that are put together, by their beginning: how they may end.
ENDINGS = {"product.": set(_CHANGES), "content_weights.": {"save", "restore"}}


def recorded_actions(source: str) -> Iterator[str]:
    """Actions in a module that records any: every text of that form, put together or not."""
    if "audit_record(" not in source:
        return
    tree = ast.parse(source)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            first = node.values[0]
            if isinstance(first, ast.Constant) and re.fullmatch(r"[a-z_]+\.", str(first.value)):
                assert first.value in ENDINGS, (
                    f"An action begins with {first.value!r} and is put together: add to ENDINGS in"
                    " tests/unit/catalog/test_audit_words.py how it may end."
                )
                yield from (f"{first.value}{ending}" for ending in ENDINGS[first.value])
        elif (
            isinstance(node, ast.Constant)
            and id(node) not in docstrings
            and ACTION.fullmatch(str(node.value))
        ):
            yield str(node.value)


def all_actions() -> set[str]:
    return {
        action
        for app in ("catalog", "recommender", "analytics")
        for path in (PROJECT_DIR / app).rglob("*.py")
        for action in recorded_actions(path.read_text())
    }


def test_every_action_that_is_recorded_has_words() -> None:
    actions = all_actions()
    assert len(actions) > 40, "the search finds no actions any more"
    assert not actions - ACTION_WORDS.keys(), (
        "add words for these to ACTION_WORDS in catalog/console/audit_words.py"
    )


def test_no_words_are_kept_for_what_nobody_records() -> None:
    assert not ACTION_WORDS.keys() - all_actions()


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('audit_record(store=s, action="cup.break")', {"cup.break"}),
        ('audit_record(action=f"product.{x}")', {f"product.{each}" for each in _CHANGES}),
        (
            'def f():\n    "cup.break"\n    audit_record(action="cup.fill" if full else "cup.empty")',
            {"cup.fill", "cup.empty"},
        ),
        ('print("cup.break")', set()),
    ],
)
def test_actions_are_found_however_they_are_given(source: str, found: set[str]) -> None:
    assert set(recorded_actions(source)) == found


def test_no_two_actions_are_said_alike_and_each_names_its_family_first() -> None:
    assert len(set(ACTION_WORDS.values())) == len(ACTION_WORDS)
    for words in ACTION_WORDS.values():
        assert re.fullmatch(r"[A-Z][a-z -]+: [a-z, ]+", words), words


def test_an_action_of_an_older_version_is_said_by_its_own_words() -> None:
    assert action_words("shelf_board.take_down") == "Shelf board: take down"
    assert action_words("shelf_board") == "Shelf board"
