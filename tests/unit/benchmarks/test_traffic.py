from __future__ import annotations

import json
from collections import Counter
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from benchmarks import serving, traffic
from benchmarks.memory import Sample, change_rate
from benchmarks.world import World
from catalog.contract.event_names import NAME_OF
from catalog.contract.limits import BROWSER_MAX_BYTES, SERVER_MAX_BYTES


@pytest.fixture
def world() -> World:
    """What requests are drawn from, without a database."""
    rng = np.random.default_rng(1)
    prices = {f"p{n}": 100 + n for n in range(50)}

    def products(n: int, *, rare_share: float = 0.1) -> list[str]:
        return [f"p{row}" for row in rng.integers(0, 50, n)]

    def known_shoppers(n: int) -> list[str]:
        return [f"household-{row}" for row in rng.integers(0, 20, n)]

    return cast(
        World,
        SimpleNamespace(rng=rng, prices=prices, products=products, known_shoppers=known_shoppers),
    )


def test_requests_are_mixed_as_stated(world: World) -> None:
    paths = serving.request_paths(world, 5_000)
    slugs = Counter(path.split("/")[3] for path in paths)
    for slug, share in serving.MIX:
        assert slugs[slug] / 5_000 == pytest.approx(share, abs=0.03)


def test_each_placement_is_asked_for_with_what_it_needs(world: World) -> None:
    for path in serving.request_paths(world, 500):
        query = parse_qs(urlsplit(path).query)
        slug = path.split("/")[3]
        assert len(query["shopper_id"]) == 1
        assert ("product_id" in query) == slug.startswith("product-")
        assert ("cart" in query) == slug.startswith("cart-")


def test_some_visitors_were_never_seen_and_none_of_them_comes_twice(world: World) -> None:
    paths = serving.request_paths(world, 5_000)
    shoppers = [parse_qs(urlsplit(path).query)["shopper_id"][0] for path in paths]
    new = [shopper for shopper in shoppers if shopper.startswith("new-")]
    assert len(new) / 5_000 == pytest.approx(serving.NEWCOMER_RATE, abs=0.02)
    assert len(set(new)) == len(new)


def test_no_event_id_is_used_twice(world: World) -> None:
    posts = traffic.browser_posts(world, 200, events_per_post=10)
    posts += traffic.server_posts(world, 2, events_per_post=1_000)
    ids = [event_id for post in posts for event_id in post.event_ids]
    assert len(set(ids)) == len(ids) == 4_000
    assert {event_id.version for event_id in ids} == {7}


def test_a_browsers_post_is_of_one_visitor_and_within_the_limits(world: World) -> None:
    for post in traffic.browser_posts(world, 50, events_per_post=10):
        events = json.loads(post.body)["events"]
        assert len({event["shopper_id"] for event in events}) == 1
        assert [event["event_id"] for event in events] == [str(each) for each in post.event_ids]
        assert len(post.body) <= BROWSER_MAX_BYTES


def test_a_back_offices_post_is_of_many_shoppers_and_within_the_limits(world: World) -> None:
    (post,) = traffic.server_posts(world, 1, events_per_post=1_000)
    assert len({event["shopper_id"] for event in json.loads(post.body)["events"]}) > 10
    assert len(post.body) <= SERVER_MAX_BYTES


def test_every_kind_of_event_is_one_that_the_api_knows() -> None:
    for mix in (traffic.BROWSER_MIX, traffic.SERVER_MIX):
        assert {kind for kind, _ in mix} <= set(NAME_OF)


def test_the_shares_of_a_mix_are_a_whole() -> None:
    for mix in (traffic.BROWSER_MIX, traffic.SERVER_MIX, serving.MIX):
        assert sum(share for _, share in mix) == pytest.approx(1.0)


def test_thin_empty_and_fallback_answers_are_told_apart() -> None:
    def answer(n_items: int, **members: Any) -> bytes:
        items = [{"product_id": str(n), "source": "for_you"} for n in range(n_items)]
        return json.dumps({"placement": "home-for-you", "items": items, **members}).encode()

    found = serving.look_into(
        [
            answer(10, experiment={"key": "e"}),
            answer(3),
            answer(0),
            answer(8, fallback="trending"),
            b"",
            b"<html>",
        ]
    )
    assert (found.n, found.n_empty, found.n_thin, found.n_fallback) == (6, 3, 4, 1)
    assert found.n_in_experiment == 1
    assert found.by_source == {"for_you": 21}


def test_memory_is_compared_between_the_first_and_the_last_window() -> None:
    samples = [Sample(float(second), 100 if second < 300 else 110) for second in range(600)]
    samples[30] = Sample(30.0, 5_000)  # a job, not a leak
    change = change_rate(samples, start_s=0.0, end_s=600.0, window_s=60.0)
    assert change == pytest.approx(0.10)
    assert change_rate(samples[:100], start_s=0.0, end_s=600.0, window_s=60.0) is None
