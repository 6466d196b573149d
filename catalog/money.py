"""Money as text. Amounts are integer minor units everywhere else."""

from __future__ import annotations

# ISO 4217 currencies whose minor unit is not a hundredth.
CURRENCY_EXPONENTS = dict.fromkeys(
    ("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV",
     "XAF", "XOF", "XPF"),
    0,
) | dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3)  # fmt: skip
SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "INR": "₹", "KRW": "₩"}


def money_text(minor: int, currency: str) -> str:
    """An amount as people of the console read it.

    >>> money_text(123456, "USD"), money_text(-5, "EUR"), money_text(1250, "JPY")
    ('$1,234.56', '−€0.05', '¥1,250')
    >>> money_text(1250, "CHF"), money_text(1250, "KWD")
    ('CHF 12.50', 'KWD 1.250')
    """
    exponent = CURRENCY_EXPONENTS.get(currency, 2)
    whole, part = divmod(abs(minor), 10**exponent)
    amount = f"{whole:,}.{part:0{exponent}d}" if exponent else f"{whole:,}"
    sign = "−" if minor < 0 else ""
    return f"{sign}{SYMBOLS.get(currency, f'{currency} ')}{amount}"


def money_rounded(minor: int, currency: str) -> str:
    """An amount without its minor part, for sums where cents are noise.

    >>> money_rounded(123456, "USD"), money_rounded(-150, "USD"), money_rounded(99, "JPY")
    ('$1,235', '−$2', '¥99')
    """
    unit = 10 ** CURRENCY_EXPONENTS.get(currency, 2)
    # Half away from zero, as cashiers do; Python's round() would go to the even neighbour.
    whole = (abs(minor) * 2 + unit) // (unit * 2)
    sign = "−" if minor < 0 and whole else ""
    return f"{sign}{SYMBOLS.get(currency, f'{currency} ')}{whole:,}"


def price_text(minor: int, currency: str) -> str:
    """Minor units as the plain decimal of the API.

    >>> price_text(1250, "USD"), price_text(1250, "JPY"), price_text(-5, "KWD")
    ('12.50', '1250', '-0.005')
    """
    exponent = CURRENCY_EXPONENTS.get(currency, 2)
    if exponent == 0:
        return str(minor)
    sign = "-" if minor < 0 else ""
    whole, part = divmod(abs(minor), 10**exponent)
    return f"{sign}{whole}.{part:0{exponent}d}"
