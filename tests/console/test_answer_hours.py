"""The hours of answers: what the radar reads equals a count over the impressions, at any moment."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from analytics.models import AnswerHour, RollupWatermark
from analytics.selectors.empty_slots import PlacementAnswers, Step, placement_answers
from analytics.services.rollups import rollups_rebuild, rollups_refresh
from catalog.models import Store
from recommender.models import Impression, Placement, Rule
from recommender.services.impressions import ImpressionRow, impressions_store
from recommender.serving.signing import recommendation_id_new
from tests.conftest import MemberClient
from tests.console.conftest import Shop
from tests.factories import make_product

REASONS = (None, None, "no_context", "excluded_by_rules")
# Kolkata's hours begin half an hour after those of Greenwich; New York's clocks are put back in it.
ZONES = ("UTC", "America/New_York", "Asia/Kolkata")
START = datetime(2026, 10, 31, 20, 17, tzinfo=UTC)


def deliver(
    placement: Placement, at: datetime, dice: random.Random, product_ids: list[int]
) -> None:
    reason = dice.choice(REASONS)
    shown = product_ids[: dice.randrange(len(product_ids) + 1)]
    impressions_store(
        rows=[
            ImpressionRow(
                store_id=placement.store_id,
                recommendation_id=recommendation_id_new(int(at.timestamp() * 1000)),
                delivered_at_s=at.timestamp(),
                placement_id=placement.pk,
                strategy_version_id=placement.strategy_version_id,
                experiment_id=None,
                variant_id=None,
                shopper_external_id=None,
                session_id=None,
                product_ids=shown,
                sources=["bestsellers"] * len(shown),
                propensities=[1.0] * len(shown),
                fallback="bestsellers" if shown and dice.random() < 0.5 else None,
                reason=reason,
                device=None,
                took_us=500,
                rule_id=dice.choice((7, 8)) if reason == "excluded_by_rules" else None,
            )
        ]
    )


def counted_by_hand(store: Store, since: datetime, step: Step) -> dict[int, Any]:
    """The oracle: every impression is looked at."""
    zone = ZoneInfo(store.time_zone)
    local = since.astimezone(zone)
    since = since - timedelta(
        minutes=local.minute, seconds=local.second, microseconds=local.microsecond
    )
    minimum = dict(Placement.objects.filter(store=store).values_list("pk", "n_minimum"))
    found: dict[int, Any] = {}
    for each in Impression.objects.filter(store=store, delivered_at__gte=since):
        kind = "full"
        if not each.product_ids:
            kind = "empty"
        elif len(each.product_ids) < minimum[each.placement_id]:
            kind = "short"
        elif each.fallback is not None:
            kind = "fallback"
        at = each.delivered_at.astimezone(zone)
        # By the name of the day or hour and its distance from Greenwich: an hour may come twice.
        mark = f"{at:%Y-%m-%d}" if step == "day" else f"{at:%Y-%m-%d %H %z}"
        total, over_time, reasons = found.setdefault(
            each.placement_id, (Counter(), Counter(), Counter())
        )
        total[kind] += 1
        over_time[mark, kind] += 1
        if each.reason is not None:
            reasons[each.reason, each.rule_id] += 1
    return found


def as_read(found: dict[int, PlacementAnswers], store: Store, step: Step) -> dict[int, Any]:
    zone = ZoneInfo(store.time_zone)
    told = {}
    for placement_id, own in found.items():
        over_time: Counter[tuple[str, str]] = Counter()
        for at, answers in own.over_time:
            local = at.astimezone(zone)
            mark = f"{local:%Y-%m-%d}" if step == "day" else f"{local:%Y-%m-%d %H %z}"
            for kind, n in kinds(answers).items():
                over_time[mark, kind] += n
        reasons = Counter({(each.reason, each.rule_id): each.n for each in own.reasons})
        told[placement_id] = (kinds(own.total), over_time, reasons)
    return told


def kinds(answers: Any) -> Counter[str]:
    counted = Counter(empty=answers.n_empty, short=answers.n_short, fallback=answers.n_fallback)
    counted["full"] = answers.n - answers.n_wanting
    return +counted


def assert_equal_to_a_count(store: Store, since: datetime) -> None:
    for step in ("hour", "day"):
        read = placement_answers(store=store, since=since, step=step)
        assert as_read(read, store, step) == counted_by_hand(store, since, step)


@pytest.mark.parametrize("zone", ZONES)
def test_what_is_read_equals_a_count_at_any_moment_between_two_refreshes(
    store: Store, other_store: Store, zone: str
) -> None:
    dice = random.Random(zone)
    Store.objects.filter(pk__in=(store.pk, other_store.pk)).update(time_zone=zone)
    store.refresh_from_db()
    placements = list(Placement.objects.filter(store=store).order_by("pk")[:2])
    foreign = Placement.objects.filter(store=other_store).order_by("pk")[0]
    product_ids = [make_product(store, f"p{n}").pk for n in range(3)]
    Placement.objects.filter(pk=placements[0].pk).update(n_minimum=2)
    at = START
    for _ in range(5):
        for _ in range(25):
            at += timedelta(seconds=dice.randrange(1, 1_800))
            deliver(dice.choice([*placements, foreign]), at, dice, product_ids)
        for since in (START - timedelta(days=1), START + timedelta(hours=7), at):
            assert_equal_to_a_count(store, since)
        rollups_refresh(store=store, now=at)
        assert_equal_to_a_count(store, START + timedelta(hours=3, minutes=30))
    # The hours are what it was read from.
    assert AnswerHour.objects.filter(store=store).count() > 50
    assert not AnswerHour.objects.filter(store=other_store).exists()
    assert RollupWatermark.objects.get(store=store).impressions_delivered_at is not None


def test_a_second_refresh_and_a_rebuild_change_no_hour(shop: Shop) -> None:
    def hours() -> list[Any]:
        fields = ("hour", "placement_id", "n_products", "fallback", "reason", "rule_id", "n")
        return sorted(AnswerHour.objects.filter(store=shop.store).values_list(*fields), key=str)

    dice = random.Random(1)
    for n in range(20):
        deliver(shop.placement, timezone.now() - timedelta(minutes=n), dice, [1, 2, 3])
    rollups_refresh(store=shop.store, now=timezone.now())
    before = hours()
    rollups_refresh(store=shop.store, now=timezone.now())
    assert hours() == before
    rollups_rebuild(store=shop.store, now=timezone.now())
    assert hours() == before


def test_an_impression_that_was_written_late_is_counted_by_the_next_refresh(shop: Shop) -> None:
    now, dice = timezone.now(), random.Random(2)
    deliver(shop.placement, now, dice, [1])
    rollups_refresh(store=shop.store, now=now)
    deliver(shop.placement, now - timedelta(minutes=40), dice, [1])
    rollups_refresh(store=shop.store, now=now)
    assert_equal_to_a_count(shop.store, now - timedelta(days=2))


def test_a_rebuild_forgets_answers_whose_impressions_were_deleted(shop: Shop) -> None:
    Impression.objects.filter(store=shop.store).delete()
    rollups_rebuild(store=shop.store, now=timezone.now())
    assert not AnswerHour.objects.filter(store=shop.store).exists()
    assert placement_answers(store=shop.store, since=START, step="day") == {}


def test_another_minimum_counts_for_the_past_as_well(shop: Shop) -> None:
    since = timezone.now() - timedelta(days=1)

    def n_short(n_minimum: int) -> int:
        Placement.objects.filter(pk=shop.placement.pk).update(n_minimum=n_minimum)
        found = placement_answers(store=shop.store, since=since, step="day")
        return found[shop.placement.pk].total.n_short

    assert (n_short(3), n_short(4)) == (0, 1)


def test_the_page_reads_no_impression_that_was_counted(
    shop: Shop, member_client: MemberClient
) -> None:
    client = member_client(shop.store)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        client.get(f"/console/{shop.store.slug}/radar/")
    asked = [each["sql"] for each in queries if "recommender_impression" in each["sql"]]
    counted_until = RollupWatermark.objects.get(store=shop.store).impressions_delivered_at
    assert counted_until is not None
    assert len(asked) == 1
    assert f"delivered_at > '{counted_until.isoformat(sep=' ')}'" in asked[0]


# ---------------------------------------------------------------------------------- rules as causes


@pytest.fixture
def blamed(shop: Shop) -> Rule:
    """A rule that an empty answer names."""
    rule = Rule.objects.create(
        store=shop.store, name="No mugs", document={"action": {"type": "exclude"}}
    )
    blame(shop, rule.pk)
    return rule


def blame(shop: Shop, rule_id: int) -> None:
    now = timezone.now()
    row = Impression.objects.filter(store=shop.store, product_ids=[]).get()
    Impression.objects.filter(store=shop.store, recommendation_id=row.recommendation_id).update(
        reason="excluded_by_rules", rule_id=rule_id
    )
    rollups_rebuild(store=shop.store, now=now)


def radar(client: Client, shop: Shop) -> str:
    return client.get(f"/console/{shop.store.slug}/radar/").content.decode()


def test_the_rule_that_left_out_most_is_named_with_a_link(
    shop: Shop, blamed: Rule, member_client: MemberClient
) -> None:
    client = member_client(shop.store)
    page = radar(client, shop)
    assert "The rules left out too many of the products that were found." in page
    address = f"/console/{shop.store.slug}/campaigns/{blamed.pk}/"
    assert f'<a href="{address}">Campaigns → “No mugs”</a>' in page
    Rule.objects.filter(pk=blamed.pk).update(enabled=False)
    assert "Campaigns → “No mugs”, switched off since then" in radar(client, shop)


def test_a_rule_that_is_gone_is_said_to_be_and_leads_to_the_list(
    shop: Shop, blamed: Rule, member_client: MemberClient
) -> None:
    blamed.delete()
    page = radar(member_client(shop.store), shop)
    assert f'href="/console/{shop.store.slug}/campaigns/">Campaigns → the rule was deleted' in page


def test_a_rule_of_another_store_is_not_named(
    shop: Shop, other_store: Store, member_client: MemberClient
) -> None:
    foreign = Rule.objects.create(store=other_store, name="Secret plan", document={})
    blame(shop, foreign.pk)
    assert "Secret plan" not in radar(member_client(shop.store), shop)
