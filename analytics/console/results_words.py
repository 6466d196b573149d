"""Numbers of a results document as people read them, and signs for what they mean."""

from __future__ import annotations

from dataclasses import dataclass

from analytics.metrics.definitions import DEFINITIONS, Definition
from analytics.results.document import Cell, Results
from catalog.money import money_rounded, money_text

UNKNOWN = "–"


def definition_of(key: str) -> Definition:
    """A metric that this version doesn't know any more is shown by its key."""
    return DEFINITIONS.get(key) or Definition(
        key, key.replace("_", " ").capitalize(), "mean", "number", "neither", "", "", ""
    )


def value_words(value: float | None, unit: str, currency: str) -> str:
    """A metric's value.

    >>> value_words(0.05271, "percent", "USD"), value_words(0.421, "percent", "USD")
    ('5.27 %', '42.1 %')
    >>> value_words(1234.6, "money", "USD"), value_words(0.61234, "number", "USD")
    ('$12.35', '0.612')
    >>> value_words(11.52, "number", "USD"), value_words(3.21, "milliseconds", "USD")
    ('11.52', '3.2 ms')
    """
    if value is None:
        return UNKNOWN
    match unit:
        case "percent":
            return f"{value * 100:.{2 if abs(value) < 0.1 else 1}f} %"
        case "money":
            return money_text(round(value), currency)
        case "milliseconds":
            return f"{value:,.1f} ms"
    return f"{value:,.{3 if abs(value) < 10 else 2}f}"


def signed(text: str, value: float) -> str:
    """With its sign before it; a minus as wide as a plus.

    >>> signed("4.1 %", 0.041), signed("4.1 %", -0.041), signed("0.0 %", -0.0001)
    ('+4.1 %', '−4.1 %', '0.0 %')
    """
    if not any(digit in text for digit in "123456789"):
        return text
    return f"{'−' if value < 0 else '+'}{text}"


def lift_words(value: float | None) -> str:
    """A relative change.

    >>> lift_words(0.0412), lift_words(-0.5), lift_words(None)
    ('+4.1 %', '−50.0 %', '–')
    """
    return UNKNOWN if value is None else signed(f"{abs(value) * 100:.1f} %", value)


def difference_words(value: float | None, unit: str, currency: str) -> str:
    """An absolute change.

    >>> difference_words(0.0041, "percent", "USD"), difference_words(-12.0, "money", "USD")
    ('+0.41 points', '−$0.12')
    """
    if value is None:
        return UNKNOWN
    size = abs(value)
    if unit == "percent":
        return signed(f"{size * 100:.2f} points", value)
    return signed(value_words(size, unit, currency), value)


def per_day_words(value: float | None, definition: Definition, currency: str) -> str:
    """A difference for the whole traffic of a day: of what the metric counts.

    >>> per_day_words(12.34, DEFINITIONS["conversion_rate"], "USD")
    '+12.3 buyers'
    >>> per_day_words(-12345.0, DEFINITIONS["revenue_per_shopper"], "USD")
    '−$123'
    """
    if value is None:
        return UNKNOWN
    size = abs(value)
    if definition.unit == "money":
        return signed(money_rounded(round(size), currency), value)
    number = f"{size:,.1f}" if size < 100 else f"{size:,.0f}"
    return signed(f"{number} {definition.numerator}".strip(), value)


def p_words(p: float | None) -> str:
    """
    >>> p_words(0.0123), p_words(0.00004), p_words(0.62)
    ('0.012', '< 0.001', '0.62')
    """
    if p is None:
        return UNKNOWN
    if p < 0.001:
        return "< 0.001"
    return f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def chance_words(chance: float | None) -> str:
    """
    >>> chance_words(0.973), chance_words(0.9999), chance_words(0.00001)
    ('97 %', '> 99.9 %', '< 0.1 %')
    """
    if chance is None:
        return UNKNOWN
    if chance > 0.999:
        return "> 99.9 %"
    if chance < 0.001:
        return "< 0.1 %"
    return f"{chance * 100:.{1 if chance > 0.99 or chance < 0.01 else 0}f} %"


def loss_words(loss: float) -> str:
    """A relative loss that is expected.

    >>> loss_words(0.00081), loss_words(0.00001), loss_words(0.0)
    ('0.08 %', '< 0.01 %', '0.00 %')
    """
    return "< 0.01 %" if 0 < loss < 0.00005 else f"{loss * 100:.2f} %"


def raw_words(cell: Cell, definition: Definition, currency: str) -> str:
    """What a value was worked out from: "1,234 buyers of 23,456 shoppers"."""
    denominator = _count(cell.denominator)
    if definition.kind in ("gini", "quantile"):
        return "" if denominator is None else f"{denominator} {definition.denominator}"
    numerator = _count(cell.numerator)
    if numerator is None or denominator is None or cell.numerator is None:
        return ""
    if definition.kind == "coverage":
        return f"{numerator} of {denominator} {definition.denominator}"
    if definition.unit == "money":
        numerator = money_rounded(round(cell.numerator), currency)
        return f"{numerator} from {denominator} {definition.denominator}"
    if definition.unit == "percent":
        return f"{numerator} {definition.numerator} of {denominator} {definition.denominator}"
    return f"{denominator} {definition.denominator}"


def _count(value: float | None) -> str | None:
    if value is None:
        return None
    return f"{value:,.0f}" if float(value).is_integer() or abs(value) >= 1000 else f"{value:,.1f}"


@dataclass(frozen=True, slots=True)
class Sign:
    """Tone (good, bad, even, unknown), icon and words, always together."""

    tone: str
    icon: str
    words: str


BETTER = Sign("good", "good", "Better")
WORSE = Sign("bad", "bad", "Worse")
EVEN = Sign("even", "even", "No clear difference")
NOT_ENOUGH = Sign("unknown", "clock", "Not enough data")


def sign_of(low: float | None, high: float | None, direction: str) -> Sign:
    """What an interval around a difference says, in the metric's own direction.

    >>> sign_of(0.01, 0.05, "higher").words, sign_of(0.01, 0.05, "lower").words
    ('Better', 'Worse')
    >>> sign_of(-0.01, 0.05, "higher").words, sign_of(None, None, "higher").words
    ('No clear difference', 'Not enough data')
    >>> sign_of(0.01, 0.05, "neither").words
    'Higher'
    """
    if low is None or high is None:
        return NOT_ENOUGH
    if low <= 0 <= high:
        return EVEN
    is_more = low > 0
    if direction == "neither":
        return Sign("even", "up" if is_more else "down", "Higher" if is_more else "Lower")
    return BETTER if is_more == (direction == "higher") else WORSE


# Of a check of the health strip.
ALARM_SIGNS: dict[str, Sign] = {
    "none": Sign("good", "good", "fine"),
    "amber": Sign("warn", "warn", "look at it"),
    "red": Sign("bad", "bad", "alarm"),
    "unknown": Sign("unknown", "clock", "not known yet"),
}

# Of some days only.
NO_VERDICT = Sign("even", "info", "Not a verdict")

# Of the verdict, by what to do.
ADVICE_SIGNS: dict[str, Sign] = {
    "ship": Sign("good", "good", "Ship"),
    "keep": Sign("bad", "bad", "Keep the control"),
    "review": Sign("warn", "info", "Review"),
    "inconclusive": Sign("even", "even", "No difference found"),
    "wait": Sign("active", "clock", "Wait"),
    "distrust": Sign("bad", "warn", "Don't trust it yet"),
}


def unbroken(text: str) -> str:
    """A number and its percent sign stay on one line.

    >>> unbroken("+4.1 % more")
    '+4.1\\xa0% more'
    """
    return text.replace(" %", "\u00a0%")


def period_words(results: Results) -> str:
    """ "2 Mar – 15 Mar 2026" """
    if results.first_day is None or results.last_day is None:
        return ""
    first, last = results.first_day, results.last_day
    return f"{first.day} {first:%b}{'' if first.year == last.year else f' {first.year}'} – {last.day} {last:%b %Y}"
