"""The verdict in words: the exact text of every state."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from analytics.results.document import Results
from analytics.results.facts import Facts, Found, VoteFacts
from analytics.results.judgement import judge, judge_range
from tests.unit.analytics.results.worlds import STARTED_AT, buyers, by_hand, facts_of, nobody

MID = STARTED_AT + timedelta(days=10)


def told(facts: Facts) -> tuple[str, str | None, str]:
    """Badge, advice about the first variant, sentence."""
    results = judge(facts)
    assert results.headline == results.verdicts[0].sentence
    return results.status, results.verdicts[0].advice, results.headline


def planned(facts: Facts, **changes: object) -> Facts:
    return replace(facts, plan=replace(facts.plan, **changes))  # type: ignore[arg-type]


def spread(facts: Facts, days: int = 10) -> Facts:
    """As many shoppers every day, so many days so far."""
    day = np.arange(len(facts.participants)) % days
    now = STARTED_AT + timedelta(days=days)
    return replace(
        facts,
        participants=replace(facts.participants, day=day),
        days=replace(facts.days, day=day),
        now=now,
        last_day=(now - timedelta(days=1)).date(),
    )


BETTER = buyers((5000, 500), (5000, 650))
WORSE = buyers((5000, 650), (5000, 500))
ALIKE = buyers((5000, 500), (5000, 505))
ENDS_AT = ALIKE.ends_at


def test_a_win_says_how_much_how_sure_and_what_to_do() -> None:
    assert told(replace(BETTER, now=MID)) == (
        "ship",
        "ship",
        (
            "Bold lifts conversion rate by 30.0 % (95 % interval +7.9 % to +52.1 %). No guardrails were"
            " set. Ship Bold."
        ),
    )


def test_at_the_planned_end_the_interval_is_that_of_the_one_look() -> None:
    facts = buyers((5000, 500), (5000, 570), is_planned_end=True)
    assert told(facts) == (
        "ship",
        "ship",
        (
            "Bold lifts conversion rate by 14.0 % (95 % interval +1.1 % to +26.9 %). No guardrails were"
            " set. Ship Bold."
        ),
    )
    assert judge(facts).verdicts[0].found_by == "planned_end"


def lists(control: float, variant: float, spread: float = 0.05) -> Facts:
    """Bold wins; lists of so much diversity."""
    rng = np.random.default_rng(1)
    arms = [
        [
            {
                "n_orders": float(i < bought),
                "n_diversity": 1.0,
                "diversity_sum": float(mean + spread * rng.standard_normal()),
            }
            for i in range(5000)
        ]
        for bought, mean in ((500, control), (650, variant))
    ]
    return planned(by_hand(arms, now=MID), guardrails=(("diversity", 0.05),))


def test_guardrails_that_are_fine_harmed_or_unproven_change_the_advice() -> None:
    win = "Bold lifts conversion rate by 30.0 % (95 % interval +7.9 % to +52.1 %). "
    assert told(lists(0.6, 0.6)) == ("ship", "ship", win + "The guardrail is fine. Ship Bold.")
    assert told(lists(0.6, 0.5)) == (
        "review",
        "review",
        win + "But diversity of a list falls for certain, and not surely by less than 5.0 %. Weigh"
        " that before you ship Bold.",
    )
    assert told(lists(0.6, 0.6, spread=3.0)) == (
        "review",
        "review",
        win + "But it isn't certain that diversity of a list falls by less than 5.0 %. Weigh that"
        " before you ship Bold.",
    )


def test_a_guardrail_of_which_nothing_ever_happened_is_fine() -> None:
    told_arms = [
        [{"n_orders": float(i < bought), "n_impressions": 1.0} for i in range(5000)]
        for bought in (500, 650)
    ]
    facts = planned(by_hand(told_arms, now=MID), guardrails=(("empty_rate", 0.1),))
    guard = judge(facts).verdicts[0].guards[0]
    assert (guard.state, guard.low, guard.high) == ("safe", 0.0, 0.0)
    few = planned(by_hand([arm[:60] for arm in told_arms]), guardrails=(("empty_rate", 0.1),))
    assert judge(few).verdicts[0].guards[0].state == "unclear"


def test_a_loss_says_keep() -> None:
    assert told(replace(WORSE, now=MID)) == (
        "roll_back",
        "keep",
        "Bold lowers conversion rate by 23.1 % (95 % interval −36.2 % to −10.0 %). Keep Control.",
    )


def test_no_difference_says_whether_the_smallest_lift_is_ruled_out() -> None:
    facts = replace(ALIKE, is_planned_end=True)
    assert told(facts) == (
        "review",
        "inconclusive",
        (
            "No difference in conversion rate was found between Bold and Control: Bold changes"
            " conversion rate by +1.0 % (95 % interval −10.8 % to +12.8 %). An improvement of 10.0 %"
            " isn't ruled out. Keep Control, or test something bolder."
        ),
    )
    assert "An improvement of 15.0 % is ruled out." in told(planned(facts, smallest_lift=0.15))[2]


def test_an_interval_without_0_that_is_no_verdict_says_why() -> None:
    # p = .045 at the planned end: below .05 and above the rule's .04.
    facts = buyers((5000, 500), (5000, 565), is_planned_end=True)
    results = judge(replace(facts, plan=replace(facts.plan, cuped=False)))
    p_value = results.verdicts[0].p_at_end
    assert p_value is not None
    assert 0.04 < p_value < 0.05
    assert (
        "That isn't enough: at the planned end the rule asks for 96 %. Keep Control"
        in results.headline
    )


def test_while_it_runs_the_sentence_says_when_the_verdict_is_due() -> None:
    assert told(replace(ALIKE, now=MID)) == (
        "running",
        "wait",
        (
            "Too early to say: Bold changes conversion rate by +1.0 % (95 % interval −17.3 % to"
            " +19.3 %). The verdict is due in 4 days."
        ),
    )


def test_a_paused_and_a_stopped_test_say_so() -> None:
    assert told(replace(ALIKE, now=MID, state="paused")) == (
        "paused",
        "wait",
        (
            "Paused. Too early to say: Bold changes conversion rate by +1.0 % (95 % interval −17.3 % to"
            " +19.3 %). Take it up again to find out."
        ),
    )
    assert told(replace(ALIKE, now=MID, state="stopped")) == (
        "stopped",
        "inconclusive",
        (
            "Stopped after 10 of 14 days, before a difference was found: Bold changes conversion rate by"
            " +1.0 % (95 % interval −17.3 % to +19.3 %). Keep Control, or test again for longer."
        ),
    )


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        (
            spread(buyers((90, 30), (40, 30))),
            "Not enough data: 40 of 100 shoppers in the smaller arm. Come back in about 15 days.",
        ),
        (
            spread(buyers((1000, 20), (1000, 24))),
            "Not enough data: 20 of 25 conversions in one arm. Come back in about 3 days.",
        ),
        (
            spread(BETTER, days=3),
            "Not enough data: 3 of 7 days. Come back in about 4 days.",
        ),
        (
            buyers((200, 0), (200, 0), now=MID),
            "Not enough data: all 200 shoppers of the control arm are alike so far.",
        ),
        (
            buyers((1000, 20), (1000, 24), is_planned_end=True),
            (
                "Not enough data at the planned end: 20 of 25 conversions in one arm. Let it run on, or"
                " stop it."
            ),
        ),
        (
            buyers((1000, 20), (1000, 24), now=MID, state="stopped"),
            "Stopped after 10 of 14 days without enough data: 20 of 25 conversions in one arm.",
        ),
    ],
)
def test_too_little_says_what_is_missing_and_when_to_come_back(facts: Facts, sentence: str) -> None:
    assert told(facts)[2] == sentence


@pytest.mark.parametrize(
    "facts", [spread(buyers((90, 30), (40, 30))), buyers((1000, 50), (1000, 54), now=MID)]
)
def test_the_sentence_and_the_power_panel_name_the_same_days(facts: Facts) -> None:
    results = judge(facts)
    named = re.search(r"(?:in about|due in) (\d+) days", results.headline)
    assert named is not None
    assert int(named[1]) == results.power.days_left


def test_pauses_are_no_days_of_the_test() -> None:
    phase = BETTER.phases[0]
    first = replace(phase, ended_at=STARTED_AT + timedelta(days=3))
    second = replace(phase, started_at=STARTED_AT + timedelta(days=8))
    results = judge(replace(BETTER, phases=(first, second), now=MID))
    assert results.days == 5
    assert results.verdicts[0].missing == "5 of 7 days"


def test_a_wrong_split_is_not_to_be_trusted_whatever_the_metrics_say() -> None:
    facts = replace(BETTER, now=MID, phases=(replace(BETTER.phases[0], exposed=(5600, 4400)),))
    assert told(facts) == (
        "unhealthy",
        "distrust",
        (
            "Don't trust Bold: the split between the arms is wrong. Control has 5,600 of 5,000 expected"
            " and Bold has 4,400 of 5,000 expected (p < 0.0001, over all looks p < 0.0001). Find the"
            " cause before you decide."
        ),
    )


def test_a_verdict_that_was_found_stands() -> None:
    found = {11: Found("better", "sequence", datetime(2026, 3, 10, 9, tzinfo=UTC))}
    results = judge(replace(ALIKE, found=found))
    assert results.verdicts[0].state == "better"
    assert results.verdicts[0].found_at == found[11].found_at
    assert results.headline == (
        "On 10 March 2026 Bold was found to lift conversion rate, and that stands; now it is +1.0 %"
        " (95 % interval −17.3 % to +19.3 %). No guardrails were set. Ship Bold."
    )
    after = buyers((5000, 500), (5000, 580), found={11: Found("better", "planned_end", MID)})
    assert judge(after).headline == (
        "Bold lifts conversion rate by 16.0 % (95 % interval +2.9 % to +29.1 %). No guardrails were"
        " set. Ship Bold."
    )


def test_an_a_a_test_is_glad_of_nothing_and_alarmed_by_a_difference() -> None:
    assert told(planned(replace(ALIKE, is_planned_end=True), kind="aa")) == (
        "review",
        "inconclusive",
        (
            "Both arms are the same strategy and no difference was found, as it should be: +1.0 %"
            " (95 % interval −10.8 % to +12.8 %)."
        ),
    )
    assert told(planned(replace(ALIKE, now=MID), kind="aa"))[2] == (
        "Both arms are the same strategy and no difference was found so far, as it should be: +1.0 %"
        " (95 % interval −17.3 % to +19.3 %). The verdict is due in 4 days."
    )
    assert told(planned(replace(BETTER, now=MID), kind="aa")) == (
        "unhealthy",
        "distrust",
        (
            "Control and Bold are the same strategy, and yet a difference in conversion rate was found:"
            " +30.0 % (95 % interval +7.9 % to +52.1 %). Don't trust other tests before you know why."
        ),
    )


def test_a_hold_out_says_what_recommendations_earn() -> None:
    facts = planned(replace(BETTER, now=MID), kind="holdout")
    # In ten days, by the 5,000 shoppers who saw them: those who are held out bring nothing.
    assert told(facts) == (
        "running",
        "ship",
        (
            "Recommendations bring about 15.0 more buyers a day: with them conversion rate changes by"
            " +30.0 % (95 % interval +7.9 % to +52.1 %)."
        ),
    )
    money = planned(replace(BETTER, now=MID), kind="holdout", primary="revenue_per_shopper")
    assert told(money)[2] == (
        "Recommendations earn about £750 a day: shoppers who see them spend +30.0 % (95 % interval"
        " +7.9 % to +52.1 %)."
    )
    unsure = planned(replace(ALIKE, now=MID), kind="holdout", primary="revenue_per_shopper")
    assert told(unsure)[2] == (
        "What recommendations earn isn't certain yet: shoppers who see them spend +1.0 % (95 %"
        " interval −17.3 % to +19.3 %); as measured they earn about £25 a day."
    )
    harm = planned(replace(WORSE, now=MID), kind="holdout", primary="revenue_per_shopper")
    assert told(harm)[:2] == ("running", "review")
    assert told(harm)[2].startswith("Recommendations cost about £750 a day: shoppers who see them")


def test_of_some_days_it_is_told_what_was_seen_and_nothing_that_is_a_verdict() -> None:
    some = judge_range(replace(BETTER, now=MID))
    (verdict,) = some.verdicts
    told_of = "Bold changes conversion rate by +30.0 % (95 % interval +7.9 % to +52.1 %)."
    assert (some.status, some.headline) == ("range", f"In these days: {told_of}")
    assert (verdict.state, verdict.advice, verdict.sentence) == ("running", None, told_of)
    assert (verdict.found_by, verdict.found_at) == (None, None)
    few = judge_range(buyers((40, 4), (40, 9)))
    assert few.headline == (
        "In these days: too little was seen to compare Bold: 40 of 100 shoppers in the smaller arm."
    )
    bandit = judge_range(planned(replace(BETTER, now=MID), kind="bandit"))
    assert "no lift is read" in bandit.headline
    cast = ((1, 0),) * 40 + ((0, 1),) * 70
    vote = planned(nobody(votes=VoteFacts(cast), now=MID), kind="interleaving")
    assert "40 shoppers clicked more on products of Control" in judge_range(vote).headline
    none = judge_range(replace(nobody(), arms=BETTER.arms[:1]))
    assert (none.status, none.verdicts) == ("range", ())


def test_a_bandit_speaks_of_chances_and_shares() -> None:
    decided = planned(replace(BETTER, now=MID), kind="bandit")
    assert told(decided)[2] == (
        "Bold is the best with a chance of 100.0 % and gets 50.0 % of the traffic. No guardrails"
        " were set. Ship Bold."
    )
    open_yet = planned(replace(ALIKE, now=MID), kind="bandit")
    assert told(open_yet)[1:] == (
        "wait",
        "Not decided yet: Bold is the best with a chance of 56.6 % and gets 50.0 % of the traffic.",
    )
    few = planned(buyers((60, 6), (40, 4), now=MID), kind="bandit")
    assert told(few)[2] == (
        "Not enough data: 40 of 100 shoppers in the smallest arm. Until then Bold keeps 50.0 % of"
        " the traffic."
    )
    lost = planned(replace(WORSE, now=MID), kind="bandit")
    assert told(lost)[1] == "keep"


def votes(first: int, second: int, ties: int, **changes: object) -> Results:
    cast = ((1, 0),) * first + ((0, 1),) * second + ((1, 1),) * ties
    facts = planned(nobody(votes=VoteFacts(cast)), kind="interleaving")
    return judge(replace(facts, **changes))  # type: ignore[arg-type]


def test_interleaving_counts_votes_and_decides_at_the_planned_end() -> None:
    cast = (
        "40 shoppers clicked more on products of Control, 70 on products of Bold, 20 on both alike"
        " (p = 0.0054)."
    )
    early = votes(40, 70, 20, now=MID)
    assert (early.headline, early.verdicts[0].state, early.status) == (
        f"Only the look at the planned end decides: {cast}",
        "running",
        "running",
    )
    end = votes(40, 70, 20, is_planned_end=True)
    assert end.headline == f"Shoppers prefer Bold: {cast}"
    assert (end.verdicts[0].state, end.verdicts[0].advice) == ("better", "review")
    assert end.preferred is not None
    assert (end.preferred.wins_a, end.preferred.wins_b, end.preferred.ties) == (40, 70, 20)
    assert votes(70, 40, 0, is_planned_end=True).verdicts[0].advice == "keep"
    assert votes(50, 55, 0, is_planned_end=True).headline == (
        "No preference is certain: 50 shoppers clicked more on products of Control, 55 on products"
        " of Bold, 0 on both alike (p = 0.70)."
    )
    assert votes(2, 3, 0).headline.startswith("Not enough data: 5 of 6 shoppers with a preference.")


def test_votes_cast_after_the_planned_end_are_not_tested_again() -> None:
    assert votes(50, 55, 0, is_planned_end=True).verdicts[0].state == "no_difference_found"
    assert ENDS_AT is not None
    later = votes(50, 80, 0, now=ENDS_AT + timedelta(days=20))
    (verdict,) = later.verdicts
    assert (later.moment, verdict.state, verdict.found_by) == ("after", "no_difference_found", None)
    assert (verdict.p_at_end, verdict.advice) == (None, "inconclusive")
    assert later.headline.startswith("Only the look at the planned end decides: 50 shoppers")


def test_a_preference_that_was_found_stands_whatever_is_left_of_the_votes() -> None:
    found = {11: Found("better", "planned_end", MID)}
    for now in (votes(2, 3, 0, found=found), votes(60, 55, 0, found=found)):
        (verdict,) = now.verdicts
        assert (verdict.state, verdict.found_at, verdict.missing) == ("better", MID, None)
        assert now.headline.startswith("Shoppers prefer Bold: ")


def test_who_was_stopped_early_never_reaches_the_planned_end() -> None:
    assert ENDS_AT is not None
    stopped = replace(ALIKE, state="stopped", stopped_at=MID, ends_at=ENDS_AT)
    assert judge(replace(stopped, now=ENDS_AT + timedelta(days=1))).moment == "running"
    in_time = replace(stopped, stopped_at=ENDS_AT, now=ENDS_AT + timedelta(days=1))
    assert judge(in_time).moment == "after"


def test_with_several_variants_the_one_to_act_on_speaks() -> None:
    three = replace(buyers((5000, 500), (5000, 505), (5000, 700)), now=MID)
    results = judge(three)
    assert results.status == "ship"
    assert results.headline.startswith("Fresh lifts conversion rate by 40.0 %")
    assert results.headline.endswith("Ship Fresh. (1 other variant below.)")
    assert [verdict.advice for verdict in results.verdicts] == ["wait", "ship"]


@pytest.mark.parametrize(
    ("state", "status", "sentence"),
    [
        (
            "running",
            "no_data",
            (
                "No shopper has been exposed yet. Check that the page with the placement asks for"
                " recommendations."
            ),
        ),
        ("paused", "paused", "Paused. No shopper has been exposed yet."),
        ("stopped", "stopped", "Stopped before a shopper was exposed."),
        ("draft", "draft", "Not started yet."),
    ],
)
def test_before_anybody_came(state: str, status: str, sentence: str) -> None:
    results = judge(nobody(state=state))
    assert (results.status, results.headline) == (status, sentence)
    assert results.verdicts[0].state == "not_enough"
    assert results.verdicts[0].missing == "0 of 100 shoppers in the smaller arm"


def test_who_is_left_out_is_said_with_numbers() -> None:
    facts = facts_of(np.random.default_rng(1), 500, with_shown=False)
    control, variant = facts.arms
    arms = (replace(control, n_crossovers=3), replace(variant, n_bots=1))
    assert judge(facts).left_out == ""
    assert judge(replace(facts, arms=arms)).left_out == (
        "Left out of 504 exposed: 3 shoppers seen in more than one arm and 1 machine."
    )
