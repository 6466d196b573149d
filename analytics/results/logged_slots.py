"""Slots of logged answers beside what another strategy would have put there, and what came of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class Slots:
    """Columns that grow: one entry per product that was shown.

    Attributes
    ----------
    rewards
        1 if the product was clicked there.
    logged
        Probability with which the log's strategy put it at its place.
    evaluated
        1 if the other strategy puts the same product at the same place, else 0.
    filled
        1 if the other strategy puts anything there.
    places
        From 0.
    shoppers
        Whose slot it was; each answer without a shopper is somebody of its own.
    """

    rewards: list[float] = field(default_factory=list)
    logged: list[float] = field(default_factory=list)
    evaluated: list[float] = field(default_factory=list)
    filled: list[float] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    shoppers: list[int] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)

    def add(
        self,
        *,
        shopper: str,
        product_ids: Sequence[int],
        propensities: Sequence[float],
        clicked: Collection[int],
        shown: Sequence[int],
    ) -> None:
        """One answer, and what the other strategy shows instead.

        Examples
        --------
        >>> slots = Slots()
        >>> slots.add(
        ...     shopper="a", product_ids=[1, 2], propensities=[1.0, 0.5], clicked=[2], shown=[2, 2]
        ... )
        >>> slots.rewards, slots.evaluated
        ([0.0, 1.0], [0.0, 1.0])
        """
        number = self.numbers.setdefault(shopper, len(self.numbers))
        for place, (product, propensity) in enumerate(zip(product_ids, propensities, strict=True)):
            self.rewards.append(float(product in clicked))
            self.logged.append(propensity)
            self.evaluated.append(float(place < len(shown) and shown[place] == product))
            self.filled.append(float(place < len(shown)))
            self.places.append(place)
            self.shoppers.append(number)
