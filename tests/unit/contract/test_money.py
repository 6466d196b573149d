"""Money: exact, by the currency's own minor unit."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.contract.limits import MAX_MINOR
from catalog.contract.money import AmountRefused, amount_text, currency_exponent, minor_units

CURRENCIES = st.sampled_from(["USD", "JPY", "KWD"])


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("12.50", "USD", 1250),
        ("0.29", "USD", 29),
        ("1.15", "EUR", 115),
        ("1500", "JPY", 1500),
        ("1.5", "JPY", 2),
        ("1.234", "KWD", 1234),
        ("0.005", "USD", 1),
        ("0.0049999999999", "USD", 0),
        ("9999999999.99", "USD", 999_999_999_999),
        ("1E+3", "USD", 100_000),
        ("-0", "USD", 0),
    ],
)
def test_amounts_become_minor_units(amount: str, currency: str, minor: int) -> None:
    assert minor_units(Decimal(amount), currency) == minor


@pytest.mark.parametrize(
    "amount", ["-0.01", "NaN", "sNaN", "Infinity", "1e999999", "10000000000.01", "1e300"]
)
def test_what_no_price_can_be_is_refused(amount: str) -> None:
    with pytest.raises(AmountRefused):
        minor_units(Decimal(amount), "USD")


@given(st.integers(0, MAX_MINOR), CURRENCIES)
def test_text_and_back_is_the_same_amount(minor: int, currency: str) -> None:
    assert minor_units(Decimal(amount_text(minor, currency)), currency) == minor


@given(st.decimals(0, 10**6, places=7), CURRENCIES)
def test_rounding_is_half_up_as_in_exact_fractions(amount: Decimal, currency: str) -> None:
    exact = Fraction(amount) * 10 ** currency_exponent(currency)
    assert minor_units(amount, currency) == (exact + Fraction(1, 2)).__floor__()
