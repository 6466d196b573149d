"""The badge and the one sentence of an experiment with all its variants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

from analytics.results import words
from analytics.results.document import VariantVerdict
from analytics.results.facts import Facts
from analytics.stats.answers import Advice

Status: TypeAlias = Literal[
    "draft", "no_data", "running", "unhealthy", "ship", "roll_back", "review", "stopped", "paused"
]

# Whose sentence stands for the experiment: what asks for something to be done first.
_FIRST: tuple[Advice | None, ...] = ("distrust", "ship", "review", "wait", "inconclusive", "keep")


def status_of(facts: Facts, verdicts: Sequence[VariantVerdict]) -> Status:
    """The badge."""
    if facts.state == "draft" or facts.state == "stopped":
        return facts.state
    advice = {verdict.advice for verdict in verdicts}
    if "distrust" in advice:
        return "unhealthy"
    if facts.state == "paused":
        return "paused"
    if not len(facts.participants) and facts.plan.kind != "interleaving":
        return "no_data"
    if facts.plan.kind == "holdout" or not advice:
        # A hold-out goes on for ever; its sentence says what it found.
        return "running"
    if "ship" in advice:
        return "ship"
    if "review" in advice:
        return "review"
    if "wait" in advice:
        return "running"
    if facts.plan.kind == "aa":
        return "review"
    return "roll_back" if advice == {"keep"} else "review"


def headline_of(facts: Facts, verdicts: Sequence[VariantVerdict]) -> str:
    """The verdict in one sentence."""
    if facts.state == "draft":
        return "Not started yet."
    if facts.plan.kind != "interleaving" and not len(facts.participants):
        return _nobody(facts)
    if not verdicts:
        return "There is nothing to compare: the experiment has one arm."
    chosen = min(verdicts, key=lambda verdict: _FIRST.index(verdict.advice))
    others = len(verdicts) - 1
    if not others:
        return chosen.sentence
    return f"{chosen.sentence} ({words.count(others, 'other variant', 'other variants')} below.)"


def _nobody(facts: Facts) -> str:
    if facts.state == "stopped":
        return "Stopped before a shopper was exposed."
    if facts.state == "paused":
        return "Paused. No shopper has been exposed yet."
    return (
        "No shopper has been exposed yet. Check that the page with the placement asks for"
        " recommendations."
    )
