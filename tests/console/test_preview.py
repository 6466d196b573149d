"""The preview: what a placement shows for whom, why, and that looking changes nothing."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
import redis
from django.test import Client
from django.utils import timezone

from catalog.models import EventType, Member, Product, Store
from recommender.models import Impression, Placement, Rule, Strategy
from recommender.services.impression_log import IMPRESSIONS
from recommender.services.preview import (
    AnyEdit,
    RuleEdit,
    StrategyEdit,
    Who,
    edit_apply,
    preview,
    preview_runtime,
)
from recommender.serving.runtime import RUNTIMES
from tests.conftest import MemberClient
from tests.console.conftest import Shop
from tests.factories import make_event, make_experiment, make_shopper

HTMX = {"HX-Request": "true"}


@pytest.fixture
def viewer(shop: Shop, member_client: MemberClient) -> Client:
    return member_client(shop.store, Member.Role.VIEWER)


def base(store: Store) -> str:
    return f"/console/{store.slug}/preview/"


@pytest.mark.parametrize("role", list(Member.Role))
def test_everybody_in_the_store_may_preview(
    shop: Shop, member_client: MemberClient, role: str
) -> None:
    page = member_client(shop.store, role).get(
        base(shop.store),
        {"preview_placement": shop.placement.slug, "preview_product": shop.products[0].external_id},
    )
    assert page.status_code == 200
    assert [column["title"] for column in page.context["columns"]] == ["Now"]
    assert shop.products[1].title in page.content.decode()


def test_nobody_previews_another_store(
    shop: Shop, other_shop: Shop, member_client: MemberClient
) -> None:
    client = member_client(shop.store, Member.Role.OWNER)
    for path in ("", "shoppers/"):
        assert client.get(base(other_shop.store) + path).status_code == 404
    assert client.post(base(other_shop.store)).status_code == 404
    page = client.get(
        base(shop.store),
        {
            "preview_product": other_shop.products[0].external_id,
            "preview_placement": shop.placement.slug,
        },
    )
    assert page.context["understood"].product is None
    assert "No product of the catalog fits" in page.content.decode()
    assert not page.context["columns"][0]["products"] or all(
        each.product_id in {p.pk for p in shop.products}
        for each in page.context["columns"][0]["products"]
    )


def test_looking_changes_nothing(shop: Shop, viewer: Client, valkey_server: redis.Redis) -> None:
    make_event(
        shop.store,
        shop.shoppers[0],
        shop.products[4],
        type=EventType.ADD_TO_CART,
        at=timezone.now(),
    )

    def everything() -> tuple[object, ...]:
        return (
            Impression.objects.count(),
            len(IMPRESSIONS),
            list(Store.objects.values_list("settings_version", "catalog_version").order_by("pk")),
            {key: valkey_server.lrange(key, 0, -1) for key in valkey_server.keys("*session*")},
        )

    asked = {
        "preview_shopper": shop.shoppers[0].external_id,
        "preview_placement": shop.placement.slug,
        "preview_product": shop.products[0].external_id,
    }
    # The first look brings the shopper's state back into Valkey, as a request would.
    viewer.get(base(shop.store), asked)
    before = everything()
    viewer.get(base(shop.store), asked)
    viewer.get(base(shop.store), {**asked, "preview_shopper": "nobody-we-know"})
    assert everything() == before


def test_a_product_is_found_by_its_name_and_by_its_id(shop: Shop, viewer: Client) -> None:
    product = shop.products[2]
    for typed in (product.title, product.external_id):
        page = viewer.get(base(shop.store), {"preview_product": typed})
        assert page.context["understood"].product == product


def test_live_shoppers_are_offered_first(shop: Shop, viewer: Client) -> None:
    live = make_shopper(shop.store, "zoe")
    live.last_seen_at = timezone.now()
    live.save()
    options = viewer.get(base(shop.store) + "shoppers/", headers=HTMX).content.decode()
    assert options.index("zoe") < options.index("corner-shopper-0")
    assert "live: seen 1 min ago" in options


def test_what_is_in_the_cart_is_not_shown(shop: Shop, viewer: Client) -> None:
    asked = {
        "preview_placement": shop.placement.slug,
        "preview_product": shop.products[0].external_id,
    }
    address = f"{base(shop.store)}?part=result"
    (column,) = viewer.post(address, asked, headers=HTMX).context["columns"]
    assert shop.products[1].pk in [each.product_id for each in column["products"]]
    # One a line, or between commas as they are pasted.
    asked["preview_cart"] = f"gone, {shop.products[1].external_id}\n\n"
    result = viewer.post(address, asked, headers=HTMX)
    assert "<html" not in result.content.decode()
    assert result.context["understood"].fields.cart == ("gone", "corner-1")
    (column,) = result.context["columns"]
    assert shop.products[1].pk not in [each.product_id for each in column["products"]]


@pytest.mark.parametrize(
    ("change", "step", "why"),
    [
        ({"hidden": True}, "May not be shown here", "It is hidden by a member"),
        ({"availability": "out_of_stock"}, "May not be shown here", "It is out of stock"),
        ({"price_minor": None}, "May not be shown here", "It has no price"),
    ],
)
def test_why_not_tells_what_is_wrong_with_a_product(
    shop: Shop, viewer: Client, change: dict[str, object], step: str, why: str
) -> None:
    Product.objects.filter(pk=shop.products[1].pk).update(**change)
    page = viewer.get(
        base(shop.store),
        {
            "preview_placement": shop.placement.slug,
            "preview_product": shop.products[0].external_id,
            "preview_why": shop.products[1].external_id,
        },
    )
    assert page.context["why_not"].step == step
    assert f"{why}." in page.content.decode()


def test_a_shown_product_opens_its_reasons(shop: Shop, viewer: Client) -> None:
    page = viewer.get(
        base(shop.store),
        {
            "preview_placement": shop.placement.slug,
            "preview_product": shop.products[0].external_id,
        },
    )
    first = page.context["columns"][0]["products"][0]
    assert first.reasons
    assert not first.change
    assert "</summary>" in page.content.decode()


@pytest.mark.parametrize(
    "query", ["?kind=nothing", "?form=1x", "?form=%22%3E%3Cscript%3E", "?kind=strategy&form="]
)
def test_an_editor_that_does_not_exist_is_not_found(shop: Shop, viewer: Client, query: str) -> None:
    assert viewer.post(base(shop.store) + query).status_code == 404


def test_a_date_that_is_none_and_ids_with_zero_bytes_are_told(shop: Shop, viewer: Client) -> None:
    page = viewer.get(
        base(shop.store),
        {"preview_at": "soon", "preview_shopper": "a\x00b", "preview_product": "x\x00y"},
    )
    assert "is no date and time" in page.content.decode()
    assert page.status_code == 200


def strategy_form(**changed: str) -> dict[str, str]:
    """The fields of the strategy editor that a test needs; products of any category."""
    return {"source-bought_together": "100", "category": "any", "fallback": "", **changed}


def test_the_panel_beside_an_editor_shows_now_and_with_the_edit(
    shop: Shop, member_client: MemberClient
) -> None:
    merchant = member_client(shop.store, Member.Role.MERCHANT)
    strategy_id = shop.placement.strategy_version.strategy_id
    address = f"{base(shop.store)}?kind=strategy&form=strategy-form&subject={strategy_id}"
    asked = strategy_form(preview_product=shop.products[0].external_id)
    panel = merchant.post(address, asked, headers=HTMX)
    page = panel.content.decode()
    assert "<html" not in page
    assert 'hx-include="#strategy-form"' in page
    # Without being told, the placement that shows the strategy.
    assert panel.context["fields"].placement == shop.placement.slug
    now, then = panel.context["columns"]
    assert [each.product_id for each in now["products"]] == [shop.products[1].pk]
    assert [each.product_id for each in then["products"]] == [p.pk for p in shop.products[1:3]]
    assert [each.change for each in then["products"]] == ["", "New here"]
    assert "Your edit changes this: 1 new." in page
    assert Strategy.objects.get(pk=strategy_id).versions.count() == 1


def test_an_edit_that_is_wrong_so_far_shows_what_is_shown_now(
    shop: Shop, member_client: MemberClient
) -> None:
    merchant = member_client(shop.store, Member.Role.MERCHANT)
    asked = strategy_form(**{"source-bought_together": "a lot"})
    answer = merchant.post(f"{base(shop.store)}?kind=strategy&form=f", asked, headers=HTMX)
    assert [column["title"] for column in answer.context["columns"]] == ["Now"]
    assert "previewed yet: A number from 0 to 100." in answer.content.decode()


def test_a_rule_is_tried_before_it_is_saved(shop: Shop, member_client: MemberClient) -> None:
    merchant = member_client(shop.store, Member.Role.MERCHANT)
    asked = {
        "name": "No bowls",
        "action": "exclude",
        "meant": "product_ids",
        "product_ids": shop.products[1].external_id,
        "preview_placement": shop.placement.slug,
        "preview_product": shop.products[0].external_id,
        "preview_why": shop.products[1].external_id,
    }
    answer = merchant.post(f"{base(shop.store)}?kind=rule&form=f", asked, headers=HTMX)
    now, then = answer.context["columns"]
    assert [each.mark for each in now["products"]] == ["gone"]
    assert shop.products[1].pk not in [each.product_id for each in then["products"]]
    assert answer.context["why_not"].why == "the rule “No bowls” excludes it"
    assert not Rule.objects.exists()
    asked["product_ids"] = "nothing-of-ours"
    problem = merchant.post(f"{base(shop.store)}?kind=rule&form=f", asked, headers=HTMX)
    assert "No product of the catalog is meant" in problem.content.decode()


def test_rules_keep_their_order_and_a_removed_one_is_gone(shop: Shop) -> None:
    def rule(position: int, name: str, products: list[Product]) -> Rule:
        ids = [product.external_id for product in products]
        return Rule.objects.create(
            store=shop.store,
            name=name,
            position=position,
            document={"schema": 1, "action": {"type": "exclude"}, "target": {"product_ids": ids}},
        )

    first, second = rule(1, "a", shop.products[1:2]), rule(2, "b", shop.products[2:3])
    RUNTIMES.refresh()
    who = Who(product_ids=(shop.products[0].external_id,))

    def order(edit: AnyEdit) -> list[int]:
        runtime, placement = preview_runtime(store=shop.store, placement=shop.placement.slug)
        edited, _ = edit_apply(store=shop.store, runtime=runtime, placement=placement, edit=edit)
        assert [each.rule_id for each in runtime.rules.rules] == [first.pk, second.pk]  # type: ignore[union-attr]
        return [each.rule_id for each in edited.rules.rules]  # type: ignore[union-attr]

    assert order(RuleEdit(rule_id=first.pk)) == [second.pk]
    seen = preview(
        store=shop.store,
        placement=shop.placement.slug,
        who=who,
        edit=RuleEdit(rule_id=first.pk),
    )
    assert seen.then is not None
    shown = [set(seen.runtime.snapshot.product_ids[each.rows]) for each in (seen.now, seen.then)]
    assert shop.products[1].pk not in shown[0]
    assert shop.products[1].pk in shown[1]


def test_a_placement_is_seen_before_it_is_made(
    shop: Shop, other_shop: Shop, member_client: MemberClient
) -> None:
    merchant = member_client(shop.store, Member.Role.MERCHANT)
    RUNTIMES.refresh()
    form = {
        "name": "New", "slug": "new", "page_type": "product", "n_products": "2", "n_minimum": "1",
        "below_minimum": "fill", "position": "0", "strategy": "",
        "preview_product": shop.products[0].external_id,
    }  # fmt: skip
    address = f"{base(shop.store)}?kind=placement&form=placement-form&subject="

    def look(**typed: object) -> Any:
        return merchant.post(address, {**form, **typed}, headers=HTMX)

    before = Placement.objects.count()
    missing = look()
    assert "Choose a strategy to see what it would show." in missing.content.decode()
    assert 'name="preview_placement"' not in missing.content.decode()
    version = shop.placement.strategy_version_id
    (column,) = look(strategy=version).context["columns"]
    assert column["title"] == "As it would be"
    assert [each.product_id for each in column["products"]] == [shop.products[1].pk]
    wants_more = {"n_products": "4", "n_minimum": "4", "below_minimum": "empty"}
    (column,) = look(strategy=version, **wants_more).context["columns"]
    assert column["products"] == []
    assert "whole number from 1" in look(strategy=version, n_products="x").content.decode()
    theirs = look(strategy=other_shop.placement.strategy_version_id)
    assert "not of this store" in theirs.content.decode()
    assert "columns" not in theirs.context
    assert Placement.objects.count() == before
    assert not Impression.objects.filter(placement_id=0).exists()
    page = merchant.get(f"/console/{shop.store.slug}/placements/new/").content.decode()
    assert "kind=placement&amp;form=placement-form&amp;subject=&amp;" in page


def test_experiments_on_the_placement_are_named(shop: Shop, viewer: Client) -> None:
    make_experiment(shop.store, [shop.placement], key="first")
    one = viewer.get(base(shop.store), {"preview_placement": shop.placement.slug}).content.decode()
    assert "The experiment “first” runs here." in one
    make_experiment(shop.store, [shop.placement], key="second")
    RUNTIMES.refresh()
    two = viewer.get(base(shop.store), {"preview_placement": shop.placement.slug}).content.decode()
    assert "2 experiments run here: “first” and “second”." in two


def test_without_consent_the_shopper_is_not_looked_at(shop: Shop) -> None:
    shopper, bought = shop.shoppers[0], shop.products[1]
    leaves_out = StrategyEdit(
        document={
            "sources": [{"source": "bought_together", "weight": 1.0}],
            "exclude": {"purchased": True},
            "fallback": [],
        }
    )

    def shown(consent: str) -> list[int]:
        seen = preview(
            store=shop.store,
            placement=shop.placement.slug,
            who=Who(
                shopper_id=shopper.external_id,
                product_ids=(shop.products[0].external_id,),
                consent=consent,
            ),
            edit=leaves_out,
        )
        assert seen.then is not None
        ids: list[int] = seen.runtime.snapshot.product_ids[seen.then.rows].tolist()
        return ids

    assert bought.pk not in shown("granted")
    assert bought.pk in shown("denied")


def test_a_date_in_the_future_has_the_campaigns_of_that_day(shop: Shop) -> None:
    tomorrow = timezone.now() + timedelta(days=1)
    campaign = RuleEdit(
        document={
            "schema": 1,
            "action": {"type": "exclude"},
            "target": {"product_ids": [shop.products[1].external_id]},
        },
        starts_s=tomorrow.timestamp() - 60,
        ends_s=tomorrow.timestamp() + 60,
    )

    def n_shown(at: datetime | None) -> int:
        who = Who(product_ids=(shop.products[0].external_id,), at=at)
        seen = preview(store=shop.store, placement=shop.placement.slug, who=who, edit=campaign)
        assert seen.then is not None
        return len(seen.then.rows)

    assert [n_shown(None), n_shown(tomorrow), n_shown(tomorrow + timedelta(hours=1))] == [1, 0, 1]
