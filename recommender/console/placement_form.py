"""The form of a placement as fields, and what was typed as `PlacementFields`."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.http import QueryDict

from recommender.models import Placement, StrategyVersion
from recommender.selectors.strategies import StrategyRow
from recommender.services.placements import EXCLUSIONS, PlacementFields
from recommender.services.recipes import Recipe

# Empty lines for further languages.
SPARE_LOCALES = 2
EXCLUSION_LABELS = {
    "in_cart": "What is in the cart",
    "purchased": "What the shopper bought before",
    "viewed": "What the shopper looked at before",
}
EXCLUSION_CHOICES = {"": "As the strategy says", "yes": "Leave out", "no": "Show"}


@dataclass(frozen=True, slots=True)
class PlacementForm:
    """What stands in the fields. `locales` are (language, title)."""

    values: dict[str, str]
    locales: list[tuple[str, str]]
    errors: dict[str, str] = field(default_factory=dict)

    @property
    def locale_rows(self) -> list[tuple[int, str, str]]:
        rows = [*self.locales, *[("", "")] * SPARE_LOCALES]
        return [(number, *row) for number, row in enumerate(rows, start=1)]

    @property
    def exclusions(self) -> list[tuple[str, str, str]]:
        """(field, label, choice)."""
        return [
            (f"exclude_{name}", EXCLUSION_LABELS[name], self.values.get(f"exclude_{name}", ""))
            for name in EXCLUSIONS
        ]


@dataclass(frozen=True, slots=True)
class VersionChoice:
    """A version that a placement can show."""

    version: StrategyVersion
    label: str


def placement_fields_from_form(post: QueryDict) -> PlacementFields:
    """What was typed, for the service to judge. What is no number becomes None."""
    titles: dict[str, str] = {}
    for locale, title in zip(post.getlist("locale"), post.getlist("locale_title"), strict=False):
        if locale.strip() or title.strip():
            titles[locale.strip()] = title.strip()
    exclude = {
        name: post.get(f"exclude_{name}") == "yes"
        for name in EXCLUSIONS
        if post.get(f"exclude_{name}") in ("yes", "no")
    }
    return PlacementFields(
        name=post.get("name", "").strip(),
        title=post.get("title", "").strip(),
        page_type=post.get("page_type", ""),
        n_products=_whole(post.get("n_products", "")),
        n_minimum=_whole(post.get("n_minimum", "")),
        below_minimum=post.get("below_minimum", ""),
        position=_whole(post.get("position", "")),
        strategy_version_id=_whole(post.get("strategy", "")),
        title_by_locale=titles,
        exclude=exclude or None,
    )


def form_of_placement(placement: Placement) -> PlacementForm:
    values = {
        "slug": placement.slug,
        "name": placement.name,
        "title": placement.title,
        "page_type": placement.page_type,
        "n_products": str(placement.n_products),
        "n_minimum": str(placement.n_minimum),
        "below_minimum": placement.below_minimum,
        "position": str(placement.position),
        "strategy": str(placement.strategy_version_id),
        **{
            f"exclude_{name}": "yes" if left_out else "no"
            for name, left_out in (placement.exclude or {}).items()
        },
    }
    return PlacementForm(values, list(placement.title_by_locale.items()))


def form_of_recipe(recipe: Recipe | None) -> PlacementForm:
    """The form of a new placement."""
    values = {
        "page_type": recipe.page_type.value if recipe else Placement.PageType.HOME.value,
        "n_products": str(recipe.n_products if recipe else 8),
        "n_minimum": str(recipe.n_minimum if recipe else 1),
        "below_minimum": Placement.BelowMinimum.FILL.value,
        "position": "0",
    }
    return PlacementForm(values, [])


def form_as_typed(post: QueryDict, errors: dict[str, str]) -> PlacementForm:
    """The fields with what was typed, right or wrong."""
    pairs = zip(post.getlist("locale"), post.getlist("locale_title"), strict=False)
    locales = [(locale, title) for locale, title in pairs if locale or title]
    return PlacementForm({name: post.get(name, "") for name in post}, locales, errors)


def version_choices(
    rows: list[StrategyRow], *, shown: StrategyVersion | None = None
) -> list[VersionChoice]:
    """The newest version of each strategy, and before it the one that is shown if it is older."""
    choices = []
    for row in rows:
        name, newest = row.strategy.name, row.latest
        if shown is not None and shown.strategy_id == row.strategy.pk and shown.pk != newest.pk:
            choices.append(VersionChoice(shown, f"{name}, version {shown.number} (shown now)"))
        choices.append(VersionChoice(newest, f"{name}, version {newest.number}"))
    return choices


def _whole(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
