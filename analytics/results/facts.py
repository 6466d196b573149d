"""What the results are worked out from: one experiment's participants and days as columns.

`analytics.selectors.experiment_facts` reads them, `analytics.results.judgement` judges them. All
arrays are in step with each other as said; a participant is a row number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Int64Array: TypeAlias = npt.NDArray[np.int64]
Float64Array: TypeAlias = npt.NDArray[np.float64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]

# Columns of `Days`, by their names in `analytics.models.ParticipantDay`.
MEASURES = (
    "n_orders", "revenue_minor", "n_units", "n_carts", "n_views", "n_impressions", "n_seen",
    "n_clicks", "n_slots", "n_fallback_slots", "n_empty", "diversity_sum", "n_diversity",
    "novelty_sum", "n_novelty", "serendipity_sum", "n_serendipity", "calibration_sum",
    "n_calibration",
)  # fmt: skip
# Columns of the 14 days before exposure, by their names in `analytics.models.Participant`.
PRE_MEASURES = ("pre_orders", "pre_revenue_minor", "pre_carts", "pre_seen", "pre_clicks")

# A bandit learns from what a person did on the day of their exposure and so many days after it. An
# arm whose share was raised has newer shoppers, who had less time to buy: without a limit it would
# look worse for that.
REWARD_DAYS = 1


@dataclass(frozen=True, slots=True, eq=False)
class Participants:
    """n persons who count: neither crossovers nor machines.

    Attributes
    ----------
    arm : int64[n]
        Position of the variant, 0 is the control.
    day : int64[n]
        Of exposure, days since `Facts.first_day`.
    device, placement : int64[n]
        Row in `Facts.devices` and `Facts.placements`, -1 unknown.
    returning : bool[n]
    pre : name to float64[n]
        `PRE_MEASURES`.
    """

    arm: Int64Array
    day: Int64Array
    device: Int64Array
    placement: Int64Array
    returning: BoolArray
    pre: Mapping[str, Float64Array]

    def __len__(self) -> int:
        return len(self.arm)


@dataclass(frozen=True, slots=True, eq=False)
class Days:
    """m person-days with anything in them, in no particular order.

    Attributes
    ----------
    participant, day : int64[m]
        Row in `Participants`; days since `Facts.first_day`.
    measures : name to float64[m]
        `MEASURES`.
    """

    participant: Int64Array
    day: Int64Array
    measures: Mapping[str, Float64Array]


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """Which participant was shown which product: k different pairs.

    Attributes
    ----------
    participant, product, times : int64[k]
        Products are numbered 0 … n_products - 1 over the products that may be shown; times ≥ 1.
    n_products
        In the catalog.
    since
        The first day that is in it, if not all are (a hold-out that runs for months); else None.
    """

    participant: Int64Array
    product: Int64Array
    times: Int64Array
    n_products: int
    since: date | None = None


@dataclass(frozen=True, slots=True)
class ArmFacts:
    """A variant, and what doesn't belong to participants who count.

    Attributes
    ----------
    share
        Of the participants, by the weights of the open or last phase.
    n_crossovers, n_bots
        Persons of this arm (by first exposure) who are left out. Of a bandit nobody is a
        crossover.
    n_duplicate_orders
        Purchases that were reported again, and not counted.
    n_silent
        Of those who count, persons of whom no event is known since their exposure.
    n_unlogged
        Of the same, exposures whose impression never arrived in the log.
    """

    variant_id: int
    key: str
    name: str
    share: float
    strategies: tuple[str, ...]
    n_crossovers: int = 0
    n_bots: int = 0
    n_duplicate_orders: int = 0
    n_silent: int = 0
    n_unlogged: int = 0


@dataclass(frozen=True, slots=True)
class PhaseFacts:
    """A phase: its weights by arm, and who was exposed in it (crossovers and machines included)."""

    started_at: datetime
    ended_at: datetime | None
    weights: tuple[float, ...]
    exposed: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What was locked at the start.

    Attributes
    ----------
    guardrails
        Metric and margin (relative harm that is accepted).
    planned_shoppers
        N* of all arms together; None: nobody planned, the sequence takes what was exposed so far.
    """

    kind: Literal["ab", "aa", "bandit", "interleaving", "holdout"]
    primary: str
    guardrails: tuple[tuple[str, float], ...]
    smallest_lift: float
    planned_days: int
    planned_shoppers: int | None
    cuped: bool


@dataclass(frozen=True, slots=True)
class VoteFacts:
    """Interleaving, per shopper who clicked: clicks on products of arm 0 and of arm 1."""

    credits: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """An experiment up to a moment.

    Crossovers and machines aren't in it. A bandit moves returning shoppers to other arms by
    design: those stay in it, in the arm they were in first.

    Attributes
    ----------
    state
        Of the experiment now.
    started_at, ends_at
        The start; when the plan ends, pauses added. None: not started.
    now
        The moment of the look (of a range or a day: its end).
    facts_until
        The newest event or impression in it.
    found
        A verdict that was found at an earlier look and stands, by variant id: state, how, when.
    is_planned_end
        Whether this is the first look at or after `ends_at`.
    stopped_at
        What happened from then on doesn't count. None: it goes on.
    since
        When the first day began, of some days only; None: everything from the start is in it.
    latency : int64[n_arms, n_bins]
        Answers by the bins of `analytics.metrics.latency`.
    """

    experiment_id: int
    key: str
    name: str
    state: Literal["draft", "running", "paused", "stopped"]
    currency: str
    plan: Plan
    arms: tuple[ArmFacts, ...]
    phases: tuple[PhaseFacts, ...]
    participants: Participants
    days: Days
    shown: Shown
    latency: Int64Array
    devices: tuple[str, ...]
    placements: tuple[str, ...]
    first_day: date | None
    last_day: date | None
    started_at: datetime | None
    ends_at: datetime | None
    now: datetime
    facts_until: datetime | None
    is_planned_end: bool = False
    found: Mapping[int, Found] | None = None
    votes: VoteFacts | None = None
    stopped_at: datetime | None = None
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A verdict that stands."""

    state: Literal["better", "worse"]
    found_by: Literal["sequence", "planned_end"]
    found_at: datetime
