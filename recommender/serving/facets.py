"""Tags and attributes of products as numbers: one per product, for the whole set of them.

Products with the same tags and attributes share a set, so a catalog holds one int32 per product
and what differs once. Which products have a tag is which sets have it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import orjson

from recommender.engine.types import BoolArray

# What identifies a product says nothing of several, and would make every set another one.
IDENTIFIERS = frozenset({"gtin", "mpn", "item_group_id", "isbn", "ean", "upc", "sku"})
MAX_ATTRIBUTES = 30
MAX_TEXT = 100
# Between the name of an attribute and its value; no text of a product holds it.
_IS = "\x1f"


class FacetSets:
    """Sets of tags and attributes. Numbers are given once and never change; 0 is the empty set."""

    def __init__(self) -> None:
        self._code_of: dict[str, int] = {}
        self._number_of: dict[bytes, int] = {b"": 0}
        self._sets_of: list[list[int]] = []

    def __len__(self) -> int:
        return len(self._number_of)

    def encode(self, tags: Iterable[str], attributes: str) -> int:
        """The number of a product's set. `attributes` is a JSON object as PostgreSQL writes it."""
        facets = {_tag(tag) for tag in tags}
        if attributes != "{}":
            facets.update(_facets_of(orjson.loads(attributes)))
        if not facets:
            return 0
        codes = sorted(self._code(facet) for facet in facets)
        key = np.array(codes, np.int32).tobytes()
        number = self._number_of.get(key)
        if number is None:
            number = len(self._number_of)
            for code in codes:
                self._sets_of[code].append(number)
            self._number_of[key] = number
        return number

    def with_tag(self, tags: Iterable[str]) -> BoolArray:
        """Which sets have one of some tags, bool[n_sets]."""
        return self._with(_tag(tag) for tag in tags)

    def with_attribute(self, name: str, values: Iterable[str]) -> BoolArray:
        """Which sets have an attribute with one of some values, bool[n_sets]."""
        return self._with(_attribute(name, value) for value in values)

    def has_tag(self, tag: str) -> bool:
        """Whether any product has, or had, the tag."""
        return _tag(tag) in self._code_of

    def names(self) -> list[str]:
        """Names of the attributes that products have, in order."""
        return sorted({facet.partition(_IS)[0] for facet in self._code_of} - {""})

    def tags(self) -> list[str]:
        return sorted(facet[1:] for facet in list(self._code_of) if facet.startswith(_IS))

    def attributes(self) -> list[tuple[str, str]]:
        """Names and values of the attributes that products have, or had, in no order."""
        split = (facet.partition(_IS) for facet in list(self._code_of))
        return [(name, value) for name, _, value in split if name]

    def _with(self, facets: Iterable[str]) -> BoolArray:
        has = np.zeros(len(self), np.bool_)
        for facet in facets:
            code = self._code_of.get(facet)
            if code is not None:
                has[[number for number in self._sets_of[code] if number < len(has)]] = True
        return has

    def _code(self, facet: str) -> int:
        code = self._code_of.get(facet)
        if code is None:
            code = self._code_of[facet] = len(self._sets_of)
            self._sets_of.append([])
        return code


def _tag(tag: str) -> str:
    return _IS + tag.casefold()


def _attribute(name: str, value: str) -> str:
    return f"{name.casefold()}{_IS}{value.casefold()}"


def _facets_of(attributes: Any) -> Iterable[str]:
    if not isinstance(attributes, Mapping):
        return
    for name, value in list(attributes.items())[:MAX_ATTRIBUTES]:
        if name.casefold() in IDENTIFIERS:
            continue
        for each in value if isinstance(value, list) else (value,):
            text = _text(each)
            if text is not None and len(text) <= MAX_TEXT:
                yield _attribute(name, text)


def _text(value: object) -> str | None:
    """A value as a member would write it; None for what has no such form."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    return f"{value:g}" if isinstance(value, int | float) else None
