"""Bandits: once an hour the arms get shares by how likely each is the best."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import structlog

from analytics.selectors.bandit_arms import bandit_arms
from analytics.stats.bandit import thompson_weights
from recommender.models import Experiment
from recommender.services.experiments.lifecycle import experiment_weights_learn

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class BanditStep:
    """What was learned of one bandit.

    Attributes
    ----------
    n_shoppers
        By position of the variants, as are `weights` (shares of 1) and `chances`.
    shifted
        Whether the traffic is divided differently from now on.
    winner
        Key of the variant that is the best with 95 % probability; None: there is none yet.
    waiting
        Why nothing can be learned yet, in words; empty if it can.
    """

    experiment: Experiment
    n_shoppers: tuple[int, ...]
    weights: tuple[float, ...]
    chances: tuple[float, ...] | None
    shifted: bool
    winner: str | None
    waiting: str


def bandit_learn(*, experiment: Experiment, now: datetime) -> BanditStep:
    """The next shares of one bandit, taken if they differ enough.

    Nothing shifts before each arm has 100 shoppers; no arm falls below 1 %. It goes on after there
    is a winner: a member ends it and ships.
    """
    arms = bandit_arms(experiment=experiment)
    variants = list(experiment.variants.order_by("position"))
    total = sum(variant.weight for variant in variants)
    current = [variant.weight / total for variant in variants]
    learned = thompson_weights(arms, current)
    shifted = learned.waiting is None and experiment_weights_learn(
        experiment=experiment, weights=learned.weights, now=now
    )
    winner = variants[learned.winner].key if learned.winner is not None else None
    if shifted or winner is not None:
        log.info(
            "bandit learned",
            store=experiment.store_id,
            experiment=experiment.key,
            weights=[round(weight, 4) for weight in learned.weights],
            winner=winner,
        )
    return BanditStep(
        experiment,
        tuple(arm.n for arm in arms),
        learned.weights,
        learned.chances,
        shifted,
        winner,
        learned.waiting.words if learned.waiting is not None else "",
    )
