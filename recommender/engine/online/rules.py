"""What rules do to products: what may be shown, and by what scores are multiplied.

What several active rules do together is a table over `ProductSets`, combined once per choice of
rules and kept by the caller, so that a request pays one look-up however many rules there are. Which
products they mean stands in `rule_targets`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from recommender.engine.online.blending import Blended
from recommender.engine.online.rule_sets import ProductSets, packed_holds, unpack
from recommender.engine.online.rule_targets import (
    InView,
    ProductColumns,
    RelativeTarget,
)
from recommender.engine.types import (
    BoolArray,
    Float32Array,
    Float64Array,
    Int32Array,
)

# Several boosts of one product multiply; beyond this the order is theirs alone anyway.
LARGEST_FACTOR = 100.0
_LARGEST_POWER = math.log(LARGEST_FACTOR)


class Does(IntEnum):
    """What a rule does to the products that it means."""

    INCLUDE_ONLY = 1
    EXCLUDE = 2
    SCALE = 3
    PIN = 4
    RESERVE = 5


@dataclass(frozen=True, slots=True)
class Effect:
    """One rule on one catalog.

    Attributes
    ----------
    packed : uint8[⌈n / 8⌉] or None
        The static target in bits, see `rule_sets.pack`; None means every product.
    relative
        None if it doesn't compare.
    factor
        Of scores, for `Does.SCALE`; below 1 buries.
    rows : int32[p]
        What is pinned, in order.
    position, slots
        Of pins and reserved slots; positions begin with 1.
    """

    does: Does
    packed: npt.NDArray[np.uint8] | None = None
    relative: RelativeTarget | None = None
    factor: float = 1.0
    rows: Int32Array = field(default_factory=lambda: np.empty(0, np.int32))
    position: int = 0
    slots: int = 0

    def mask(self, n: int) -> BoolArray | None:
        """The static target over n products, None for all of them."""
        return None if self.packed is None else unpack(self.packed, n)

    def holds(self, rows: Int32Array) -> BoolArray:
        """Whether the static target means each of some rows; reads their bits only."""
        return (
            np.ones(len(rows), np.bool_) if self.packed is None else packed_holds(self.packed, rows)
        )


@dataclass(frozen=True, slots=True)
class Compared:
    """What the rules that compare alike with the product in view do to the products that compare so.

    Attributes
    ----------
    allowed : bool[n_sets] or None
        Of the products that compare so, those that no rule excludes.
    kept : bool[n_sets] or None
        If there is any include-only rule, nothing but these of the products that compare so.
    powers : float64[n_sets] or None
        Logarithms of the factors.
    """

    relative: RelativeTarget
    allowed: BoolArray | None
    kept: BoolArray | None
    powers: Float64Array | None


@dataclass(frozen=True, slots=True)
class Combined:
    """What rules that count together do, on one catalog.

    Attributes
    ----------
    allowed : bool[n_sets] or None
        What the static includes and excludes let through; None lets everything through.
    powers : float64[n_sets] or None
        Logarithms of what scores are multiplied by, before what compares; None scales nothing.
    factors : float32[n_sets] or None
        By which they are multiplied where nothing compares.
    compared
        What compares with the product in view, each comparison once.
    placed
        Places of the rules that pin or reserve, the first one first.
    """

    allowed: BoolArray | None
    powers: Float64Array | None
    factors: Float32Array | None
    compared: tuple[Compared, ...]
    placed: tuple[int, ...]

    @property
    def scales(self) -> bool:
        return self.powers is not None or any(each.powers is not None for each in self.compared)


def combine(effects: Sequence[Effect], active: Sequence[int], sets: ProductSets) -> Combined:
    """Put the effects of some rules together.

    Parameters
    ----------
    effects
        Of all rules.
    active : places in `effects`, in the order of the rules
    sets
        Of the static targets of `effects`, in their order.

    Returns
    -------
    Combined
        Several include-only rules leave what all of them allow; factors multiply, and of the product
        not more than `LARGEST_FACTOR` counts. Costs some 3 µs per active rule and 1,000 sets.

    Examples
    --------
    >>> from recommender.engine.online.rule_sets import product_sets
    >>> bits = np.packbits(np.array([True, False, True]))
    >>> rules = [Effect(Does.EXCLUDE, bits), Effect(Does.SCALE, bits, factor=2.0)]
    >>> sets = product_sets([bits, bits], n_items=3)
    >>> both = combine(rules, [0, 1], sets)
    >>> both.allowed[sets.codes].tolist(), both.factors[sets.codes].tolist()
    ([False, True, False], [2.0, 1.0, 2.0])
    """
    static = _Together()
    compared: dict[RelativeTarget, _Together] = {}
    placed: list[int] = []
    for place in active:
        effect = effects[place]
        if effect.does in (Does.PIN, Does.RESERVE):
            placed.append(place)
        elif effect.relative is None:
            static.add(effect, sets.holds[place])
        else:
            alike = compared.setdefault(effect.relative, _Together())
            alike.add(effect, sets.holds[place])
    allowed = static.allowed
    if static.kept is not None:
        allowed = static.kept if allowed is None else static.kept & allowed
    return Combined(
        None if allowed is None or allowed.all() else allowed,
        static.powers,
        None if static.powers is None else _factors(static.powers),
        tuple(
            Compared(relative, alike.allowed, alike.kept, alike.powers)
            for relative, alike in compared.items()
        ),
        tuple(placed),
    )


def _factors(powers: Float64Array) -> Float32Array:
    """What logarithms of factors come to, not more than `LARGEST_FACTOR` and its inverse."""
    factors: Float32Array = np.exp(powers.clip(-_LARGEST_POWER, _LARGEST_POWER)).astype(np.float32)
    return factors


class _Together:
    """The effects of several rules on the sets that they mean."""

    def __init__(self) -> None:
        self.allowed: BoolArray | None = None
        self.kept: BoolArray | None = None
        self.powers: Float64Array | None = None

    def add(self, effect: Effect, means: BoolArray) -> None:
        if effect.does is Does.SCALE:
            # A sum of logarithms can't overflow, and doesn't ask in which order it is made.
            own = np.multiply(means, math.log(effect.factor), dtype=np.float64)
            self.powers = own if self.powers is None else self.powers + own
        elif effect.does is Does.INCLUDE_ONLY:
            self.kept = means if self.kept is None else self.kept & means
        else:
            self.allowed = ~means if self.allowed is None else self.allowed & ~means


def allows(
    combined: Combined, sets: ProductSets, columns: ProductColumns, view: InView, rows: Int32Array
) -> BoolArray | None:
    """Which of some rows the includes and excludes let through, None for all of them.

    A rule that compares with something that isn't in view does nothing.
    """
    kept: BoolArray | None = None
    if combined.allowed is not None:
        kept = combined.allowed.take(sets.codes.take(rows))
    for each in combined.compared:
        if (each.allowed is None and each.kept is None) or not each.relative.can_compare(view):
            continue
        codes = sets.codes.take(rows)
        alike = each.relative.holds(columns, view, rows)
        if each.allowed is not None:
            own = each.allowed.take(codes) | ~alike
            kept = own if kept is None else kept & own
        if each.kept is not None:
            own = each.kept.take(codes) & alike
            kept = own if kept is None else kept & own
    return kept


def factors_of(
    combined: Combined, sets: ProductSets, columns: ProductColumns, view: InView, rows: Int32Array
) -> Float32Array | None:
    """By which the scores of some rows are multiplied, float32[len(rows)]; None by nothing."""
    codes = sets.codes.take(rows)
    powers: Float64Array | None = None
    for each in combined.compared:
        if each.powers is not None and each.relative.can_compare(view):
            own = each.powers.take(codes)
            own *= each.relative.holds(columns, view, rows)
            powers = own if powers is None else powers + own
    if powers is None:
        return None if combined.factors is None else combined.factors.take(codes)
    if combined.powers is not None:
        powers += combined.powers.take(codes)
    return _factors(powers)


def scale_blended(blended: Blended, factors: Float32Array) -> Blended:
    """The candidates with their scores multiplied, best first again; ties keep their order.

    The shares of the sources stay what the sources added.

    Parameters
    ----------
    factors : float32[len(blended)], positive
    """
    scores = blended.scores * factors
    # Most of it is in order already, which the stable sort makes use of.
    order = (-scores).argsort(kind="stable")
    return Blended(
        blended.rows.take(order),
        scores.take(order),
        blended.starts.take(order),
        blended.ends.take(order),
        blended.line_scores,
        blended.line_places,
        blended.begins,
        blended.parts,
    )


def settle(
    fixed: Sequence[tuple[int, Sequence[int]]], order: Sequence[int], *, n_wanted: int
) -> list[int]:
    """Rows in their final places: what is fixed at its position, the others in their order around it.

    Parameters
    ----------
    fixed : sequence of (position from 1, rows)
        Rows go to this position and those behind it. Where somebody stands already, the next free
        one; a row that has its place already keeps it; positions behind `n_wanted` are none.
    order
        The other rows, best first; those that are fixed are skipped.

    Returns
    -------
    list of rows, at most `n_wanted`
        Without gaps: a fixed row moves up if there are too few others before it.

    Examples
    --------
    >>> settle([(2, [9]), (2, [8])], [1, 2, 8, 3], n_wanted=4)
    [1, 9, 8, 2]
    >>> settle([(4, [9])], [1], n_wanted=6)
    [1, 9]
    """
    places: dict[int, int] = {}
    taken: set[int] = set()
    for position, rows in fixed:
        place = position
        for row in rows:
            if row in taken:
                continue
            while place in places:
                place += 1
            if place > n_wanted:
                break
            places[place] = row
            taken.add(row)
    others = iter([row for row in order if row not in taken])
    settled: list[int] = []
    for place in range(1, n_wanted + 1):
        here = places[place] if place in places else next(others, None)
        if here is not None:
            settled.append(here)
    return settled
