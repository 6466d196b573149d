"""Insights: the numbers on the page, what is said where there are none, and the tracking alarm."""

from __future__ import annotations

import csv
import io
import re
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from analytics.models import ExperimentSnapshot
from analytics.results.document import (
    Arm,
    Cell,
    Comparison,
    Health,
    MetricResult,
    Power,
    Results,
    results_json,
)
from analytics.selectors.changes import changes_in
from analytics.services.insights_lists import known_forget
from analytics.services.insights_rollups import insights_refresh
from analytics.services.rollups import rollups_refresh
from catalog.models import (
    AuditEntry,
    Event,
    EventType,
    Member,
    Product,
    Shopper,
    ShopperLink,
    Store,
    User,
)
from catalog.models.products import CATEGORY_SEPARATOR
from recommender.models import Experiment, Impression, Placement, Rule, Run, Variant
from tests.factories import days, make_event, make_order, make_product, make_shopper

CLICK, SEEN = EventType.RECOMMENDATION_CLICK, EventType.RECOMMENDATION_VIEW
TABS = ("", "by/placement/", "by/strategy/", "by/source/", "by/category/", "diversity/",
        "never-shown/", "tracking/")  # fmt: skip
TABLES = ("days", "products", "never-shown", "placement", "strategy", "source", "category")


@pytest.fixture(autouse=True)
def unknown() -> None:
    known_forget()


@pytest.fixture
def client(owner: User, store: Store) -> Client:
    client = Client()
    client.force_login(owner)
    return client


@pytest.fixture
def placement(store: Store) -> Placement:
    return Placement.objects.get(store=store, slug="product-bought-together")


def noon(days_ago: float) -> datetime:
    return timezone.now().replace(hour=12, minute=0, second=0, microsecond=0) - days(days_ago)


def deliver(
    placement: Placement, products: list[Product], at: datetime, **fields: Any
) -> uuid.UUID:
    return Impression.objects.create(
        store=placement.store, recommendation_id=uuid.uuid4(), delivered_on=at.date(),
        delivered_at=at, placement_id=placement.pk,
        strategy_version_id=placement.strategy_version_id, shopper_external_id="somebody",
        product_ids=[product.pk for product in products],
        sources=fields.pop("sources", ["also_viewed"] * len(products)),
        propensities=[1.0] * len(products), took_us=900, **fields,
    ).recommendation_id  # fmt: skip


def sold_by_a_click(placement: Placement, product: Product, shopper: Shopper, at: datetime) -> None:
    """Delivered, seen, clicked and bought for the product's price."""
    store = placement.store
    shown = deliver(placement, [product], at)
    make_event(store, shopper, type=SEEN, at=at, recommendation_id=shown)
    make_event(store, shopper, product, type=CLICK, at=at, recommendation_id=shown)
    make_order(store, shopper, [product], at=at + timedelta(hours=1))


def refresh(store: Store) -> None:
    rollups_refresh(store=store, now=timezone.now())
    insights_refresh(store=store, now=timezone.now())


def words(client: Client, page: str = "", *, slug: str = "corner") -> str:
    """The page as it is read: without tags, spaces as one."""
    answer = client.get(f"/console/{slug}/insights/{page}")
    assert answer.status_code == 200, (page, answer.status_code)
    text = re.sub(r"(?s)<script.*?</script>|<[^>]+>", " ", answer.content.decode())
    return re.sub(r"\s+", " ", unescape(text))


def rows_of(client: Client, table: str, query: str = "") -> list[dict[str, str]]:
    answer = client.get(f"/console/corner/insights/{table}.csv{query}")
    assert answer.status_code == 200
    text = b"".join(answer.streaming_content).decode("utf-8-sig")  # type: ignore[attr-defined]
    return list(csv.DictReader(io.StringIO(text)))


@pytest.fixture
def busy(store: Store, placement: Placement) -> Store:
    """Two orders of 10.00 by clicks lately, one 40 days ago; a list that nobody saw; one empty."""
    mug = make_product(
        store, "mug", title="Blue mug", price_minor=1000, category_path="Kitchen > Mugs"
    )
    make_product(
        store, "vase", title="=Vase", price_minor=500, stock_count=4, category_path="Living"
    )
    anna = make_shopper(store, "anna")
    for ago in (2, 3, 40):
        sold_by_a_click(placement, mug, anna, noon(ago))
    deliver(placement, [mug], noon(4))
    deliver(placement, [], noon(4), reason="no_context")
    deliver(placement, [mug], noon(60), fallback="bestsellers")
    refresh(store)
    return store


# --------------------------------------------------------------------------------- the numbers


def test_the_overview_has_what_was_delivered_seen_clicked_and_bought(
    client: Client, busy: Store
) -> None:
    page = words(client)
    assert "Impressions 4 0.0 % by fallback · 25.0 % empty" in page
    assert "Viewable 2 seen for a second · 50 % of the impressions" in page
    assert "Clicks 2 100.0 % of those seen" in page
    assert "Orders 2 with a product clicked in a recommendation" in page
    assert "Attributed revenue $20 last click on the same product, within 7 days" in page
    assert "Delivered 3" in page
    assert "Bought 2" in page
    assert "Blue mug $20 2 orders · 2 clicks · shown 3 times" in page


def test_a_period_is_compared_with_the_one_before_it(client: Client, busy: Store) -> None:
    page = words(client)
    assert "100 % more ($10 before)" in page
    assert "Attributed revenue rose 100 % against the 28 days before, to $20" in page
    # The store's first list is in the middle of the days before these.
    assert "No days before to compare with" in words(client, "?days=90")


def test_a_period_may_be_given_by_its_ends(client: Client, busy: Store) -> None:
    first, last = noon(40).date(), noon(3).date()
    page = words(client, f"?from={first}&to={last}")
    assert "Orders 2 with" in page
    assert f"{first.day} {first:%b %Y} – {last.day} {last:%b %Y}" in page
    tab = client.get(f"/console/corner/insights/?from={first}&to={last}").content.decode()
    assert f"/console/corner/insights/diversity/?from={first}&amp;to={last}" in tab


@pytest.mark.parametrize(
    "query",
    ["?days=8", "?from=x", "?from=2026-02-01&to=2026-01-01", "?to=2999-01-01", "?from=1991-01-01"],
)
@pytest.mark.parametrize("page", ["", "by/placement/", "never-shown/", "days.csv"])
def test_a_period_that_cannot_be_is_not_found(
    client: Client, store: Store, page: str, query: str
) -> None:
    assert client.get(f"/console/corner/insights/{page}{query}").status_code == 404


@pytest.mark.parametrize(
    "page",
    ["by/nothing/", "by/placement/?sort=nothing", "by/placement/nothing/", "by/strategy/nothing/",
     "by/source/nothing/", "by/category/?of=%00", "never-shown/?age=8", "never-shown/?page=0",
     "nothing.csv"],
)  # fmt: skip
def test_what_there_is_not_is_not_found(client: Client, store: Store, page: str) -> None:
    assert client.get(f"/console/corner/insights/{page}").status_code == 404


@pytest.mark.parametrize(
    ("page", "row"),
    [
        ("by/placement/", "Product: bought together 4 2 2 100.0 % 2 $20"),
        ("by/source/", "Also viewed 3 2 2 100.0 % 2 $20"),
        ("by/category/", "Kitchen 3 2 2 100.0 % 2 $20"),
    ],
)
def test_each_slice_has_its_row(client: Client, busy: Store, page: str, row: str) -> None:
    assert row in words(client, page)


def test_a_table_is_sorted_by_any_column(
    client: Client, store: Store, placement: Placement
) -> None:
    shopper = make_shopper(store, "anna")
    for name, price in (("Beds", 100), ("Chairs", 900), ("Art", 500)):
        sold_by_a_click(
            placement,
            make_product(store, name, category_path=name, price_minor=price),
            shopper,
            noon(2),
        )
    refresh(store)

    def order(sort: str) -> list[str]:
        page = words(client, f"by/category/?sort={sort}")
        return sorted(("Art", "Beds", "Chairs"), key=lambda name: page.rindex(f" {name} "))

    assert order("revenue") == ["Chairs", "Art", "Beds"]
    assert order("-revenue") == ["Beds", "Art", "Chairs"]
    assert order("name") == ["Art", "Beds", "Chairs"]
    assert order("-name") == ["Chairs", "Beds", "Art"]


def test_a_slice_by_itself_has_its_own_figures(
    client: Client, busy: Store, placement: Placement
) -> None:
    quiet = Placement.objects.filter(store=busy).exclude(pk=placement.pk)[0]
    assert "Orders 2 with" in words(client, "by/placement/product-bought-together/")
    assert "Impressions 0 no recommendation delivered" in words(
        client, f"by/placement/{quiet.slug}/"
    )
    assert "Attributed revenue $20" in words(client, "by/source/also_viewed/")
    assert "Attributed revenue $20" in words(client, "by/category/?of=Kitchen")
    key = placement.strategy_version.strategy.key
    assert "Attributed revenue $20" in words(client, f"by/strategy/{key}/")


def test_a_click_on_nothing_that_is_known_stands_apart(
    client: Client, store: Store, placement: Placement
) -> None:
    mug, anna = make_product(store, "mug"), make_shopper(store, "anna")
    deliver(placement, [mug], noon(2))
    make_event(store, anna, mug, type=CLICK, at=noon(2))
    refresh(store)
    assert "Recommendation not known 0 – 1 – 0 $0" in words(client, "by/placement/")


# ------------------------------------------------------------------------- unknown is never zero


def test_a_store_without_recommendations_is_told_what_to_do_and_what_is_known(
    client: Client, store: Store
) -> None:
    mug = make_product(store, "mug", price_minor=1000, stock_count=3)
    make_order(store, make_shopper(store, "anna"), [mug], at=noon(2))
    refresh(store)
    page = words(client)
    assert "No recommendation was delivered yet" in page
    assert "The shop sold $10 in 1 orders to 1 buyers" in page
    for tab in TABS[1:6]:
        assert "No recommendation was delivered yet" in words(client, tab), tab
    assert "1 of 1 products were never shown (100.0 %)" in words(client, "never-shown/")
    assert "Stock value of those never shown: $30" in words(client, "never-shown/")


def test_what_was_not_reported_is_unknown_and_says_what_is_missing(
    client: Client, store: Store, placement: Placement
) -> None:
    deliver(placement, [make_product(store, "mug")], noon(2))
    refresh(store)
    page = words(client)
    assert "Viewable Not enough data No recommendation was reported as seen." in page
    assert "Clicks Not enough data" in page
    assert "Orders Not enough data" in page
    assert "Attributed revenue Not enough data" in page
    assert "No revenue can be credited yet" in page
    assert "nothing was. Our script reports it by itself" in page
    assert "1 – – – – –" in words(client, "by/placement/")


def test_seen_and_never_clicked_is_a_zero(
    client: Client, store: Store, placement: Placement
) -> None:
    shown = deliver(placement, [make_product(store, "mug")], noon(2))
    make_event(store, make_shopper(store, "anna"), type=SEEN, at=noon(2), recommendation_id=shown)
    refresh(store)
    page = words(client)
    assert "Clicks 0 0.0 % of those seen" in page
    assert "Orders Not enough data Orders are credited to clicks, and there was none." in page


def test_lists_without_content_or_views_have_neither_diversity_nor_novelty(
    client: Client, store: Store, placement: Placement
) -> None:
    deliver(placement, [make_product(store, "mug"), make_product(store, "vase")], noon(2))
    refresh(store)
    page = words(client, "diversity/")
    assert "Diversity of a list Not enough data" in page
    assert "Novelty Not enough data" in page
    assert "Catalog coverage 100.0 % 2 of 2 products were shown" in page


# ---------------------------------------------------------------------------------- the hold-out


def holdout(store: Store, comparison: Comparison | None, *, days_ago: int = 20) -> Experiment:
    """A hold-out that was looked at: 100 held out, 900 with recommendations."""
    experiment = Experiment.objects.create(
        store=store, key="hold-out", name="Hold-out", kind="holdout", state="running", seed="s",
        started_at=noon(days_ago),
    )  # fmt: skip
    for position, key in enumerate(("held", "shown")):
        Variant.objects.create(
            store=store, experiment=experiment, key=key, name=key, position=position, weight=1.0
        )
    held, shown = experiment.variants.all()
    arms = tuple(
        Arm(variant_id=v.pk, key=v.key, name=v.name, position=v.position, share=0.5,
            strategies=(), n_shoppers=n)
        for v, n in ((held, 100), (shown, 900))
    )  # fmt: skip
    told = comparison or Comparison(
        variant_id=0, baseline_id=0, scale="absolute", cuped=False, missing="nobody has bought yet"
    )
    told = Comparison(
        **{f: getattr(told, f) for f in told.__struct_fields__}
        | {"variant_id": shown.pk, "baseline_id": held.pk}
    )
    results = Results(
        experiment_id=experiment.pk, key="hold-out", computed_at=timezone.now(),
        facts_until=timezone.now(), first_day=noon(days_ago).date(), last_day=noon(1).date(), days=20.0,
        moment="running", status="running", headline="", currency="USD", primary="revenue_per_shopper",
        arms=arms,
        metrics=(
            MetricResult(
                key="revenue_per_shopper", role="goal", comparisons=(told,),
                cells=tuple(Cell(variant_id=a.variant_id, numerator=1, denominator=1, value=1) for a in arms),
            ),
        ),
        verdicts=(), health=Health(alarm="none", checks=(), split_p=None, phases=()), exposures=(),
        series=(), funnel=(), segments=(),
        power=Power(planned_shoppers=None, n_shoppers=0, planned_days=1, days=1.0, days_left=None,
                    smallest_lift_planned=0.05, smallest_lift_now=None, shoppers_per_day=None,
                    progress=None),
    )  # fmt: skip
    ExperimentSnapshot.objects.create(
        store=store, experiment=experiment, kind="latest", document=results_json(results),
        asked_at=timezone.now(), computed_at=timezone.now(),
    )  # fmt: skip
    return experiment


def test_without_a_hold_out_incremental_revenue_is_unknown_and_one_is_offered(
    client: Client, busy: Store
) -> None:
    page = words(client)
    assert "Incremental revenue Not enough data There is no hold-out" in page
    assert (
        "/console/corner/experiments/hold-out/"
        in client.get("/console/corner/insights/").content.decode()
    )


def test_incremental_revenue_stands_beside_what_was_attributed_in_the_same_days(
    client: Client, busy: Store
) -> None:
    holdout(busy, Comparison(
        variant_id=0, baseline_id=0, scale="absolute", cuped=False, estimate=150.0, low=90.0, high=210.0,
        sequence_low=-20.0, sequence_high=320.0,
    ))  # fmt: skip
    page = words(client)
    assert "Incremental revenue +$1,350 95 % interval −$180 to +$2,880" in page
    assert "900 shoppers against 100 held out" in page
    assert "Attributed in the same days: $20" in page


def test_the_hold_outs_own_page_says_the_same_amount(client: Client, busy: Store) -> None:
    experiment = holdout(busy, Comparison(
        variant_id=0, baseline_id=0, scale="absolute", cuped=False, estimate=150.0, low=90.0, high=210.0,
        sequence_low=20.0, sequence_high=320.0,
    ))  # fmt: skip
    assert "Incremental revenue +$1,350 95 % interval +$180 to +$2,880" in words(client)
    experiment.key = "hold-out-2"
    experiment.save()
    own = client.get(f"/console/corner/experiments/{experiment.key}/").content.decode()
    assert "Recommendations brought $1,350" in own
    assert "+$180 to +$2,880" in own
    # In 20 days.
    assert '<dt>Per day</dt><dd class="number">+$68</dd>' in own


def test_a_hold_out_that_cannot_tell_yet_says_why(client: Client, busy: Store) -> None:
    holdout(busy, None)
    assert "The hold-out can't tell yet: nobody has bought yet (900 shoppers" in words(client)


def test_a_hold_out_that_nobody_has_looked_at_waits(client: Client, busy: Store) -> None:
    ExperimentSnapshot.objects.filter(experiment=holdout(busy, None)).delete()
    assert "The hold-out is counted within six minutes." in words(client)


# ------------------------------------------------------------------------------ products and files


def test_products_that_were_never_shown_are_told_by_category_and_age(
    client: Client, busy: Store
) -> None:
    Product.objects.filter(store=busy).update(published_at=noon(400))
    make_product(busy, "new", category_path="Living", price_minor=200)
    make_product(busy, "hidden", hidden=True)
    make_product(busy, "sold-out", stock_count=0)
    page = words(client, "never-shown/")
    assert "2 of 3 products were never shown (66.7 %)" in page
    assert "Stock value of those never shown: $20 (of 1 with a stock count)" in page
    assert "30 days or newer 1 1 100.0 % –" in page
    assert "older than a year 1 2 50.0 % $20" in page
    assert "Living 2 2 100.0 % $20" in page
    assert "Kitchen 0 1 0.0 %" in page
    only = words(client, "never-shown/?age=older")
    assert "=Vase" in only
    assert "Product new" not in only
    assert "Every product of this group was shown." in words(
        client, "never-shown/?category=Kitchen"
    )


def test_what_was_shown_before_the_period_is_not_shown_in_it(client: Client, busy: Store) -> None:
    assert "1 of 2 products were never shown" in words(client, "never-shown/")
    yesterday = noon(1).date()
    assert "2 of 2 products were never shown" in words(
        client, f"never-shown/?from={yesterday}&to={yesterday}"
    )


def test_other_days_keep_what_the_page_is_narrowed_to(client: Client, busy: Store) -> None:
    page = client.get(
        "/console/corner/insights/never-shown/?age=older&category=Living&days=7&page=1"
    ).content.decode()
    form = page[page.index('<form class="inline-form"') :]
    form = form[: form.index("</form>")]
    hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="(\w+)"', form))
    assert hidden == {"age": "older", "category": "Living"}


def test_since_when_a_product_is_there_is_told_by_the_stores_calendar(
    client: Client, busy: Store
) -> None:
    Store.objects.filter(pk=busy.pk).update(time_zone="Pacific/Auckland")
    # Already the second there.
    Product.objects.filter(store=busy).update(published_at=datetime(2026, 2, 1, 20, tzinfo=UTC))
    assert "2 Feb 2026" in words(client, "never-shown/")
    assert {row["in_catalog_since"] for row in rows_of(client, "never-shown")} == {"2026-02-02"}


def test_days_are_taken_along_from_the_overview(client: Client, busy: Store) -> None:
    page = client.get("/console/corner/insights/?days=7").content.decode()
    assert 'href="/console/corner/insights/days.csv?days=7"' in page


@pytest.mark.parametrize("table", TABLES)
def test_every_table_can_be_taken_along(client: Client, busy: Store, table: str) -> None:
    rows = rows_of(client, table)
    assert rows
    if "attributed_revenue" in rows[0]:
        assert sum(float(row["attributed_revenue"]) for row in rows) == 20.0


def test_what_could_be_a_formula_is_none_in_the_file(client: Client, busy: Store) -> None:
    (row,) = rows_of(client, "never-shown")
    assert row["title"] == "'=Vase"
    assert (row["stock_value"], row["currency"]) == ("20.00", "USD")


# ----------------------------------------------------------------------------------------- marks


def test_what_changed_is_marked_in_the_charts_and_told_in_words(
    client: Client, busy: Store, owner: User
) -> None:
    AuditEntry.objects.create(
        store=busy, at=noon(5), actor=owner, actor_email=owner.email, action="strategy.edit",
        subject="Together", after={"version": 4, "placements": ["product-bought-together"]},
    )  # fmt: skip
    AuditEntry.objects.create(
        store=busy, at=noon(6), action="strategy.edit", subject="Draft",
        after={"version": 2, "placements": []},
    )  # fmt: skip
    Rule.objects.create(store=busy, name="Sale", document={}, starts_at=noon(8), ends_at=noon(7))
    first = Run.objects.create(
        store=busy, family="content", state="published", trigger="schedule", finished_at=noon(10)
    )
    for ago in (4, 3):
        Run.objects.create(
            store=busy,
            family=first.family,
            state="published",
            trigger="schedule",
            finished_at=noon(ago),
        )
    told = [
        each.words for each in changes_in(store=busy, first=noon(20).date(), last=noon(1).date())
    ]
    assert told == [
        "Content embeddings published for the first time",
        "Campaign “Sale” began",
        "Campaign “Sale” ended",
        "Strategy “Together” version 4 went live on Product: bought together by owner@shop.example",
    ]
    answer = client.get("/console/corner/insights/")
    chart = answer.context["charts"][0]
    assert [mark.words for mark in chart.marks] == [(text,) for text in told] or len(
        chart.marks
    ) >= 3
    assert {shape["x0"] for shape in chart.figure["layout"]["shapes"]} >= {
        noon(5).date().isoformat()
    }
    assert "What changed:" in words(client)
    # Another placement's charts have what concerns the whole store only.
    other = Placement.objects.filter(store=busy).exclude(slug="product-bought-together")[0]
    deliver(other, [Product.objects.filter(store=busy)[0]], noon(2))
    refresh(busy)
    page = words(client, f"by/placement/{other.slug}/")
    assert "Campaign “Sale” began" in page
    assert "Together" not in page.split("What changed")[1]
    overview = client.get("/console/corner/overview/").content.decode()
    assert "version 4 went live" in overview


# -------------------------------------------------------------------------------------- tracking


NOW = datetime(2026, 11, 19, 15, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)


def live(store: Store, shopper: Shopper, at: datetime, n: int, **fields: Any) -> None:
    """`n` events of an hour, received a second after they happened."""
    Event.objects.bulk_create(
        Event(
            store=store, event_id=uuid.uuid4(), occurred_on=at.date(), shopper=shopper,
            occurred_at=(moment := at + HOUR * (i + 0.5) / n), received_at=moment + timedelta(seconds=1),
            **{"type": EventType.VIEW_ITEM, **fields},
        )
        for i in range(n)
    )  # fmt: skip


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> datetime:
    """The insights are counted at half past three on a Thursday."""
    return NOW


def usual_weeks(store: Store, shopper: Shopper, per_hour: int = 120) -> None:
    for week in range(1, 6):
        for hour in (13, 14, 15):
            live(store, shopper, NOW.replace(hour=hour, minute=0) - timedelta(weeks=week), per_hour)


def flow(client: Client) -> Any:
    answer = client.get("/console/corner/insights/tracking/")
    return next(check for check in answer.context["checks"] if check.key == "flow")


@pytest.mark.parametrize(
    ("counts", "alarm"),
    [
        ((120, 120, 60), "none"),
        ((120, 120, 0), "red"),
        ((120, 10, 5), "red"),
        ((120, 120, 5), "amber"),
        ((120, 120, 400), "amber"),
    ],
)
def test_a_planted_drop_or_flood_is_seen_against_the_same_hour_of_other_weeks(
    client: Client, store: Store, counts: tuple[int, int, int], alarm: str
) -> None:
    shopper = make_shopper(store, "anna")
    usual_weeks(store, shopper)
    for hour, n in zip((13, 14, 15), counts, strict=True):
        if n:
            live(store, shopper, NOW.replace(hour=hour, minute=0), n if hour < 15 else 2 * n)
    Event.objects.filter(store=store, occurred_at__gt=NOW).delete()
    insights_refresh(store=store, now=NOW)
    found = flow(client)
    assert found.alarm == alarm, found.words
    assert found.wrong == (alarm in ("amber", "red"))


def test_too_few_events_and_too_few_weeks_tell_nothing(client: Client, store: Store) -> None:
    shopper = make_shopper(store, "anna")
    usual_weeks(store, shopper, per_hour=5)
    insights_refresh(store=store, now=NOW)
    assert (flow(client).alarm, "Too few are expected" in flow(client).words) == ("unknown", True)
    Event.objects.all().delete()
    live(store, shopper, NOW - HOUR, 200)
    insights_refresh(store=store, now=NOW, since=NOW - days(60))
    assert flow(client).alarm == "unknown"


def test_what_is_imported_is_no_live_event(client: Client, store: Store) -> None:
    make_order(store, make_shopper(store, "a"), [make_product(store, "p")], at=noon(2))
    refresh(store)
    assert "No event has come in live yet" in words(client, "tracking/")


@pytest.mark.parametrize(("n_unknown", "alarm"), [(4, "none"), (6, "amber"), (60, "red")])
def test_products_that_do_not_join_raise_the_alarm_above_five_per_cent(
    client: Client, store: Store, n_unknown: int, alarm: str
) -> None:
    shopper, mug = make_shopper(store, "anna"), make_product(store, "mug")
    live(store, shopper, noon(1), 100 - n_unknown, product=mug)
    live(store, shopper, noon(1), n_unknown, unknown_product="SKU-1")
    refresh(store)
    checks = {c.key: c for c in client.get("/console/corner/insights/tracking/").context["checks"]}
    assert checks["products"].alarm == alarm
    notice = client.get("/console/corner/overview/tracking/").content.decode()
    if alarm == "none":
        assert not notice.strip()
    else:
        assert "Products that don&#x27;t join the catalog: " in notice
        assert "/console/corner/insights/tracking/" in notice


def test_the_overview_fetches_its_line_about_the_tracking_and_links_to_it_without_scripts(
    client: Client, store: Store
) -> None:
    overview = client.get("/console/corner/overview/").content.decode()
    assert re.search(
        r'<div hidden hx-get="/console/corner/overview/tracking/" hx-trigger="load"', overview
    )
    without = re.search(r"(?s)<noscript>(.*?)</noscript>", overview)
    assert without is not None
    assert 'href="/console/corner/insights/tracking/"' in without[1]


def test_purchases_without_a_view_raise_the_alarm(client: Client, store: Store) -> None:
    mug = make_product(store, "mug")
    for i in range(20):
        shopper, at = make_shopper(store, f"s{i}"), noon(1)
        if i < 8:
            # One of them had looked around as a guest.
            looking = shopper if i else make_shopper(store, "guest")
            if not i:
                ShopperLink.objects.create(
                    store=store, shopper=looking, customer=shopper, linked_by="api"
                )
            make_event(
                store,
                looking,
                mug,
                at=at - timedelta(hours=23),
                received_at=at - timedelta(hours=23),
            )
        make_event(
            store, shopper, mug, type=EventType.PURCHASE, at=at, received_at=at, order_id=str(i)
        )
    refresh(store)
    assert "Purchases without a view Wrong 60.0 % of 20 orders" in words(client, "tracking/")


@pytest.mark.parametrize(("n_sessions", "word"), [(3, "Fine"), (60, "Look at it")])
def test_one_shopper_id_for_many_people_raises_the_alarm(
    client: Client, store: Store, n_sessions: int, word: str
) -> None:
    shopper = make_shopper(store, "undefined")
    for i in range(n_sessions):
        make_event(store, shopper, at=noon(1), received_at=noon(1), session_id=f"s{i}")
    refresh(store)
    page = words(client, "tracking/")
    assert (
        f"One shopper id for many people {word} Shopper “undefined” had {n_sessions} sessions"
        in page
    )
    shopper.delete()
    assert "One shopper, erased since, had" in words(client, "tracking/")


# --------------------------------------------------------------------------- who, and how much


@pytest.mark.parametrize("role", Member.Role.values)
def test_every_role_may_look_and_nobody_of_another_store(
    busy: Store, other_store: Store, role: str, member_client: Callable[..., Client]
) -> None:
    inside, outside = member_client(busy, role), member_client(other_store, role)
    for page in (*TABS, *(f"{table}.csv" for table in TABLES)):
        assert inside.get(f"/console/corner/insights/{page}").status_code == 200, page
        assert outside.get(f"/console/corner/insights/{page}").status_code == 404, page
        assert Client().get(f"/console/corner/insights/{page}").status_code == 302, page


def test_two_stores_never_see_each_other(
    busy: Store, other_store: Store, member_client: Callable[..., Client]
) -> None:
    theirs = member_client(other_store)
    refresh(other_store)
    for tab in TABS:
        assert "Blue mug" not in words(theirs, tab, slug="other"), tab
    assert "No recommendation was delivered yet" in words(theirs, slug="other")
    strategy = Placement.objects.filter(store=busy)[0].strategy_version.strategy
    strategy.key = "only-ours"
    strategy.save()
    assert theirs.get("/console/other/insights/by/strategy/only-ours/").status_code == 404


@pytest.mark.parametrize("tab", TABS)
def test_a_tab_takes_few_queries_however_much_there_is(
    client: Client, store: Store, placement: Placement, tab: str
) -> None:
    anna = make_shopper(store, "anna")

    def queries() -> int:
        refresh(store)
        with CaptureQueriesContext(connection) as captured:
            words(client, tab)
        return len(captured)

    sold_by_a_click(placement, make_product(store, "p"), anna, noon(2))
    few = queries()
    for i in range(6):
        own = Placement.objects.filter(store=store).order_by("pk")[i]
        product = make_product(store, f"p{i}", category_path=f"C{i}{CATEGORY_SEPARATOR}x")
        sold_by_a_click(own, product, anna, noon(2 + i))
    assert queries() == few
    assert few <= 30


def test_a_tab_comes_alone_for_htmx_with_its_title(client: Client, busy: Store) -> None:
    part = client.get("/console/corner/insights/diversity/", headers={"HX-Request": "true"})
    text = part.content.decode()
    assert text.lstrip().startswith("<title>Diversity · Insights · Corner shop · Vitrine</title>")
    assert "<main" not in text
    assert "HX-Request" in part.headers["Vary"]
    back = client.get(
        "/console/corner/insights/",
        headers={"HX-Request": "true", "HX-History-Restore-Request": "true"},
    )
    assert "<main" in back.content.decode()


def test_what_shoppers_send_is_only_text(client: Client, busy: Store) -> None:
    evil = "<script>alert(1)</script>"
    Product.objects.filter(store=busy).update(title=evil, category_path=f"{evil} > a")
    refresh(busy)
    for page in ("", "never-shown/", "by/category/", f"by/category/?of={evil}"):
        assert evil not in client.get(f"/console/corner/insights/{page}").content.decode()
