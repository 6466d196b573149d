"""What the statistics answer when there is nothing to say, and what they refuse.

Two things that must not be mixed: an *impossible input* (minus three shoppers, a level of 5) is an
exception with the value in it; an *expected absence* (nobody bought yet) is a `NotEnoughData` with
a reason. Neither is ever an effect of 0 with p = 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import isfinite
from typing import Literal, TypeAlias

# Of a verdict (`analytics.stats.decision`), here for readers that don't compute.
Moment: TypeAlias = Literal["running", "planned_end", "after"]
State: TypeAlias = Literal["better", "worse", "no_difference_found", "running", "not_enough"]
Advice: TypeAlias = Literal["distrust", "wait", "ship", "keep", "review", "inconclusive"]


class InvalidInputError(ValueError):
    """An argument that can't exist; the message carries the value."""


class Reason(StrEnum):
    """Why there is no answer."""

    NO_SHOPPERS = "no_shoppers"
    TOO_FEW_SHOPPERS = "too_few_shoppers"
    TOO_FEW_CONVERSIONS = "too_few_conversions"
    TOO_EARLY = "too_early"
    NO_SPREAD = "no_spread"
    NO_BASELINE = "no_baseline"
    NO_DENOMINATOR = "no_denominator"
    MISSING_ARM = "missing_arm"
    NO_VOTES = "no_votes"
    NO_OVERLAP = "no_overlap"
    UNEQUAL_ARMS = "unequal_arms"
    OUT_OF_REACH = "out_of_reach"


@dataclass(frozen=True, slots=True)
class NotEnoughData:
    """There is no answer yet, and why.

    Attributes
    ----------
    reason
        For programs.
    words
        For people: one clause with the numbers in it, without a full stop.

    Examples
    --------
    >>> NotEnoughData(Reason.TOO_FEW_SHOPPERS, "40 of 100 shoppers in the smaller arm").reason
    <Reason.TOO_FEW_SHOPPERS: 'too_few_shoppers'>
    """

    reason: Reason
    words: str


def require_finite(name: str, value: float) -> None:
    """Refuse a number that is infinite or none.

    Raises
    ------
    InvalidInputError
        With the name and the value.
    """
    if not isfinite(value):
        raise InvalidInputError(f"{name} is {value!r}, not a finite number")


def require_share(name: str, value: float) -> None:
    """Refuse a number that isn't strictly between 0 and 1.

    Raises
    ------
    InvalidInputError
        With the name and the value.
    """
    if not 0 < value < 1:
        raise InvalidInputError(f"{name} is {value!r}, not between 0 and 1")


def require_positive(name: str, value: float) -> None:
    """Refuse a number that isn't finite and above 0.

    Raises
    ------
    InvalidInputError
        With the name and the value.
    """
    if not (isfinite(value) and value > 0):
        raise InvalidInputError(f"{name} is {value!r}, not a positive number")


def require_count(name: str, value: int) -> None:
    """Refuse a negative number of things.

    Raises
    ------
    InvalidInputError
        With the name and the value.
    """
    if value < 0:
        raise InvalidInputError(f"{name} is {value!r}, not a number of things")


def require_p_values(p_values: Sequence[float]) -> None:
    """Refuse p-values outside 0 … 1.

    Raises
    ------
    InvalidInputError
        With the first such value.
    """
    for p_value in p_values:
        if not 0 <= p_value <= 1:
            raise InvalidInputError(f"{p_value!r} is no p-value")
