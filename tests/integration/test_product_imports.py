"""Imports from the file to the catalog: counts, questions, repetition, schedule."""

from __future__ import annotations

import gzip
import re
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from celery import Celery
from django.conf import settings
from django.db import connection
from django.utils import timezone

from catalog.feeds.rows import FeedRefused
from catalog.models import AuditEntry, Product, ProductFeed, ProductImport, Store, User
from catalog.services import import_running
from catalog.services.feed_files import feed_has_file, feed_path
from catalog.services.feed_imports import (
    ImportMoved,
    import_answer,
    import_cancel,
    import_from_address,
    import_from_upload,
    import_queue,
    import_start,
)
from catalog.services.feed_schedule import feed_create, imports_due, imports_tidy
from catalog.services.import_rows import products_store, rows_stage
from catalog.services.import_running import import_execute, import_take
from catalog.tasks import import_products, start_imports
from tests.factories import make_product
from tests.feeds import google_feed

pytestmark = pytest.mark.django_db

State, Job = ProductImport.State, ProductImport.Job


@pytest.fixture(autouse=True)
def import_folder() -> Iterator[Path]:
    folder = Path(settings.IMPORT_DIR)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def elsewhere() -> Iterator[psycopg.Connection]:
    """The session of another process."""
    wanted = ("host", "port", "dbname", "user", "password")
    parameters = {k: v for k, v in connection.get_connection_params().items() if k in wanted}
    with psycopg.connect(**parameters, autocommit=True) as other:
        yield other


def upload(store: Store, data: bytes, *, name: str = "feed.xml") -> ProductImport:
    return import_from_upload(store=store, user=None, name=name, chunks=[data])


def run(made: ProductImport, *, job: str = Job.IMPORT, remove_vanished: bool = False) -> Any:
    import_queue(product_import=made, job=job, remove_vanished=remove_vanished)
    import_take(import_id=made.pk)
    made.refresh_from_db()
    return made


def counts(made: ProductImport) -> tuple[int, int, int, int, int]:
    return made.n_new, made.n_changed, made.n_unchanged, made.n_vanished, made.n_errors


def csv_of(*rows: str, header: str = "id,title,price") -> bytes:
    return "\n".join((header, *rows)).encode()


def ids(store: Store) -> set[str]:
    live = Product.objects.filter(store=store, deleted_at=None)
    return set(live.values_list("external_id", flat=True))


def test_a_thousand_rows_with_thirty_broken_ones(store: Store, other_store: Store) -> None:
    made = run(upload(store, google_feed(1_000, broken=range(20, 1000, 33))))
    assert (made.state, counts(made)) == (State.DONE, (970, 0, 0, 0, 30))
    assert made.n_rows == 1_000
    assert made.problems.count() == 30
    first = made.problems.order_by("line")[0]
    assert (first.line, first.column, first.reason) == (21, "title", "Title: is missing.")
    product = Product.objects.get(store=store, external_id="sku-1")
    assert (product.title, product.price_minor, product.currency) == ("Red mug 1", 650, "USD")
    assert product.category_path == "Kitchen > Mugs > Large"
    assert product.attributes == {"color": "red"}
    assert ids(other_store) == set()
    assert not feed_has_file(made)


def test_a_dry_run_counts_and_changes_nothing(store: Store) -> None:
    make_product(store, "old")
    make_product(store, "same", title="Same", price_minor=100)
    make_product(store, "other", title="Other", price_minor=100)
    make_product(store, "back", title="Back", deleted_at=timezone.now())
    before = list(Product.objects.order_by("pk").values())
    rows = ("same,Same,1.00", "other,Other,2.00", "back,Back,1", "new,New,1", "broken,,1")
    made = run(upload(store, csv_of(*rows)), job=Job.CHECK)
    assert (made.state, counts(made)) == (State.CHECKED, (2, 1, 1, 1, 1))
    assert list(Product.objects.order_by("pk").values()) == before
    store.refresh_from_db()
    assert store.catalog_version == 0
    # And the import itself does what was counted.
    import_start(product_import=made, user=None)
    import_take(import_id=made.pk)
    made.refresh_from_db()
    assert (made.state, counts(made)) == (State.DONE, (2, 1, 1, 1, 1))
    assert ids(store) == {"old", "same", "other", "back", "new"}


def test_an_import_tells_serving_and_an_unchanged_one_does_not(store: Store) -> None:
    run(upload(store, csv_of("1,Tea,2.50")))
    store.refresh_from_db()
    version = store.catalog_version
    assert version > 0
    updated_at = Product.objects.get(store=store).updated_at
    made = run(upload(store, csv_of("1,Tea,2.50")))
    assert counts(made) == (0, 0, 1, 0, 0)
    store.refresh_from_db()
    assert store.catalog_version == version
    assert Product.objects.get(store=store).updated_at == updated_at


def test_only_mapped_fields_are_touched_and_a_members_decision_stays(store: Store) -> None:
    make_product(
        store, "1", title="Old", tags=["mine"], member_tags=["gift"], hidden=True, margin_minor=7,
        price_minor=100, list_price_minor=200, brand="Maker",
    )  # fmt: skip
    run(upload(store, csv_of("1,New,3.00")))
    product = Product.objects.get(store=store)
    assert (product.title, product.price_minor, product.list_price_minor) == ("New", 300, None)
    assert (product.tags, product.hidden, product.margin_minor) == (["mine"], True, 7)
    assert product.member_tags == ["gift"]
    assert (product.brand, product.category_path) == ("Maker", "Things")


def test_of_a_product_that_stands_there_twice_the_last_row_counts(store: Store) -> None:
    made = run(upload(store, csv_of("1,First,1", "2,Two,1", "1,Last,2")))
    assert counts(made) == (2, 0, 0, 0, 1)
    assert Product.objects.get(store=store, external_id="1").title == "Last"
    (problem,) = made.problems.all()
    assert (problem.line, problem.value) == (2, "1")
    assert problem.reason == "The product stands again in line 4; the last one counts."


def test_a_broken_row_does_not_make_its_product_vanish(store: Store) -> None:
    for number in range(10):
        make_product(store, str(number))
    rows = ("0,Title,not a price", *(f"{number},Title,1" for number in range(1, 9)))
    made = run(upload(store, csv_of(*rows)), remove_vanished=True)
    assert (made.state, made.n_vanished) == (State.DONE, 1)
    assert ids(store) == {str(number) for number in range(9)}


def test_products_vanish_only_on_request(store: Store, other_store: Store) -> None:
    for number in range(10):
        make_product(store, str(number))
        make_product(other_store, str(number))
    feed = csv_of(*(f"{number},Title,1" for number in range(8)))
    assert run(upload(store, feed)).n_vanished == 2
    assert len(ids(store)) == 10
    run(upload(store, feed), remove_vanished=True)
    assert ids(store) == {str(number) for number in range(8)}
    assert len(ids(other_store)) == 10


@pytest.mark.parametrize("remove", [True, False])
def test_above_a_fifth_it_stops_and_asks(store: Store, owner: User, remove: bool) -> None:
    for number in range(10):
        make_product(store, str(number))
    feed = csv_of("new,New,1", *(f"{number},Title,1" for number in range(7)))
    made = run(upload(store, feed), remove_vanished=True)
    assert (made.state, counts(made)) == (State.ASKING, (1, 7, 0, 3, 0))
    assert ids(store) == {str(number) for number in range(10)}
    assert not Product.objects.filter(title="Title").exists()
    import_answer(product_import=made, user=owner, remove=remove)
    import_take(import_id=made.pk)
    made.refresh_from_db()
    assert made.state == State.DONE
    kept = 7 if remove else 10
    assert ids(store) == {"new", *(str(number) for number in range(kept))}
    about_it = AuditEntry.objects.filter(store=store, action__contains="import").order_by("pk")
    actions = list(about_it.values_list("action", flat=True))
    assert actions == ["import.create", "import.answer", "catalog.import"]


def test_delivered_twice_it_is_done_once(store: Store) -> None:
    made = upload(store, csv_of("1,Tea,2.50"))
    import_queue(product_import=made, job=Job.IMPORT, remove_vanished=False)
    import_products(made.pk)
    import_products(made.pk)
    made.refresh_from_db()
    assert (made.state, made.n_attempts, made.n_new) == (State.DONE, 1, 1)
    assert AuditEntry.objects.filter(store=store, action="catalog.import").count() == 1


class Killed(BaseException):
    """A worker that is no more; nothing of it runs on."""


def test_an_import_whose_worker_was_killed_is_finished_by_the_next(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_running, "BLOCK", 2)
    made = upload(store, csv_of(*(f"{n},Tea {n},1" for n in range(6))))
    import_queue(product_import=made, job=Job.IMPORT, remove_vanished=False)
    stored = products_store

    def die_at_the_second(**arguments: Any) -> tuple[int, int]:
        if arguments["first"] > 2:
            raise Killed
        return stored(**arguments)

    monkeypatch.setattr(import_running, "products_store", die_at_the_second)
    with pytest.raises(Killed):
        import_take(import_id=made.pk)
    made.refresh_from_db()
    assert (made.state, len(ids(store))) == (State.IMPORTING, 2)
    monkeypatch.setattr(import_running, "products_store", stored)
    assert imports_due(now=timezone.now()) == []
    assert imports_due(now=timezone.now() + timedelta(minutes=3)) == [made.pk]
    import_take(import_id=made.pk)
    made.refresh_from_db()
    assert (made.state, made.n_attempts, len(ids(store))) == (State.DONE, 2, 6)
    assert (made.n_new, made.n_unchanged) == (4, 2)
    assert re.fullmatch(
        "The process at it was killed at “Storing.*”, and it was begun again. What had been stored by"
        " then counts as unchanged.",
        made.message,
    )


def test_an_import_that_kills_its_worker_every_time_is_given_up(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = upload(store, csv_of("1,Tea,1"))
    import_queue(product_import=made, job=Job.IMPORT, remove_vanished=False)

    def die(**_: Any) -> None:
        raise Killed

    monkeypatch.setattr(import_running, "rows_stage", die)
    for _ in range(import_running.MAX_ATTEMPTS):
        with pytest.raises(Killed):
            import_take(import_id=made.pk)
    import_take(import_id=made.pk)
    made.refresh_from_db()
    assert made.state == State.FAILED
    assert "killed 3 times" in made.message


def test_one_import_at_a_time_of_all_stores_and_the_next_in_line_follows(
    store: Store, other_store: Store, elsewhere: psycopg.Connection
) -> None:
    lines = [upload(where, csv_of("1,Tea,1")) for where in (store, other_store, store)]
    for made in lines:
        import_queue(product_import=made, job=Job.IMPORT, remove_vanished=False)
    first, second, third = (made.pk for made in lines)
    name = "hashtextextended('import', 0)"
    elsewhere.execute(f"SELECT pg_advisory_lock({name})")  # another worker is at one
    assert import_take(import_id=second) is None
    assert set(states(*lines)) == {State.QUEUED}
    elsewhere.execute(f"SELECT pg_advisory_unlock({name})")
    assert import_take(import_id=first) == second
    # Its worker was killed; whoever ends an import sees to it.
    ProductImport.objects.filter(pk=second).update(state=State.IMPORTING)
    assert import_take(import_id=third) == second
    assert import_take(import_id=second) is None
    assert set(states(*lines)) == {State.DONE}


def states(*lines: ProductImport) -> list[str]:
    return list(
        ProductImport.objects.filter(pk__in=[each.pk for each in lines]).values_list(
            "state", flat=True
        )
    )


def test_a_cancelled_import_changes_nothing(store: Store, owner: User) -> None:
    made = upload(store, csv_of("1,Tea,1"))
    import_queue(product_import=made, job=Job.IMPORT, remove_vanished=False)
    import_cancel(product_import=made, user=owner)
    import_take(import_id=made.pk)
    made.refresh_from_db()
    assert made.state == State.CANCELLED
    assert ids(store) == set()
    assert not feed_has_file(made)
    with pytest.raises(ImportMoved, match="cancelled"):
        import_start(product_import=made, user=owner)


def test_a_check_that_is_cancelled_meanwhile_stops(
    store: Store, owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = upload(store, csv_of("1,Tea,1"))
    import_queue(product_import=made, job=Job.IMPORT, remove_vanished=False)
    staged = rows_stage

    def cancel_meanwhile(**arguments: Any) -> None:
        staged(**arguments)
        import_cancel(product_import=ProductImport.objects.get(pk=made.pk), user=owner)

    monkeypatch.setattr(import_running, "rows_stage", cancel_meanwhile)
    import_take(import_id=made.pk)
    made.refresh_from_db()
    assert made.state == State.CANCELLED
    assert ids(store) == set()


def test_a_file_that_breaks_in_the_middle_leaves_the_catalog_as_it_was(store: Store) -> None:
    made = upload(store, google_feed(5_000))
    feed_path(made).write_bytes(google_feed(5_000)[:-2_000])
    run(made)
    assert made.state == State.FAILED
    assert "isn't valid XML" in made.message
    assert made.message.endswith("The catalog is as it was.")
    assert ids(store) == set()


def test_a_table_that_lost_a_column_is_refused(store: Store) -> None:
    make_product(store, "1", title="Tea", price_minor=100)
    made = upload(store, csv_of("1,Tea,1"))
    feed_path(made).write_bytes(csv_of("1,Tea", header="id,title"))
    run(made)
    assert made.state == State.FAILED
    assert "no column “price”" in made.message
    assert Product.objects.get(store=store).price_minor == 100


def test_a_feed_without_a_single_product_changes_nothing(store: Store) -> None:
    make_product(store, "1")
    made = run(upload(store, csv_of("1,,1", "2,,1")), remove_vanished=True)
    assert made.state == State.FAILED
    assert "None of the 2 rows" in made.message
    assert ids(store) == {"1"}


def test_a_thousand_problems_are_kept_and_the_others_counted(store: Store) -> None:
    made = run(upload(store, csv_of("ok,Tea,1", *(f"{n},,1" for n in range(1_500)))))
    assert (made.n_errors, made.problems.count(), made.n_new) == (1_500, 1_000, 1)


def test_a_packed_file_is_imported(store: Store) -> None:
    made = run(upload(store, gzip.compress(google_feed(10)), name="C:\\feeds\\feed.xml.gz"))
    assert (made.name, made.n_new) == ("feed.xml.gz", 10)


def test_what_is_no_feed_or_too_large_leaves_no_trace(store: Store, settings: Any) -> None:
    settings.IMPORT_MAX_BYTES = 1_000
    for data in (b"%PDF-1.7", b"x" * 1_001, gzip.compress(b"\0" * 20_000_000)):
        with pytest.raises(FeedRefused):
            upload(store, data)
    assert not ProductImport.objects.exists()
    assert [path for path in Path(settings.IMPORT_DIR).rglob("*") if path.is_file()] == []


def test_files_are_for_ourselves_only(store: Store) -> None:
    path = feed_path(upload(store, csv_of("1,Tea,1"), name="../../../etc/passwd"))
    assert path.parent.parent == Path(settings.IMPORT_DIR)
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0


# ---------------------------------------------------------------------------------- schedule


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What the address answers: the first entry."""
    answers = [csv_of("1,Tea,1")]
    monkeypatch.setattr(import_running, "feed_fetch", lambda url: iter(answers[:1]))
    return answers


def scheduled(store: Store, owner: User) -> ProductFeed:
    made = import_from_address(store=store, user=owner, url="https://shop.example/f.csv")
    import_take(import_id=made.pk)
    made.refresh_from_db()
    assert (made.state, made.format) == (State.DRAFT, "csv")
    run(made)
    return feed_create(store=store, user=owner, product_import=made, name="Main", every="day")


def test_a_feed_is_read_when_its_time_has_come(
    store: Store, owner: User, fetched: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = scheduled(store, owner)
    assert feed.next_at is not None
    assert imports_due(now=feed.next_at - timedelta(seconds=1)) == []
    fetched[0] = csv_of("1,Tea,1", "2,Mug,3")
    due_at = feed.next_at
    ProductFeed.objects.update(next_at=timezone.now() - timedelta(minutes=1))
    sent: list[int] = []
    monkeypatch.setattr(Celery, "send_task", lambda app, name, args: sent.extend(args))
    start_imports()
    (import_id,) = sent
    import_products(import_id)
    made = ProductImport.objects.get(pk=import_id)
    assert (made.state, made.origin, made.n_new) == (State.DONE, "schedule", 1)
    assert ids(store) == {"1", "2"}
    feed.refresh_from_db()
    assert feed.next_at is not None
    assert abs(feed.next_at - due_at) < timedelta(minutes=2)
    assert imports_due() == []


def test_a_feed_that_waits_for_an_answer_is_not_read_again(
    store: Store, owner: User, fetched: list[bytes]
) -> None:
    feed = scheduled(store, owner)
    ProductImport.objects.create(store=store, feed=feed, name="x", origin="url", state="asking")
    ProductFeed.objects.update(next_at=timezone.now() - timedelta(days=5, hours=1))
    assert imports_due() == []
    feed.refresh_from_db()
    assert feed.next_at is not None
    assert timedelta(hours=22) < feed.next_at - timezone.now() < timedelta(hours=24)


def test_what_nobody_decided_about_is_given_up_after_a_week(store: Store) -> None:
    made = upload(store, csv_of("1,Tea,1"))
    imports_tidy(now=timezone.now() + timedelta(days=6))
    made.refresh_from_db()
    assert made.state == State.DRAFT
    imports_tidy(now=timezone.now() + timedelta(days=8))
    made.refresh_from_db()
    assert made.state == State.CANCELLED
    assert not feed_has_file(made)


def test_an_import_that_has_ended_is_left_alone(store: Store) -> None:
    made = run(upload(store, csv_of("1,Tea,1")))
    import_execute(import_id=made.pk)
    made.refresh_from_db()
    assert (made.state, made.n_attempts) == (State.DONE, 1)
    import_execute(import_id=10**9)
