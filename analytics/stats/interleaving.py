"""Team-draft interleaving: which of two strategies do the same shoppers choose from?

Both strategies fill one list in turns, like captains picking teams; a click counts for the one that
picked the product. Every shopper compares the two herself, so it takes far fewer shoppers than a
test between groups. It says which is preferred, not how much it earns: a stage before an
experiment, never instead of one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from analytics.stats.answers import InvalidInputError, NotEnoughData, Reason, require_count
from analytics.stats.distributions import binomial_upper

# Six one-sided votes are the fewest that a two-sided sign test can call significant at 5 %.
_FEWEST_VOTES = 6


@dataclass(frozen=True, slots=True)
class Votes:
    """Shoppers by the side that they clicked more on; each shopper is one vote.

    Examples
    --------
    >>> Votes(2, 1, 0) + Votes(0, 0, 3)
    Votes(n_first=2, n_second=1, n_ties=3)
    """

    n_first: int
    n_second: int
    n_ties: int

    def __post_init__(self) -> None:
        for name in ("n_first", "n_second", "n_ties"):
            require_count(name, getattr(self, name))

    def __add__(self, other: Votes) -> Votes:
        return Votes(
            self.n_first + other.n_first,
            self.n_second + other.n_second,
            self.n_ties + other.n_ties,
        )


@dataclass(frozen=True, slots=True)
class Preference:
    """Which strategy is preferred.

    Attributes
    ----------
    share
        Δ, -0.5 … 0.5: above 0 the first is preferred.
    p_value
        Two-sided, exact sign test over the shoppers with a preference.
    n_shoppers
        All voters, ties included.
    """

    share: float
    p_value: float
    n_shoppers: int


def votes_of(credits: Iterable[tuple[int, int]]) -> Votes:
    """Count votes.

    Parameters
    ----------
    credits
        Per shopper: credited clicks of the first and of the second strategy, over all her lists.
        Products that both would have picked at that turn are credited to neither. (0, 0) is no
        vote: who clicked nothing has no preference.

    Raises
    ------
    InvalidInputError
        A negative number of clicks.

    Examples
    --------
    >>> votes_of([(3, 1), (0, 2), (1, 1), (0, 0)])
    Votes(n_first=1, n_second=1, n_ties=1)
    """
    first = second = ties = 0
    for of_first, of_second in credits:
        if min(of_first, of_second) < 0:
            raise InvalidInputError(f"{of_first} and {of_second} clicks")
        if of_first > of_second:
            first += 1
        elif of_second > of_first:
            second += 1
        elif of_first:
            ties += 1
    return Votes(first, second, ties)


def preference_of(votes: Votes) -> Preference | NotEnoughData:
    r"""Preference and its sign test.

    $\Delta = (w_1 + t/2)/(w_1 + w_2 + t) - 1/2$; $p = \min(1, 2 P(B_{w_1+w_2,1/2} \ge \max w))$.

    Returns
    -------
    Preference | NotEnoughData
        Below six decided votes there is no answer: no outcome could be significant.

    References
    ----------
    O. Chapelle, T. Joachims, F. Radlinski, Y. Yue, Large-scale validation and analysis of
    interleaved search evaluation, ACM TOIS 30, 2012.

    Examples
    --------
    >>> preference = preference_of(Votes(60, 40, 20))
    >>> round(preference.share, 5), round(preference.p_value, 6)
    (0.08333, 0.056888)
    """
    decided = votes.n_first + votes.n_second
    if decided < _FEWEST_VOTES:
        words = f"{decided} of {_FEWEST_VOTES} shoppers with a preference"
        return NotEnoughData(Reason.NO_VOTES, words)
    n = decided + votes.n_ties
    share = (votes.n_first + votes.n_ties / 2) / n - 0.5
    p_value = 2 * binomial_upper(max(votes.n_first, votes.n_second), decided, 0.5)
    return Preference(share, min(p_value, 1.0), n)
