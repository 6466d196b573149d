"""Which source deserves a place given to chance: chances that were learned, looked up in a request.

The sources of an answer are the arms of a contextual bandit. What is served is a table: in each
situation the probability that a source is the best one (`engine.offline.source_bandit` learns it). The
places given to chance draw a source by it and a candidate within the source by its score, which
is one draw by weight: so `exploration.explore` knows the probability of every outcome, as ever.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from recommender.engine.errors import InvalidInputError
from recommender.engine.online.exploration import LEAST_SHARE
from recommender.engine.types import Float32Array, Float64Array, Int64Array

# A source that lost everywhere keeps this much: shops change, nobody would see it win again, and no
# weight of a later estimate from the log gets out of hand.
LEAST_CHANCE = 0.03

# What tells situations apart: features and their levels, the first level where nothing is known.
# The number of a situation is logged with each answer. Whoever changes a level gives the new
# situations numbers that were never in use.
SITUATION: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("view", ("nothing", "category", "search", "product", "cart")),
    ("device", ("unknown", "desktop", "mobile")),
    ("shopper", ("new", "known")),
    ("visit", ("none", "some", "many")),
    ("hours", ("night", "morning", "afternoon", "evening")),
)
# The same as JSON keeps it: what was learned says which situations it was learned of.
GRID = [[name, list(levels)] for name, levels in SITUATION]
N_LEVELS = tuple(len(levels) for _, levels in SITUATION)
N_SITUATIONS = prod(N_LEVELS)
# Products of a visit from which on there are many.
MANY = 4


@dataclass(frozen=True, slots=True)
class SourceTable:
    """What was learned for one placement.

    Attributes
    ----------
    sources
        Their names, in the order of the columns.
    chances : float32[N_SITUATIONS, n_sources]
        Rows sum to 1.
    """

    sources: tuple[str, ...]
    chances: Float32Array

    def __post_init__(self) -> None:
        expected = (N_SITUATIONS, len(self.sources))
        if self.chances.shape != expected:
            raise InvalidInputError(f"chances of {self.chances.shape}, {expected} are needed")


def situation_number(levels: Mapping[str, str]) -> int:
    """The row of a situation in the table; a feature that isn't named has its first level.

    Examples
    --------
    >>> situation_number({}), situation_number({"hours": "evening"})
    (0, 3)
    >>> situation_levels(situation_number({"view": "cart", "visit": "many"}))["view"]
    'cart'

    Raises
    ------
    ValueError
        For a level that there is not.
    """
    number = 0
    for (name, known), n in zip(SITUATION, N_LEVELS, strict=True):
        number = number * n + known.index(levels.get(name, known[0]))
    return number


def situation_levels(number: int) -> dict[str, str]:
    """The levels of a situation, by feature."""
    places = np.unravel_index(number, N_LEVELS)
    return {
        name: levels[int(place)] for (name, levels), place in zip(SITUATION, places, strict=True)
    }


def visit_level(n_products: int) -> str:
    """How long a visit is: "none", "some" or "many" products."""
    return "none" if n_products == 0 else "some" if n_products < MANY else "many"


def hours_level(hour: int) -> str:
    """The quarter of the day of an hour of the shop, 0 to 23.

    Examples
    --------
    >>> hours_level(5), hours_level(18)
    ('night', 'evening')
    """
    return SITUATION[-1][1][hour // 6]


def arm_chances(table: SourceTable | None, situation: int, arms: Sequence[str]) -> Float64Array:
    """The chance of each source that has something to show: float64[n_arms], summing to 1.

    The table's row, restricted to the arms and brought to a sum of 1, and of that at least
    `LEAST_CHANCE` for each. A source that the table doesn't know has the share of one among many;
    without a table all are alike.

    Parameters
    ----------
    arms
        Names of sources, each once; at least one.

    Examples
    --------
    >>> table = SourceTable(("a", "b"), np.tile(np.float32([.75, .25]), (N_SITUATIONS, 1)))
    >>> arm_chances(table, 0, ["b"]).tolist()
    [1.0]
    >>> arm_chances(table, 0, ["b", "a"]).round(3).tolist()
    [0.265, 0.735]
    """
    n = len(arms)
    if table is None or not table.sources:
        return np.full(n, 1.0 / n)
    row = dict(zip(table.sources, table.chances[situation].tolist(), strict=True))
    unknown = 1.0 / len(table.sources)
    chances = np.array([row.get(name, unknown) for name in arms])
    total = chances.sum()
    chances = chances / total if total > 0 else np.full(n, 1.0 / n)
    floor: Float64Array = LEAST_CHANCE + (1.0 - n * LEAST_CHANCE) * chances
    return floor


def candidate_weights(
    arm_of: Int64Array, scores: Float64Array, chances: Float64Array
) -> Float64Array:
    """How often each candidate is to be drawn: its source's chance, shared out by score.

    ``w_i = p_s score_i / sum of the scores of s``, each score raised to a tenth (`LEAST_SHARE`) of the
    largest of its source; in equal parts where all are 0. So the weights of a source sum to its
    chance, however many candidates it has, and `explore` is to take them as they are.

    Parameters
    ----------
    arm_of : int64[n]
        Which arm a candidate belongs to.
    scores : float64[n]
        What is below 0 counts as 0.
    chances : float64[n_arms]

    Returns
    -------
    float64[n]

    Examples
    --------
    >>> candidate_weights(np.array([0, 0, 1]), np.array([3., 1., .5]), np.array([.4, .6]))
    array([0.3, 0.1, 0.6])
    """
    n_arms = len(chances)
    largest = np.zeros(n_arms)
    np.maximum.at(largest, arm_of, scores)
    positive = np.maximum(scores, LEAST_SHARE * largest[arm_of])
    sums = np.bincount(arm_of, weights=positive, minlength=n_arms)
    counts = np.bincount(arm_of, minlength=n_arms)
    shares = np.where(
        sums[arm_of] > 0,
        positive / np.where(sums > 0, sums, 1.0)[arm_of],
        1.0 / np.maximum(counts, 1)[arm_of],
    )
    weights: Float64Array = chances[arm_of] * shares
    return weights
