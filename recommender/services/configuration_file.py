"""The file of a store's configuration, as it is written and read."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec

# 2: `content_weights` and `chosen_method` came.
SCHEMA = 2
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=300)]
Key = Annotated[str, msgspec.Meta(pattern=r"^[-a-z0-9_]{1,80}$")]


class StrategyEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    key: Key
    name: Text
    document: dict[str, Any]
    description: str = ""


class PlacementEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    slug: Key
    name: Text
    page_type: str
    n_products: int
    n_minimum: int
    strategy: Key
    title: str = ""
    below_minimum: str = "fill"
    position: int = 0
    paused: bool = False
    title_by_locale: dict[str, str] = {}
    exclude: dict[str, bool] | None = None


class SegmentEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    key: Key
    name: Text
    document: dict[str, Any]


class RuleEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Text
    document: dict[str, Any]
    note: str = ""
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    enabled: bool = True


class ContentWeightsEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    text: int
    attributes: int
    own_vectors: int

    def weights(self) -> dict[str, int]:
        return msgspec.structs.asdict(self)


class ChosenMethodEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The Lab's choice. `parameters` as the comparison chose them."""

    method: Key
    protocol: Key
    parameters: dict[str, Any] = {}


class Configuration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file. `vitrine_configuration` is the number of its schema.

    None where nobody has chosen: Vitrine decides, and an import leaves what is there.
    """

    vitrine_configuration: int
    currency: str
    store: str = ""
    exported_at: datetime | None = None
    strategies: tuple[StrategyEntry, ...] = ()
    placements: tuple[PlacementEntry, ...] = ()
    segments: tuple[SegmentEntry, ...] = ()
    rules: tuple[RuleEntry, ...] = ()
    event_weights: dict[str, float] = {}
    content_weights: ContentWeightsEntry | None = None
    chosen_method: ChosenMethodEntry | None = None
