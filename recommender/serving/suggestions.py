"""Brands, categories, tags and attributes of the catalog that fit what is being typed.

From the snapshot that serves, so that what is suggested is what a rule would mean, and no query is
made. A brand costs one pass over the names; a catalog of 100,000 products has some thousands.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from recommender.engine.types import BoolArray, Int32Array, Int64Array
from recommender.serving.snapshot import CATEGORY_SEPARATOR, CatalogSnapshot, Codes

# Of tags and attributes so many that fit are counted; brands and categories are counted all at once.
N_COUNTED = 100


class Kind(StrEnum):
    """What can be suggested from the snapshot. An attribute is written "colour: red"."""

    BRAND = "brand"
    CATEGORY = "category"
    TAG = "tag"
    ATTRIBUTE = "attribute"


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A value, and how many products with it can be recommended now."""

    value: str
    n_shown: int


@dataclass(frozen=True, slots=True)
class Known:
    """How many products of the catalog have a value, and how many of them can be recommended."""

    n: int
    n_shown: int


def suggestions(
    snapshot: CatalogSnapshot, *, kind: Kind, words: str, limit: int
) -> list[Suggestion]:
    """Values that hold all the words, wherever and in whatever case.

    The value itself comes first, then what begins with the words, then the rest; each by the number
    of products. What no product has that can be recommended is left out.
    """
    wanted = words.casefold().split()
    counts = _counts(snapshot, kind, wanted)
    typed = " ".join(wanted)

    def rank(found: Suggestion) -> tuple[int, int, str]:
        text = found.value.casefold()
        nearness = 0 if text == typed else 1 if text.startswith(typed) else 2
        return nearness, -found.n_shown, found.value

    fitting = [Suggestion(value, n) for value, n in counts if n and _fits(value, wanted)]
    return sorted(fitting, key=rank)[:limit]


def values_known(
    snapshot: CatalogSnapshot, *, kind: Kind, values: Sequence[str]
) -> dict[str, Known]:
    """What the catalog has of some values, as a rule that names them would count it."""
    return {value: _known(snapshot, kind, value) for value in values}


def attribute_parts(text: str) -> tuple[str, list[str]] | None:
    """Name and values of "colour: red, blue"; None for what isn't written like that."""
    name, colon, values = text.partition(":")
    found = [value.strip() for value in values.split(",") if value.strip()]
    return (name.strip(), found) if colon and name.strip() and found else None


def _known(snapshot: CatalogSnapshot, kind: Kind, value: str) -> Known:
    match kind:
        case Kind.BRAND:
            code = snapshot.brands.code_of.get(value, None)
            having = snapshot.brand_codes == code if code is not None else _nothing(snapshot)
        case Kind.CATEGORY:
            having = _having(snapshot.categories_inside(value), snapshot.category_codes)
        case Kind.TAG:
            having = _having(snapshot.facets.with_tag([value]), snapshot.facet_sets)
        case Kind.ATTRIBUTE:
            parts = attribute_parts(value)
            if parts is None:
                return Known(0, 0)
            having = _having(snapshot.facets.with_attribute(*parts), snapshot.facet_sets)
    return Known(int(having.sum()), int((having & snapshot.eligible).sum()))


def _having(codes: BoolArray, code_of_row: Int32Array) -> BoolArray:
    found: BoolArray = codes[code_of_row]
    return found


def _nothing(snapshot: CatalogSnapshot) -> BoolArray:
    return np.zeros(len(snapshot), np.bool_)


def _counts(
    snapshot: CatalogSnapshot, kind: Kind, wanted: Sequence[str]
) -> Iterable[tuple[str, int]]:
    """Values that may fit, and for how many products each can be recommended."""
    match kind:
        case Kind.BRAND:
            return _coded(snapshot.brands, snapshot.brand_codes[snapshot.eligible])
        case Kind.CATEGORY:
            levels: dict[str, int] = {}
            codes = snapshot.category_codes[snapshot.eligible]
            for path, n in _coded(snapshot.categories, codes):
                parts = path.split(CATEGORY_SEPARATOR)
                for depth in range(1, len(parts) + 1):
                    level = CATEGORY_SEPARATOR.join(parts[:depth])
                    levels[level] = levels.get(level, 0) + n
            return levels.items()
        case Kind.TAG:
            tags = [tag for tag in snapshot.facets.tags() if _fits(tag, wanted)][:N_COUNTED]
            n_by_set = _by_set(snapshot, len(snapshot.facets))
            return [(tag, _in_sets(n_by_set, snapshot.facets.with_tag([tag]))) for tag in tags]
        case Kind.ATTRIBUTE:
            pairs = [
                (name, value)
                for name, value in snapshot.facets.attributes()
                if _fits(f"{name}: {value}", wanted)
            ][:N_COUNTED]
            n_by_set = _by_set(snapshot, len(snapshot.facets))
            return [
                (f"{name}: {value}",
                 _in_sets(n_by_set, snapshot.facets.with_attribute(name, [value])))
                for name, value in pairs
            ]  # fmt: skip


def _coded(names: Codes, codes: Int32Array) -> Iterable[tuple[str, int]]:
    """Names with how often their code is there. The names may grow meanwhile, the codes don't."""
    counts = np.bincount(codes[codes >= 0])
    return ((names.names[code], int(counts[code])) for code in np.flatnonzero(counts))


def _by_set(snapshot: CatalogSnapshot, n_sets: int) -> Int64Array:
    return np.bincount(snapshot.facet_sets[snapshot.eligible], minlength=n_sets)


def _in_sets(n_by_set: Int64Array, has: BoolArray) -> int:
    n = min(len(n_by_set), len(has))
    return int(n_by_set[:n][has[:n]].sum())


def _fits(value: str, wanted: Sequence[str]) -> bool:
    text = value.casefold()
    return all(word in text for word in wanted)
