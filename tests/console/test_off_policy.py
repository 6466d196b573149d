"""Replay of the log: what another strategy would have earned, from the page to the answer."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from analytics.services.off_policy import OffPolicyGone, off_policy_continue, off_policy_start
from catalog.models import EventType, Product, Store
from recommender.models import Impression, Placement, StrategyVersion
from recommender.services.impression_log import IMPRESSIONS
from recommender.services.recommend import recommend
from recommender.services.strategies import settings_touch, strategy_version_create
from recommender.serving.request import PlacementRequest, RecommendationRequest
from tests.conftest import MemberClient
from tests.factories import make_event, make_product, make_shopper

HTMX = {"HX-Request": "true"}
NEWEST_FIRST = {"sources": [{"source": "new_arrivals", "weight": 1}], "diversity": 0}
N_ANSWERS = 250


@pytest.fixture
def placement(store: Store) -> Placement:
    """A placement that shows the newest products first, and leaves 30 % of its places to chance."""
    now = timezone.now()
    for number in range(40):
        make_product(store, f"tea-{number}", published_at=now - timedelta(hours=number))
    placement = Placement.objects.select_related("strategy_version__strategy").get(
        store=store, slug="home-trending"
    )
    shows(placement, version_of(placement, exploration=0.3))
    return placement


def version_of(placement: Placement, **fields: object) -> StrategyVersion:
    return strategy_version_create(
        strategy=placement.strategy_version.strategy, document=NEWEST_FIRST | fields
    )


def shows(placement: Placement, version: StrategyVersion) -> None:
    Placement.objects.filter(pk=placement.pk).update(strategy_version=version)
    settings_touch(store_id=placement.store_id)


def visit(placement: Placement, n: int = N_ANSWERS) -> None:
    """So many answers to somebody else each; every fifth shopper clicks what stands first."""
    store = placement.store
    for number in range(n):
        recommend(
            store_id=store.pk,
            request=RecommendationRequest(shopper_id=f"shopper-{number}"),
            placements=[PlacementRequest(slug=placement.slug)],
        )
    IMPRESSIONS.flush()
    for number in range(0, n, 5):
        shown = Impression.objects.get(store=store, shopper_external_id=f"shopper-{number}")
        make_event(
            store,
            make_shopper(store, f"shopper-{number}"),
            Product.objects.get(pk=shown.product_ids[0]),
            type=EventType.RECOMMENDATION_CLICK,
            at=timezone.now(),
            recommendation_id=shown.recommendation_id,
        )


def replayed(client: Client, placement: Placement, version: StrategyVersion) -> str:
    """The page of a finished replay."""
    began = client.post(
        f"/console/{placement.store.slug}/experiments/off-policy/",
        {"placement": placement.slug, "version": version.pk},
    )
    page = began.content.decode()
    while more := re.search(r'hx-get="([^"]+)"', page):
        page = client.get(more[1], headers=HTMX).content.decode()
    return page


def test_the_log_tells_what_the_strategy_without_chance_would_have_earned(
    placement: Placement, member_client: MemberClient
) -> None:
    visit(placement)
    without_chance = version_of(placement, exploration=0.0)
    page = replayed(member_client(placement.store), placement, without_chance)
    assert "would have been clicked" in page
    assert "SNIPS" in page
    assert f"Sample of {N_ANSWERS}" in page
    assert "not enough overlap" not in page


def test_how_far_it_is_comes_as_a_page_or_as_a_part_of_it(
    placement: Placement, member_client: MemberClient
) -> None:
    visit(placement, n=20)
    began = off_policy_start(placement=placement, version=version_of(placement), now=timezone.now())
    client = member_client(placement.store)
    address = f"/console/{placement.store.slug}/experiments/off-policy/{began.token}/"
    for headers, is_page in (({}, True), (HTMX, False)):
        answer = client.get(address, headers=headers)
        assert ("<main" in answer.content.decode()) is is_page
        assert "HX-Request" in answer.headers["Vary"]


def test_a_strategy_that_shows_something_else_gets_no_figure_but_what_to_do(
    placement: Placement, member_client: MemberClient
) -> None:
    visit(placement, n=60)
    far = [f"tea-{number}" for number in range(39, 29, -1)]
    other = version_of(placement, sources=[{"source": "handpicked", "weight": 1}], handpicked=far)
    page = replayed(member_client(placement.store), placement, other)
    assert "Not enough overlap" in page
    assert "SNIPS" not in page
    assert "experiment" in page


def test_a_placement_that_answered_nobody_says_so(
    placement: Placement, member_client: MemberClient
) -> None:
    page = replayed(member_client(placement.store), placement, placement.strategy_version)
    assert "answered nobody" in page


def test_nothing_is_logged_and_a_replay_is_found_again_under_its_address(
    placement: Placement,
) -> None:
    visit(placement, n=20)
    n_before = Impression.objects.count()
    began = off_policy_start(placement=placement, version=version_of(placement), now=timezone.now())
    again = off_policy_continue(store=placement.store, token=began.token)
    while not again.is_done:
        again = off_policy_continue(store=placement.store, token=began.token)
    assert again.n_done == again.n_sample == 20
    IMPRESSIONS.flush()
    assert Impression.objects.count() == n_before


def test_a_replay_belongs_to_its_store(
    placement: Placement, other_store: Store, member_client: MemberClient
) -> None:
    began = off_policy_start(
        placement=placement, version=placement.strategy_version, now=timezone.now()
    )
    with pytest.raises(OffPolicyGone):
        off_policy_continue(store=other_store, token=began.token)
    address = f"/console/{other_store.slug}/experiments/off-policy/"
    client = member_client(other_store)
    assert client.get(f"{address}{began.token}/").status_code == 404
    foreign = {"placement": placement.slug, "version": placement.strategy_version_id}
    assert client.post(address, foreign).status_code == 400


@pytest.mark.parametrize("version", ["", "x", "²", "9" * 30, "0"])
def test_a_version_that_is_none_is_refused_in_words(
    placement: Placement, member_client: MemberClient, version: str
) -> None:
    address = f"/console/{placement.store.slug}/experiments/off-policy/"
    answer = member_client(placement.store).post(
        address, {"placement": placement.slug, "version": version}
    )
    assert answer.status_code == 400
    assert "Choose a placement and a strategy." in answer.content.decode()
