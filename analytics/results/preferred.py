"""Interleaving: whose products the same shoppers chose."""

from __future__ import annotations

from analytics.results import words
from analytics.results.document import Preferred
from analytics.results.facts import Facts
from analytics.results.verdicts import moment_of
from analytics.stats.answers import NotEnoughData
from analytics.stats.interleaving import Preference, preference_of, votes_of

# Of the sign test, at the one look at the planned end.
ALPHA = 0.05


def preferred(facts: Facts) -> Preferred | None:
    """The vote; None if the experiment isn't an interleaving.

    `preference` is above 0 if arm 0 is preferred (variant a). The sentence says that one is only at
    the planned end, or where that was found there: votes are counted at every look, and tested at
    one.
    """
    if facts.plan.kind != "interleaving" or len(facts.arms) < 2:
        return None
    first, second = facts.arms[:2]
    votes = votes_of(facts.votes.credits if facts.votes else ())
    answer = preference_of(votes)
    cast = (
        f"{words.shoppers(votes.n_first)} clicked more on products of {first.name},"
        f" {votes.n_second:,} on products of {second.name}, {votes.n_ties:,} on both alike"
    )
    found = (facts.found or {}).get(second.variant_id)
    if found is not None:
        winner = second.name if found.state == "better" else first.name
        sentence = f"Shoppers prefer {winner}: {cast}{_by_chance(answer)}."
    elif isinstance(answer, NotEnoughData):
        sentence = f"Not enough data: {answer.words}. {cast}."
    elif answer.p_value > ALPHA:
        sentence = f"No preference is certain: {cast}{_by_chance(answer)}."
    elif moment_of(facts) == "planned_end":
        winner = first.name if answer.share > 0 else second.name
        sentence = f"Shoppers prefer {winner}: {cast}{_by_chance(answer)}."
    else:
        sentence = f"Only the look at the planned end decides: {cast}{_by_chance(answer)}."
    return Preferred(
        variant_a=first.variant_id,
        variant_b=second.variant_id,
        wins_a=votes.n_first,
        wins_b=votes.n_second,
        ties=votes.n_ties,
        preference=None if isinstance(answer, NotEnoughData) else answer.share,
        p_value=None if isinstance(answer, NotEnoughData) else answer.p_value,
        sentence=sentence,
        missing=answer.words if isinstance(answer, NotEnoughData) else None,
    )


def _by_chance(answer: Preference | NotEnoughData) -> str:
    return "" if isinstance(answer, NotEnoughData) else f" ({words.p_words(answer.p_value)})"
