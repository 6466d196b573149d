"""Campaigns, segments and the configuration file in the console."""

from __future__ import annotations

import html
import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import QueryDict
from django.test import Client
from django.utils import timezone

from catalog.models import AuditEntry, Member, Store
from recommender.console.rule_form import rule_document_from_form, rule_form_values
from recommender.models import ContentWeights, LabChoice, Rule, Run, Segment, Strategy
from recommender.selectors.event_weights import event_weights
from recommender.services.strategies import strategy_version_create
from recommender.serving.rules import rule_json, rule_parse
from tests.conftest import MemberClient
from tests.console.conftest import Shop

BOOST = {
    "name": "Push mugs",
    "action": "boost",
    "factor": "2",
    "meant": ["categories", "price"],
    "categories": "Kitchen > Mugs",
    "price_until": "9.50",
    "when": ["page_types"],
    "page_types": ["product"],
    "currency": "USD",
}
EVERYTHING: dict[str, Any] = {
    "action": {"type": "reserve", "slots": 2, "position": 3},
    "target": {
        "categories": ["Kitchen > Mugs"], "brands": ["Maker"], "tags": ["new"],
        "attributes": {"colour": ["blue", "red"]}, "product_ids": ["a", "b"],
        "availability": ["in_stock"], "price_from_minor": 100, "price_until_minor": 950,
        "stock_from": 1, "stock_until": 9, "margin_from_percent": 10.0,
        "margin_until_percent": 60.5, "age_from_days": 0, "age_until_days": 30,
        "same_category": True, "same_brand": True, "price_within_percent": 20.0,
        "compared": "cheaper",
    },
    "condition": {
        "placements": ["home-trending"], "page_types": ["home", "product"], "segments": ["new"],
        "devices": ["mobile"], "locales": ["de", "fr-CH"], "weekdays": [1, 7],
        "from_time": "22:00", "until_time": "06:00",
        "viewed": {
            "categories": ["Kitchen"], "brands": ["Maker"], "tags": ["new"],
            "attributes": {"size": ["M"]}, "price_from_minor": 0, "price_until_minor": 12345,
        },
    },
}  # fmt: skip


@pytest.fixture
def merchant(shop: Shop, member_client: MemberClient) -> Client:
    return member_client(shop.store, Member.Role.MERCHANT)


def base(shop: Shop) -> str:
    return f"/console/{shop.store.slug}"


def rule(shop: Shop, name: str = "Push", **document: Any) -> Rule:
    written = {"action": {"type": "boost", "factor": 2}, "target": {"brands": ["Maker"]}}
    stored = rule_json(rule_parse({**written, **document}))
    return Rule.objects.create(store=shop.store, name=name, document=stored)


def test_every_part_of_a_document_comes_back_from_its_form() -> None:
    values = rule_form_values(rule_json(rule_parse(EVERYTHING)), "USD")
    post = QueryDict(mutable=True)
    for name, value in {**values, "currency": "USD"}.items():
        post.setlist(name, value if isinstance(value, list) else [value])
    assert rule_parse(rule_document_from_form(post)) == rule_parse(EVERYTHING)


def test_a_merchant_writes_a_rule_and_reads_it_as_a_sentence(shop: Shop, merchant: Client) -> None:
    page = merchant.get(f"{base(shop)}/campaigns/").content.decode()
    assert "There is no rule yet" in page
    words = merchant.post(f"{base(shop)}/campaigns/words/", BOOST).content.decode()
    sentence = "On product pages, boost products in Kitchen &gt; Mugs, that cost at most $9.50 × 2."
    assert sentence in words
    assert "Means" in words
    page = merchant.post(f"{base(shop)}/campaigns/new/", BOOST, follow=True).content.decode()
    assert sentence in page
    assert "Active now" in page
    (stored,) = Rule.objects.filter(store=shop.store)
    assert stored.document["target"] == {
        "categories": ["Kitchen > Mugs"],
        "price_until_minor": 950,
    }
    entry = AuditEntry.objects.get(store=shop.store, action="rule.create")
    assert entry.actor_email == "merchant-corner@shop.example"
    editor = merchant.get(f"{base(shop)}/campaigns/{stored.pk}/").content.decode()
    assert 'value="9.50"' in editor


def test_what_is_wrong_is_told_and_what_was_typed_stays(shop: Shop, merchant: Client) -> None:
    answer = merchant.post(f"{base(shop)}/campaigns/new/", {**BOOST, "price_until": "cheap"})
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "isn&#x27;t an amount" in page
    assert 'value="Push mugs"' in page
    assert not Rule.objects.exists()


def test_conditions_are_added_and_removed_with_and_without_htmx(
    shop: Shop, merchant: Client
) -> None:
    for address in ("campaigns/fields/", "campaigns/new/"):
        typed = {**BOOST, "change": "add_when", "add_when": "weekdays"}
        added = merchant.post(f"{base(shop)}/{address}", typed).content.decode()
        assert 'name="weekdays"' in added
        gone = merchant.post(
            f"{base(shop)}/{address}", {**BOOST, "remove": "meant:price"}
        ).content.decode()
        assert 'name="price_until"' not in gone
        assert 'name="categories"' in gone
    assert not Rule.objects.exists()


def test_rules_are_moved_switched_and_deleted_and_all_is_audited(
    shop: Shop, merchant: Client
) -> None:
    first, second = rule(shop, "First"), rule(shop, "Second")
    merchant.post(f"{base(shop)}/campaigns/{second.pk}/move/", {"up": "1"})
    assert list(Rule.objects.order_by("position").values_list("name", flat=True)) == [
        "Second",
        "First",
    ]
    merchant.post(f"{base(shop)}/campaigns/{first.pk}/switch/", {"off": "1"})
    first.refresh_from_db()
    assert not first.enabled
    merchant.post(f"{base(shop)}/campaigns/{first.pk}/delete/")
    assert not Rule.objects.filter(pk=first.pk).exists()
    entries = AuditEntry.objects.filter(store=shop.store, action__startswith="rule.")
    actions = set(entries.values_list("action", flat=True))
    assert actions == {"rule.move", "rule.disable", "rule.delete"}


def test_a_paused_campaign_says_why_and_a_member_resumes_it(shop: Shop, merchant: Client) -> None:
    paused = rule(shop)
    Rule.objects.filter(pk=paused.pk).update(
        paused_at=timezone.now(), paused_reason="The stock of “Mug” is 3, below 5."
    )
    page = merchant.get(f"{base(shop)}/campaigns/").content.decode()
    assert "Paused itself" in page
    assert "below 5" in page
    merchant.post(f"{base(shop)}/campaigns/{paused.pk}/switch/", {"on": "1"})
    paused.refresh_from_db()
    assert (paused.paused_at, paused.paused_reason) == (None, "")


def test_planned_and_ended_campaigns_are_told_apart(shop: Shop, merchant: Client) -> None:
    now = timezone.now()
    Rule.objects.filter(pk=rule(shop, "Later").pk).update(starts_at=now + timedelta(days=1))
    Rule.objects.filter(pk=rule(shop, "Past").pk).update(ends_at=now - timedelta(days=1))
    page = merchant.get(f"{base(shop)}/campaigns/").content.decode()
    assert "Planned" in page
    assert "Ended" in page
    assert "does nothing any more" in page


def test_findings_stand_beside_the_rules(shop: Shop, merchant: Client) -> None:
    names = [product.external_id for product in shop.products]
    rule(shop, "Pin", action={"type": "pin", "product_ids": names[:1]}, target={})
    rule(shop, "Pin too", action={"type": "pin", "product_ids": names[1:2]}, target={})
    rule(shop, "Out", action={"type": "exclude"}, target={"product_ids": names[:1]})
    rule(shop, "Gone", target={"brands": ["Nobody"]})
    rule(shop, "Up", target={"categories": ["Kitchen > Mugs"]})
    rule(shop, "Down", action={"type": "bury", "factor": 3},
         target={"categories": ["Kitchen > Mugs"]})  # fmt: skip
    rule(shop, "Few", target={"product_ids": names[:1]})
    page = merchant.get(f"{base(shop)}/campaigns/").content.decode()
    for words in (
        f"“Out” excludes what it pins: {names[0]}.",
        "It pins to position 1, as “Pin too” does",
        "No product of the catalog is meant",
        "One boosts and the other buries the same products: this and “Down”",
        "It does nothing: “Out” excludes all of its 1 products",
    ):
        assert words in page


def test_a_viewer_reads_and_changes_nothing(shop: Shop, member_client: MemberClient) -> None:
    viewer = member_client(shop.store, Member.Role.VIEWER)
    written = rule(shop)
    segment = Segment.objects.create(
        store=shop.store, key="new", name="New", document={"type": "new", "days": 1}
    )
    for path in ("campaigns/", f"campaigns/{written.pk}/", "segments/", "configuration/",
                 "configuration/export/", f"segments/{segment.pk}/size/"):  # fmt: skip
        assert viewer.get(f"{base(shop)}/{path}").status_code == 200, path
    for path in (
        "campaigns/new/", f"campaigns/{written.pk}/", f"campaigns/{written.pk}/move/",
        f"campaigns/{written.pk}/switch/", f"campaigns/{written.pk}/delete/", "segments/new/",
        f"segments/{segment.pk}/", f"segments/{segment.pk}/delete/", "configuration/look/",
        "configuration/apply/",
    ):  # fmt: skip
        assert viewer.post(f"{base(shop)}/{path}", BOOST).status_code == 403, path
    assert (Rule.objects.count(), Segment.objects.count()) == (1, 1)
    assert not AuditEntry.objects.filter(action__startswith="rule.").exists()


def test_ids_of_another_store_are_not_found(shop: Shop, other_shop: Shop, merchant: Client) -> None:
    theirs = rule(other_shop)
    segment = Segment.objects.create(
        store=other_shop.store, key="new", name="New", document={"type": "new", "days": 1}
    )
    assert merchant.get(f"{base(shop)}/campaigns/{theirs.pk}/").status_code == 404
    assert merchant.get(f"{base(shop)}/segments/{segment.pk}/size/").status_code == 404
    for path in (f"campaigns/{theirs.pk}/delete/", f"campaigns/{theirs.pk}/switch/",
                 f"campaigns/{theirs.pk}/", f"segments/{segment.pk}/delete/"):  # fmt: skip
        assert merchant.post(f"{base(shop)}/{path}", BOOST).status_code == 404
    theirs.refresh_from_db()
    assert theirs.name == "Push"
    assert Segment.objects.filter(pk=segment.pk).exists()


def test_a_segment_is_made_counted_named_and_then_not_deleted(shop: Shop, merchant: Client) -> None:
    answer = merchant.post(
        f"{base(shop)}/segments/new/",
        {"name": "Mug lovers", "kind": "affinity", "categories": "Kitchen", "products": "2",
         "days": "90"},
        follow=True,
    )  # fmt: skip
    assert "Dealt with at least 2 different products of Kitchen" in answer.content.decode()
    segment = Segment.objects.get(store=shop.store)
    size = merchant.get(f"{base(shop)}/segments/{segment.pk}/size/").content.decode()
    assert '<strong class="number">1</strong> shopper now' in size
    user = rule(shop, condition={"segments": [segment.key]})
    merchant.post(f"{base(shop)}/segments/{segment.pk}/delete/")
    assert Segment.objects.filter(pk=segment.pk).exists()
    user.delete()
    merchant.post(f"{base(shop)}/segments/{segment.pk}/delete/")
    assert not Segment.objects.exists()


# --------------------------------------------------------------------------------- configuration


def look(shop: Shop, client: Client, document: dict[str, Any]) -> Any:
    upload = SimpleUploadedFile("c.json", json.dumps(document).encode(), "application/json")
    return client.post(f"{base(shop)}/configuration/look/", {"file": upload})


def exported(shop: Shop, client: Client) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(client.get(f"{base(shop)}/configuration/export/").content)
    return document


def test_a_configuration_goes_from_one_store_to_another(
    shop: Shop, other_shop: Shop, merchant: Client, member_client: MemberClient
) -> None:
    rule(shop, "Push")
    Segment.objects.create(
        store=shop.store, key="new", name="New", document={"type": "new", "days": 1}
    )
    document = exported(shop, merchant)
    document["event_weights"]["view_item"] = 0.7
    strategy = document["strategies"][0]
    strategy["document"]["diversity"] = 0.9
    other = member_client(other_shop.store, Member.Role.OWNER)
    answer = look(other_shop, other, document)
    page = answer.content.decode()
    assert "2 would be created" in page
    assert "2 would be changed" in page
    assert not Rule.objects.filter(store=other_shop.store).exists()
    typed = {"digest": answer.context["plan"].digest, "configuration": json.dumps(document)}
    assert other.post(f"{base(other_shop)}/configuration/apply/", typed).status_code == 302
    again = exported(other_shop, other)
    for part in ("strategies", "placements", "rules", "segments", "event_weights"):
        assert again[part] == document[part], part
    versions = Strategy.objects.get(store=other_shop.store, key=strategy["key"]).versions
    assert versions.count() == 2
    assert "configured like this already" in look(other_shop, other, again).content.decode()
    actions = AuditEntry.objects.filter(store=other_shop.store).values_list("action", flat=True)
    assert {"rule.create", "segment.create", "strategy.edit", "configuration.import"} <= set(
        actions
    )
    assert event_weights(store_id=shop.store.pk)["view_item"] != 0.7


def apply(shop: Shop, client: Client, document: dict[str, Any]) -> None:
    typed = {
        "digest": look(shop, client, document).context["plan"].digest,
        "configuration": json.dumps(document),
    }
    assert client.post(f"{base(shop)}/configuration/apply/", typed).status_code == 302


def asked_for(shop: Shop) -> set[str]:
    """The families whose training was asked for since the shop was made."""
    there = (shop.serving.pk, shop.held.pk, shop.active.pk)
    asked = Run.objects.filter(store=shop.store).exclude(pk__in=there)
    return set(asked.values_list("family", flat=True))


def chosen(store: Store, **changed: Any) -> LabChoice:
    values = {
        "method": "item_knn_cosine",
        "title": "Item kNN, cosine",
        "protocol": "basket-completion",
        "parameters": {"k": 200, "damping": 0.5, "position_decay": None},
    }
    return LabChoice.objects.create(store=store, **values | changed)


def test_what_was_chosen_in_the_lab_and_for_contents_goes_along(
    shop: Shop, other_shop: Shop, merchant: Client, member_client: MemberClient
) -> None:
    ContentWeights.objects.create(store=shop.store, text=30, attributes=70, own_vectors=0)
    chosen(shop.store)
    strategy_version_create(
        strategy=shop.placement.strategy_version.strategy,
        document={
            "sources": [{"source": "chosen", "weight": 1}, {"source": "trending", "weight": 2}],
            "blend": "learned",
        },
    )
    document = exported(shop, merchant)
    other = member_client(other_shop.store, Member.Role.OWNER)
    page = look(other_shop, other, document).content.decode()
    assert "What makes products similar" in page
    assert "The Lab&#x27;s choice" in page

    apply(other_shop, other, document)

    told = html.unescape(other.get(f"{base(other_shop)}/configuration/").content.decode())
    assert "(“What makes products similar”, “The Lab's choice”) follows when that is done." in told
    again = exported(other_shop, other)
    for part in ("strategies", "content_weights", "chosen_method"):
        assert again[part] == document[part], part
    assert again["content_weights"] == {"text": 30, "attributes": 70, "own_vectors": 0}
    assert "learned" in {each["document"].get("blend") for each in again["strategies"]}
    assert "configured like this already" in look(other_shop, other, again).content.decode()
    choice = LabChoice.objects.get(store=other_shop.store)
    assert (choice.title, choice.lab_run) == ("Item kNN, cosine", None)
    assert choice.parameters == {"k": 200, "damping": 0.5, "position_decay": None}
    assert asked_for(other_shop) == {"content", "chosen_method"}
    assert not asked_for(shop)
    actions = AuditEntry.objects.filter(store=other_shop.store).values_list("action", flat=True)
    assert {"content_weights.save", "lab.choose"} <= set(actions)


def test_a_file_of_an_older_release_leaves_these_choices_as_they_are(
    shop: Shop, merchant: Client
) -> None:
    ContentWeights.objects.create(store=shop.store, text=30, attributes=70, own_vectors=0)
    chosen(shop.store)
    old = {**exported(shop, merchant), "vitrine_configuration": 1}
    del old["content_weights"], old["chosen_method"]
    old["event_weights"]["view_item"] = 0.7

    apply(shop, merchant, old)

    assert event_weights(store_id=shop.store.pk)["view_item"] == 0.7
    assert ContentWeights.objects.get(store=shop.store).attributes == 70
    assert LabChoice.objects.get(store=shop.store).method == "item_knn_cosine"
    assert not asked_for(shop)


def test_own_vectors_alone_are_not_imported_where_no_product_has_one(
    shop: Shop, merchant: Client
) -> None:
    document = exported(shop, merchant)
    document["content_weights"] = {"text": 0, "attributes": 0, "own_vectors": 100}
    typed = {
        "digest": look(shop, merchant, document).context["plan"].digest,
        "configuration": json.dumps(document),
    }
    answer = merchant.post(f"{base(shop)}/configuration/apply/", typed)
    assert answer.status_code == 422
    assert "No product has a vector" in answer.content.decode()
    assert not ContentWeights.objects.exists()


def test_a_choice_that_no_vitrine_could_train_is_not_exported(shop: Shop, merchant: Client) -> None:
    assert exported(shop, merchant)["content_weights"] is None
    chosen(shop.store, method="gone", title="Gone")
    assert exported(shop, merchant)["chosen_method"] is None


def test_an_import_that_is_overtaken_changes_nothing(shop: Shop, merchant: Client) -> None:
    document = exported(shop, merchant)
    document["rules"].append({"name": "New", "document": rule(shop).document})
    digest = look(shop, merchant, document).context["plan"].digest
    rule(shop, "Meanwhile")
    answer = merchant.post(
        f"{base(shop)}/configuration/apply/",
        {"digest": digest, "configuration": json.dumps(document)},
    )
    assert answer.status_code == 422
    assert "changed meanwhile" in answer.content.decode()
    assert not Rule.objects.filter(name="New").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"vitrine_configuration": 3}, "schema 3; this Vitrine reads up to 2"),
        ({"vitrine_configuration": None}, "isn&#x27;t a configuration of Vitrine"),
        ({"rules": [{"name": "Bad", "document": {"action": {"type": "zap"}}}]}, "rules[0] “Bad”"),
        ({"segments": [{"key": "x", "name": "X", "document": {"type": "device"}}]}, "segments[0]"),
        ({"strategies": [{"key": "s", "name": "S", "document": {}}]}, "strategies[0] “s”"),
        ({"unheard": 1}, "unheard"),
        (
            {"content_weights": {"text": 0, "attributes": 0, "own_vectors": 0}},
            "content_weights: text: At least one of the three has to count.",
        ),
        ({"content_weights": {"text": 101, "attributes": 0, "own_vectors": 0}}, "from 0 to 100"),
        ({"content_weights": {"text": 1}}, "missing required field `attributes`"),
        (
            {"chosen_method": {"method": "gone", "protocol": "next-click"}},
            "chosen_method: this Vitrine has no method “gone”.",
        ),
        (
            {"chosen_method": {"method": "slim", "protocol": "weather"}},
            "chosen_method: the Lab has no question “weather”.",
        ),
    ],
)
def test_a_file_with_errors_is_refused_with_where_and_why(
    shop: Shop, merchant: Client, change: dict[str, Any], words: str
) -> None:
    answer = look(shop, merchant, {**exported(shop, merchant), **change})
    assert answer.status_code == 422
    assert words in answer.content.decode()
