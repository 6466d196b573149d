"""Models, runs and their quality, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from catalog.durations import duration_words
from recommender.models import Artifact, Run
from recommender.selectors.runs import FamilyStatus
from recommender.services.training.schedule import (
    INCREMENT_INTERVALS,
    INTERVALS,
    NIGHTLY,
    full_due_at,
)

# What serves may be this many training intervals older than the newest event.
_AGEING_INTERVALS = 3
_A_DAY = timedelta(days=1)
# Until here an age is counted in seconds: whether a minute's work is done every minute.
_SECONDS_UNTIL_S = 600

FAMILY_WORDS: dict[str, str] = {
    Run.Family.ITEM_SIMILARITY: "What is bought and looked at together. Serves product and cart pages.",
    Run.Family.CONTENT: "What is alike by texts, attributes and own vectors. Serves what nobody bought yet.",
    Run.Family.POPULARITY: "What sells, and what is taking off. Serves where nothing is known of the shopper.",
    Run.Family.PROFILES: "What each shopper likes and buys again, and who is alike. Serves home pages.",
    Run.Family.SESSIONS: "What is looked at next. Follows each shopper from click to click.",
    Run.Family.BLEND: "How much each source counts. Serves strategies with a learned blend.",
    Run.Family.SOURCE_BANDIT: "Which source deserves the places given to chance. Serves strategies that learn it.",
    Run.Family.CHOSEN_METHOD: "The method that was chosen in the Lab. Serves strategies of “The Lab's choice”.",
}


@dataclass(frozen=True, slots=True)
class Measure:
    """A quality figure as a member reads it."""

    label: str
    value: str
    meaning: str
    headline: bool


# name in `Run.quality`: label, what it means, whether it is a share
_MEASURES: dict[str, tuple[str, str, bool]] = {
    "basket_hit_rate_at_20": (
        "Baskets completed",
        "One product of each of the latest orders was hidden; in this share it was among 20 guesses.",
        True,
    ),
    "same_category_at_10": (
        "Neighbours in the same category",
        "Share of the ten most similar products that are from the product's own category.",
        True,
    ),
    "sales_share_of_top_100": (
        "Sales covered by the top 100",
        "Share of a week's order lines that the 100 bestsellers of the week before had predicted.",
        True,
    ),
    "next_purchases_recall_at_20": (
        "Next purchases foreseen",
        "Share of what shoppers bought in the latest weeks that was among their 20 recommendations.",
        True,
    ),
    "buy_again_recall_at_20": (
        "By buying again alone",
        "The same with nothing but repeat purchases.",
        True,
    ),
    "for_you_recall_at_20": (
        "By taste alone",
        "The same with nothing but the shopper's taste.",
        True,
    ),
    "similar_shoppers_recall_at_20": (
        "By similar shoppers alone",
        "The same with nothing but what shoppers like them have.",
        True,
    ),
    "next_click_hit_rate_at_20": (
        "Next clicks foreseen",
        "The last product of each of the latest sessions was hidden; in this share it was among 20 guesses.",
        True,
    ),
    "blend_hit_rate_at_10": (
        "Wanted products found, as learned",
        "Later page views were asked again; in this share something that was wanted was among ten.",
        True,
    ),
    "equal_blend_hit_rate_at_10": (
        "With equal weights",
        "The same with every source counting alike.",
        True,
    ),
    "n_test_queries": ("Questions tested", "How many questions this was measured on.", False),
    "n_test_sessions": ("Sessions tested", "How many sessions this was measured on.", False),
    "n_test_orders": ("Orders tested", "How many orders this was measured on.", False),
    "n_test_lines": ("Order lines tested", "How many order lines this was measured on.", False),
    "n_test_shoppers": ("Shoppers tested", "How many shoppers this was measured on.", False),
}

STATE_BADGES: dict[str, tuple[str, str]] = {
    Run.State.QUEUED: ("active", "clock"),
    Run.State.RUNNING: ("active", "retrain"),
    Run.State.PUBLISHED: ("good", "good"),
    Run.State.HELD: ("warn", "pause"),
    Run.State.REJECTED: ("neutral", "close"),
    Run.State.FAILED: ("bad", "bad"),
}


@dataclass(frozen=True, slots=True)
class Freshness:
    """How old what serves is, and what happens next.

    Attributes
    ----------
    age
        Of the serving version: "12 s".
    how
        How it came about: a full training, or so many increments on one.
    known_until
        What came in until then is known to it.
    facts
        What that is: events, products, clicks or answers.
    next_increment, next_full
        When something is added, and when everything is trained anew.
    """

    age: str
    how: str
    known_until: datetime | None
    facts: str
    next_increment: str
    next_full: str


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A family as the console shows it."""

    family: Run.Family
    words: str
    serving: Artifact | None
    active: Run | None
    held: Run | None
    last: Run | None
    failed_increment: Run | None
    trained_at: datetime | None
    is_ageing: bool
    measures: list[Measure]
    freshness: Freshness | None

    @property
    def active_percent(self) -> int:
        return round(self.active.progress * 100) if self.active else 0


def model_card(
    status: FamilyStatus,
    *,
    newest_event_at: datetime | None,
    freshness: Freshness | None = None,
) -> ModelCard:
    """`newest_event_at` is when the newest event was received: without news nothing ages."""
    serving = status.serving
    trained_at = serving.created_at if serving else None
    family = Run.Family(status.family)
    behind = newest_event_at - trained_at if newest_event_at and trained_at else None
    return ModelCard(
        family=family,
        words=FAMILY_WORDS[family],
        serving=serving,
        active=status.active,
        held=status.held,
        last=status.last,
        failed_increment=status.failed_increment,
        trained_at=trained_at,
        is_ageing=status.is_asked_for and behind is not None and behind > _ageing_after(family),
        measures=measures_of(serving.run.quality, headline=headline_of(serving)) if serving else [],
        freshness=freshness,
    )


def freshness_of(
    status: FamilyStatus, *, now: datetime, news_at: datetime | None, zone: ZoneInfo
) -> Freshness | None:
    """How fresh a family is; None if nothing serves. `news_at` as for the schedule."""
    serving = status.serving
    if serving is None:
        return None
    family = Run.Family(status.family)
    increments = int(serving.manifest.get("increments", 0))
    due_at = full_due_at(
        family=family, last=status.last, serving=serving, news_at=news_at, zone=zone
    )
    return Freshness(
        age=seconds_words((now - serving.created_at).total_seconds()),
        how=_how(increments),
        known_until=status.known_until,
        facts=_FACTS.get(family, "events"),
        next_increment=_ADDED.get(family, "") if status.is_asked_for else "",
        next_full=_next_words(due_at, now) if status.is_asked_for else _NOT_ASKED_FOR,
    )


# For every family with increments.
_ADDED = {
    Run.Family.POPULARITY: "events are added every minute",
    Run.Family.SESSIONS: "events are added every 3 minutes, half an hour after a session's last click",
    Run.Family.CONTENT: "products are added within seconds",
    Run.Family.BLEND: "clicks are added every 20 minutes, where enough came in",
    Run.Family.SOURCE_BANDIT: "places given to chance are counted every 5 minutes, once they are half an hour old",
}
assert _ADDED.keys() == INCREMENT_INTERVALS.keys()
_FACTS = {
    Run.Family.CONTENT: "products",
    Run.Family.BLEND: "clicks",
    Run.Family.SOURCE_BANDIT: "answers",
}
_NOT_ASKED_FOR = "when a strategy that is shown asks for it again"


def _how(increments: int) -> str:
    if not increments:
        return "full training"
    return f"{increments:,} {'increment' if increments == 1 else 'increments'} on a full training"


def _next_words(due_at: datetime | None, now: datetime) -> str:
    if due_at is None:
        return "when something new has come in"
    wait_s = (due_at - now).total_seconds()
    return "within a minute" if wait_s < 60 else f"in {duration_words(wait_s)}"


def seconds_words(seconds: float) -> str:
    """An age to the second, as long as seconds matter.

    >>> seconds_words(75.4), seconds_words(4000)
    ('75 s', '1 h')
    """
    if seconds < _SECONDS_UNTIL_S:
        return f"{max(int(seconds), 0)} s"
    return duration_words(seconds)


def _ageing_after(family: Run.Family) -> timedelta:
    """How far a version may be behind the newest event before somebody should know."""
    if family == Run.Family.POPULARITY:
        return 15 * INCREMENT_INTERVALS[family]
    if family in NIGHTLY:
        # Events don't age texts, and the first session of a morning joins when it has ended: only
        # nights without a training are a sign that something is wrong.
        return 2 * _A_DAY
    return _AGEING_INTERVALS * INTERVALS[family]


def headline_of(artifact: Artifact | None) -> str:
    """The figure by which a new run is compared with the one before; empty if unknown."""
    return str(artifact.manifest.get("headline", "")) if artifact else ""


def measures_of(quality: Mapping[str, Any], *, headline: str = "") -> list[Measure]:
    """Quality in words, the headline first; a figure that has no words keeps its name.

    Examples
    --------
    >>> [m.label + ": " + m.value for m in measures_of({"n_test_orders": 2000.0})]
    ['Orders tested: 2,000']
    """
    names = sorted(
        quality,
        key=lambda name: (
            name != headline,
            list(_MEASURES).index(name) if name in _MEASURES else 99,
        ),
    )
    measures = []
    for name in names:
        label, meaning, is_share = _MEASURES.get(
            name, (name.replace("_", " ").capitalize(), "", not name.startswith("n_"))
        )
        value = f"{quality[name] * 100:.1f} %" if is_share else f"{quality[name]:,.0f}"
        measures.append(Measure(label, value, meaning, name == headline))
    return measures


def counts_of(counts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a run learned from, as label and number.

    >>> counts_of({"order_lines": 1460467})
    [('Order lines', '1,460,467')]
    """
    return [
        (
            name.replace("_", " ").capitalize(),
            f"{value:,}" if isinstance(value, int) else str(value),
        )
        for name, value in counts.items()
        if not isinstance(value, list | dict)
    ]
