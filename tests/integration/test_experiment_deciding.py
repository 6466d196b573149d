"""What follows from an experiment, and the hold-out that never ends."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from catalog.models import AuditEntry, Store, User
from recommender.models import Experiment, Placement, StrategyVersion, Variant
from recommender.selectors.experiments import experiment_get, experiment_list, holdout_get
from recommender.services.experiments import (
    ArmDraft,
    ExperimentDraft,
    ExperimentRefused,
    experiment_create,
    experiment_decide,
    experiment_pause,
    experiment_ramp,
    experiment_start,
    experiment_stop,
    holdout_change,
    holdout_start,
    holdout_stop,
)
from recommender.services.recommend import recommend
from recommender.services.strategies import strategy_version_create
from recommender.serving.request import PlacementRequest, RecommendationRequest
from recommender.serving.runtime import RUNTIMES
from tests.factories import make_product

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(days=14)


@pytest.fixture
def placements(store: Store) -> list[Placement]:
    for n in range(6):
        make_product(store, f"tea-{n}", published_at=NOW)
    found = Placement.objects.select_related("store", "strategy_version__strategy")
    return [found.get(store=store, slug=slug) for slug in ("home-trending", "home-for-you")]


@pytest.fixture
def challengers(placements: list[Placement]) -> list[StrategyVersion]:
    return [
        strategy_version_create(
            strategy=placement.strategy_version.strategy,
            document={"sources": [{"source": "new_arrivals", "weight": 1}]},
        )
        for placement in placements
    ]


@pytest.fixture
def draft(placements: list[Placement], challengers: list[StrategyVersion]) -> ExperimentDraft:
    return ExperimentDraft(
        name="Newer products",
        kind="ab",
        hypothesis="",
        placement_ids=tuple(each.pk for each in placements),
        arms=(
            ArmDraft("a", "As it is"),
            ArmDraft(
                "b",
                "New arrivals",
                1.0,
                {p.pk: v.pk for p, v in zip(placements, challengers, strict=True)},
            ),
        ),
    )


@pytest.fixture
def running(store: Store, draft: ExperimentDraft) -> Experiment:
    experiment = experiment_create(store=store, draft=draft, actor=None)
    experiment_start(experiment=experiment, actor=None, now=NOW)
    return experiment


def variant(experiment: Experiment, key: str) -> Variant:
    return experiment.variants.get(key=key)


def decide(experiment: Experiment, decision: str, **given: Any) -> None:
    values = {"variant": None, "reason": "As found.", "actor": None, "now": LATER, **given}
    experiment_decide(experiment=experiment, decision=decision, **values)


def version_served(store: Store, slug: str, shopper: str = "somebody") -> int:
    RUNTIMES.refresh()
    page = recommend(
        store_id=store.pk,
        request=RecommendationRequest(shopper_id=shopper),
        placements=[PlacementRequest(slug=slug)],
    )
    return page.recommendations[0].strategy_version_id


def entries(store: Store) -> list[tuple[str, str]]:
    wanted = ("experiment.stop", "experiment.decide", "placement.edit")
    rows = AuditEntry.objects.filter(store=store, action__in=wanted).order_by("pk")
    return [(row.action, row.subject) for row in rows]


def test_shipping_stops_the_test_and_the_next_request_shows_the_winner_to_everybody(
    store: Store,
    running: Experiment,
    placements: list[Placement],
    challengers: list[StrategyVersion],
    owner: User,
) -> None:
    winner = variant(running, "b")
    decide(running, "ship", variant=winner, reason=" Revenue +4 %. ", actor=owner)
    for placement, version in zip(placements, challengers, strict=True):
        assert {version_served(store, placement.slug, f"s-{n}") for n in range(8)} == {version.pk}
    assert running.state == Experiment.State.STOPPED
    assert running.stopped_at == running.decided_at == LATER
    assert running.decision == "ship"
    assert running.decided_variant == winner
    assert (running.decision_reason, running.decided_by) == ("Revenue +4 %.", owner)
    assert running.phases.get().ended_at == LATER
    assert entries(store) == [
        ("experiment.stop", "Newer products"),
        ("placement.edit", "Home: for you"),
        ("placement.edit", "Home: trending"),
        ("experiment.decide", "Newer products"),
    ]
    told = AuditEntry.objects.get(store=store, action="experiment.decide").after
    assert told is not None
    assert told["shipped"] == {
        placement.name: str(version)
        for placement, version in zip(placements, challengers, strict=True)
    }
    edits = AuditEntry.objects.filter(store=store, action="placement.edit").order_by("pk")
    before = {each.slug: each.strategy_version_id for each in placements}
    after = {p.slug: v.pk for p, v in zip(placements, challengers, strict=True)}
    assert [(each.subject_key, each.before, each.after) for each in edits] == [
        (slug, {"strategy_version_id": before[slug]}, {"strategy_version_id": after[slug]})
        for slug in ("home-for-you", "home-trending")
    ]


@pytest.mark.parametrize("decision", ["keep", "inconclusive"])
def test_keeping_and_not_knowing_leave_the_placements_as_they_are(
    store: Store, running: Experiment, placements: list[Placement], decision: str
) -> None:
    experiment_stop(experiment=running, actor=None, now=NOW + timedelta(days=1))
    decide(running, decision)
    for placement in placements:
        before = placement.strategy_version_id
        placement.refresh_from_db()
        assert placement.strategy_version_id == before
    assert running.stopped_at == NOW + timedelta(days=1)
    assert entries(store) == [
        ("experiment.stop", "Newer products"),
        ("experiment.decide", "Newer products"),
    ]


def test_a_paused_experiment_can_be_decided_and_nothing_twice(running: Experiment) -> None:
    experiment_pause(experiment=running, actor=None, now=NOW)
    decide(running, "keep")
    with pytest.raises(ExperimentRefused, match="decided already"):
        decide(running, "inconclusive")
    running.refresh_from_db()
    assert running.decision == "keep"


@pytest.mark.parametrize(
    ("field", "decision", "given"),
    [
        ("decision", "toss a coin", {}),
        ("reason", "keep", {"reason": "  "}),
        ("variant", "ship", {}),
        ("variant", "ship", {"variant": "of another"}),
    ],
)
def test_a_decision_without_what_it_needs_is_refused_and_the_test_goes_on(
    store: Store,
    running: Experiment,
    draft: ExperimentDraft,
    field: str,
    decision: str,
    given: dict[str, Any],
) -> None:
    if given.get("variant"):
        other = experiment_create(store=store, draft=draft, actor=None)
        given = {"variant": variant(other, "b")}
    with pytest.raises(ExperimentRefused) as refused:
        decide(running, decision, **given)
    assert list(refused.value.fields) == [field]
    running.refresh_from_db()
    assert (running.state, running.decision) == (Experiment.State.RUNNING, None)
    assert entries(store) == []


def test_a_draft_has_nothing_to_decide(store: Store, draft: ExperimentDraft) -> None:
    with pytest.raises(ExperimentRefused, match="hasn't run"):
        decide(experiment_create(store=store, draft=draft, actor=None), "keep")


def test_neither_a_variant_of_an_a_a_test_nor_an_empty_one_is_shipped(
    store: Store, draft: ExperimentDraft
) -> None:
    arms = (ArmDraft("a", "A"), ArmDraft("b", "B"))
    for kind, wanted, field in (
        ("aa", arms, "decision"),
        ("ab", (arms[0], replace(arms[1], shows_nothing=True)), "variant"),
    ):
        made = experiment_create(
            store=store, draft=replace(draft, kind=kind, arms=wanted), actor=None
        )
        experiment_start(experiment=made, actor=None, now=NOW)
        with pytest.raises(ExperimentRefused) as refused:
            decide(made, "ship", variant=variant(made, "b"))
        assert list(refused.value.fields) == [field]
        decide(made, "keep")


# -------------------------------------------------------------------------------- hold-out


@pytest.fixture
def baseline(store: Store, placements: list[Placement]) -> StrategyVersion:
    return strategy_version_create(
        strategy=placements[0].strategy_version.strategy,
        document={"sources": [{"source": "bestsellers", "weight": 1}]},
    )


def test_a_hold_out_is_everywhere_and_its_control_are_those_held_out(
    store: Store, baseline: StrategyVersion, owner: User, running: Experiment
) -> None:
    made = holdout_start(store=store, share=0.05, baseline=baseline, actor=owner, now=NOW)
    control, everybody = made.variants.order_by("position")
    assert (control.weight, everybody.weight) == (0.05, 0.95)
    assert [s.strategy_version for s in control.strategies.all()] == [baseline]
    assert control.strategies.get().placement is None
    assert not control.shows_nothing
    assert not everybody.strategies.exists()
    assert not made.on.exists()
    assert made.phases.get().weights == [0.05, 0.95]
    assert (made.state, made.started_at) == (Experiment.State.RUNNING, NOW)
    assert holdout_get(store=store) == made
    # It is neither in the way of tests, nor one of them.
    assert [each.key for each in experiment_list(store=store)] == [running.key]
    entry = AuditEntry.objects.get(store=store, action="holdout.start")
    assert entry.actor == owner
    assert entry.after == {"share": 0.05, "shows": str(baseline)}


def test_without_a_baseline_those_held_out_see_nothing(
    store: Store, other_store: Store, baseline: StrategyVersion
) -> None:
    with pytest.raises(ExperimentRefused) as refused:
        holdout_start(store=other_store, share=0.1, baseline=baseline, actor=None, now=NOW)
    assert "baseline" in refused.value.fields
    made = holdout_start(store=store, share=0.1, baseline=None, actor=None, now=NOW)
    assert [v.shows_nothing for v in made.variants.order_by("position")] == [True, False]
    assert experiment_get(store=other_store, key=made.key) is None


def test_a_store_has_one_hold_out_at_a_time_and_its_neighbour_its_own(
    store: Store, other_store: Store
) -> None:
    first = holdout_start(store=store, share=0.1, baseline=None, actor=None, now=NOW)
    with pytest.raises(ExperimentRefused, match="has a hold-out already"):
        holdout_start(store=store, share=0.2, baseline=None, actor=None, now=NOW)
    holdout_start(store=other_store, share=0.1, baseline=None, actor=None, now=NOW)
    holdout_stop(experiment=first, actor=None, now=LATER)
    second = holdout_start(store=store, share=0.2, baseline=None, actor=None, now=LATER)
    assert (first.stopped_at, first.phases.get().ended_at) == (LATER, LATER)
    assert first.key != second.key


def test_another_share_moves_only_the_difference(store: Store) -> None:
    made = holdout_start(store=store, share=0.05, baseline=None, actor=None, now=NOW)
    moved = holdout_change(experiment=made, share=0.08, actor=None, now=LATER)
    assert moved == pytest.approx(0.03)
    assert [p.weights for p in made.phases.order_by("pk")] == [[0.05, 0.95], [0.08, 0.92]]
    assert made.phases.filter(ended_at=None).count() == 1
    assert AuditEntry.objects.filter(store=store, action="holdout.change").count() == 1


@pytest.mark.parametrize("share", [0.0, 0.0009, 0.51, float("nan")])
def test_a_share_that_holds_nobody_or_most_people_out_is_refused(
    store: Store, share: float
) -> None:
    with pytest.raises(ExperimentRefused) as refused:
        holdout_start(store=store, share=share, baseline=None, actor=None, now=NOW)
    assert list(refused.value.fields) == ["share"]
    assert not Experiment.objects.filter(store=store).exists()


def test_a_hold_out_is_not_paused_ramped_stopped_or_decided_like_a_test(
    store: Store, running: Experiment
) -> None:
    made = holdout_start(store=store, share=0.05, baseline=None, actor=None, now=NOW)
    with pytest.raises(ExperimentRefused, match="isn't paused"):
        experiment_pause(experiment=made, actor=None, now=LATER)
    with pytest.raises(ExperimentRefused, match="share of the hold-out"):
        experiment_ramp(experiment=made, coverage=0.5, weights=None, actor=None, now=LATER)
    with pytest.raises(ExperimentRefused, match="hold-out"):
        experiment_stop(experiment=made, actor=None, now=LATER)
    with pytest.raises(ExperimentRefused, match="nothing to decide"):
        decide(made, "keep")
    with pytest.raises(ExperimentRefused, match="no hold-out"):
        holdout_stop(experiment=running, actor=None, now=LATER)
    made.refresh_from_db()
    assert made.state == Experiment.State.RUNNING
