"""The demo's last weeks, played through the API: what was shown and bought becomes a click."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from analytics.management.commands import replay as replay_command
from analytics.models import ExperimentSnapshot, ExperimentWatermark, VariantDay
from analytics.services.replayed import replayed_count
from analytics.services.snapshots import snapshot_refresh
from catalog.demo.held_back import Visit, VisitLine, event_id, visits_of_share
from catalog.demo.playing import Pages, Played, PlayRefused, purchase_items, visit_play
from catalog.demo.replaying import ReplayPlan, visits_play
from catalog.models import ApiKey, DemoReplay, Event, EventType, Product, Store
from catalog.selectors.demo_replays import orders_there, replay_is_done
from catalog.services.demo_replays import (
    KEY_NAME,
    ReplayRefused,
    replay_advance,
    replay_begin,
    replay_end,
)
from catalog.services.keys import api_key_create
from recommender.models import Experiment, Exposure, Impression, Placement
from recommender.services.demo_experiments import demo_experiments_start
from recommender.services.impression_log import IMPRESSIONS
from recommender.services.strategies import strategy_version_create
from recommender.serving.runtime import RUNTIMES
from recommender.stores.session_state import session_read
from tests.factories import make_product

BOUGHT_AT = datetime(2026, 10, 3, 17, 5, tzinfo=UTC)
PAGES = Pages(
    home=("home-trending",),
    product=("product-similar",),
    cart=("cart-cross-sell",),
)
CLICK, SEEN = EventType.RECOMMENDATION_CLICK, EventType.RECOMMENDATION_VIEW


class TestApi:
    """The public API without a network."""

    __test__ = False

    def __init__(self, key: str, *, refuse_after: int | None = None) -> None:
        self.calls: list[tuple[str, Mapping[str, Any], datetime]] = []
        self._client = Client()
        self._headers = {"Authorization": f"Bearer {key}"}
        self._refuse_after = refuse_after

    def post(self, path: str, body: Mapping[str, Any], *, at: datetime) -> Any:
        if len(self.calls) == self._refuse_after:
            raise PlayRefused("pulled the plug")
        self.calls.append((path, body, at))
        response = self._client.post(
            path,
            body,
            content_type="application/json",
            headers={**self._headers, "Vitrine-Replay-At": at.isoformat()},
        )
        if response.status_code not in (200, 202):
            raise PlayRefused(response.content.decode())
        return json.loads(response.content)


@pytest.fixture
def market(store: Store) -> Store:
    """A demo store whose trending row and cart show the five teas, and nothing else."""
    store.is_demo = True
    store.save()
    for n in range(5):
        make_product(store, f"tea-{n}", category_path="Teas", published_at=BOUGHT_AT)
    for n in range(9):
        make_product(store, f"jam-{n}", category_path="Jams", availability="out_of_stock")
    for slug in ("home-trending", "cart-cross-sell", "product-similar"):
        placement = Placement.objects.get(store=store, slug=slug)
        placement.strategy_version = strategy_version_create(
            strategy=placement.strategy_version.strategy,
            document={
                "sources": [{"source": "new_arrivals", "weight": 1}],
                "exclude": {"in_cart": False, "purchased": False},
            },
        )
        placement.save()
    return store


@pytest.fixture
def sk(market: Store) -> str:
    RUNTIMES.refresh()
    return api_key_create(store=market, kind=ApiKey.Kind.SECRET, name="Replay")[1]


@pytest.fixture
def api(sk: str) -> TestApi:
    return TestApi(sk)


def visit(
    *product_ids: str,
    order_id: str = "o-1",
    shopper: str = "household-1",
    at: datetime = BOUGHT_AT,
) -> Visit:
    lines = tuple(VisitLine(product_id, 1, 250, 0) for product_id in product_ids)
    return Visit(order_id, shopper, int(at.timestamp()), lines)


def clicked(store: Store) -> list[str]:
    clicks = Event.objects.filter(store=store, type=CLICK).order_by("occurred_at", "pk")
    return [event.product.external_id for event in clicks if event.product]


def everything(store: Store) -> list[tuple[object, ...]]:
    columns = ("event_id", "line", "type", "occurred_at", "product_id", "quantity", "value_minor")
    return list(Event.objects.filter(store=store).order_by(*columns[:2]).values_list(*columns))


# -------------------------------------------------------------------------------------- the visit


def test_what_was_shown_and_then_bought_is_a_click_and_nothing_else_is(
    market: Store, api: TestApi
) -> None:
    played = visit_play(visit("tea-1", "jam-1", "tea-3", "jam-2"), api=api, pages=PAGES)

    assert sorted(clicked(market)) == ["tea-1", "tea-3"]
    assert played.total.n_clicks == 2
    IMPRESSIONS.flush()
    for click in Event.objects.filter(store=market, type=CLICK):
        assert click.recommendation_id is not None
        impression = Impression.objects.get(store=market, recommendation_id=click.recommendation_id)
        assert click.product_id in impression.product_ids
        assert impression.delivered_at <= click.occurred_at <= BOUGHT_AT


def test_nothing_shown_is_no_click(market: Store, api: TestApi) -> None:
    visit_play(visit("tea-1", "tea-2"), api=api, pages=Pages())

    assert clicked(market) == []
    assert Event.objects.filter(store=market, type=EventType.PURCHASE).count() == 2


def test_a_product_is_clicked_once_on_the_page_that_showed_it_last(
    market: Store, api: TestApi
) -> None:
    visit_play(visit("jam-1", "tea-1", "jam-2"), api=api, pages=PAGES)

    (click,) = Event.objects.filter(store=market, type=CLICK)
    # Opened second, so after the page of jam-1.
    assert click.properties == {"placement": "product-similar"}
    view = Event.objects.get(store=market, type=EventType.VIEW_ITEM, product=click.product)
    assert view.recommendation_id == click.recommendation_id


def test_impressions_and_exposures_have_the_time_that_is_played(market: Store, sk: str) -> None:
    demo_experiments_start(store=market, started_at=BOUGHT_AT - timedelta(days=1), n_shoppers=10)
    RUNTIMES.refresh()
    visit_play(visit("tea-1", "jam-1", "jam-2"), api=TestApi(sk), pages=PAGES)
    IMPRESSIONS.flush()

    times = list(
        Impression.objects.filter(store=market).values_list("delivered_at", flat=True)
    ) + list(Exposure.objects.filter(store=market).values_list("exposed_at", flat=True))
    assert len(times) >= 5
    assert all(BOUGHT_AT - timedelta(minutes=3) < at < BOUGHT_AT for at in times)


def test_the_session_remembers_what_is_weeks_old_by_our_clock(market: Store, sk: str) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=33)
    visit_play(visit("tea-1", "jam-1", at=long_ago), api=TestApi(sk), pages=PAGES)

    state = session_read(market.pk, "household-1")
    bought = Product.objects.filter(store=market, external_id__in=("tea-1", "jam-1"))
    assert set(state.product_ids.tolist()) == set(bought.values_list("pk", flat=True))


def test_a_visit_played_again_adds_no_event(market: Store, sk: str) -> None:
    basket = visit("tea-1", "jam-1", "tea-3")
    visit_play(basket, api=TestApi(sk), pages=PAGES)
    before = everything(market)

    again = visit_play(basket, api=TestApi(sk), pages=PAGES)

    assert again.total.n_events == 0
    assert everything(market) == before


@pytest.mark.parametrize("n_calls", range(8))
def test_a_visit_that_broke_off_anywhere_ends_as_if_it_had_not(
    market: Store, sk: str, n_calls: int
) -> None:
    basket = visit("tea-1", "jam-1", "tea-3", "jam-2")
    with pytest.raises(PlayRefused):
        visit_play(basket, api=TestApi(sk, refuse_after=n_calls), pages=PAGES)
    assert not Event.objects.filter(store=market, type=EventType.PURCHASE).exists()

    visit_play(basket, api=TestApi(sk), pages=PAGES)
    broken = everything(market)
    Event.objects.filter(store=market).delete()
    visit_play(basket, api=TestApi(sk), pages=PAGES)

    assert broken == everything(market)


def test_a_purchase_has_the_id_that_the_import_would_give_it(market: Store, api: TestApi) -> None:
    basket = visit("tea-1")
    visit_play(basket, api=api, pages=PAGES)

    stored = Event.objects.get(store=market, type=EventType.PURCHASE)
    assert stored.event_id == event_id(order_id="o-1", occurred_at_s=basket.bought_at_s)
    assert (stored.order_id, stored.session_id, stored.occurred_at) == ("o-1", "o-1", BOUGHT_AT)


@pytest.mark.parametrize(
    ("line", "pieces"),
    [
        (VisitLine("p", 1, 199, 0), [(1, "1.99")]),
        (VisitLine("p", 3, 1000, 0), [(2, "3.33"), (1, "3.34")]),
        (VisitLine("p", 0, 75, 0), [(1, "0.75")]),
        (VisitLine("p", 2, 0, 0), [(2, "0.00")]),
    ],
)
def test_a_line_is_sent_to_the_cent(line: VisitLine, pieces: list[tuple[int, str]]) -> None:
    items = purchase_items(line)

    assert [(item["quantity"], item["price"]) for item in items] == pieces
    cents = sum(round(float(item["price"]) * 100) * item["quantity"] for item in items)
    assert cents == line.value_minor


# ------------------------------------------------------------------------------------ many visits


def visits_of_two_weeks() -> list[Visit]:
    return [
        visit(
            f"tea-{n % 5}",
            "jam-1",
            order_id=f"o-{n}",
            shopper=f"household-{n % 4}",
            at=BOUGHT_AT + timedelta(days=n),
        )
        for n in range(14)
    ]


def test_visits_are_played_in_the_order_of_time_until_somebody_stops(
    market: Store, api: TestApi
) -> None:
    played: list[Played] = []

    visits_play(
        visits_of_two_weeks(),
        apis=[api],
        pages=PAGES,
        on_played=played.append,
        stopping=lambda: len(played) == 5,
    )

    assert len(played) == 5
    there = orders_there(store=market, from_at=BOUGHT_AT, until_at=BOUGHT_AT + timedelta(days=20))
    assert there.played == {f"o-{n}" for n in range(5)}
    times = [at for _, _, at in api.calls]
    assert times == sorted(times)


class Recorder:
    """An API that recommends nothing and notes who is in the shop at the same time."""

    inside: set[str] = set()
    crowded: list[str] = []

    def post(self, path: str, body: Mapping[str, Any], *, at: datetime) -> Any:
        if path.endswith("recommendations"):
            shopper = body["shopper_id"]
            if shopper in self.inside:
                self.crowded.append(shopper)
            self.inside.add(shopper)
            return {"recommendations": []}
        if any(event["type"] == "purchase" for event in body["events"]):
            self.inside.discard(body["events"][0]["shopper_id"])
        return {"accepted": len(body["events"]), "duplicate": 0, "rejected": []}


def test_a_household_is_never_in_the_shop_twice_at_once() -> None:
    played: list[Played] = []
    pages = Pages(home=("home-trending",))

    visits_play(
        visits_of_two_weeks() * 5,
        apis=[Recorder(), Recorder(), Recorder()],
        pages=pages,
        on_played=played.append,
    )

    assert len(played) == 70
    assert Recorder.crowded == []


def test_a_share_of_the_households_is_part_of_every_larger_share() -> None:
    visits = [
        visit("tea-1", order_id=f"o-{n}", shopper=f"household-{n % 500}") for n in range(1_000)
    ]

    quarter, half = visits_of_share(visits, 0.25), visits_of_share(visits, 0.5)

    assert {each.order_id for each in quarter} < {each.order_id for each in half}
    assert visits_of_share(visits, 1.0) == visits
    assert 0.18 < len(quarter) / 1_000 < 0.32
    households = [each.shopper_id for each in quarter]
    assert all(households.count(shopper) == 2 for shopper in households)


# -------------------------------------------------------------------------------------- the clock


@pytest.mark.parametrize("path", ["/v1/recommendations", "/v1/events"])
def test_a_real_store_has_no_clock_to_set(
    client: Client, store: Store, secret_key: str, path: str
) -> None:
    make_product(store, "tea", published_at=BOUGHT_AT)
    RUNTIMES.refresh()

    response = post(client, path, secret_key, at=BOUGHT_AT.isoformat())

    assert (response.status_code, response.json()["error"]["code"]) == (403, "replay_not_allowed")
    IMPRESSIONS.flush()
    assert not Impression.objects.filter(store=store).exists()
    assert not Event.objects.exists()


@pytest.mark.parametrize("path", ["/v1/recommendations", "/v1/events"])
def test_a_page_of_the_demo_shop_cannot_set_the_clock(
    client: Client, market: Store, publishable_key: str, path: str
) -> None:
    response = post(client, path, publishable_key, at=BOUGHT_AT.isoformat())

    assert (response.status_code, response.json()["error"]["code"]) == (403, "secret_key_required")
    assert not Event.objects.exists()


@pytest.mark.parametrize(
    "at",
    [
        "yesterday",
        "2026-10-03T17:05:00",
        "2999-01-01T00:00:00+00:00",
        "0001-01-01T00:00:00+14:00",
        "",
    ],
)
def test_only_moments_of_the_past_are_played(
    client: Client, market: Store, sk: str, at: str
) -> None:
    response = post(client, "/v1/recommendations", sk, at=at)

    assert response.status_code == 400
    assert list(response.json()["error"]["fields"]) == ["Vitrine-Replay-At"]


def test_one_placement_alone_can_be_played_too(client: Client, market: Store, sk: str) -> None:
    RUNTIMES.refresh()
    response = client.get(
        "/v1/placements/home-trending/recommendations?shopper_id=household-1",
        headers={"Authorization": f"Bearer {sk}", "Vitrine-Replay-At": BOUGHT_AT.isoformat()},
    )
    assert response.status_code == 200, response.content
    IMPRESSIONS.flush()

    assert Impression.objects.get(store=market).delivered_at == BOUGHT_AT


def post(client: Client, path: str, key: str, *, at: str) -> Any:
    event = {"type": "view_item", "shopper_id": "me", "items": [{"product_id": "tea"}]}
    body = (
        {"events": [event]}
        if path.endswith("events")
        else {"placements": [{"slug": "home-trending"}], "shopper_id": "me"}
    )
    return client.post(
        path,
        body,
        content_type="application/json",
        headers={"Authorization": f"Bearer {key}", "Vitrine-Replay-At": at},
    )


# ------------------------------------------------------------------------- what is written of it


def begin(store: Store, **changes: Any) -> tuple[DemoReplay, str]:
    arguments = {
        "from_at": BOUGHT_AT - timedelta(days=28),
        "until_at": BOUGHT_AT,
        "share": 0.25,
        "n_visits": 40,
        "n_wanted": 10,
        "n_played": 0,
        "now": BOUGHT_AT + timedelta(days=2),
    }
    return replay_begin(store=store, **{**arguments, **changes})


def test_nothing_is_played_into_a_real_store(store: Store) -> None:
    with pytest.raises(ReplayRefused, match="real one"):
        begin(store)

    assert not DemoReplay.objects.exists()
    assert not ApiKey.objects.filter(name=KEY_NAME).exists()


def test_a_replay_that_is_taken_up_again_goes_on_counting(market: Store) -> None:
    replay, first = begin(market)
    counted = {"n_events": 60, "n_recommendations": 16, "n_clicks": 3}
    now = BOUGHT_AT + timedelta(days=2)
    replay_advance(replay=replay, n_visits=4, now=now, **counted)
    replay_end(replay=replay, now=now)
    assert replay.state == DemoReplay.State.STOPPED
    assert not replay_is_done(store=market, share=0.25)

    replay, second = begin(market, n_played=4)
    replay_advance(replay=replay, n_visits=6, now=now, **counted)
    replay_end(replay=replay, now=now)

    assert first != second
    stored = DemoReplay.objects.get(store=market)
    assert (stored.state, stored.n_played, stored.n_events, stored.n_clicks) == ("done", 10, 120, 6)
    assert replay_is_done(store=market, share=0.25)
    assert not replay_is_done(store=market, share=0.5)


def test_there_is_one_key_of_a_replay_and_none_after_it(market: Store) -> None:
    begin(market)
    replay, _ = begin(market)
    assert ApiKey.objects.filter(store=market, name=KEY_NAME, revoked_at=None).count() == 1

    replay_end(replay=replay, now=BOUGHT_AT)

    assert not ApiKey.objects.filter(store=market, name=KEY_NAME, revoked_at=None).exists()


# ----------------------------------------------------------------------------- its experiments


def test_the_demos_experiments_began_with_the_time_that_is_played(market: Store) -> None:
    assert demo_experiments_start(store=market, started_at=BOUGHT_AT, n_shoppers=500)

    test = Experiment.objects.get(store=market, kind=Experiment.Kind.AB)
    holdout = Experiment.objects.get(store=market, kind=Experiment.Kind.HOLDOUT)
    assert test.started_at == holdout.started_at == BOUGHT_AT
    assert test.phases.get().started_at == BOUGHT_AT
    assert (test.state, test.primary_metric, test.planned_shoppers) == (
        "running",
        "click_rate",
        500,
    )
    strategies = {each.strategies.get().strategy_version_id for each in test.variants.all()}
    assert len(strategies) == 2


def test_what_a_member_made_of_the_experiments_stays(market: Store) -> None:
    demo_experiments_start(store=market, started_at=BOUGHT_AT, n_shoppers=500)
    Experiment.objects.filter(store=market).update(state=Experiment.State.STOPPED)

    assert not demo_experiments_start(store=market, started_at=BOUGHT_AT, n_shoppers=500)

    assert Experiment.objects.filter(store=market).count() == 2
    assert not Experiment.objects.filter(store=market, state="running").exists()


def test_a_real_stores_experiments_cannot_begin_in_the_past(store: Store) -> None:
    with pytest.raises(ValueError, match="no demo store"):
        demo_experiments_start(store=store, started_at=BOUGHT_AT, n_shoppers=500)

    assert not Experiment.objects.exists()


# --------------------------------------------------------------------------------- its figures


def test_the_planned_look_is_taken_when_all_was_played(market: Store, sk: str) -> None:
    started_at = BOUGHT_AT - timedelta(days=1)
    demo_experiments_start(store=market, started_at=started_at, n_shoppers=4)
    RUNTIMES.refresh()
    experiment = Experiment.objects.get(store=market, kind=Experiment.Kind.AB)
    planned_end = ExperimentSnapshot.objects.filter(experiment=experiment, kind="planned_end")
    visits = visits_of_two_weeks()
    during, after = (datetime(2026, 11, 22, 12, minute, tzinfo=UTC) for minute in (0, 5))

    visit_play(visits[0], api=TestApi(sk), pages=PAGES)
    IMPRESSIONS.flush()
    snapshot_refresh(experiment=experiment, now=during)
    assert planned_end.get().computed_at == during
    # Somebody looked around in the demo shop meanwhile: the watermark is at our own time.
    ExperimentWatermark.objects.filter(experiment=experiment).update(
        impressions_delivered_at=during
    )
    for each in visits[1:]:
        visit_play(each, api=TestApi(sk), pages=PAGES)
    IMPRESSIONS.flush()
    replayed_count(store=market, since=started_at, now=after)

    assert planned_end.get().computed_at == after
    days = VariantDay.objects.filter(experiment=experiment).values_list("latency_counts", flat=True)
    answers = Impression.objects.filter(store=market, experiment_id=experiment.pk).count()
    assert sum(map(sum, days)) == answers > 4


def test_figures_of_a_real_store_are_not_looked_at_anew(store: Store) -> None:
    with pytest.raises(ValueError, match="no demo store"):
        replayed_count(store=store, since=BOUGHT_AT, now=BOUGHT_AT)


# --------------------------------------------------------------------------------- the command


def test_the_command_plays_nothing_into_a_real_store(store: Store) -> None:
    with pytest.raises(CommandError, match="is a real one"):
        call_command("replay", "--store", store.slug)
    with pytest.raises(CommandError, match="There is no store 'nowhere'"):
        call_command("replay", "--store", "nowhere")

    assert not Experiment.objects.exists()
    assert not ApiKey.objects.filter(name=KEY_NAME).exists()


def test_without_a_server_the_command_says_how_to_start_one(
    market: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_command, "replay_plan", lambda **_: plan_of([visit("tea-1")]))

    with pytest.raises(
        CommandError, match=r"Nothing answers at http://127\.0\.0\.1:9: start Vitrine"
    ):
        call_command("replay", "--store", market.slug, "--url", "http://127.0.0.1:9")

    assert not DemoReplay.objects.exists()
    assert not Experiment.objects.exists()


def plan_of(visits: list[Visit]) -> ReplayPlan:
    return ReplayPlan(
        visits=visits,
        from_at=BOUGHT_AT - timedelta(days=1),
        until_at=BOUGHT_AT + timedelta(days=20),
        n_visits=100,
        n_wanted=len(visits),
        n_played=0,
        n_shoppers=4,
    )


class TestTransport(TestApi):
    """In the place of the connection to the server."""

    __test__ = False

    def __init__(self, _url: str, key: str, **_: object) -> None:
        super().__init__(key)

    def close(self) -> None:
        """Nothing is open."""


def test_the_command_plays_counts_and_leaves_no_key(
    market: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_command, "SETTLE_S", 0)
    monkeypatch.setattr(replay_command, "HttpApi", TestTransport)
    monkeypatch.setattr(replay_command, "replay_plan", lambda **_: plan_of(visits_of_two_weeks()))
    monkeypatch.setattr("recommender.config.ports.answers", lambda *_, **__: True)
    said = io.StringIO()

    call_command("replay", "--store", market.slug, "--connections", "1", stdout=said)

    replay = DemoReplay.objects.get(store=market)
    assert (replay.state, replay.n_played) == (DemoReplay.State.DONE, 14)
    events = Event.objects.filter(store=market)
    assert replay.n_events == events.values("event_id").distinct().count()
    assert replay.n_clicks == events.filter(type=CLICK).values("event_id").distinct().count() > 0
    assert not ApiKey.objects.filter(store=market, name=KEY_NAME, revoked_at=None).exists()
    assert "14 visits" in said.getvalue()
    assert "cart-what-everybody-buys a" in said.getvalue()
    call_command("replay", "--store", market.slug, stdout=said)
    assert "nothing left to play" in said.getvalue()
