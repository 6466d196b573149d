"""What commands take as arguments."""

from __future__ import annotations

from argparse import ArgumentTypeError

import pytest

from recommender.management.commands._arguments import MAX_SEED, a_seed


@pytest.mark.parametrize(
    ("text", "seed"), [("0", 0), ("7", 7), ("007", 7), (f"{MAX_SEED}", MAX_SEED)]
)
def test_a_seed_is_a_whole_number_that_every_generator_takes(text: str, seed: int) -> None:
    assert a_seed(text) == seed


@pytest.mark.parametrize(
    "text", ["", "-1", "1.5", "²", f"{MAX_SEED + 1}", "0" * 20 + "9" * 11, "9" * 5_000]
)
def test_any_other_number_is_refused_however_long_it_is(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="whole number"):
        a_seed(text)
