"""Guardrails: is it at least not worse than we can tolerate?

"No significant harm" is no evidence of safety when shoppers are few. A guardrail is safe only when
the data rule out a loss beyond the margin.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from analytics.stats.answers import InvalidInputError, require_positive
from analytics.stats.effects import Effect, welch_test

GuardrailState: TypeAlias = Literal["safe", "unclear", "harmed"]


@dataclass(frozen=True, slots=True)
class Guardrail:
    """The answer of a non-inferiority test.

    Attributes
    ----------
    state
        ``safe``: a loss beyond the margin is ruled out. ``harmed``: not safe, and worse than the
        control beyond doubt. ``unclear``: neither yet.
    worst
        The one-sided bound on the bad side, turned so that down is bad: safe iff above -margin.
    margin
        The largest loss that is tolerated, as a share of the control (0.02 is 2 %).
    """

    state: GuardrailState
    worst: float
    margin: float


def check_guardrail(
    effect: Effect, *, margin: float, alpha: float = 0.05, higher_is_better: bool = True
) -> Guardrail:
    """Non-inferiority of a relative effect.

    Safe iff the lower bound of the one-sided 1 - alpha interval lies above -margin; harmed iff it
    doesn't and the upper bound lies below 0. Where less is better (latency), signs are turned.

    Raises
    ------
    InvalidInputError
        A margin that isn't above 0, or an absolute effect.

    References
    ----------
    S. Wellek, Testing statistical hypotheses of equivalence and noninferiority, 2010; guardrails as
    non-inferiority tests as in Spotify's ``confidence``.

    Examples
    --------
    >>> effect = Effect("relative", -0.001, 0.004, 5000.0, 2500, 2500, 10.0, 9.99)
    >>> check_guardrail(effect, margin=0.02).state, check_guardrail(effect, margin=0.005).state
    ('safe', 'unclear')
    """
    if effect.scale != "relative":
        raise InvalidInputError("a margin is a share of the control; the effect is absolute")
    low = welch_test(effect, alpha=alpha, side="greater").low
    high = welch_test(effect, alpha=alpha, side="less").high
    if not higher_is_better:
        low, high = -high, -low
    return guardrail_from_bounds(low, high, margin=margin)


def guardrail_from_bounds(low: float, high: float, *, margin: float) -> Guardrail:
    """The same from bounds that come from elsewhere, such as a bootstrap.

    Parameters
    ----------
    low, high
        One-sided bounds of the relative effect, turned so that down is bad.

    Examples
    --------
    >>> guardrail_from_bounds(-0.08, -0.03, margin=0.02).state
    'harmed'
    """
    require_positive("margin", margin)
    if low > -margin:
        state: GuardrailState = "safe"
    else:
        state = "harmed" if high < 0 else "unclear"
    return Guardrail(state, low, margin)
