"""Whether as many shoppers are in each arm as planned, phase by phase."""

from __future__ import annotations

from analytics.results.document import SplitPhase
from analytics.results.facts import Facts, PhaseFacts
from analytics.stats.answers import NotEnoughData, Reason
from analytics.stats.distributions import chi_squared_upper
from analytics.stats.health import SampleRatio, alarm_of, sample_ratio


def split_of(facts: Facts, *, is_looked_at: bool) -> SampleRatio | NotEnoughData:
    r"""The split over all phases.

    Phases of the same weights are one (a pause changes nothing). $\chi^2$ and its degrees of
    freedom are added up over the rest; the sequential p-value is the smallest of theirs times their
    number.

    Parameters
    ----------
    is_looked_at
        Every few minutes, so the alarm goes by the sequential p-value; else by χ² of this look.

    Returns
    -------
    SampleRatio | NotEnoughData
        `observed` and `expected` over the phases that were tested.
    """
    if facts.plan.kind == "interleaving":
        return NotEnoughData(Reason.MISSING_ARM, "every shopper sees both strategies")
    n_arms = len(facts.arms)
    tests, lacking = [], None
    observed, expected = [0] * n_arms, [0.0] * n_arms
    degrees = 0
    for weights, counts in _merged(facts.phases, n_arms):
        # An arm without weight gets nobody; who came in the second of the change is no mismatch.
        open_arms = [i for i in range(n_arms) if weights[i] > 0]
        test = sample_ratio([counts[i] for i in open_arms], [weights[i] for i in open_arms])
        if isinstance(test, NotEnoughData):
            lacking = test
            continue
        tests.append(test)
        degrees += len(open_arms) - 1
        for i, o, e in zip(open_arms, test.observed, test.expected, strict=True):
            observed[i] += o
            expected[i] += e
    if not tests:
        return lacking or NotEnoughData(Reason.NO_SHOPPERS, "nobody was exposed yet")
    chi_squared = sum(test.chi_squared for test in tests)
    p_value = chi_squared_upper(chi_squared, degrees)
    sequential = min(1.0, len(tests) * min(test.sequential_p_value for test in tests))
    return SampleRatio(
        tuple(observed),
        tuple(expected),
        chi_squared,
        p_value,
        sequential,
        alarm_of(sequential if is_looked_at else p_value),
    )


def split_phases(facts: Facts) -> tuple[SplitPhase, ...]:
    """Every phase as it was, for the page."""
    return tuple(
        SplitPhase(
            started_at=phase.started_at,
            ended_at=phase.ended_at,
            observed=phase.exposed,
            expected=_expected(phase),
        )
        for phase in facts.phases
    )


def _expected(phase: PhaseFacts) -> tuple[float, ...]:
    n, whole = sum(phase.exposed), sum(phase.weights)
    return tuple(n * weight / whole if whole else 0.0 for weight in phase.weights)


def _merged(
    phases: tuple[PhaseFacts, ...], n_arms: int
) -> list[tuple[tuple[float, ...], list[int]]]:
    """Weights as shares, and who was exposed under them."""
    merged: dict[tuple[float, ...], list[int]] = {}
    for phase in phases:
        whole = sum(phase.weights)
        if not whole or len(phase.weights) != n_arms or len(phase.exposed) != n_arms:
            continue
        shares = tuple(round(weight / whole, 9) for weight in phase.weights)
        counts = merged.setdefault(shares, [0] * n_arms)
        for i, n in enumerate(phase.exposed):
            counts[i] += n
    return list(merged.items())
