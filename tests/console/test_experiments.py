"""Experiments in the console: planning, starting, changing traffic, deciding, looking."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from analytics.console.experiments_form import number_typed, percent_text
from analytics.console.experiments_setup import with_parameter
from analytics.models import ExperimentSnapshot, ShopperDay
from analytics.results.document import results_json
from catalog.models import AuditEntry, EventType, Member, Store
from catalog.services.keys import api_key_create
from recommender.models import ExclusionGroup, Experiment, Placement, StrategyVersion
from recommender.serving.signing import qa_token_read
from tests.conftest import MemberClient
from tests.console.results_fixture import make_results
from tests.factories import make_event, make_experiment, make_order, make_product, make_shopper

BASE = "/console/corner/experiments/"
SLUG = "product-similar"
Answer = Any


@pytest.fixture
def client(store: Store, member_client: MemberClient) -> Client:
    return member_client(store, Member.Role.MARKETER)


@pytest.fixture
def placement(store: Store) -> Placement:
    return Placement.objects.get(store=store, slug=SLUG)


@pytest.fixture
def other(store: Store) -> StrategyVersion:
    """Another strategy than the one that the placement shows."""
    return StrategyVersion.objects.get(store=store, strategy__key="home-trending")


@pytest.fixture
def running(store: Store, placement: Placement, other: StrategyVersion) -> Experiment:
    return make_experiment(
        store,
        [placement],
        [None, other],
        key="brighter",
        name="Brighter mix",
        started_at=timezone.now() - timedelta(days=4),
    )


def form(placement: Placement, other: StrategyVersion, **changes: Any) -> dict[str, Any]:
    """The fields as a browser sends them for an A/B test of two arms."""
    return {
        "name": "Brighter mix",
        "hypothesis": "More variety, more clicks",
        "kind": "ab",
        "placements": [str(placement.pk)],
        "arm": ["a", "b"],
        "arm_name-a": "Control",
        "arm_weight-a": "1",
        f"arm_version-a-{placement.pk}": "",
        "arm_name-b": "Brighter",
        "arm_weight-b": "1",
        f"arm_version-b-{placement.pk}": str(other.pk),
        "coverage": "80",
        "segment": "",
        "group": "",
        "group_share": "50",
        "primary_metric": "conversion_rate",
        "smallest_lift": "5",
        "planned_days": "14",
        "guard": ["diversity", "latency"],
        "margin-diversity": "5",
        "margin-latency": "20",
        "cuped": "on",
        **changes,
    }


def words(answer: Answer) -> str:
    """What a reader sees, without markup."""
    text = re.sub(r"<[^>]*>", " ", answer.content.decode())
    return " ".join(html.unescape(text).split())


# ---------------------------------------------------------------------------------------- drafts


def test_a_draft_is_saved_as_it_was_said_and_shoppers_see_nothing_of_it(
    client: Client, store: Store, placement: Placement, other: StrategyVersion
) -> None:
    answer = client.post(f"{BASE}new/", form(placement, other), follow=True)
    assert "Shoppers see nothing of it yet" in words(answer)
    draft = Experiment.objects.get(store=store)
    assert (draft.key, draft.state, draft.kind) == ("brighter-mix", "draft", "ab")
    assert (draft.coverage, draft.smallest_lift, draft.planned_days) == (0.8, 0.05, 14)
    assert draft.guardrails == [
        {"metric": "diversity", "margin": 0.05},
        {"metric": "latency", "margin": 0.2},
    ]
    assert draft.cuped
    control, variant = draft.variants.all()
    assert (control.name, variant.name) == ("Control", "Brighter")
    # What the control shows is what the placement shows now, and stays that.
    assert control.strategies.get().strategy_version_id == placement.strategy_version_id
    assert variant.strategies.get().strategy_version_id == other.pk
    placement.refresh_from_db()
    assert placement.strategy_version_id != other.pk


@pytest.mark.parametrize(
    ("field", "typed", "said"),
    [
        ("name", "", "A name of up to 120 letters"),
        ("coverage", "120", "A share of the shoppers above 0 and up to 100 %."),
        ("coverage", "all", "This is no number."),
        ("smallest_lift", "a lot", "This is no number."),
        ("planned_days", "3", "From 7 days"),
        ("planned_days", "two weeks", "How many days? A whole number."),
        ("margin-diversity", "x", "This is no number."),
        ("arm_weight-b", "half", "This is no number."),
        ("arm_weight-b", "0", "a weight above 0"),
        ("placements", [], "Choose at least one placement."),
        ("primary_metric", "novelty", "Choose one of"),
        ("kind", "holdout", "Choose what kind"),
    ],
)
def test_what_can_not_be_is_said_at_its_field_and_what_was_typed_stays(
    client: Client,
    store: Store,
    placement: Placement,
    other: StrategyVersion,
    field: str,
    typed: Any,
    said: str,
) -> None:
    answer = client.post(f"{BASE}new/", form(placement, other, **{field: typed}))
    assert answer.status_code == 422
    assert said in words(answer)
    page = answer.content.decode()
    assert "More variety, more clicks</textarea>" in page
    if isinstance(typed, str) and typed and field not in ("kind", "primary_metric"):
        assert f'name="{field}"' in page
        assert f'value="{typed}"' in page
    assert not Experiment.objects.exists()


def test_a_variant_that_shows_what_the_control_shows_is_refused(
    client: Client, placement: Placement, other: StrategyVersion
) -> None:
    same = {f"arm_version-b-{placement.pk}": str(placement.strategy_version_id)}
    answer = client.post(f"{BASE}new/", form(placement, other, **same))
    assert answer.status_code == 422
    assert "All variants show the same" in words(answer)
    missing = {f"arm_version-b-{placement.pk}": ""}
    answer = client.post(f"{BASE}new/", form(placement, other, **missing))
    assert "“Brighter”: choose a strategy for “Product: similar”." in words(answer)


def test_in_an_a_a_test_every_arm_shows_what_the_control_shows(
    client: Client, store: Store, placement: Placement, other: StrategyVersion
) -> None:
    client.post(f"{BASE}new/", form(placement, other, kind="aa"))
    draft = Experiment.objects.get(store=store)
    shown = {each.strategies.get().strategy_version_id for each in draft.variants.all()}
    assert shown == {placement.strategy_version_id}
    answer = client.get(f"{BASE}{draft.key}/start/")
    assert "An A/A test: all arms show the same" in words(answer)


def test_an_arm_may_show_nothing_and_is_not_to_be_shipped(
    client: Client, store: Store, placement: Placement, other: StrategyVersion
) -> None:
    client.post(f"{BASE}new/", form(placement, other, **{"arm_nothing-b": "on"}))
    draft = Experiment.objects.get(store=store)
    assert [each.shows_nothing for each in draft.variants.all()] == [False, True]
    client.post(f"{BASE}{draft.key}/start/")
    answer = client.get(f"{BASE}{draft.key}/decide/")
    assert "Ship Brighter" not in words(answer)
    assert "to take a placement away, pause it" in words(answer)


def test_a_draft_is_edited_with_the_fields_as_they_were_saved(
    client: Client, store: Store, placement: Placement, other: StrategyVersion
) -> None:
    client.post(f"{BASE}new/", form(placement, other))
    page = client.get(f"{BASE}brighter-mix/edit/").content.decode()
    assert 'value="Brighter mix"' in page
    assert re.search(r'name="coverage"[^>]*value="80"', page)
    assert re.search(rf'<option value="{other.pk}" selected>', page)
    changed = form(placement, other, name="Brighter mix", planned_days="21", cuped="")
    del changed["cuped"]
    client.post(f"{BASE}brighter-mix/edit/", changed)
    draft = Experiment.objects.get(store=store)
    assert (draft.planned_days, draft.cuped) == (21, False)


def test_a_draft_can_be_deleted_and_what_runs_can_not(
    client: Client, store: Store, running: Experiment, placement: Placement, other: StrategyVersion
) -> None:
    client.post(f"{BASE}new/", form(placement, other, name="Draft"))
    client.post(f"{BASE}draft/delete/")
    assert list(Experiment.objects.values_list("key", flat=True)) == ["brighter"]
    answer = client.post(f"{BASE}brighter/delete/", follow=True)
    assert "The experiment is running, not draft." in words(answer)
    assert Experiment.objects.filter(key="brighter").exists()


def test_fields_come_and_go_with_what_is_chosen_and_keep_what_was_typed(
    client: Client, placement: Placement, other: StrategyVersion
) -> None:
    more = client.post(f"{BASE}plan/fields/", form(placement, other, change="add_arm"))
    assert 'value="Variant C"' in more.content.decode()
    assert 'value="Brighter"' in more.content.decode()
    three = form(placement, other, arm=["a", "b", "c"], remove="b", **{"arm_name-c": "Third"})
    fewer = client.post(f"{BASE}plan/fields/", three).content.decode()
    assert 'value="Third"' in fewer
    assert 'value="Brighter"' not in fewer
    # The control can't be removed.
    kept = client.post(f"{BASE}plan/fields/", three | {"remove": "a"}).content.decode()
    assert 'value="Control"' in kept
    same = client.post(f"{BASE}plan/fields/", form(placement, other, kind="aa"))
    assert "Shows what the control shows." in words(same)


def test_without_script_the_buttons_of_the_form_answer_with_the_whole_page(
    client: Client, placement: Placement, other: StrategyVersion
) -> None:
    answer = client.post(f"{BASE}new/", form(placement, other, change="add_arm"))
    assert answer.status_code == 200
    assert "<!doctype html>" in answer.content.decode()
    assert 'value="Variant C"' in answer.content.decode()
    assert not Experiment.objects.exists()


# ---------------------------------------------------------------------------------------- planner


@pytest.fixture
def history(store: Store) -> None:
    """Three weeks in which 40 new shoppers a day came and every fourth bought."""
    product = make_product(store, "mug")
    today = timezone.now().replace(hour=12, minute=0, second=0, microsecond=0)
    for day in range(1, 22):
        at = today - timedelta(days=day)
        for place in range(40):
            shopper = make_shopper(store, f"shopper-{day}-{place}")
            if place % 4 == 0:
                make_order(store, shopper, [product], at=at)
            ShopperDay.objects.create(
                store=store, day=at.date(), shopper=shopper, visited=True, bought=place % 4 == 0
            )


@pytest.mark.usefixtures("history")
def test_the_planner_says_how_long_and_offers_the_length(
    client: Client, placement: Placement, other: StrategyVersion
) -> None:
    sent = form(placement, other, coverage="100", smallest_lift="40", planned_days="10")
    answer = client.post(f"{BASE}plan/", sent)
    said = words(answer)
    assert re.search(r"At today’s traffic \d+ days for \+40 % conversion rate\.", said)
    assert "Your 10 days find +40 % conversion rate with a chance of" in said
    button = re.search(r'name="take" value="(\d+)"', answer.content.decode())
    assert button
    assert int(button[1]) % 7 == 0
    taken = client.post(f"{BASE}plan/", sent | {"take": button[1]}).content.decode()
    field = re.search(r'id="length-field" hx-swap-oob="true">(.*?)</span>', taken)
    assert field
    assert f'value="{button[1]}"' in field[1]


@pytest.mark.usefixtures("history")
def test_a_lift_out_of_reach_comes_with_what_to_do(
    client: Client, placement: Placement, other: StrategyVersion
) -> None:
    answer = client.post(f"{BASE}plan/", form(placement, other, smallest_lift="0.5"))
    assert "would take" in words(answer)
    assert "Let more of the shoppers take part." in words(answer)
    offered = re.search(r'name="take" value="([\d.]+):(\d+)"', answer.content.decode())
    assert offered
    taken = client.post(f"{BASE}plan/", form(placement, other, take=f"{offered[1]}:{offered[2]}"))
    assert re.search(
        rf'id="lift-field" hx-swap-oob="true">.*value="{offered[1]}"', taken.content.decode()
    )


def test_without_history_the_planner_says_what_is_missing(
    client: Client, placement: Placement, other: StrategyVersion
) -> None:
    said = words(client.post(f"{BASE}plan/", form(placement, other)))
    assert "Not enough data for a plan" in said
    assert "You can start without a plan." in said
    nowhere = words(client.post(f"{BASE}plan/", form(placement, other, placements=[])))
    assert "Choose a placement" in nowhere
    half = words(client.post(f"{BASE}plan/", form(placement, other, coverage="")))
    assert "This is no number." in half


# ------------------------------------------------------------------------------------- life cycle


@pytest.mark.usefixtures("history")
def test_the_start_says_what_is_locked_and_then_locks_it(
    client: Client, store: Store, placement: Placement, other: StrategyVersion
) -> None:
    client.post(f"{BASE}new/", form(placement, other))
    said = words(client.get(f"{BASE}brighter-mix/start/"))
    assert "40.0 % Control" in said
    assert "20.0 % take no part" in said
    assert "More variety, more clicks" in said
    client.post(f"{BASE}brighter-mix/start/")
    started = Experiment.objects.get(store=store)
    assert started.state == "running"
    assert started.plan["lift"] == 0.05
    assert started.planned_shoppers
    # 40 a day of whom 80 % take part.
    assert 380 <= started.planned_shoppers <= 500
    # Locked: neither the editor nor a form sent to it.
    answer = client.post(
        f"{BASE}brighter-mix/edit/", form(placement, other, name="Cheat"), follow=True
    )
    assert "locked" in words(answer)
    assert Experiment.objects.get(store=store).name == "Brighter mix"


def test_the_start_warns_of_a_paused_placement_and_of_another_test_on_it(
    client: Client, store: Store, running: Experiment, placement: Placement, other: StrategyVersion
) -> None:
    client.post(f"{BASE}new/", form(placement, other, name="Second"))
    placement.paused = True
    placement.save()
    said = words(client.get(f"{BASE}second/start/"))
    assert "“Product: similar” is paused" in said
    assert "“Brighter mix” is on “Product: similar” as well. Stop it first" in said
    answer = client.post(f"{BASE}second/start/")
    assert answer.status_code == 422
    assert "It wasn't started." in words(answer)
    assert Experiment.objects.get(key="second").state == "draft"


def test_the_start_says_that_the_placement_shows_another_version_meanwhile(
    client: Client, placement: Placement, other: StrategyVersion
) -> None:
    client.post(f"{BASE}new/", form(placement, other))
    placement.strategy_version = other
    placement.save()
    said = words(client.get(f"{BASE}brighter-mix/start/"))
    assert "since this draft was saved" in said
    assert "The placement shows another version meanwhile" in words(
        client.get(f"{BASE}brighter-mix/edit/")
    )


def test_pause_and_resume(client: Client, running: Experiment) -> None:
    client.post(f"{BASE}brighter/pause/")
    running.refresh_from_db()
    assert running.state == "paused"
    said = words(client.get(f"{BASE}brighter/setup/"))
    assert "Take up again" in said
    # Shares are changed while it runs.
    assert "Traffic …" not in said
    client.post(f"{BASE}brighter/resume/")
    running.refresh_from_db()
    assert running.state == "running"


def test_stopping_says_what_it_means_and_then_stops(client: Client, running: Experiment) -> None:
    said = words(client.get(f"{BASE}brighter/stop/"))
    assert "It can't be started again" in said
    client.post(f"{BASE}brighter/stop/")
    running.refresh_from_db()
    assert running.state == "stopped"
    assert "Stopped, not decided" in words(client.get(BASE))


def test_traffic_says_who_moves_before_it_is_changed(client: Client, running: Experiment) -> None:
    address = f"{BASE}brighter/ramp/"
    running.coverage = 0.5
    running.save()
    raised = words(client.get(f"{address}?coverage=100&weight-a=1&weight-b=1"))
    assert "50.0 % of the shoppers join" in raised
    assert "Nobody moves to another arm." in raised
    lowered = words(client.get(f"{address}?coverage=25&weight-a=1&weight-b=1"))
    assert "50.0 % of the participants leave" in lowered
    assert "of the shoppers join" not in lowered
    shifted = client.get(
        f"{address}?coverage=90&weight-a=9&weight-b=1", headers={"HX-Request": "true"}
    )
    assert "<html" not in shifted.content.decode()
    assert "HX-Request" in shifted.headers["Vary"]
    assert "of the participants see another arm than before." in words(shifted)
    assert "Whoever moves or leaves blurs the comparison" in words(shifted)
    impossible = words(client.get(f"{address}?coverage=500&weight-a=9&weight-b=1"))
    assert "Coverage is from 0 to 100 %" in impossible
    running.refresh_from_db()
    assert running.coverage == 0.5
    client.post(address, {"coverage": "100", "weight-a": "1", "weight-b": "1"})
    running.refresh_from_db()
    assert running.coverage == 1.0
    assert [phase.coverage for phase in running.phases.all()][-1] == 1.0


def test_traffic_that_can_not_be_is_refused_with_what_was_typed(
    client: Client, running: Experiment
) -> None:
    for typed in ({"coverage": "0"}, {"coverage": "x"}, {"weight-b": "-1"}):
        sent = {"coverage": "100", "weight-a": "1", "weight-b": "1"} | typed
        answer = client.post(f"{BASE}brighter/ramp/", sent)
        assert answer.status_code == 422
        assert f'value="{next(iter(typed.values()))}"' in answer.content.decode()
    assert running.phases.count() == 1


def test_a_bandits_weights_are_its_own(
    client: Client, store: Store, placement: Placement, other: StrategyVersion
) -> None:
    make_experiment(store, [placement], [None, other], kind="bandit", key="bandit")
    page = client.get(f"{BASE}bandit/ramp/")
    assert "A bandit learns its weights by itself." in words(page)
    assert client.post(f"{BASE}bandit/ramp/", {"coverage": "40"}).status_code == 302
    assert Experiment.objects.get(key="bandit").coverage == 0.4


# --------------------------------------------------------------------------------------- decision


def test_shipping_says_what_it_publishes_and_then_publishes_it(
    client: Client, running: Experiment, placement: Placement, other: StrategyVersion
) -> None:
    variant = running.variants.get(key="b")
    ExperimentSnapshot.objects.create(
        store=running.store,
        experiment=running,
        kind="latest",
        asked_at=timezone.now(),
        computed_at=timezone.now(),
        document=results_json(make_results(running, status="ship", headline="Ship it.")),
    )
    said = words(client.get(f"{BASE}brighter/decide/"))
    assert f"“Product: similar” shows {other.strategy.name}, version {other.number}" in said
    assert "Ship it." in said
    answer = client.post(
        f"{BASE}brighter/decide/", {"choice": f"ship-{variant.pk}", "reason": "It sells more."}
    )
    assert answer.status_code == 302
    assert answer.headers["Location"] == f"{BASE}brighter/"
    placement.refresh_from_db()
    running.refresh_from_db()
    assert placement.strategy_version_id == other.pk
    assert (running.state, running.decision) == ("stopped", "ship")
    assert running.decision_reason == "It sells more."
    # What was known at that moment is kept.
    kept = ExperimentSnapshot.objects.get(experiment=running, kind="decision")
    assert kept.document
    assert kept.document["headline"] == "Ship it."
    listed = words(client.get(BASE))
    assert "Shipped Variant B" in listed
    assert "“It sells more.”" in listed
    # Once is enough.
    again = client.post(f"{BASE}brighter/decide/", {"choice": "keep", "reason": "No."}, follow=True)
    assert "It has been decided already." in words(again)
    running.refresh_from_db()
    assert running.decision == "ship"


@pytest.mark.parametrize("choice", ["keep", "inconclusive"])
def test_keeping_changes_no_placement(
    client: Client, running: Experiment, placement: Placement, choice: str
) -> None:
    shown = placement.strategy_version_id
    client.post(f"{BASE}brighter/decide/", {"choice": choice, "reason": "Not worth it."})
    placement.refresh_from_db()
    running.refresh_from_db()
    assert (running.decision, placement.strategy_version_id) == (choice, shown)


def test_a_decision_needs_a_choice_and_a_reason_and_keeps_what_was_typed(
    client: Client, running: Experiment, placement: Placement
) -> None:
    variant = running.variants.get(key="b")
    assert "There are no results yet" in words(client.get(f"{BASE}brighter/decide/"))
    sent = {"choice": f"ship-{variant.pk}", "reason": " "}
    answer = client.post(f"{BASE}brighter/decide/", sent)
    assert answer.status_code == 422
    assert "A reason of up to 2,000 letters" in words(answer)
    assert re.search(rf'value="ship-{variant.pk}" checked', answer.content.decode())
    for choice in ("", "ship-0", "holdout"):
        answer = client.post(f"{BASE}brighter/decide/", {"choice": choice, "reason": "Because."})
        assert answer.status_code == 422
        assert ">Because.</textarea>" in answer.content.decode()
    shown = placement.strategy_version_id
    placement.refresh_from_db()
    running.refresh_from_db()
    assert (running.state, running.decision, placement.strategy_version_id) == (
        "running",
        None,
        shown,
    )


# ------------------------------------------------------------------------------------------ list


def test_the_list_has_what_runs_first_and_says_what_the_results_say(
    client: Client, store: Store, running: Experiment, placement: Placement
) -> None:
    make_experiment(store, [placement], state="draft", key="idea", name="Idea")
    make_experiment(
        store, [placement], state="stopped", key="old", name="Old", stopped_at=timezone.now()
    )
    ExperimentSnapshot.objects.create(
        store=store,
        experiment=running,
        kind="latest",
        asked_at=timezone.now(),
        computed_at=timezone.now(),
        document={
            "status": "ship",
            "headline": "Variant B lifts conversion rate by 7.1 %.",
            "power": {"n_shoppers": 12345, "days_left": 3, "progress": 0.62},
        },
    )
    page = client.get(BASE)
    said = words(page)
    assert said.index("Brighter mix") < said.index("Idea") < said.index("Old")
    for expected in ("Ship now", "Variant B lifts conversion rate by 7.1 %.", "12,345", "3 days",
                     "62 % of what it takes to find the planned lift", "day 5 of 14"):  # fmt: skip
        assert expected in said
    drafts = words(client.get(f"{BASE}?state=draft"))
    assert "Idea" in drafts
    assert "Brighter mix" not in drafts
    assert client.get(f"{BASE}?state=moon").status_code == 404


def test_an_empty_list_says_what_to_do(client: Client, member_client: MemberClient) -> None:
    said = words(client.get(BASE))
    assert "There is no experiment yet" in said
    assert "Plan the first experiment" in said


def test_the_number_of_queries_does_not_grow_with_the_list(
    client: Client, store: Store, running: Experiment, placement: Placement, other: StrategyVersion
) -> None:
    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert client.get(BASE).status_code == 200
        return len(captured)

    client.get(BASE)
    few = queries()
    for number in range(5):
        make_experiment(store, [placement], [None, other], state="stopped", key=f"old-{number}")
    assert queries() == few <= 22


# ------------------------------------------------------------------------------- setup, links, log


def test_the_setup_shows_what_is_locked_and_since_when(client: Client, running: Experiment) -> None:
    said = words(client.get(f"{BASE}brighter/setup/"))
    for expected in ("Locked since", "It helps", "Variant B", "50.0 %", "Started", "until now"):
        assert expected in said


def test_a_link_of_a_variant_opens_the_shop_with_its_token(
    client: Client, store: Store, running: Experiment
) -> None:
    said = words(client.get(f"{BASE}brighter/links/"))
    assert "Where your shop is isn't known yet" in said
    assert "vitrine_qa=" in said
    api_key_create(store=store, kind="pk", name="Shop", origins=["https://shop.example"])
    make_product(store, "mug", url="https://shop.example/p/mug?ref=1")
    page = html.unescape(client.get(f"{BASE}brighter/links/").content.decode())
    tokens = re.findall(r"https://shop\.example/\?vitrine_qa=([\w-]+)", page)
    read = {qa_token_read(bytes(store.signing_secret), token) for token in set(tokens) - {"off"}}
    assert read == {(running.pk, each.pk) for each in running.variants.all()}
    assert "https://shop.example/p/mug?ref=1&vitrine_qa=" in page
    assert "https://shop.example/?vitrine_qa=off" in page
    assert "Never counted." in page


def test_the_demo_shop_is_linked_where_it_is(
    client: Client, store: Store, running: Experiment
) -> None:
    Store.objects.filter(pk=store.pk).update(is_demo=True)
    make_product(store, "mug", url="/shop/products/mug/")
    page = client.get(f"{BASE}brighter/links/").content.decode()
    assert "http://testserver/shop/?vitrine_qa=" in page
    assert "http://testserver/shop/products/mug/?vitrine_qa=" in page


def test_the_history_says_who_changed_what(
    client: Client, store: Store, running: Experiment
) -> None:
    assert "Nothing is written down yet" in words(client.get(f"{BASE}brighter/history/"))
    client.post(f"{BASE}brighter/pause/")
    AuditEntry.objects.create(store=store, action="experiment.pause", subject_key="another")
    said = words(client.get(f"{BASE}brighter/history/"))
    assert said.count("Experiment: paused") == 1
    assert "marketer-corner@shop.example" in said


# ---------------------------------------------------------------------------- hold-out and groups


@pytest.mark.usefixtures("history")
def test_the_hold_out_says_first_whom_it_touches(
    client: Client, store: Store, other: StrategyVersion
) -> None:
    from analytics.services.rollups import rollups_refresh

    assert "Start a hold-out" in words(client.get(BASE))
    for day in range(1, 15):
        for place in range(40):
            at = timezone.now() - timedelta(days=day)
            make_event(store, make_shopper(store, f"v-{day}-{place}"), type=EventType.SEARCH, at=at)
    rollups_refresh(store=store, now=timezone.now())
    address = f"{BASE}hold-out/"
    said = words(client.get(f"{address}?share=10"))
    assert re.search(r"About \d+ shoppers a day will see no recommendations at all", said)
    part = client.get(f"{address}?share=10&baseline={other.pk}", headers={"HX-Request": "true"})
    assert f"will see “{other.strategy.name}”, version {other.number}" in words(part)
    assert not Experiment.objects.exists()
    client.post(f"{address}save/", {"share": "10", "baseline": "", "was": ""})
    experiment = Experiment.objects.get(store=store, kind="holdout")
    assert [each.weight for each in experiment.variants.all()] == [0.1, 0.9]
    listed = words(client.get(BASE))
    assert "10.0 % of all shoppers, who see no recommendations at all" in listed
    raised = words(client.get(f"{address}?share=15"))
    assert "5.0 % of all shoppers lose recommendations" in raised
    stale = client.post(f"{address}save/", {"share": "30", "baseline": "", "was": ""})
    assert "Somebody changed the hold-out meanwhile" in words(stale)
    client.post(f"{address}save/", {"share": "15", "was": str(experiment.pk)})
    assert [each.weight for each in experiment.variants.all()] == [0.15, 0.85]
    client.post(f"{address}stop/")
    experiment.refresh_from_db()
    assert experiment.state == "stopped"
    assert "Start a hold-out" in words(client.get(BASE))


@pytest.mark.parametrize(
    "typed", [{"share": "x"}, {"share": "80"}, {"share": "5", "baseline": "0"}]
)
def test_a_hold_out_that_can_not_be_is_refused(
    client: Client, store: Store, typed: dict[str, str]
) -> None:
    answer = client.post(f"{BASE}hold-out/save/", typed)
    assert answer.status_code == 422
    assert f'value="{typed["share"]}"' in answer.content.decode()
    assert not Experiment.objects.filter(store=store).exists()
    assert client.post(f"{BASE}hold-out/stop/").status_code == 422


def test_groups_are_made_named_filled_and_deleted(
    client: Client, store: Store, placement: Placement, other: StrategyVersion
) -> None:
    client.post(f"{BASE}groups/new/", {"name": "Home page"})
    group = ExclusionGroup.objects.get(store=store)
    client.post(f"{BASE}groups/{group.pk}/name/", {"name": "Product page"})
    again = client.post(f"{BASE}groups/new/", {"name": "product page"})
    assert again.status_code == 422
    assert "There is a group of this name." in words(again)
    assert 'value="product page"' in again.content.decode()
    client.post(f"{BASE}new/", form(placement, other, group=str(group.pk), group_share="30"))
    client.post(f"{BASE}brighter-mix/start/")
    said = words(client.get(f"{BASE}groups/"))
    assert "Product page 70 % free" in said
    assert "Brighter mix 30 %: from 0 % to 30 %" in said
    assert client.post(f"{BASE}groups/{group.pk}/delete/").status_code == 422
    empty = ExclusionGroup.objects.create(store=store, name="Empty", seed="s")
    client.post(f"{BASE}groups/{empty.pk}/delete/")
    assert list(ExclusionGroup.objects.all()) == [group]


# ---------------------------------------------------------------------------------------- access


def test_a_viewer_looks_and_changes_nothing(
    store: Store, running: Experiment, member_client: MemberClient, placement: Placement
) -> None:
    viewer = member_client(store, Member.Role.VIEWER)
    for page in ("", "brighter/setup/", "brighter/links/", "brighter/history/", "groups/",
                 "hold-out/"):  # fmt: skip
        answer = viewer.get(f"{BASE}{page}")
        assert answer.status_code == 200
        main = answer.content.decode().partition("<main")[2]
        assert 'method="post"' not in main
        assert "New experiment" not in main
    for page in ("new/", "brighter/ramp/", "brighter/decide/", "brighter/stop/"):
        assert viewer.get(f"{BASE}{page}").status_code == 403
    for action in ("brighter/pause/", "brighter/stop/", "groups/new/", "hold-out/save/"):
        assert viewer.post(f"{BASE}{action}", {"name": "x", "share": "5"}).status_code == 403
    running.refresh_from_db()
    assert running.state == "running"


def test_an_experiment_of_another_store_is_not_there(
    store: Store, other_store: Store, client: Client, other: StrategyVersion
) -> None:
    theirs = make_experiment(
        other_store, [Placement.objects.get(store=other_store, slug=SLUG)], key="theirs"
    )
    group = ExclusionGroup.objects.create(store=other_store, name="Theirs", seed="s")
    for page in ("setup/", "links/", "history/", "ramp/", "stop/", "decide/", "start/", "edit/"):
        assert client.get(f"{BASE}theirs/{page}").status_code == 404
    for action in ("pause/", "resume/", "stop/", "decide/", "ramp/", "start/", "delete/"):
        assert client.post(f"{BASE}theirs/{action}").status_code == 404
    assert client.post(f"{BASE}groups/{group.pk}/delete/").status_code == 404
    placement = Placement.objects.get(store=other_store, slug=SLUG)
    assert client.post(f"{BASE}new/", form(placement, other)).status_code == 422
    theirs.refresh_from_db()
    assert theirs.state == "running"


# ----------------------------------------------------------------------------------------- small


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("5", 5.0), (" 2,5 % ", 2.5), ("0.5", 0.5), ("", None), ("five", None), ("inf", None),
     ("nan", None)],
)  # fmt: skip
def test_numbers_are_read_as_people_type_them(typed: str, meant: float | None) -> None:
    assert number_typed(typed) == meant


def test_shares_are_written_as_they_are_typed() -> None:
    assert [percent_text(share) for share in (0.05, 0.125, 1.0, 0.07)] == ["5", "12.5", "100", "7"]


def test_a_token_stands_beside_what_the_address_says_already() -> None:
    assert with_parameter("https://a.example", "t") == "https://a.example?vitrine_qa=t"
    assert with_parameter("https://a.example/p?vitrine_qa=old&q=", "t") == (
        "https://a.example/p?q=&vitrine_qa=t"
    )
