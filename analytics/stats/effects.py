"""How much a variant changes a metric, with its interval and p-value.

The relative lift is the default: "+4 %" means the same to everybody, in any currency. Its variance
is the delta method's, its distribution Student's t with the degrees of freedom of Welch.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, sqrt
from typing import Final, Literal, TypeAlias

from analytics.stats.answers import NotEnoughData, Reason, require_share
from analytics.stats.distributions import t_quantile, t_upper
from analytics.stats.summaries import RatioSums, Sums

Scale: TypeAlias = Literal["relative", "absolute"]
SCALES: Final[tuple[Scale, ...]] = ("relative", "absolute")
Side: TypeAlias = Literal["two", "greater", "less"]


@dataclass(frozen=True, slots=True)
class Effect:
    """A difference between two arms and how well it is known.

    Attributes
    ----------
    scale
        ``relative``: (treatment - control) / \\|control\\|, 0.05 is +5 %. ``absolute``: in the
        metric's unit.
    estimate, standard_error
        On that scale; the standard error is above 0.
    degrees_of_freedom
        Of Welch and Satterthwaite.
    n_control, n_treatment
        Shoppers.
    control_mean, treatment_mean
        As a person sees them: never adjusted.
    """

    scale: Scale
    estimate: float
    standard_error: float
    degrees_of_freedom: float
    n_control: int
    n_treatment: int
    control_mean: float
    treatment_mean: float

    @property
    def n_shoppers(self) -> int:
        """Of both arms."""
        return self.n_control + self.n_treatment


@dataclass(frozen=True, slots=True)
class TestResult:
    """A test of "no effect".

    Attributes
    ----------
    low, high
        The interval at level 1 - alpha, on the effect's scale; one end is infinite if one-sided.
    p_value
        0 … 1.
    alpha, side
        What was asked.
    """

    # Not a test case, although pytest would take it for one by its name.
    __test__ = False

    low: float
    high: float
    p_value: float
    alpha: float
    side: Side

    @property
    def is_significant(self) -> bool:
        """Whether the p-value is at most alpha."""
        return self.p_value <= self.alpha


def lift_variance(
    control_mean: float,
    control_variance: float,
    n_control: float,
    treatment_mean: float,
    treatment_variance: float,
    n_treatment: float,
) -> float:
    r"""Variance of the relative lift, by the delta method.

    $\mathrm{Var}(\Delta_r) \approx s_T^2/(n_T \bar y_C^2) + s_C^2 \bar y_T^2/(n_C \bar y_C^4)$.
    Good while the control mean is several of its standard errors away from 0.

    References
    ----------
    A. Deng, U. Knoblich, J. Lu, Applying the delta method in metric analytics, KDD 2018, section 2;
    equation 2 of GrowthBook's "Statistical details".

    Examples
    --------
    >>> round(lift_variance(7, 2, 4, 5, 0.5, 15), 5)
    0.00589
    """
    of_treatment = treatment_variance / (n_treatment * control_mean**2)
    of_control = control_variance * treatment_mean**2 / (n_control * control_mean**4)
    return of_treatment + of_control


def difference_variance(
    control_variance: float, n_control: float, treatment_variance: float, n_treatment: float
) -> float:
    """Variance of the difference of two means: s²_C/n_C + s²_T/n_T.

    Examples
    --------
    >>> round(difference_variance(2, 4, 0.5, 15), 5)
    0.53333
    """
    return control_variance / n_control + treatment_variance / n_treatment


def relative_difference(control_mean: float, treatment_mean: float) -> float:
    """(treatment - control) / |control|: from -10 to -5 is +50 %, because it is a rise.

    Examples
    --------
    >>> relative_difference(-10, -5), relative_difference(-10, -15), relative_difference(-2, 3)
    (0.5, -0.5, 2.5)
    """
    return (treatment_mean - control_mean) / abs(control_mean)


def welch_degrees(
    control_variance: float, n_control: int, treatment_variance: float, n_treatment: int
) -> float:
    r"""Degrees of freedom of Welch and Satterthwaite.

    $\nu = (a+b)^2 / (a^2/(n_C-1) + b^2/(n_T-1))$ with $a = s_C^2/n_C$ and $b = s_T^2/n_T$.

    References
    ----------
    B. L. Welch, The generalization of Student's problem when several different population variances
    are involved, Biometrika 34, 1947.

    Examples
    --------
    >>> welch_degrees(1.0, 11, 1.0, 11)
    20.0
    """
    a = control_variance / n_control
    b = treatment_variance / n_treatment
    return (a + b) ** 2 / (a * a / (n_control - 1) + b * b / (n_treatment - 1))


def measure_effect(
    control: Sums, treatment: Sums, *, scale: Scale = "relative"
) -> Effect | NotEnoughData:
    """The effect of a variant on a metric.

    Parameters
    ----------
    control, treatment
        Sums of the two arms, of the same kind.
    scale
        See `Effect`.

    Returns
    -------
    Effect | NotEnoughData
        No effect without two shoppers and some spread in each arm, without a denominator, or
        (relative) with a control mean of 0.

    Raises
    ------
    TypeError
        Sums of two kinds.

    Examples
    --------
    >>> from analytics.stats.summaries import Proportion
    >>> effect = measure_effect(Proportion(28, 14), Proportion(30, 16))
    >>> round(effect.estimate, 5), round(effect.standard_error, 5)
    (0.06667, 0.2717)
    >>> measure_effect(Proportion(28, 0), Proportion(30, 16)).reason
    <Reason.NO_SPREAD: 'no_spread'>
    """
    if type(control) is not type(treatment):
        raise TypeError(f"{type(control).__name__} against {type(treatment).__name__}")
    missing = missing_for_effect(control, treatment, scale=scale)
    if missing is not None:
        return missing
    if scale == "relative":
        estimate = relative_difference(control.mean, treatment.mean)
        variance = lift_variance(
            control.mean,
            control.variance,
            control.n,
            treatment.mean,
            treatment.variance,
            treatment.n,
        )
    else:
        estimate = treatment.mean - control.mean
        variance = difference_variance(control.variance, control.n, treatment.variance, treatment.n)
    return Effect(
        scale,
        estimate,
        sqrt(variance),
        welch_degrees(control.variance, control.n, treatment.variance, treatment.n),
        control.n,
        treatment.n,
        control.mean,
        treatment.mean,
    )


def missing_for_effect(control: Sums, treatment: Sums, *, scale: Scale) -> NotEnoughData | None:
    """What keeps `measure_effect` from an answer; None if nothing does."""
    for name, arm in (("control", control), ("treatment", treatment)):
        if arm.n == 0:
            return NotEnoughData(Reason.NO_SHOPPERS, f"no shopper in the {name} arm yet")
        if arm.n < 2:
            return NotEnoughData(Reason.TOO_FEW_SHOPPERS, f"1 shopper in the {name} arm")
        if isinstance(arm, RatioSums) and arm.denominator == 0:
            return NotEnoughData(
                Reason.NO_DENOMINATOR, f"the {name} arm has nothing to divide by yet"
            )
        if arm.variance <= 0:
            return NotEnoughData(
                Reason.NO_SPREAD, f"all {arm.n} shoppers of the {name} arm are alike so far"
            )
    if scale == "relative" and control.mean == 0:
        return NotEnoughData(
            Reason.NO_BASELINE, "the control arm's mean is 0: nothing to be relative to"
        )
    return None


def welch_test(effect: Effect, *, alpha: float = 0.05, side: Side = "two") -> TestResult:
    r"""Welch's test of one look, with its interval.

    $p = 2 P(T_\nu > |\Delta/se|)$ and $\Delta \pm t_{1-\alpha/2,\nu}\, se$; one-sided with
    $P(T_\nu > \pm\Delta/se)$ and $t_{1-\alpha,\nu}$. Valid for **one** look at a time that was
    fixed before the start; for more looks see `analytics.stats.sequential`.

    Parameters
    ----------
    alpha
        Level, 0 < alpha < 1.
    side
        ``greater`` tests whether the variant is above the control; its interval is open upwards.

    Raises
    ------
    InvalidInputError
        An alpha that is none.

    References
    ----------
    B. L. Welch, Biometrika 34, 1947.

    Examples
    --------
    >>> from analytics.stats.summaries import Proportion
    >>> result = welch_test(measure_effect(Proportion(28, 14), Proportion(30, 16)))
    >>> round(result.low, 5), round(result.high, 5), round(result.p_value, 5)
    (-0.47767, 0.61101, 0.80707)
    """
    require_share("alpha", alpha)
    t = effect.estimate / effect.standard_error
    nu = effect.degrees_of_freedom
    if side == "two":
        width = t_quantile(1 - alpha / 2, nu) * effect.standard_error
        p_value = min(2 * t_upper(abs(t), nu), 1.0)
        return TestResult(effect.estimate - width, effect.estimate + width, p_value, alpha, side)
    width = t_quantile(1 - alpha, nu) * effect.standard_error
    if side == "greater":
        return TestResult(effect.estimate - width, inf, t_upper(t, nu), alpha, side)
    return TestResult(-inf, effect.estimate + width, t_upper(-t, nu), alpha, side)
