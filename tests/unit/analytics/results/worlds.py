"""Facts of experiments that were simulated, as if a database had been read.

Shoppers come on random days, return, look, click and buy; who bought before buys more. Everything
is drawn from the generator that is given, so the same generator makes the same world.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Literal

import numpy as np

from analytics.metrics.latency import N_BINS
from analytics.results.facts import (
    MEASURES,
    PRE_MEASURES,
    ArmFacts,
    Days,
    Facts,
    Float64Array,
    Int64Array,
    Participants,
    PhaseFacts,
    Plan,
    Shown,
)

STARTED_AT = datetime(2026, 3, 2, tzinfo=UTC)
NAMES = ("Control", "Bold", "Fresh", "Near", "Far", "Wide")
DEVICES = ("desktop", "mobile", "tablet")
PLACEMENTS = ("home-for-you", "product-similar")
GUARDRAILS = (("diversity", 0.05), ("coverage", 0.10))


def facts_of(
    rng: np.random.Generator,
    n_shoppers: int,
    *,
    arms: int = 2,
    lift: float | Sequence[float] = 0.0,
    days: int = 14,
    rate: float = 0.10,
    weights: Sequence[float] | None = None,
    kind: Literal["ab", "aa", "bandit", "interleaving", "holdout"] = "ab",
    primary: str = "conversion_rate",
    guardrails: Sequence[tuple[str, float]] = GUARDRAILS,
    smallest_lift: float = 0.10,
    planned_days: int | None = None,
    planned_shoppers: int | None = None,
    cuped: bool = True,
    state: Literal["draft", "running", "paused", "stopped"] = "running",
    is_planned_end: bool = False,
    past: float = 1.5,
    n_products: int = 400,
    list_length: int = 6,
    with_shown: bool = True,
    only_orders: bool = False,
) -> Facts:
    """A world.

    Parameters
    ----------
    n_shoppers
        Who count, over all arms; drawn by the weights.
    lift
        Relative, on the probability to buy: of every variant, or of each.
    days
        So far; shoppers are exposed on any of them alike.
    rate
        Probability that a shopper of the control buys within the days after exposure.
    past
        How much likelier it is that somebody buys who bought in the 14 days before (a tenth did),
        as a factor; the average stays `rate`.
    with_shown
        Which products were shown; without, there are no lists (quicker).
    only_orders
        One visit per shopper and no measure but orders (quickest).
    """
    shares = np.array(weights if weights is not None else [1.0] * arms, dtype=np.float64)
    shares /= shares.sum()
    lifts = np.zeros(arms)
    lifts[1:] = lift
    arm = rng.choice(arms, n_shoppers, p=shares)
    exposed = rng.integers(0, days, n_shoppers)
    bought_before = rng.random(n_shoppers) < 0.10
    participants = Participants(
        arm=arm,
        day=exposed,
        device=rng.integers(-1, len(DEVICES), n_shoppers),
        placement=rng.integers(0, len(PLACEMENTS), n_shoppers),
        returning=bought_before | (rng.random(n_shoppers) < 0.3),
        pre=_past(rng, bought_before),
    )
    chance = rate * (1 + lifts[arm]) * np.where(bought_before, past, 1.0) / (0.9 + 0.1 * past)
    chance = np.minimum(chance, 1.0)
    if only_orders:
        done, with_shown = _orders(rng, participants, chance), False
    else:
        done = _days(rng, participants, chance, days=days, list_length=list_length)
    shown = _shown(rng, done, n_products, list_length) if with_shown else _nothing(n_products)
    planned = days if planned_days is None else planned_days
    now = STARTED_AT + timedelta(days=days)
    return Facts(
        experiment_id=1,
        key="test",
        name="Test",
        state=state,
        currency="GBP",
        plan=Plan(
            kind=kind,
            primary=primary,
            guardrails=tuple(guardrails),
            smallest_lift=smallest_lift,
            planned_days=planned,
            planned_shoppers=planned_shoppers or max(n_shoppers * planned // days, 1),
            cuped=cuped,
        ),
        arms=tuple(
            ArmFacts(
                variant_id=10 + position,
                key="abcdef"[position],
                name=NAMES[position],
                share=float(share),
                strategies=(f"Strategy {position + 1}",),
            )
            for position, share in enumerate(shares)
        ),
        phases=(
            PhaseFacts(
                STARTED_AT,
                now if state == "stopped" else None,
                tuple(float(share) for share in shares),
                tuple(int(count) for count in np.bincount(arm, minlength=arms)),
            ),
        ),
        participants=participants,
        days=done,
        shown=shown,
        latency=rng.poisson(_latency(n_shoppers / arms), (arms, N_BINS)).astype(np.int64),
        devices=DEVICES,
        placements=PLACEMENTS,
        first_day=STARTED_AT.date(),
        last_day=(now - timedelta(days=1)).date(),
        started_at=STARTED_AT,
        ends_at=STARTED_AT + timedelta(days=planned),
        now=now,
        facts_until=now - timedelta(minutes=2),
        is_planned_end=is_planned_end,
    )


def nobody(**changes: object) -> Facts:
    """A running experiment that nobody has met yet."""
    facts = facts_of(np.random.default_rng(0), 0, planned_days=28)
    empty = replace(facts, latency=np.zeros_like(facts.latency), facts_until=None)
    return replace(empty, first_day=None, last_day=None, **changes)  # type: ignore[arg-type]


def until(facts: Facts, day: int) -> Facts:
    """The same world when so many days had passed; day 1 is the first look."""
    kept = np.flatnonzero(facts.participants.day < day)
    new_row = np.full(len(facts.participants), -1)
    new_row[kept] = np.arange(len(kept))
    rows = np.flatnonzero((facts.days.day < day) & (new_row[facts.days.participant] >= 0))
    pairs = np.flatnonzero(new_row[facts.shown.participant] >= 0)
    now = STARTED_AT + timedelta(days=day)
    arms = len(facts.arms)
    exposed = np.bincount(facts.participants.arm[kept], minlength=arms)
    return replace(
        facts,
        participants=participants_at(facts.participants, kept),
        days=Days(
            new_row[facts.days.participant[rows]],
            facts.days.day[rows],
            {name: column[rows] for name, column in facts.days.measures.items()},
        ),
        shown=replace(
            facts.shown,
            participant=new_row[facts.shown.participant[pairs]],
            product=facts.shown.product[pairs],
            times=facts.shown.times[pairs],
        ),
        phases=(replace(facts.phases[0], exposed=tuple(int(count) for count in exposed)),),
        last_day=(now - timedelta(days=1)).date(),
        now=now,
        facts_until=now,
        is_planned_end=facts.ends_at == now,
    )


def participants_at(participants: Participants, rows: Int64Array) -> Participants:
    """Some of them, in the order of the rows."""
    return Participants(
        arm=participants.arm[rows],
        day=participants.day[rows],
        device=participants.device[rows],
        placement=participants.placement[rows],
        returning=participants.returning[rows],
        pre={name: column[rows] for name, column in participants.pre.items()},
    )


def swapped(facts: Facts) -> Facts:
    """Control and first variant in each other's place."""
    order = np.arange(max(len(facts.arms), 2))
    order[[0, 1]] = 1, 0
    first, second, *others = facts.arms
    phases = tuple(
        replace(
            phase,
            weights=tuple(phase.weights[i] for i in order),
            exposed=tuple(phase.exposed[i] for i in order),
        )
        for phase in facts.phases
    )
    return replace(
        facts,
        arms=(second, first, *others),
        participants=replace(facts.participants, arm=order[facts.participants.arm]),
        phases=phases,
        latency=facts.latency[order],
    )


def by_hand(
    arms: Sequence[Sequence[Mapping[str, float]]],
    *,
    pre: Sequence[Sequence[Mapping[str, float]]] | None = None,
    **options: object,
) -> Facts:
    """A world told shopper by shopper: what each of them did, all of it on the first day."""
    told = [done for shoppers in arms for done in shoppers]
    before = [one for shoppers in pre for one in shoppers] if pre else []
    measures = {
        name: np.array([done.get(name, 0.0) for done in told], dtype=np.float64)
        for name in {name for done in told for name in done}
    }
    past = {
        name: np.array([one.get(name, 0.0) for one in before], dtype=np.float64)
        for name in {name for one in before for name in one}
    }
    return _first_day([len(shoppers) for shoppers in arms], measures, past, options)


def buyers(*arms: tuple[int, int], **options: object) -> Facts:
    """Arms of so many shoppers of whom so many bought, for 50.00 each, all on the first day."""
    bought = np.concatenate([np.arange(n) < n_bought for n, n_bought in arms]).astype(np.float64)
    measures = {"n_orders": bought, "revenue_minor": bought * 5000, "n_carts": bought}
    return _first_day([n for n, _ in arms], measures, {}, options)


def _first_day(
    sizes: Sequence[int],
    measures: Mapping[str, Float64Array],
    past: Mapping[str, Float64Array],
    options: Mapping[str, object],
) -> Facts:
    n = sum(sizes)
    zeros, none = np.zeros(n, dtype=np.int64), np.zeros(n)
    base = facts_of(np.random.default_rng(0), 0, arms=len(sizes), with_shown=False, guardrails=())
    facts = replace(
        base,
        plan=replace(base.plan, planned_shoppers=max(n, 1)),
        participants=Participants(
            arm=np.repeat(np.arange(len(sizes)), sizes),
            day=zeros,
            device=zeros - 1,
            placement=zeros - 1,
            returning=zeros > 0,
            pre={name: past.get(name, none) for name in PRE_MEASURES},
        ),
        days=Days(np.arange(n), zeros, {name: measures.get(name, none) for name in MEASURES}),
        phases=(replace(base.phases[0], exposed=tuple(sizes)),),
        latency=np.zeros_like(base.latency),
    )
    return replace(facts, **options)  # type: ignore[arg-type]


def day_of(facts: Facts, day: int) -> date:
    """The date of a day number."""
    assert facts.first_day is not None
    return facts.first_day + timedelta(days=day)


def _past(rng: np.random.Generator, bought_before: np.ndarray) -> dict[str, Float64Array]:
    n = len(bought_before)
    orders = bought_before * (1 + rng.poisson(0.3, n))
    seen = rng.poisson(2.0, n)
    return {
        "pre_orders": orders.astype(np.float64),
        "pre_revenue_minor": np.round(orders * rng.lognormal(8.0, 0.6, n)),
        "pre_carts": (orders + rng.poisson(0.1, n)).astype(np.float64),
        "pre_seen": seen.astype(np.float64),
        "pre_clicks": rng.binomial(seen, 0.1).astype(np.float64),
    }


def _days(
    rng: np.random.Generator,
    participants: Participants,
    chance: Float64Array,
    *,
    days: int,
    list_length: int,
) -> Days:
    """A visit on the day of exposure, further ones after; an order on one of them or none."""
    n = len(participants)
    visits = 1 + rng.poisson(0.8, n)
    row = np.repeat(np.arange(n), visits)
    is_first = np.ones(len(row), dtype=bool)
    is_first[1:] = row[1:] != row[:-1]
    left = days - participants.day[row]
    day = participants.day[row] + np.where(is_first, 0, np.floor(rng.random(len(row)) * left))
    # The order falls on any of the visits.
    at = np.cumsum(visits) - visits + np.floor(rng.random(n) * visits).astype(np.int64)
    m = len(row)
    orders = np.zeros(m)
    orders[at[rng.random(n) < chance]] = 1.0
    orders *= 1 + rng.poisson(0.15, m)
    carts = (orders > 0) | (rng.random(m) < 0.08)
    impressions = 1 + rng.poisson(0.7, m)
    seen = rng.binomial(impressions, 0.7)
    lists = impressions.astype(np.float64)
    slots = lists * list_length
    measures = {
        "n_orders": orders,
        "revenue_minor": np.round(orders * rng.lognormal(8.0, 0.6, m)),
        "n_units": orders * (1 + rng.poisson(1.0, m)),
        "n_carts": carts.astype(np.float64),
        "n_views": rng.poisson(2.0, m).astype(np.float64),
        "n_impressions": lists,
        "n_seen": seen.astype(np.float64),
        "n_clicks": rng.binomial(seen, 0.12).astype(np.float64),
        "n_slots": slots,
        "n_fallback_slots": rng.binomial(slots.astype(np.int64), 0.05).astype(np.float64),
        "n_empty": rng.binomial(impressions, 0.02).astype(np.float64),
        "diversity_sum": lists * np.clip(rng.normal(0.6, 0.1, m), 0, 1),
        "n_diversity": lists,
        "novelty_sum": slots * rng.normal(9.0, 1.0, m),
        "n_novelty": slots,
        "serendipity_sum": lists * rng.random(m) * 0.1,
        "n_serendipity": lists,
        "calibration_sum": lists * rng.gamma(2.0, 0.3, m),
        "n_calibration": lists,
    }
    return Days(row, day.astype(np.int64), measures)


def _orders(rng: np.random.Generator, participants: Participants, chance: Float64Array) -> Days:
    n = len(participants)
    none = np.zeros(n)
    measures = dict.fromkeys(MEASURES, none)
    measures["n_orders"] = (rng.random(n) < chance).astype(np.float64)
    return Days(np.arange(n), participants.day, measures)


def _shown(rng: np.random.Generator, done: Days, n_products: int, list_length: int) -> Shown:
    """Lists of products with Zipf's popularity."""
    slots = np.repeat(done.participant, list_length)
    popularity = 1 / np.arange(1, n_products + 1) ** 0.8
    product = rng.choice(n_products, len(slots), p=popularity / popularity.sum())
    pairs, times = np.unique(slots * n_products + product, return_counts=True)
    return Shown(pairs // n_products, pairs % n_products, times.astype(np.int64), n_products)


def _nothing(n_products: int) -> Shown:
    none = np.zeros(0, dtype=np.int64)
    return Shown(none, none, none, n_products)


def _latency(n_answers: float) -> Float64Array:
    """Expected answers per bin: most around 5 ms."""
    at = np.arange(N_BINS)
    shape = np.exp(-(((at - 113) / 8.0) ** 2))
    return np.asarray(n_answers * shape / shape.sum(), dtype=np.float64)
