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
    (
        "Catalog",
        "catalog",
        "console-catalog",
        (
            "console-product",
            "console-imports",
            "console-import",
            "console-import-new",
            "console-import-columns",
            "console-feed",
            "console-catalog-bulk",
        ),
    ),
    (
        "Placements",
        "placement",
        "console-placements",
        (
            "console-placement",
            "console-placement-new",
            "console-placement-edit",
            "console-preview",
            "console-radar",
        ),
    ),
    (
        "Strategies",
        "strategy",
        "console-strategies",
        (
            "console-strategies-new",
            "console-strategy-new",
            "console-strategy",
            "console-strategy-edit",
        ),
    ),
    (
        "Campaigns",
        "star",
        "console-campaigns",
        (
            "console-campaign-new",
            "console-campaign",
            "console-segments",
            "console-segment-new",
            "console-segment",
            "console-configuration",
            "console-configuration-look",
            "console-configuration-apply",
        ),
    ),
    (
        "Experiments",
        "experiment",
        "console-experiments",
        (
            "console-experiment",
            "console-experiment-new",
            "console-experiment-edit",
            "console-experiment-setup",
            "console-experiment-links",
            "console-experiment-history",
            "console-experiment-start",
            "console-experiment-ramp",
            "console-experiment-stop",
            "console-experiment-decide",
            "console-holdout",
            "console-experiment-groups",
            "console-off-policy",
            "console-off-policy-run",
        ),
    ),
    (
        "Insights",
        "insights",
        "console-insights",
        (
            "console-insights-by",
            "console-insights-placement",
            "console-insights-strategy",
            "console-insights-source",
            "console-insights-diversity",
            "console-insights-unseen",
            "console-insights-tracking",
        ),
    ),
    ("Events", "eye", "console-events", ()),
    ("Models", "model", "console-models", ("console-run", "console-weights", "console-similarity")),
    ("Lab", "spark", "console-lab", ("console-lab-run", "console-lab-start")),
    (
        "Shoppers",
        "person",
        "console-shoppers",
        ("console-shopper", "console-shopper-link"),
    ),
    (
        "Settings",
        "settings",
        "console-settings",
        (
            "console-key-create",
            "console-members",
            "console-member",
            "console-member-role",
            "console-member-remove",
            "console-invitation-create",
            "console-audit",
        ),
    ),
)


def sections_for(*, store_slug: str, url_name: str) -> list[Section]:
    """The links of a store's sidebar; the one that `url_name` belongs to is current."""
    return [
        Section(label, icon, reverse(first, args=[store_slug]), url_name in (first, *below))
        for label, icon, first, below in _SECTIONS
    ]


def section_first(*, url_name: str) -> str:
    """The first page of the section that a page belongs to; the overview if it belongs to none."""
    firsts = (first for _, _, first, below in _SECTIONS if url_name in (first, *below))
    return next(firsts, "console-overview")
