"""The sections of the console, in the order of the sidebar."""

from __future__ import annotations

from dataclasses import dataclass

from django.urls import reverse


@dataclass(frozen=True, slots=True)
class Section:
    label: str
    icon: str
    url: str
    current: bool


# label, icon, the section's first page, names of the pages below it
_SECTIONS: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    ("Overview", "overview", "console-overview", ()),
    ("Catalog", "catalog", "console-catalog", ("console-product",)),
    ("Placements", "placement", "console-placements", ("console-placement",)),
    ("Events", "eye", "console-events", ()),
    ("Models", "model", "console-models", ("console-run", "console-weights")),
    (
        "Shoppers",
        "person",
        "console-shoppers",
        ("console-shopper", "console-shopper-link"),
    ),
    ("Settings", "settings", "console-settings", ()),
)


def sections_for(*, store_slug: str, url_name: str) -> list[Section]:
    """The links of a store's sidebar; the one that `url_name` belongs to is current."""
    return [
        Section(label, icon, reverse(first, args=[store_slug]), url_name in (first, *below))
        for label, icon, first, below in _SECTIONS
    ]
