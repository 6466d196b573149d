"""The cause behind a reason code, and where a member can do something about it: in words."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from analytics.console.readiness_words import NEEDS
from analytics.selectors.empty_slots import CatalogGaps
from recommender.models import Rule, Run
from recommender.selectors.rules import RuleState, rule_state
from recommender.serving.strategy import StrategyDocument
from recommender.serving.trace import REASON_WORDS, Reason


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a placement was left wanting.

    Attributes
    ----------
    words
        The reason, a sentence.
    page
        The name of the address where the cause is; "placement" is the placement's own page, "rule"
        that of the rule.
    query
        Behind the question mark of that address.
    link
        The words of the link: "Models → item similarity not trained".
    rule_id
        Of the rule that the link leads to.
    """

    words: str
    page: str
    query: str
    link: str
    rule_id: int | None = None


# What became of a rule since it left products out.
_STATES = {
    RuleState.PLANNED: ", which waits for its date now",
    RuleState.ENDED: ", which has ended since then",
    RuleState.PAUSED: ", which has paused since then",
    RuleState.OFF: ", switched off since then",
}


def cause_of(
    reason: str,
    *,
    document: StrategyDocument | None,
    trained: Collection[str],
    gaps: CatalogGaps,
) -> Cause:
    """Put a reason of the log beside what the store has now."""
    words = REASON_WORDS.get(reason, reason)
    match reason:
        case Reason.NOT_TRAINED:
            return Cause(words, "console-models", "", _untrained_words(document, trained))
        case Reason.UNKNOWN_PRODUCT:
            return Cause(
                words,
                "console-catalog",
                "",
                "Catalog → are the ids of your pages those of the feed?",
            )
        case Reason.ALL_EXCLUDED | Reason.EMPTY_CATALOG:
            return _catalog_cause(words, gaps)
        case Reason.UNKNOWN_SHOPPER:
            return Cause(
                words, "console-radar", "#readiness", "Readiness → who is known, and to whom"
            )
        case Reason.STATE_UNAVAILABLE:
            return Cause(words, "console-events", "", "Events → do they arrive?")
        case Reason.PLACEMENT_PAUSED:
            return Cause(words, "placement", "", "Placement → paused")
        case Reason.NO_CONTEXT:
            return Cause(words, "placement", "", "Placement → does the tag name what is in view?")
    return Cause(words, "placement", "", "Placement → its strategy, caps and minimum")


def cause_of_rule(rule: Rule | None, *, now: datetime) -> Cause:
    """Rules left out too much: the one that left out most, None if it isn't there any more."""
    words = REASON_WORDS[Reason.EXCLUDED_BY_RULES]
    if rule is None:
        return Cause(words, "console-campaigns", "", "Campaigns → the rule was deleted since then")
    became = _STATES.get(rule_state(rule, now=now), "")
    return Cause(words, "rule", "", f"Campaigns → “{rule.name}”{became}", rule.pk)


def _untrained_words(document: StrategyDocument | None, trained: Collection[str]) -> str:
    names = [] if document is None else [entry.source for entry in document.sources]
    families = {
        NEEDS[name].family for name in names if name in NEEDS and NEEDS[name].family is not None
    }
    missing = [
        Run.Family(each).label.lower() for each in sorted(filter(None, families - set(trained)))
    ]
    if missing:
        return f"Models → {' and '.join(missing)} not trained"
    return "Models → trained since then"


def _catalog_cause(words: str, gaps: CatalogGaps) -> Cause:
    """The commonest cause of the catalog; the strategy's own exclusions if there is none."""
    state, n, what = max(
        (
            ("no_price", gaps.n_no_price, "without a price"),
            ("out_of_stock", gaps.n_out_of_stock, "out of stock"),
            ("hidden", gaps.n_hidden, "hidden"),
        ),
        key=lambda each: each[1],
    )
    if not gaps.n:
        return Cause(words, "console-catalog", "", "Catalog → no product yet")
    if not n:
        return Cause(words, "placement", "", "Placement → what the strategy and the page leave out")
    return Cause(
        words,
        "console-catalog",
        f"?state={state}",
        f"Catalog → {n:,} product{'s' if n != 1 else ''} {what}",
    )
