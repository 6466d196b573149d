"""What members say about an experiment before it starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ArmDraft:
    """A variant to be.

    Attributes
    ----------
    weight
        Relative to the others, above 0.
    strategies
        Strategy version by placement; None is every placement that isn't named. Where the control
        (in an A/A test every arm) says nothing, it gets the placement's version of that moment.
    """

    key: str
    name: str
    weight: float = 1.0
    strategies: Mapping[int | None, int] = field(default_factory=dict)
    shows_nothing: bool = False


@dataclass(frozen=True, slots=True)
class ExperimentDraft:
    """An experiment to be; the first arm is the control.

    Attributes
    ----------
    coverage, group_share
        Shares of the shoppers, above 0: who take part, and of the group's buckets.
    guardrails
        Metric and the relative harm that is accepted, 0 < margin ≤ 1.
    smallest_lift
        Worth finding, relative.
    """

    name: str
    kind: str
    hypothesis: str
    placement_ids: tuple[int, ...]
    arms: tuple[ArmDraft, ...]
    coverage: float = 1.0
    segment_id: int | None = None
    group_id: int | None = None
    group_share: float = 1.0
    primary_metric: str = "conversion_rate"
    guardrails: tuple[tuple[str, float], ...] = ()
    smallest_lift: float = 0.05
    planned_days: int = 14
    cuped: bool = True
