"""Looking as often as one likes: confidence sequences.

A fixed interval is right at one look; who looks twenty times and stops at the first success is
wrong four times as often as promised. A confidence sequence holds at all looks at once, at the
price of width: half again as wide as Welch's at its best, which is near the planned size.
"""

from __future__ import annotations

from math import exp, expm1, inf, log, log1p, sqrt

from analytics.stats.answers import require_positive, require_share
from analytics.stats.effects import Effect, Side, TestResult

# exp of more than this overflows a float64.
_LARGEST_EXPONENT = 700.0


def mixture_rho(alpha: float, planned_shoppers: float) -> float:
    r"""The tuning ρ with which the sequence is narrowest at the planned size.

    $\rho = \sqrt{(-2\ln\alpha + \ln(-2\ln\alpha + 1)) / N^*}$; fixed at the start, because a ρ
    chosen after a look would undo the guarantee. One-sided: pass 2α.

    References
    ----------
    I. Waudby-Smith, D. Arbour, R. Sinha, E. H. Kennedy, A. Ramdas, Time-uniform central limit theory
    and asymptotic confidence sequences, arXiv 2103.06476v7, equation 161.

    Examples
    --------
    >>> round(mixture_rho(0.05, 1000), 6)
    0.089085
    """
    require_share("alpha", alpha)
    require_positive("planned shoppers", planned_shoppers)
    return sqrt((-2 * log(alpha) + log(-2 * log(alpha) + 1)) / planned_shoppers)


def sequence_half_width(
    standard_error: float, n_shoppers: float, *, alpha: float, rho: float, one_sided: bool = False
) -> float:
    r"""Half the width of the sequence at a look.

    With $v = N\rho^2 + 1$: $se \sqrt N \sqrt{2v/(N^2\rho^2) \ln(\sqrt v/\alpha)}$ (equation 9 of
    Waudby-Smith et al.), one-sided $\ln(1 + \sqrt v/(2\alpha))$ (equation 134).

    Parameters
    ----------
    standard_error
        Of the effect, at this look.
    n_shoppers
        Of both arms, at this look.

    Examples
    --------
    >>> round(sequence_half_width(1.0, 1000, alpha=0.05, rho=mixture_rho(0.05, 1000)), 3)
    3.035
    """
    v = n_shoppers * rho**2 + 1
    boundary = log1p(sqrt(v) / (2 * alpha)) if one_sided else log(sqrt(v) / alpha)
    return standard_error * sqrt(2 * v / (n_shoppers * rho**2) * boundary)


def sequence_test(
    effect: Effect, *, planned_shoppers: float, alpha: float = 0.05, side: Side = "two"
) -> TestResult:
    r"""Test and interval that hold at every look.

    $p = \min(1, \sqrt v \exp(-\rho^2 \Delta^2 N / (2\,se^2\,v)))$ (equation 155, one over the
    e-value); one-sided, the α at which the boundary touches 0 with ρ as planned:
    $p = \min(1, \sqrt v / (2(\exp(\rho^2 \Delta^2 N / (2\,se^2\,v)) - 1)))$, and 1 if the effect
    points the other way.

    Parameters
    ----------
    planned_shoppers
        N*, of the two compared arms together, fixed at the start. Being off costs width, not truth.
    alpha
        One-sided below 0.5.

    Raises
    ------
    InvalidInputError
        An alpha or a size that is none.

    References
    ----------
    Waudby-Smith et al., arXiv 2103.06476v7. The guarantee is asymptotic: it wants the hundred
    shoppers per arm that `analytics.stats.decision` asks for.

    Examples
    --------
    >>> from analytics.stats.effects import measure_effect
    >>> from analytics.stats.summaries import Proportion
    >>> effect = measure_effect(Proportion(3000, 1396), Proportion(3461, 2422))
    >>> result = sequence_test(effect, planned_shoppers=5000)
    >>> round(result.low, 5), round(result.high, 5)
    (0.40098, 0.60675)
    """
    one_sided = side != "two"
    rho = mixture_rho(2 * alpha if one_sided else alpha, planned_shoppers)
    n = effect.n_shoppers
    width = sequence_half_width(effect.standard_error, n, alpha=alpha, rho=rho, one_sided=one_sided)
    v = n * rho**2 + 1
    exponent = rho**2 * (effect.estimate / effect.standard_error) ** 2 * n / (2 * v)
    if not one_sided:
        p_value = min(1.0, sqrt(v) * exp(-exponent))
        return TestResult(effect.estimate - width, effect.estimate + width, p_value, alpha, side)
    favours = effect.estimate > 0 if side == "greater" else effect.estimate < 0
    if not favours or exponent == 0:
        p_value = 1.0
    elif exponent > _LARGEST_EXPONENT:
        p_value = sqrt(v) / 2 * exp(-exponent)
    else:
        p_value = min(1.0, sqrt(v) / (2 * expm1(exponent)))
    if side == "greater":
        return TestResult(effect.estimate - width, inf, p_value, alpha, side)
    return TestResult(-inf, effect.estimate + width, p_value, alpha, side)
