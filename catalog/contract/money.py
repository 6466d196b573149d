"""Money between text and integer minor units, without a float in between."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation

from catalog.contract.limits import MAX_MINOR
from catalog.money import CURRENCY_EXPONENTS

# Enough digits that scaling a price is never rounded before it is rounded on purpose.
_EXACT = Context(prec=60, rounding=ROUND_HALF_UP)
_UNIT = Decimal(1)


class AmountRefused(ValueError):
    """An amount that no price can have."""


def currency_exponent(currency: str) -> int:
    """Digits after the point: 2 for most, 0 for JPY, 3 for KWD.

    >>> [currency_exponent(code) for code in ("EUR", "JPY", "KWD")]
    [2, 0, 3]
    """
    return CURRENCY_EXPONENTS.get(currency, 2)


def minor_units(amount: Decimal, currency: str) -> int:
    """An amount in minor units; what lies between two of them is rounded half up.

    Parameters
    ----------
    amount
        In major units, from 0 to `MAX_MINOR` minor units. Take it from the digits that were sent
        (`Decimal("12.10")`), not through a float.

    Raises
    ------
    AmountRefused
        The amount is negative, not a number, or larger than any price.

    Examples
    --------
    >>> minor_units(Decimal("12.10"), "EUR"), minor_units(Decimal("1500"), "JPY")
    (1210, 1500)
    >>> minor_units(Decimal("0.30000000000000004"), "KWD"), minor_units(Decimal("1.005"), "EUR")
    (300, 101)
    """
    if not amount.is_finite():
        raise AmountRefused("must be a number")
    if amount.is_signed() and amount != 0:
        raise AmountRefused("must not be negative")
    exponent = currency_exponent(currency)
    # Compared first: the digits of 1e999999 would fill the memory.
    if amount.adjusted() + exponent > 14:
        raise AmountRefused(f"must be at most {amount_text(MAX_MINOR, currency)}")
    try:
        minor = int(_EXACT.quantize(_EXACT.scaleb(amount, exponent), _UNIT))
    except InvalidOperation as error:
        raise AmountRefused("has too many digits") from error
    if minor > MAX_MINOR:
        raise AmountRefused(f"must be at most {amount_text(MAX_MINOR, currency)}")
    return minor


def amount_text(minor: int, currency: str) -> str:
    """Minor units as a decimal number.

    >>> amount_text(1210, "EUR"), amount_text(1500, "JPY"), amount_text(5, "KWD")
    ('12.10', '1500', '0.005')
    """
    exponent = currency_exponent(currency)
    if exponent == 0:
        return str(minor)
    sign, digits = ("-" if minor < 0 else ""), str(abs(minor)).rjust(exponent + 1, "0")
    return f"{sign}{digits[:-exponent]}.{digits[-exponent:]}"
