"""Experiments in words: kinds, badges, arms, what a decision does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from analytics.selectors.experiment_headlines import Headline
from recommender.models import Experiment, Variant
from recommender.selectors.experiments import variant_shows

Kind = Experiment.Kind
State = Experiment.State

# When to use it, in one sentence each.
KIND_WORDS: dict[str, str] = {
    Kind.AB: "Which is better? Shares stay as they are until you decide. Right for nearly every"
    " question.",
    Kind.AA: "Everybody sees the same. Run one before the first real test: it must find nothing.",
    Kind.BANDIT: "Shoppers move to the arm that earns more while it runs. For short campaigns, where"
    " losing less matters more than knowing by how much.",
    Kind.INTERLEAVING: "One list mixed from two strategies: whose products are clicked wins. A first"
    " answer with far fewer shoppers, but none about revenue.",
    Kind.HOLDOUT: "Some shoppers see the baseline all the time, so that you know what"
    " recommendations bring on top.",
}


@dataclass(frozen=True, slots=True)
class Badge:
    """Tone ("" is neutral), icon and words."""

    tone: str
    icon: str
    words: str


_STATUS: dict[str, Badge] = {
    "no_data": Badge("", "clock", "No data yet"),
    "running": Badge("active", "play", "Running"),
    "unhealthy": Badge("bad", "warn", "Unhealthy"),
    "ship": Badge("good", "good", "Ship now"),
    "roll_back": Badge("bad", "bad", "Roll back"),
    "review": Badge("warn", "info", "Ready for review"),
}
_DECISIONS: dict[str, Badge] = {
    Experiment.Decision.SHIP: Badge("good", "good", "Shipped"),
    Experiment.Decision.KEEP: Badge("", "even", "Kept the control"),
    Experiment.Decision.INCONCLUSIVE: Badge("", "even", "Inconclusive"),
}


def badge_of(experiment: Experiment, headline: Headline | None = None) -> Badge:
    """The state as a member thinks of it: what the results say while it runs, then the decision."""
    if experiment.decision:
        badge = _DECISIONS[experiment.decision]
        shipped = experiment.decided_variant
        if experiment.decision == Experiment.Decision.SHIP and shipped is not None:
            return Badge(badge.tone, badge.icon, f"Shipped {shipped.name}")
        return badge
    if experiment.state == State.DRAFT:
        return Badge("", "clock", "Draft")
    if experiment.state == State.PAUSED:
        return Badge("warn", "pause", "Paused")
    if experiment.state == State.STOPPED:
        if experiment.kind == Kind.HOLDOUT:
            return Badge("", "close", "Ended")
        return Badge("warn", "clock", "Stopped, not decided")
    if headline is not None and headline.status in _STATUS:
        return _STATUS[headline.status]
    return _STATUS["running"]


def time_words(experiment: Experiment, now: datetime) -> str:
    """How long it has run, or is to run: "day 5 of 14". Phases are prefetched."""
    planned = experiment.planned_days
    if experiment.started_at is None:
        return f"{planned} days planned"
    ran = _ran(experiment, now)
    if experiment.stopped_at is not None and experiment.stopped_at <= now:
        return f"ran {days_words(ran)}"
    day = ran.days + 1
    if experiment.kind == Kind.HOLDOUT:
        return f"day {day:,}"
    if day > planned:
        return f"day {day:,}, {planned} were planned"
    return f"day {day} of {planned}"


def _ran(experiment: Experiment, now: datetime) -> timedelta:
    """How long shoppers took part: pauses don't count."""
    until = min(now, experiment.stopped_at or now)
    spans = [(phase.started_at, phase.ended_at) for phase in experiment.phases.all()]
    return sum(
        (
            max(min(ended or until, until) - started, timedelta(0))
            for started, ended in spans or [(experiment.started_at or until, None)]
        ),
        timedelta(0),
    )


def days_words(length: timedelta) -> str:
    days = max(round(length.total_seconds() / 86_400), 0)
    if days == 0:
        return "less than a day"
    return f"{days:,} day{'' if days == 1 else 's'}"


def shares_of(weights: Sequence[float]) -> list[float]:
    """Weights as shares of their sum; all 0 stays 0."""
    total = sum(weights)
    return [weight / total if total else 0.0 for weight in weights]


@dataclass(frozen=True, slots=True)
class Shown:
    """What an arm shows on a placement; `now` where it isn't fixed: what the placement shows."""

    placement: str
    strategy: str
    number: int
    key: str
    is_placements_own: bool


@dataclass(frozen=True, slots=True)
class ArmWords:
    """An arm for a page: its share of those who take part, and what it shows where."""

    variant: Variant
    share: float
    is_control: bool
    shown: tuple[Shown, ...]


def arms_of(experiment: Experiment) -> list[ArmWords]:
    """The arms by position. Variants, strategies and placements are prefetched."""
    variants = list(experiment.variants.all())
    shares = shares_of([variant.weight for variant in variants])
    return [
        ArmWords(variant, share, variant.position == 0, shown_by(experiment, variant))
        for variant, share in zip(variants, shares, strict=True)
    ]


def shown_by(experiment: Experiment, variant: Variant) -> tuple[Shown, ...]:
    """By placement; a hold-out on all placements says what it shows on "every placement"."""
    if variant.shows_nothing:
        return ()
    shown = []
    for on in experiment.on.all():
        placement, version = on.placement, variant_shows(variant, on.placement)
        own = version is None
        version = version or placement.strategy_version
        strategy = version.strategy
        shown.append(Shown(placement.name, strategy.name, version.number, strategy.key, own))
    everywhere = [each.strategy_version for each in variant.strategies.all()][:1]
    if not shown and everywhere:
        version = everywhere[0]
        strategy = version.strategy
        shown.append(Shown("every placement", strategy.name, version.number, strategy.key, False))
    return tuple(shown)


def holdout_sees(experiment: Experiment) -> str:
    """What those who are held out see."""
    held_out = experiment.variants.all()[0]
    if held_out.shows_nothing:
        return "no recommendations at all"
    versions = [each.strategy_version for each in held_out.strategies.all()]
    if not versions:
        return "what each placement shows"
    return f"“{versions[0].strategy.name}”, version {versions[0].number}, in every placement"
