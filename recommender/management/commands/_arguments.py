"""Kinds of arguments that several commands take."""

from __future__ import annotations

from argparse import ArgumentTypeError

MAX_SEED = 2**32 - 1


def a_seed(text: str) -> int:
    """What every generator takes as a seed.

    Raises
    ------
    ArgumentTypeError
        It isn't a whole number from 0 to 4,294,967,295.
    """
    # Python refuses to read thousands of digits.
    digits = text.lstrip("0")[:20] or "0"
    if not (text.isascii() and text.isdigit()) or int(digits) > MAX_SEED:
        raise ArgumentTypeError(f"{text!r} isn't a whole number from 0 to {MAX_SEED:,}")
    return int(digits)
