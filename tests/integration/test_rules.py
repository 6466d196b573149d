"""Rules in the request path: every action, together with what stands before and after it."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from catalog.models import EventType, Product, Store
from catalog.services.products import catalog_changed
from recommender.models import Placement, Rule, Segment
from recommender.services.recommend import Page, recommend
from recommender.services.strategies import settings_touch, strategy_version_create
from recommender.serving.request import PlacementRequest, RecommendationRequest
from recommender.serving.runtime import RUNTIMES
from recommender.stores import session_state
from recommender.stores.session_state import SessionEntry, sessions_restore
from tests.factories import make_product
from tests.worlds import BREAKFAST, TOOLS, TwoTastes, train_all, two_tastes

BOUGHT, SIMILAR, HOME = "product-bought-together", "product-similar", "home-trending"


@pytest.fixture
def world(store: Store) -> TwoTastes:
    made = two_tastes(store)
    train_all(store)
    return made


def write(store: Store, action: dict[str, Any], target: dict[str, Any] | None = None,
          condition: dict[str, Any] | None = None, **fields: Any) -> Rule:  # fmt: skip
    document = {"action": action, "target": target or {}, "condition": condition or {}}
    name = fields.pop("name", f"Rule {action['type']}")
    rule = Rule.objects.create(store=store, name=name, document=document, **fields)
    serve(store)
    return rule


def serve(store: Store) -> None:
    settings_touch(store_id=store.pk)
    RUNTIMES.refresh()


def ask(store: Store, slug: str = BOUGHT, limit: int | None = None, **context: Any) -> Page:
    return recommend(
        store_id=store.pk,
        request=RecommendationRequest(**context),
        placements=[PlacementRequest(slug=slug, limit=limit)],
        log_impressions=False,
    )


def ids(page: Page) -> list[str]:
    return [page.snapshot.external_ids[row] for row in page.recommendations[0].rows]


def only(store: Store, slug: str, **document: Any) -> None:
    """Give a placement a strategy without diversity and fallbacks."""
    placement = Placement.objects.select_related("strategy_version__strategy").get(
        store=store, slug=slug
    )
    placement.strategy_version = strategy_version_create(
        strategy=placement.strategy_version.strategy,
        document={"fallback": [], "diversity": 0, **document},
    )
    placement.save()
    serve(store)


EXCLUDE, INCLUDE = {"type": "exclude"}, {"type": "include_only"}


def test_an_excluded_product_is_gone_everywhere_and_back_when_the_rule_is_off(
    world: TwoTastes,
) -> None:
    assert "milk" in ids(ask(world.store, product_ids=("muesli",)))
    rule = write(world.store, EXCLUDE, {"product_ids": ["milk"]})
    for slug in (BOUGHT, SIMILAR, HOME, "cart-cross-sell", "category-top", "home-for-you"):
        page = ask(world.store, slug, product_ids=("muesli",), shopper_id="breakfast-1")
        assert "milk" not in ids(page), slug
    Rule.objects.filter(pk=rule.pk).update(enabled=False)
    serve(world.store)
    assert "milk" in ids(ask(world.store, product_ids=("muesli",)))


def test_a_tag_counts_whether_the_feed_or_a_member_gave_it(world: TwoTastes) -> None:
    products = Product.objects.filter(store=world.store)
    products.filter(external_id="milk").update(tags=["breakfast"], updated_at=timezone.now())
    products.filter(external_id="honey").update(
        member_tags=["Breakfast"], updated_at=timezone.now()
    )
    catalog_changed(store_id=world.store.pk)
    write(world.store, INCLUDE, {"tags": ["breakfast"]})
    assert set(ids(ask(world.store, product_ids=("muesli",)))) == {"milk", "honey"}


def test_include_only_holds_for_fallbacks_too(world: TwoTastes) -> None:
    write(world.store, INCLUDE, {"categories": ["Tools"]})
    page = ask(world.store, product_ids=("muesli",))
    assert set(ids(page)) <= set(TOOLS)
    assert page.recommendations[0].fallback is not None


def test_rules_of_one_store_are_no_business_of_another(
    world: TwoTastes, other_store: Store
) -> None:
    two_tastes(other_store)
    write(other_store, EXCLUDE, {"product_ids": ["milk"]})
    assert "milk" in ids(ask(world.store, product_ids=("muesli",)))


def test_boost_and_bury_move_products_and_the_trace_says_so(world: TwoTastes) -> None:
    only(world.store, BOUGHT, sources=[{"source": "bought_together", "weight": 1}])
    before = ids(ask(world.store, product_ids=("muesli",)))
    last = before[-1]
    write(world.store, {"type": "boost", "factor": 10}, {"product_ids": [last]}, name="Push")
    write(world.store, {"type": "bury", "factor": 10}, {"product_ids": [before[0]]}, name="Sink")
    page = ask(world.store, product_ids=("muesli",), explain=True)
    assert (ids(page)[0], ids(page)[-1]) == (last, before[0])
    trace = page.recommendations[0].trace
    assert trace is not None
    assert [each["effect"] for each in trace.products[last]["rules"]] == ["boost × 10"]
    assert [each["rule"] for each in trace.products[before[0]]["rules"]] == ["Sink"]
    assert sorted(before) == sorted(ids(page))


def test_a_pin_stands_at_its_position_whatever_caps_and_sources_say(world: TwoTastes) -> None:
    only(
        world.store,
        BOUGHT,
        sources=[{"source": "bought_together", "weight": 1}],
        max_per_brand=1,
        category="same",
    )
    write(world.store, {"type": "pin", "product_ids": ["hammer", "saw"], "position": 1})
    page = ask(world.store, product_ids=("muesli",))
    assert ids(page)[:2] == ["hammer", "saw"]
    assert page.recommendations[0].sources[:2] == ["pinned", "pinned"]


def test_a_pinned_product_must_be_eligible(world: TwoTastes) -> None:
    write(world.store, {"type": "pin", "product_ids": ["hammer"], "position": 1})
    assert ids(ask(world.store, product_ids=("muesli",)))[0] == "hammer"
    contexts: tuple[dict[str, Any], ...] = (
        {"product_ids": ("hammer",)},
        {"product_ids": ("muesli",), "cart": ("hammer",)},
        {"product_ids": ("muesli",), "exclude": ("hammer",)},
    )
    for context in contexts:
        assert "hammer" not in ids(ask(world.store, **context))
    write(world.store, EXCLUDE, {"brands": ["Tools"]})
    assert "hammer" not in ids(ask(world.store, product_ids=("muesli",)))


def test_a_pin_keeps_its_place_after_a_fallback(world: TwoTastes) -> None:
    only(
        world.store,
        BOUGHT,
        sources=[{"source": "buy_again", "weight": 1}],
        fallback=["bestsellers"],
    )
    write(world.store, {"type": "pin", "product_ids": ["tofu"], "position": 3})
    page = ask(world.store, product_ids=("muesli",))
    assert ids(page)[2] == "tofu"
    assert page.recommendations[0].fallback == "bestsellers"


def test_two_pins_on_one_position_stand_behind_each_other_in_the_order_of_the_rules(
    world: TwoTastes,
) -> None:
    write(world.store, {"type": "pin", "product_ids": ["saw"], "position": 2}, position=2)
    write(world.store, {"type": "pin", "product_ids": ["glue"], "position": 2}, position=1)
    assert ids(ask(world.store, product_ids=("muesli",)))[1:3] == ["glue", "saw"]


def test_reserved_slots_take_matching_candidates_then_bestsellers_then_anything(
    world: TwoTastes,
) -> None:
    only(world.store, BOUGHT, sources=[{"source": "bought_together", "weight": 1}])
    plain = ids(ask(world.store, product_ids=("muesli",)))
    reserve = {"type": "reserve", "slots": 1, "position": 1}
    rule = write(world.store, reserve, {"product_ids": [plain[-1]]})
    assert ids(ask(world.store, product_ids=("muesli",)))[0] == plain[-1]
    Rule.objects.filter(pk=rule.pk).update(
        document={"action": {**reserve, "slots": 2}, "target": {"brands": ["Tools"]}}
    )
    serve(world.store)
    page = ask(world.store, product_ids=("muesli",))
    assert set(ids(page)[:2]) == {"hammer", "nails"}
    assert page.recommendations[0].sources[:2] == ["bestsellers"] * 2
    assert ids(page)[2:] == plain
    Rule.objects.filter(pk=rule.pk).update(
        document={"action": reserve, "target": {"product_ids": ["tofu"]}}
    )
    serve(world.store)
    assert ids(ask(world.store, product_ids=("muesli",))) == plain


def test_what_compares_with_the_product_in_view(world: TwoTastes) -> None:
    store = world.store
    for name, price in (("milk", 100), ("honey", 290), ("berries", 400)):
        product = world.products[name]
        product.price_minor = price
        product.save()
    RUNTIMES.clear()
    rule = write(store, INCLUDE, {"price_within_percent": 20})
    near = ids(ask(store, product_ids=("muesli",)))
    assert "honey" in near
    assert not {"milk", "berries"} & set(near)
    for target, allowed in (
        ({"compared": "cheaper"}, {"milk"}),
        ({"compared": "dearer"}, {"honey", "berries"}),
        ({"same_brand": True}, set(BREAKFAST)),
        ({"same_category": True}, set()),
    ):
        Rule.objects.filter(pk=rule.pk).update(document={"action": INCLUDE, "target": target})
        serve(store)
        assert set(ids(ask(store, product_ids=("muesli",)))) <= allowed, target
    # Nothing to compare with: the rule does nothing.
    assert ids(ask(store, HOME))


def test_a_dropped_product_names_the_rule(world: TwoTastes) -> None:
    write(world.store, EXCLUDE, {"product_ids": ["milk"]}, name="No milk today")
    page = ask(world.store, product_ids=("muesli",), explain=True, why_not=("milk",))
    trace = page.recommendations[0].trace
    assert trace is not None
    assert trace.dropped["milk"]["step"] == "rules"
    assert "No milk today" in trace.dropped["milk"]["why"]


def test_a_product_that_a_pin_displaced_names_it(world: TwoTastes) -> None:
    only(world.store, BOUGHT, sources=[{"source": "bought_together", "weight": 1}])
    plain = ids(ask(world.store, product_ids=("muesli",), limit=2))
    write(world.store, {"type": "pin", "product_ids": ["saw"], "position": 1}, name="Saws")
    page = ask(world.store, product_ids=("muesli",), limit=2, explain=True, why_not=(plain[1],))
    trace = page.recommendations[0].trace
    assert trace is not None
    assert ids(page) == ["saw", plain[0]]
    assert trace.dropped[plain[1]]["step"] == "pins"
    assert "Saws" in trace.dropped[plain[1]]["why"]


def test_kept_contextual_answers_know_which_rules_count(world: TwoTastes) -> None:
    """The same page, by device: the second one must not get what was kept for the first."""
    write(world.store, EXCLUDE, {"product_ids": ["milk"]}, {"devices": ["mobile"]})
    for _ in range(2):
        assert "milk" not in ids(ask(world.store, product_ids=("muesli",), device="mobile"))
        assert "milk" in ids(ask(world.store, product_ids=("muesli",), device="desktop"))


def test_an_edited_rule_serves_at_once_where_an_answer_was_kept(world: TwoTastes) -> None:
    rule = write(world.store, EXCLUDE, {"product_ids": ["milk"]})
    assert "milk" not in ids(ask(world.store, product_ids=("muesli",)))
    Rule.objects.filter(pk=rule.pk).update(
        document={"action": EXCLUDE, "target": {"product_ids": ["honey"]}}
    )
    serve(world.store)
    found = ids(ask(world.store, product_ids=("muesli",)))
    assert "milk" in found
    assert "honey" not in found


def test_a_campaign_counts_between_its_dates_without_any_task(world: TwoTastes) -> None:
    now = datetime.now(UTC)
    rule = write(world.store, EXCLUDE, {"product_ids": ["milk"]}, starts_at=now + timedelta(days=1))
    assert "milk" in ids(ask(world.store, product_ids=("muesli",)))
    Rule.objects.filter(pk=rule.pk).update(starts_at=now - timedelta(days=1))
    serve(world.store)
    assert "milk" not in ids(ask(world.store, product_ids=("muesli",)))
    Rule.objects.filter(pk=rule.pk).update(ends_at=now - timedelta(hours=1))
    serve(world.store)
    assert "milk" in ids(ask(world.store, product_ids=("muesli",)))


@pytest.mark.parametrize(
    "document",
    [
        {"nonsense": 1},
        {"action": INCLUDE, "target": {"categories": ["Gone"]}},
        {"action": INCLUDE, "target": {"product_ids": ["gone"]}},
        {"action": INCLUDE, "target": {"brands": ["Gone"]}},
        {"action": INCLUDE, "target": {"tags": ["gone"]}},
        {"action": {"type": "pin", "product_ids": ["gone"]}},
        {"action": EXCLUDE, "target": {"product_ids": ["milk"]},
         "condition": {"placements": ["gone"]}},
        {"action": EXCLUDE, "target": {"product_ids": ["milk"]},
         "condition": {"segments": ["gone"]}},
    ],
)  # fmt: skip
def test_a_rule_that_cannot_be_is_left_out_and_told(
    world: TwoTastes, document: dict[str, Any]
) -> None:
    plain = ids(ask(world.store, product_ids=("muesli",)))
    rule = Rule.objects.create(store=world.store, name="Broken", document=document)
    serve(world.store)
    assert ids(ask(world.store, product_ids=("muesli",))) == plain
    runtime = RUNTIMES.get(world.store.pk)
    assert runtime is not None
    assert runtime.rules is not None
    assert [problem.rule_id for problem in runtime.rules.problems] == [rule.pk]


def test_without_valkey_a_segment_that_needs_the_shopper_is_nobodys(
    world: TwoTastes, monkeypatch: pytest.MonkeyPatch
) -> None:
    Segment.objects.create(
        store=world.store, key="new", name="New", document={"type": "new", "days": 1}
    )
    write(world.store, EXCLUDE, {"product_ids": ["milk"]}, {"segments": ["new"]})
    sessions_restore(
        world.store.pk,
        {"fresh": [SessionEntry(int(time.time()), EventType.VIEW_ITEM, world.id_of("saw"))]},
    )
    shown = ids(ask(world.store, product_ids=("muesli",), shopper_id="fresh"))
    assert "milk" not in shown
    assert "milk" in ids(ask(world.store, product_ids=("muesli",)))
    monkeypatch.setattr(
        "recommender.services.recommend.session_state",
        lambda **_: session_state.UNAVAILABLE,
    )
    assert "milk" in ids(ask(world.store, product_ids=("muesli",), shopper_id="fresh"))


@pytest.mark.parametrize("seed", range(6))
def test_whatever_other_rules_say_an_excluded_product_is_never_shown(
    world: TwoTastes, seed: int
) -> None:
    chance = random.Random(seed)
    names = [*BREAKFAST, *TOOLS, "tofu"]
    banned = set(chance.sample(names, 3))
    make_product(world.store, "spare")
    documents: list[dict[str, Any]] = [
        {"action": EXCLUDE, "target": {"product_ids": sorted(banned)}}
    ]
    for _ in range(8):
        some = chance.sample(names, chance.randint(1, 4))
        documents.append(
            chance.choice(
                [
                    {"action": {"type": "pin", "product_ids": some, "position": 1}},
                    {"action": {"type": "reserve", "slots": 3, "position": 2},
                     "target": {"product_ids": some}},
                    {"action": {"type": "boost", "factor": 10}, "target": {"product_ids": some}},
                    {"action": INCLUDE, "target": {"product_ids": [*some, *names[:6]]}},
                    {"action": {"type": "boost", "factor": 5}, "target": {"same_brand": True}},
                ]
            )
        )  # fmt: skip
    chance.shuffle(documents)
    Rule.objects.bulk_create(
        Rule(store=world.store, name=f"Rule {n}", document=document, position=n)
        for n, document in enumerate(documents)
    )
    serve(world.store)
    for slug in (BOUGHT, SIMILAR, HOME, "home-for-you", "cart-cross-sell"):
        for product in ("muesli", "hammer"):
            found = ids(ask(world.store, slug, product_ids=(product,), shopper_id="breakfast-2"))
            assert not banned & set(found)
            assert len(found) == len(set(found))
