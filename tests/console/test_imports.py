"""The pages of the import wizard, of feeds, and of changes to many products."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from catalog.models import (
    AuditEntry,
    ImportProblem,
    Member,
    Product,
    ProductFeed,
    ProductImport,
    Store,
    User,
)
from catalog.services import import_running
from catalog.services.feed_imports import import_from_address, import_from_upload
from catalog.services.import_running import import_take
from tests.conftest import MemberClient
from tests.factories import make_product
from tests.feeds import google_feed

State = ProductImport.State
BASE = "/console/corner/catalog"
MAX_QUERIES = 22


@pytest.fixture(autouse=True)
def import_folder() -> Iterator[None]:
    yield
    shutil.rmtree(Path(settings.IMPORT_DIR), ignore_errors=True)


@pytest.fixture(autouse=True)
def address_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every address answers with the same ten products."""
    monkeypatch.setattr(import_running, "feed_fetch", lambda url: iter([google_feed(10)]))


@pytest.fixture
def client(store: Store, member_client: MemberClient) -> Client:
    return member_client(store, Member.Role.MERCHANT)


def draft(store: Store, data: bytes = b"id,title,price\n1,Tea,1\n2,,1\n3,Mug,x\n") -> ProductImport:
    return import_from_upload(store=store, user=None, name="feed.csv", chunks=[data])


def imported(store: Store) -> ProductImport:
    made = import_from_address(
        store=store, user=None, url="https://shop.example/f.xml", job=ProductImport.Job.IMPORT
    )
    import_take(import_id=made.pk)
    made.refresh_from_db()
    assert made.state == State.DONE
    return made


def make_feed(store: Store) -> ProductFeed:
    return ProductFeed.objects.create(
        store=store, name="Main", url="https://shop.example/f.xml", format="google_xml",
        mapping={"id": "id", "title": "title"}, every="day", next_at=timezone.now(),
    )  # fmt: skip


def upload(client: Client, data: bytes, name: str = "feed.csv") -> Any:
    return client.post(f"{BASE}/imports/upload/", {"file": SimpleUploadedFile(name, data)})


# ------------------------------------------------------------------------------------ the wizard


def test_a_file_goes_through_columns_and_check_into_the_catalog(
    store: Store, client: Client
) -> None:
    answer = upload(client, b"sku,name,cost,shelf\n1,Tea,1,A\n2,,1,B\n")
    made = ProductImport.objects.get()
    assert answer.headers["Location"] == f"{BASE}/imports/{made.pk}/columns/"
    page = client.get(answer.headers["Location"]).content.decode()
    assert '<option value="sku" selected>' in page
    assert "Title: is missing." in page
    columns = {
        "field-id": "sku",
        "field-title": "name",
        "field-price": "cost",
        "attribute": "shelf",
    }
    preview = client.post(f"{BASE}/imports/{made.pk}/preview/", columns).content.decode()
    assert "<html" not in preview
    assert "$1.00" in preview
    answer = client.post(f"{BASE}/imports/{made.pk}/columns/", columns)
    assert answer.headers["Location"] == f"{BASE}/imports/{made.pk}/"
    made.refresh_from_db()
    assert (made.state, made.job) == (State.QUEUED, "check")
    assert made.mapping == {
        "id": "sku",
        "title": "name",
        "price": "cost",
        "attributes.shelf": "shelf",
    }
    page = client.get(f"{BASE}/imports/{made.pk}/").content.decode()
    assert 'hx-trigger="every 1s"' in page
    import_take(import_id=made.pk)
    page = client.get(f"{BASE}/imports/{made.pk}/").content.decode()
    assert "every 1s" not in page
    assert "Import 1 product<" in page
    client.post(f"{BASE}/imports/{made.pk}/import/")
    import_take(import_id=made.pk)
    assert Product.objects.get(store=store).attributes == {"shelf": "A"}
    assert (
        "1 product of the file is in the catalog."
        in client.get(f"{BASE}/imports/{made.pk}/").content.decode()
    )
    entry = AuditEntry.objects.get(action="catalog.import")
    assert entry.actor_email == "merchant-corner@shop.example"


def test_an_address_is_fetched_by_a_worker_and_then_asks_for_its_columns(
    store: Store, client: Client
) -> None:
    answer = client.post(f"{BASE}/imports/address/", {"url": " https://shop.example/f.xml "})
    made = ProductImport.objects.get()
    assert (made.url, made.state, made.job) == ("https://shop.example/f.xml", State.QUEUED, "fetch")
    address = answer.headers["Location"]
    assert "Waiting for a worker" in client.get(address).content.decode()
    import_take(import_id=made.pk)
    polled = client.get(address, headers={"HX-Request": "true"})
    assert polled.headers["HX-Redirect"] == f"{BASE}/imports/{made.pk}/columns/"


@pytest.mark.parametrize("url", ["file:///etc/passwd", "http://me:secret@shop.example/", "shop"])
def test_an_address_that_cannot_be_read_is_told_beside_it(
    store: Store, client: Client, url: str
) -> None:
    page = client.post(f"{BASE}/imports/address/", {"url": url})
    assert page.status_code == 422
    assert 'id="address-error"' in page.content.decode()
    assert f'value="{url}"' in page.content.decode()
    assert not ProductImport.objects.exists()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"%PDF-1.7", "This is a PDF"),
        (b"<!DOCTYPE x [<!ENTITY a 'b'>]><rss/>", "document type"),
        (gzip.compress(b"\0" * 40_000_000), "more than 200 times"),
    ],
)
def test_a_file_that_is_no_feed_is_told_beside_it(
    store: Store, client: Client, data: bytes, reason: str
) -> None:
    page = upload(client, data)
    assert page.status_code == 422
    assert reason in page.content.decode()
    assert not ProductImport.objects.exists()


def test_a_file_that_is_too_large_is_refused_before_it_is_read(
    store: Store, client: Client, settings: Any
) -> None:
    settings.IMPORT_MAX_BYTES = 1024
    page = upload(client, b"x" * 200_000)
    assert page.status_code == 413
    assert "Pack it with gzip or zip" in page.content.decode()


def test_an_upload_needs_the_token_of_its_form(store: Store, client: Client) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = client.cookies
    assert upload(strict, b"id,title\n1,Tea\n").status_code == 403
    assert not ProductImport.objects.exists()
    page = strict.get(f"{BASE}/imports/new/").content.decode()
    token = page.partition('name="csrfmiddlewaretoken" value="')[2].partition('"')[0]
    body = {"file": SimpleUploadedFile("f.csv", b"id,title\n1,Tea\n"), "csrfmiddlewaretoken": token}
    assert strict.post(f"{BASE}/imports/upload/", body).status_code == 302


def test_columns_that_cannot_work_are_told_and_kept(store: Store, client: Client) -> None:
    made = draft(store)
    page = client.post(f"{BASE}/imports/{made.pk}/columns/", {"field-title": "price"})
    assert page.status_code == 422
    text = page.content.decode()
    assert "<strong>Product id</strong> has no column." in text
    assert '<option value="price" selected>' in text
    made.refresh_from_db()
    assert made.state == State.DRAFT


def test_the_question_is_asked_in_numbers_and_answered(store: Store, client: Client) -> None:
    for number in range(10):
        make_product(store, str(number))
    made = draft(store, b"id,title\n1,Tea\n")
    body = {"field-id": "id", "field-title": "title", "remove_vanished": "1"}
    client.post(f"{BASE}/imports/{made.pk}/columns/", body)
    import_take(import_id=made.pk)
    client.post(f"{BASE}/imports/{made.pk}/import/")
    import_take(import_id=made.pk)
    page = client.get(f"{BASE}/imports/{made.pk}/").content.decode()
    assert "9 products of the catalog aren't in this file" in page.replace("&#x27;", "'")
    assert "Take 9 products out and import" in page
    assert client.post(f"{BASE}/imports/{made.pk}/answer/", {"decision": "x"}).status_code == 404
    client.post(f"{BASE}/imports/{made.pk}/answer/", {"decision": "remove"})
    import_take(import_id=made.pk)
    assert Product.objects.filter(store=store, deleted_at=None).count() == 1


def test_columns_can_be_changed_after_the_check_and_looking_changes_nothing(
    store: Store, client: Client
) -> None:
    made = draft(store)
    client.post(f"{BASE}/imports/{made.pk}/columns/", {"field-id": "id", "field-title": "title"})
    assert client.get(f"{BASE}/imports/{made.pk}/columns/").status_code == 302
    import_take(import_id=made.pk)
    assert client.get(f"{BASE}/imports/{made.pk}/columns/").status_code == 200
    made.refresh_from_db()
    assert made.state == State.CHECKED
    client.post(f"{BASE}/imports/{made.pk}/columns/", {"field-id": "id", "field-title": "price"})
    made.refresh_from_db()
    assert (made.state, made.mapping) == (State.QUEUED, {"id": "id", "title": "price"})


def test_problems_are_downloaded_without_formulas(store: Store, client: Client) -> None:
    made = imported(store)
    ImportProblem.objects.create(
        product_import=made, line=7, column="title", value="=HYPERLINK(1)", reason="+bad"
    )
    answer = client.get(f"{BASE}/imports/{made.pk}/problems.csv")
    assert "attachment" in answer.headers["Content-Disposition"]
    text = answer.content.decode("utf-8-sig")
    assert text.splitlines() == ["line,column,value,reason", "7,title,'=HYPERLINK(1),'+bad"]


def test_what_a_feed_says_is_never_markup(store: Store, client: Client) -> None:
    made = draft(store, b"id,title,<script>x</script>\n1,<script>alert(1)</script>,<b>\n")
    page = client.get(f"{BASE}/imports/{made.pk}/columns/").content.decode()
    assert "alert(1)" in page
    assert "<script>alert(1)" not in page
    assert "<script>x" not in page


# ------------------------------------------------------------------------------------------ feeds


def test_an_imported_address_becomes_a_feed_that_is_edited_read_and_deleted(
    store: Store, client: Client
) -> None:
    made = imported(store)
    client.post(f"{BASE}/imports/{made.pk}/feed/", {"name": "Main", "every": "day"})
    feed = ProductFeed.objects.get()
    assert (feed.name, feed.url, feed.mapping) == ("Main", made.url, made.mapping)
    page = client.get(f"{BASE}/imports/").content.decode()
    assert "Every day" in page
    form = {"name": "Better", "url": "https://shop.example/g.xml", "every": "never"}
    client.post(f"{BASE}/feeds/{feed.pk}/", form)
    feed.refresh_from_db()
    assert (feed.name, feed.every, feed.next_at) == ("Better", "never", None)
    refused = client.post(f"{BASE}/feeds/{feed.pk}/", {**form, "url": "ftp://x"})
    assert refused.status_code == 422
    assert 'value="ftp://x"' in refused.content.decode()
    client.post(f"{BASE}/feeds/{feed.pk}/run/")
    run = ProductImport.objects.latest("pk")
    assert (run.feed, run.url, run.state) == (feed, "https://shop.example/g.xml", State.QUEUED)
    client.post(f"{BASE}/feeds/{feed.pk}/delete/")
    assert not ProductFeed.objects.exists()
    assert Product.objects.filter(store=store).count() == 10
    actions = AuditEntry.objects.filter(action__startswith="feed.").order_by("pk")
    assert [entry.action for entry in actions] == ["feed.create", "feed.edit", "feed.delete"]


def test_the_columns_of_a_feed_are_changed_with_its_first_rows_in_view(
    store: Store, client: Client
) -> None:
    feed = make_feed(store)
    answer = client.post(f"{BASE}/feeds/{feed.pk}/columns/")
    made = ProductImport.objects.get(feed=feed)
    assert answer.headers["Location"] == f"{BASE}/imports/{made.pk}/"
    import_take(import_id=made.pk)
    page = client.get(f"{BASE}/imports/{made.pk}/columns/").content.decode()
    assert "Save for the feed and check" in page
    assert '<option value="g:title" selected>' in page or '<option value="title" selected>' in page
    assert "The first rows as products" in page
    # Looking changes nothing, nor does a mapping that can't be.
    title = "g:title" if '"g:title"' in page else "title"
    columns = {"field-id": title.replace("title", "id")}
    assert client.post(f"{BASE}/imports/{made.pk}/columns/", columns).status_code == 422
    feed.refresh_from_db()
    assert feed.mapping == {"id": "id", "title": "title"}
    brand = title.replace("title", "brand")
    columns |= {"field-title": title, "field-brand": brand}
    client.post(f"{BASE}/imports/{made.pk}/columns/", columns)
    feed.refresh_from_db()
    assert feed.mapping == {"id": columns["field-id"], "title": title, "brand": brand}
    import_take(import_id=made.pk)
    made.refresh_from_db()
    assert made.state == State.CHECKED
    assert not Product.objects.filter(store=store).exists()
    entry = AuditEntry.objects.get(action="feed.columns")
    assert entry.before is not None
    assert entry.before["columns"] == {"id": "id", "title": "title"}
    # What is read next is read with them.
    client.post(f"{BASE}/feeds/{feed.pk}/run/")
    assert ProductImport.objects.latest("pk").mapping == feed.mapping


def test_the_list_says_what_to_do_next(store: Store, member_client: MemberClient) -> None:
    page = member_client(store).get(f"{BASE}/imports/").content.decode()
    assert "Nothing was imported yet" in page
    assert f"{BASE}/imports/new/" in page
    viewer = member_client(store, Member.Role.VIEWER)
    assert f"{BASE}/imports/new/" not in viewer.get(f"{BASE}/imports/").content.decode()


# -------------------------------------------------------------------------------- who may do what


def addresses(found: ProductImport, waiting: ProductImport, feed: ProductFeed) -> dict[str, bool]:
    """Every page, and whether only editors may open it."""
    base = f"/console/{found.store.slug}/catalog"
    return {
        f"{base}/imports/": False,
        f"{base}/imports/new/": True,
        f"{base}/imports/{found.pk}/": False,
        f"{base}/imports/{found.pk}/problems.csv": False,
        f"{base}/imports/{waiting.pk}/columns/": True,
        f"{base}/feeds/{feed.pk}/": True,
    }


def posts(found: ProductImport, waiting: ProductImport, feed: ProductFeed) -> dict[str, Any]:
    base = f"/console/{found.store.slug}/catalog"
    one = f"{base}/imports/{waiting.pk}"
    product = Product.objects.filter(store=found.store)[0]
    return {
        f"{base}/imports/upload/": {"file": SimpleUploadedFile("f.csv", b"id,title\n1,x")},
        f"{base}/imports/address/": {"url": "https://shop.example/"},
        f"{one}/columns/": {"field-id": "id", "field-title": "title"},
        f"{one}/preview/": {"field-id": "id", "field-title": "title"},
        f"{one}/import/": {},
        f"{one}/answer/": {"decision": "remove"},
        f"{one}/cancel/": {},
        f"{base}/imports/{found.pk}/feed/": {"every": "day"},
        f"{base}/feeds/{feed.pk}/": {"name": "x", "url": "https://x.example/", "every": "never"},
        f"{base}/feeds/{feed.pk}/run/": {},
        f"{base}/feeds/{feed.pk}/columns/": {},
        f"{base}/feeds/{feed.pk}/delete/": {},
        f"{base}/bulk/": {"action": "hide", "product": product.pk, "confirmed": "1"},
    }


def everything() -> list[Any]:
    return [
        list(ProductImport.objects.order_by("pk").values("pk", "state", "mapping", "job")),
        list(ProductFeed.objects.order_by("pk").values()),
        list(Product.objects.order_by("pk").values("pk", "hidden", "tags", "member_tags")),
    ]


def test_a_stranger_finds_nothing_and_a_viewer_changes_nothing(
    store: Store, other_store: Store, member_client: MemberClient
) -> None:
    theirs = imported(other_store), draft(other_store), make_feed(other_store)
    before = everything()
    member = member_client(store)
    for address in addresses(*theirs):
        assert member.get(address).status_code == 404, address
        # Their numbers under our own store, too.
        ours = address.replace("/other/", "/corner/")
        if any(letter.isdigit() for letter in ours):
            assert member.get(ours).status_code == 404, ours
    for address, body in posts(*theirs).items():
        assert member.post(address, body).status_code == 404, address
        ours = address.replace("/other/", "/corner/")
        if any(letter.isdigit() for letter in ours):
            assert member.post(ours, body).status_code == 404, ours
    stolen = {"action": "hide", "product": Product.objects.filter(store=other_store)[0].pk}
    member.post(f"{BASE}/bulk/", {**stolen, "confirmed": "1"})
    for role in (Member.Role.VIEWER, Member.Role.MARKETER):
        reader = member_client(other_store, role)
        for address, for_editors in addresses(*theirs).items():
            assert reader.get(address).status_code == (403 if for_editors else 200), address
        for address, body in posts(*theirs).items():
            only_asks = address.endswith("/preview/")
            expected = 200 if only_asks else 403
            assert reader.post(address, body).status_code == expected, address
    assert everything() == before


def test_pages_need_a_bounded_number_of_queries(
    store: Store, client: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    found = imported(store)
    for _ in range(3):
        make_feed(store)
        draft(store)
    for address in addresses(found, draft(store), make_feed(store)):
        with django_assert_max_num_queries(MAX_QUERIES):
            assert client.get(address).status_code == 200, address


# ------------------------------------------------------------------------ many products at once


def hidden(store: Store) -> set[str]:
    return set(
        Product.objects.filter(store=store, hidden=True).values_list("external_id", flat=True)
    )


def test_what_would_change_is_said_before_it_does(store: Store, client: Client) -> None:
    products = [make_product(store, str(n)) for n in range(3)]
    body = {"action": "hide", "product": [products[0].pk, products[1].pk]}
    page = client.post(f"{BASE}/bulk/", body).content.decode()
    assert "Hide 2 products?" in page
    assert hidden(store) == set()
    client.post(f"{BASE}/bulk/", {**body, "confirmed": "1"})
    assert hidden(store) == {"0", "1"}
    store.refresh_from_db()
    assert store.catalog_version == 1
    entry = AuditEntry.objects.get(action="product.hide")
    assert entry.after == {"n": 2, "tag": None, "ids": ["0", "1"]}
    client.post(f"{BASE}/bulk/", {**body, "action": "show", "confirmed": "1"})
    assert hidden(store) == set()


def test_all_that_fit_the_filter_are_more_than_a_page(
    store: Store, other_store: Store, client: Client
) -> None:
    for number in range(60):
        make_product(store, f"mug-{number}", title=f"Mug {number}", category_path="Kitchen")
    make_product(store, "tea", title="Tea", category_path="Kitchen")
    make_product(other_store, "mug", title="Mug", category_path="Kitchen")
    body = {"action": "tag", "everything": "1", "q": "mug", "category": "Kitchen"}
    page = client.post(f"{BASE}/bulk/", body).content.decode()
    assert "60 products" in page
    answer = client.post(f"{BASE}/bulk/", {**body, "tag": "winter  sale", "confirmed": "1"})
    assert (
        answer.headers["Location"] == f"{BASE}/?q=mug&category=Kitchen&state=available&sort=updated"
    )
    tagged = Product.objects.filter(member_tags=["winter sale"])
    assert (tagged.count(), set(tagged.values_list("store", flat=True))) == (60, {store.pk})
    client.post(f"{BASE}/bulk/", {**body, "tag": "winter sale", "confirmed": "1"})
    assert AuditEntry.objects.filter(action="product.tag").count() == 1
    body |= {"action": "untag", "tag": "winter sale", "confirmed": "1"}
    client.post(f"{BASE}/bulk/", body)
    assert not Product.objects.exclude(member_tags=[]).exists()


@pytest.mark.parametrize("tag", ["", "a,b", "x" * 61])
def test_a_tag_that_cannot_be_is_refused(store: Store, client: Client, tag: str) -> None:
    product = make_product(store, "1")
    body = {"action": "tag", "product": product.pk, "tag": tag, "confirmed": "1"}
    page = client.post(f"{BASE}/bulk/", body, follow=True).content.decode()
    assert "A tag has 1 to 60 characters" in page
    product.refresh_from_db()
    assert (product.tags, product.member_tags) == ([], [])


def test_a_tag_given_here_outlives_the_feed_and_a_tag_of_the_feed_comes_back(
    store: Store, client: Client
) -> None:
    def read_feed() -> Product:
        made = draft(store, b'id,title,price,tags\n1,Tea,1,"new,organic"\n')
        ProductImport.objects.filter(pk=made.pk).update(state=State.QUEUED)
        import_take(import_id=made.pk)
        return Product.objects.get(store=store, external_id="1")

    product = read_feed()
    body = {"product": product.pk, "confirmed": "1"}
    for tag in ("gift", "new"):
        client.post(f"{BASE}/bulk/", {**body, "action": "tag", "tag": tag})
    product = read_feed()
    assert (product.tags, product.member_tags) == (["new", "organic"], ["gift", "new"])
    assert product.all_tags == ["new", "organic", "gift"]
    page = client.get(f"{BASE}/{product.pk}/").content.decode()
    assert "new, organic, gift" in page
    for tag in ("gift", "new"):
        client.post(f"{BASE}/bulk/", {**body, "action": "untag", "tag": tag})
    product.refresh_from_db()
    assert product.all_tags == ["organic"]
    assert read_feed().all_tags == ["new", "organic"]


def test_no_choice_is_said(store: Store, client: Client) -> None:
    page = client.post(f"{BASE}/bulk/", {"action": "hide"}, follow=True).content.decode()
    assert "No product is chosen" in page
    assert client.post(f"{BASE}/bulk/", {"action": "eat"}).status_code == 404


def test_an_import_leaves_what_a_member_has_hidden(store: Store, client: Client) -> None:
    made = imported(store)
    product = Product.objects.filter(store=store)[0]
    client.post(f"{BASE}/bulk/", {"action": "hide", "product": product.pk, "confirmed": "1"})
    again = imported(store)
    assert again.pk != made.pk
    assert hidden(store) == {product.external_id}


def test_an_open_import_is_found_again_from_the_list(store: Store, client: Client) -> None:
    made = draft(store)
    ProductImport.objects.update(heartbeat_at=timezone.now() - timedelta(days=1))
    assert f"{BASE}/imports/{made.pk}/" in client.get(f"{BASE}/imports/").content.decode()
    assert client.get(f"{BASE}/imports/{made.pk}/").headers["Location"].endswith("/columns/")
    assert User.objects.filter(email="merchant-corner@shop.example").exists()
