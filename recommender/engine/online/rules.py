"""What rules do to products, as masks and factors over the catalog.

What several active rules do together is combined once per set of rules and kept by the caller, so
that a request pays one lookup however many rules there are. Which products they mean stands in
`rule_targets`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from recommender.engine.online.blending import Blended
from recommender.engine.online.rule_targets import (
    InView,
    ProductColumns,
    RelativeTarget,
)
from recommender.engine.types import (
    BoolArray,
    Float32Array,
    Int32Array,
)

# Several boosts of one product multiply; beyond this the order is theirs alone anyway.
LARGEST_FACTOR = 100.0


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
        The static target in bits, `numpy.packbits`; None means every product.
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
        if self.packed is None:
            return None
        mask: BoolArray = np.unpackbits(self.packed, count=n).view(np.bool_)
        return mask

    def holds(self, rows: Int32Array) -> BoolArray:
        """Whether the static target means each of some rows; reads their bits only."""
        if self.packed is None:
            return np.ones(len(rows), np.bool_)
        bytes_of = self.packed.take(rows >> 3)
        bits: BoolArray = ((bytes_of >> (7 - (rows & 7))) & 1).astype(np.bool_)
        return bits


@dataclass(frozen=True, slots=True)
class Late:
    """Effects that compare with the product in view: worked out on candidate rows."""

    does: Does
    relative: RelativeTarget
    effect: Effect
    factor: float

    def means(self, columns: ProductColumns, view: InView, rows: Int32Array) -> BoolArray:
        """Which of some rows it means."""
        means = self.relative.holds(columns, view, rows)
        if self.effect.packed is not None:
            means &= self.effect.holds(rows)
        return means


@dataclass(frozen=True, slots=True)
class Combined:
    """What rules that count together do, on one catalog.

    Attributes
    ----------
    allowed : bool[n] or None
        What the static includes and excludes let through; None lets everything through.
    codes : uint16[n] or None
        Places in `table`; None scales nothing.
    table : float32[m]
        By which scores are multiplied.
    late
        What compares with the product in view; what is alike is there once.
    placed
        Places of the rules that pin or reserve, the first one first.
    """

    allowed: BoolArray | None
    codes: npt.NDArray[np.uint16] | None
    table: Float32Array
    late: tuple[Late, ...]
    placed: tuple[int, ...]

    @property
    def scales(self) -> bool:
        return self.codes is not None or any(each.does is Does.SCALE for each in self.late)


def combine(effects: Sequence[Effect], active: Sequence[int], *, n_items: int) -> Combined:
    """Put the effects of some rules together.

    Parameters
    ----------
    effects
        Of all rules.
    active : places in `effects`, in the order of the rules
    n_items : int

    Returns
    -------
    Combined
        Several include-only rules leave what all of them allow; factors multiply. Costs some 50 µs
        per rule and 100,000 products, so it is kept for rules that share a condition.

    Examples
    --------
    >>> bits = np.packbits(np.array([True, False, True]))
    >>> rules = [Effect(Does.EXCLUDE, bits), Effect(Does.SCALE, bits, factor=2.0)]
    >>> both = combine(rules, [0, 1], n_items=3)
    >>> both.allowed.tolist(), both.table[both.codes].tolist()
    ([False, True, False], [2.0, 1.0, 2.0])
    """
    allowed: BoolArray | None = None
    scale = _Scale(n_items)
    late: dict[tuple[object, ...], Late] = {}
    placed: list[int] = []
    for place in active:
        effect = effects[place]
        if effect.does in (Does.PIN, Does.RESERVE):
            placed.append(place)
        elif effect.relative is not None:
            bits = None if effect.packed is None else effect.packed.tobytes()
            key = (effect.does, effect.relative, bits)
            before = late[key].factor if key in late else 1.0
            late[key] = Late(effect.does, effect.relative, effect, before * effect.factor)
        elif effect.does is Does.SCALE:
            scale.multiply(effect)
        else:
            mask = effect.mask(n_items)
            means = np.ones(n_items, np.bool_) if mask is None else mask
            keeps = means if effect.does is Does.INCLUDE_ONLY else ~means
            allowed = keeps if allowed is None else allowed & keeps
    return Combined(allowed, scale.codes, scale.table(), tuple(late.values()), tuple(placed))


class _Scale:
    """Factors of products as numbers of the few different ones."""

    def __init__(self, n_items: int) -> None:
        self._n = n_items
        self._values = [1.0]
        self.codes: npt.NDArray[np.uint16] | None = None

    def multiply(self, effect: Effect) -> None:
        if self.codes is None:
            self.codes = np.zeros(self._n, np.uint16)
        mask = effect.mask(self._n)
        rows = np.arange(self._n) if mask is None else mask.nonzero()[0]
        own = self.codes[rows]
        renumber = np.arange(len(self._values), dtype=np.uint16)
        for code in np.unique(own).tolist():
            value = min(max(self._values[code] * effect.factor, 1 / LARGEST_FACTOR), LARGEST_FACTOR)
            if value not in self._values:
                self._values.append(value)
            renumber[code] = self._values.index(value)
        self.codes[rows] = renumber[own]

    def table(self) -> Float32Array:
        return np.array(self._values, np.float32)


def allows(
    groups: Sequence[Combined], columns: ProductColumns, view: InView, rows: Int32Array
) -> BoolArray | None:
    """Which of some rows the includes and excludes let through, None for all of them.

    A rule that compares with something that isn't in view does nothing.
    """
    kept: BoolArray | None = None
    for group in groups:
        if group.allowed is not None:
            own = group.allowed.take(rows)
            kept = own if kept is None else kept & own
        for each in group.late:
            if each.does is Does.SCALE or not each.relative.can_compare(view):
                continue
            means = each.means(columns, view, rows)
            own = means if each.does is Does.INCLUDE_ONLY else ~means
            kept = own if kept is None else kept & own
    return kept


def factors_of(
    groups: Sequence[Combined], columns: ProductColumns, view: InView, rows: Int32Array
) -> Float32Array:
    """By which the scores of some rows are multiplied, float32[len(rows)]."""
    factors: Float32Array | None = None
    compared: dict[RelativeTarget, BoolArray] = {}
    for group in groups:
        if group.codes is not None:
            own = group.table.take(group.codes.take(rows))
            factors = own if factors is None else factors * own
        for each in group.late:
            if each.does is Does.SCALE and each.relative.can_compare(view):
                # Rules of several conditions often compare alike.
                if each.relative not in compared:
                    compared[each.relative] = each.relative.holds(columns, view, rows)
                means = compared[each.relative]
                if each.effect.packed is not None:
                    means = means & each.effect.holds(rows)
                own = np.where(means, np.float32(each.factor), np.float32(1))
                factors = own if factors is None else factors * own
    if factors is None:
        return np.ones(len(rows), np.float32)
    return np.clip(factors, np.float32(1 / LARGEST_FACTOR), np.float32(LARGEST_FACTOR))


def scale_blended(blended: Blended, factors: Float32Array) -> Blended:
    """The candidates with their scores multiplied, best first again; ties keep their order.

    The shares of the sources stay what the sources added.

    Parameters
    ----------
    factors : float32[len(blended)], positive
    """
    scores = blended.scores * factors
    order = np.argsort(-scores, kind="stable")
    return replace(
        blended,
        rows=blended.rows[order],
        scores=scores[order],
        starts=blended.starts[order],
        ends=blended.ends[order],
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
