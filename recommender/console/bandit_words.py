"""What places given to chance have taught about the sources, as a merchant reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from catalog.models import Store
from recommender.models import Placement, Strategy
from recommender.selectors.source_bandit import exploring_placements, source_bandit_status
from recommender.serving.request import Recommendation
from recommender.serving.strategy import StrategyDocument
from recommender.serving.strategy_changes import source_label
from recommender.serving.trace import Step

_LEVELS = {
    ("view", "nothing"): "Nothing in view",
    ("view", "category"): "A category in view",
    ("view", "search"): "A search",
    ("view", "product"): "A product in view",
    ("view", "cart"): "The cart in view",
    ("device", "unknown"): "Device unknown",
    ("device", "desktop"): "At a computer",
    ("device", "mobile"): "On a phone or tablet",
    ("shopper", "new"): "Shoppers without a history",
    ("shopper", "known"): "Shoppers with a history",
    ("visit", "none"): "First page of a visit",
    ("visit", "some"): "1 to 3 products looked at",
    ("visit", "many"): "4 products or more",
    ("hours", "night"): "Midnight to 6",
    ("hours", "morning"): "6 to noon",
    ("hours", "afternoon"): "Noon to 18",
    ("hours", "evening"): "18 to midnight",
}


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One source at the places given to chance; rates are shares of 1.

    `missing` places are needed before anything is concluded: 0 once they are there.
    """

    label: str
    chance: float
    n_shown: int
    n_clicked: int
    low: float
    high: float
    missing: int

    @property
    def rate(self) -> float | None:
        return self.n_clicked / self.n_shown if self.n_shown else None


@dataclass(frozen=True, slots=True)
class SituationRow:
    """A situation with each source's chance to be the best one in it, in the table's order."""

    label: str
    n_shown: int
    chances: Sequence[tuple[str, float]]


@dataclass(frozen=True, slots=True)
class PlacementLearned:
    """What was learned for one placement; no sources before anything was counted."""

    placement: Placement
    sources: Sequence[SourceRow]
    situations: Sequence[SituationRow]

    @property
    def missing(self) -> int:
        """Places that sources still need, all together."""
        return sum(each.missing for each in self.sources)


@dataclass(frozen=True, slots=True)
class ExplorationWords:
    """The card of a strategy that learns whom chance draws; `obstacle` is why it can't."""

    obstacle: str
    placements: Sequence[PlacementLearned]
    until: datetime | None
    days: int
    least_places: int


def exploration_words(
    store: Store, strategy: Strategy, document: StrategyDocument | None
) -> ExplorationWords | None:
    """For a strategy that learns whom chance draws; None for any other. At most two queries."""
    if document is None or document.explore_by != "bandit":
        return None
    if not document.exploration:
        return ExplorationWords("no_places", [], None, 0, 0)
    placements = exploring_placements(strategy=strategy)
    if not placements:
        return ExplorationWords("not_shown", [], None, 0, 0)
    status = source_bandit_status(store_id=store.pk)
    least = status.least_places
    learned = [_placement(each, status.said.get(each.pk), least) for each in placements]
    return ExplorationWords("", learned, status.until, status.days, least)


def exploration_told(answer: Recommendation) -> str:
    """By what chance drew in an explained answer, where the strategy lets that be learned."""
    steps = answer.trace.steps if answer.trace is not None else []
    told = next((each for each in steps if each["step"] == Step.EXPLORATION), {})
    if "by" not in told:
        return ""
    if not told["drawn_from"]:
        return "Too few products were found to give a place to chance."
    if told["by"] == "score":
        return "Nothing is learned for this placement yet, so chance draws by score."
    chances = sorted(told["chances"].items(), key=lambda each: -each[1])
    words = ", ".join(f"{source_label(name)} {chance:.0%}" for name, chance in chances)
    return f"Places given to chance in this situation: {words}."


def _placement(
    placement: Placement, said: Mapping[str, Any] | None, least: int
) -> PlacementLearned:
    if said is None:
        return PlacementLearned(placement, [], [])
    rows = [_row(each, least) for each in said["sources"]]
    order = sorted(range(len(rows)), key=lambda place: (-rows[place].chance, rows[place].label))
    return PlacementLearned(
        placement, [rows[place] for place in order], _situations(said["situations"], order)
    )


def _row(said: Mapping[str, Any], least: int) -> SourceRow:
    return SourceRow(
        source_label(said["source"]),
        said["chance"],
        said["shown"],
        said["clicked"],
        said["low"],
        said["high"],
        max(least - said["shown"], 0),
    )


def _situations(said: Sequence[Mapping[str, Any]], order: Sequence[int]) -> list[SituationRow]:
    """Of features with a single level there is nothing to compare."""
    features = [each["feature"] for each in said]
    return [
        SituationRow(
            _LEVELS.get((each["feature"], each["level"]), f"{each['feature']}: {each['level']}"),
            sum(source["shown"] for source in each["sources"]),
            [
                (source_label(source["source"]), source["chance"])
                for source in (each["sources"][place] for place in order)
            ],
        )
        for each in said
        if features.count(each["feature"]) > 1
    ]
