"""The verdict in a sentence that a marketer understands, with the numbers that it rests on."""

from __future__ import annotations

from dataclasses import dataclass

from analytics.metrics.definitions import DEFINITIONS
from analytics.results import words
from analytics.results.document import Check, Guard
from analytics.results.effects import Effects
from analytics.results.facts import Facts, Found
from analytics.results.power_panel import come_back_days, days_until
from analytics.results.scorecard import per_day
from analytics.results.verdicts import moment_of, running_days, shown_interval
from analytics.stats.answers import Advice
from analytics.stats.decision import STANDARD_RULE, Verdict
from analytics.stats.effects import Effect
from catalog.money import money_rounded


@dataclass(frozen=True, slots=True)
class Case:
    """One variant's verdict and what it rests on.

    Attributes
    ----------
    verdict
        Of this look, or the one that stands.
    found
        The verdict of an earlier look that stands.
    """

    effects: Effects
    arm: int
    verdict: Verdict
    advice: Advice
    guards: tuple[Guard, ...]
    red: tuple[Check, ...]
    found: Found | None = None

    @property
    def facts(self) -> Facts:
        """All of them."""
        return self.effects.facts

    @property
    def variant(self) -> str:
        """Its name."""
        return self.facts.arms[self.arm].name

    @property
    def control(self) -> str:
        """Its name."""
        return self.facts.arms[0].name

    @property
    def metric(self) -> str:
        """The primary one, in the middle of a sentence."""
        return words.metric_name(self.facts.plan.primary)

    @property
    def effect(self) -> Effect | None:
        """As the plan says, if there is one."""
        effect = self.effects.locked(self.facts.plan.primary, self.arm).effect
        return effect if isinstance(effect, Effect) else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval that is shown."""
        shown = shown_interval(self.effects, self.arm, self.verdict)
        return None if shown is None else (shown.low, shown.high)


def sentence_of(case: Case) -> str:
    """The whole verdict, by kind of experiment and state."""
    kind = case.facts.plan.kind
    if case.red:
        return _distrust(case)
    if kind == "aa":
        return _same(case)
    if kind == "holdout":
        return _held_out(case)
    return _compared(case)


def _distrust(case: Case) -> str:
    why = {
        "split": "the split between the arms is wrong",
        "bias": "the arms differed before the test",
    }
    told = [
        f"{why.get(check.key, check.title.lower())}. {check.words.removeprefix('Not as planned: ')}"
        for check in case.red
    ]
    return f"Don't trust {case.variant}: {' Also, '.join(told)} Find the cause before you decide."


def _compared(case: Case) -> str:
    state = case.verdict.state
    if case.found is not None and not _still_says_so(case):
        return _stands(case, case.found)
    if state == "better" or state == "worse":
        return f"{_changes(case)} {_what_to_do(case)}"
    if state == "not_enough":
        return _not_enough(case)
    if case.facts.state == "stopped" and state == "running":
        return (
            f"Stopped after {_days_of_plan(case.facts)}, before a difference was found:"
            f" {so_far(case)}.{_nearly(case)} Keep {case.control}, or test again for longer."
        )
    if state == "no_difference_found":
        return (
            f"No difference in {case.metric} was found between {case.variant} and {case.control}:"
            f" {so_far(case)}.{_nearly(case) or _ruled_out(case)} Keep {case.control}, or test"
            " something bolder."
        )
    told = f"{_opening(case.facts)}Too early to say: {so_far(case)}.{_nearly(case)}"
    return f"{told} {_come_back(case)}".rstrip()


def _same(case: Case) -> str:
    state = case.verdict.state
    if state == "better" or state == "worse":
        since = f" on {words.day_words(case.found.found_at)}" if case.found else ""
        return (
            f"{case.control} and {case.variant} are the same strategy, and yet a difference in"
            f" {case.metric} was found{since}: {_figure(case)}. Don't trust other tests before you"
            " know why."
        )
    if state == "not_enough":
        return _not_enough(case)
    if state == "running" and case.facts.state != "stopped":
        return (
            f"{_opening(case.facts)}Both arms are the same strategy and no difference was found so"
            f" far, as it should be: {_figure(case)}. {_come_back(case)}"
        )
    return (
        "Both arms are the same strategy and no difference was found, as it should be:"
        f" {_figure(case)}."
    )


def _held_out(case: Case) -> str:
    """Arm 1 sees recommendations, the control doesn't."""
    if case.verdict.state == "not_enough" or case.effect is None:
        return _not_enough(case)
    worth, seen = _incremental(case), _among_shown(case)
    if case.verdict.state == "better":
        return f"Recommendations {worth}: {seen}." if worth else f"Recommendations help: {seen}."
    if case.verdict.state == "worse":
        told = f" {worth}" if worth else " do harm"
        return f"Recommendations{told}: {seen}. Look for what they displace."
    told = f"; as measured they {worth}" if worth else ""
    return f"What recommendations earn isn't certain yet: {seen}{told}.{_nearly(case)}"


def _among_shown(case: Case) -> str:
    if case.facts.plan.primary == "revenue_per_shopper":
        return f"shoppers who see them spend {_figure(case)}"
    return f"with them {case.metric} changes by {_figure(case)}"


def _incremental(case: Case) -> str:
    """ "earn about £120 a day"; empty for metrics that aren't per shopper."""
    definition = DEFINITIONS[case.facts.plan.primary]
    effects = case.effects
    measured = effects.measured(
        definition.key, case.arm, scale="absolute", cuped=effects.uses_cuped(definition.key)
    )
    if not isinstance(measured.effect, Effect):
        return ""
    gain = per_day(effects, definition, measured.effect, running_days(case.facts))
    if gain is None:
        return ""
    if definition.unit == "money":
        amount = money_rounded(round(abs(gain)), case.facts.currency)
        return f"{'earn' if gain >= 0 else 'cost'} about {amount} a day"
    more = "more" if gain >= 0 else "fewer"
    return f"bring about {abs(gain):,.1f} {more} {definition.numerator} a day"


def bandit_words(case: Case, chance: float | None) -> str:
    """A bandit has no lift; it has chances and shares of the traffic."""
    if case.red:
        return _distrust(case)
    share = words.percent(case.facts.arms[case.arm].share)
    if chance is None:
        missing = case.verdict.missing
        why = f": {missing.words}" if missing else ""
        return (
            f"{_opening(case.facts)}Not enough data{why}. Until then {case.variant} keeps"
            f" {share} of the traffic."
        )
    best = f"{case.variant} is the best with a chance of {words.percent(chance)}"
    if case.verdict.state == "better":
        return f"{best} and gets {share} of the traffic. {_what_to_do(case)}"
    if case.verdict.state == "worse":
        return f"{best} only, and gets {share} of the traffic. {_what_to_do(case)}"
    return f"{_opening(case.facts)}Not decided yet: {best} and gets {share} of the traffic."


def _stands(case: Case, found: Found) -> str:
    how = "lift" if (case.verdict.state == "better") == _is_higher_better(case) else "lower"
    return (
        f"On {words.day_words(found.found_at)} {case.variant} was found to {how} {case.metric}, and"
        f" that stands; now it is {_figure(case)}. {_what_to_do(case)}"
    )


def _changes(case: Case) -> str:
    effect = case.effect
    assert effect is not None
    verb = "lifts" if effect.estimate > 0 else "lowers"
    return (
        f"{case.variant} {verb} {case.metric} by {words.percent(abs(effect.estimate))}"
        f" ({_interval(case)})."
    )


def _what_to_do(case: Case) -> str:
    if case.verdict.state == "worse":
        return f"Keep {case.control}."
    guards = guard_words(case)
    if case.advice == "ship":
        return f"{guards} Ship {case.variant}."
    return f"{guards} Weigh that before you ship {case.variant}."


def guard_words(case: Case) -> str:
    """All guardrails in a sentence or more; the ones that aren't fine by name."""
    if not case.guards:
        return "No guardrails were set."
    told = []
    for guard in case.guards:
        if guard.state == "safe":
            continue
        name = words.metric_name(guard.metric)
        falls = "rises" if DEFINITIONS[guard.metric].direction == "lower" else "falls"
        margin = words.percent(guard.margin)
        if guard.state == "harmed":
            told.append(f"{name} {falls} for certain, and not surely by less than {margin}")
        else:
            told.append(f"it isn't certain that {name} {falls} by less than {margin}")
    if told:
        return f"But {words.listed(told)}."
    return "Guardrails are fine." if len(case.guards) > 1 else "The guardrail is fine."


def _not_enough(case: Case) -> str:
    missing = case.verdict.missing
    what = missing.words if missing else "nothing was measured"
    facts = case.facts
    if facts.state == "stopped":
        return f"Stopped after {_days_of_plan(facts)} without enough data: {what}."
    if moment_of(facts) != "running":
        return f"{_opening(facts)}Not enough data at the planned end: {what}. Let it run on, or stop it."
    return f"{_opening(facts)}Not enough data: {what}. {_come_back_for_minimum(case)}".rstrip()


def _come_back_for_minimum(case: Case) -> str:
    if case.facts.state != "running":
        return ""
    wait = come_back_days(case.effects)
    return f"Come back in about {words.days(wait)}." if wait is not None else ""


def _come_back(case: Case) -> str:
    if case.facts.state == "paused":
        return "Take it up again to find out."
    wait = days_until(case.facts)
    return f"The verdict is due in {words.days(wait)}." if wait is not None else ""


def _opening(facts: Facts) -> str:
    return "Paused. " if facts.state == "paused" else ""


def so_far(case: Case) -> str:
    """What was seen, which is no verdict; a part of a sentence."""
    return f"{case.variant} changes {case.metric} by {_figure(case)}"


def _figure(case: Case) -> str:
    effect = case.effect
    if effect is None:
        return "unknown"
    return f"{words.percent(effect.estimate, signed=True)} ({_interval(case)})"


def _interval(case: Case) -> str:
    interval = case.interval
    assert interval is not None
    return words.interval_words(*interval)


def _still_says_so(case: Case) -> bool:
    """Whether today's interval agrees with the verdict that stands."""
    interval = case.interval
    if interval is None:
        return False
    rises = (case.verdict.state == "better") == _is_higher_better(case)
    return interval[0] > 0 if rises else interval[1] < 0


def _nearly(case: Case) -> str:
    """Why an interval without 0 isn't a verdict: the rule asks for more than 95 %."""
    interval = case.interval
    if interval is None or interval[0] <= 0 <= interval[1]:
        return ""
    rule, moment = STANDARD_RULE, moment_of(case.facts)
    together = ", for all variants together" if len(case.effects.variants) > 1 else ""
    if moment == "planned_end":
        asked = words.percent(1 - rule.alpha_at_end).replace(".0", "")
        return f" That isn't enough: at the planned end the rule asks for {asked}{together}."
    asked = words.percent(1 - rule.alpha_any_look).replace(".0", "")
    when = "before" if moment == "running" else "after"
    return f" That is nearly enough: {when} the planned end the rule asks for {asked}{together}."


def _ruled_out(case: Case) -> str:
    """Whether the smallest effect worth finding can still be there."""
    interval, smallest = case.interval, case.facts.plan.smallest_lift
    if interval is None or smallest <= 0:
        return ""
    best = interval[1] if _is_higher_better(case) else -interval[0]
    asked = words.percent(smallest)
    if best < smallest:
        return f" An improvement of {asked} is ruled out."
    return f" An improvement of {asked} isn't ruled out."


def _is_higher_better(case: Case) -> bool:
    return DEFINITIONS[case.facts.plan.primary].direction != "lower"


def _days_of_plan(facts: Facts) -> str:
    return f"{running_days(facts):.0f} of {facts.plan.planned_days} days"
