"""`POST /v1/events` down to the tables: what is accepted is stored once, and nothing else is."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import DataError, OperationalError, connection, transaction
from django.test import Client, RequestFactory
from pytest_django import DjangoAssertNumQueries

from catalog.api.bodies import body_read
from catalog.api.errors import ApiError
from catalog.contract import event_names
from catalog.contract.events import ANONYMOUS
from catalog.models import Event, EventType, QuarantinedEvent, Shopper, Store
from catalog.services import event_rows
from catalog.services import events as event_services
from catalog.services import quarantine as quarantine_services
from catalog.services.quarantine import quarantine_prune
from recommender.services import ingest, replay
from recommender.services.ingest import EventsAnswer, events_ingest
from recommender.services.replay import quarantine_replay
from recommender.serving.signing import recommendation_id_new, recommendation_id_sign
from recommender.stores.session_state import session_read
from tests.factories import make_product, make_shopper

pytestmark = pytest.mark.django_db

Send = Callable[..., Any]


def event(**members: Any) -> dict[str, Any]:
    return {
        "event_id": str(uuid4()),
        "type": "view_item",
        "shopper_id": "household-1",
        "session_id": "visit-1",
        "occurred_at": datetime.now(UTC).isoformat(),
        "product_id": "tea",
        **members,
    }


@pytest.fixture
def send(client: Client, publishable_key: str) -> Send:
    """Post events with the publishable key, or another one."""

    def post(*events: Any, key: str = publishable_key, **envelope: Any) -> Any:
        return client.post(
            "/v1/events",
            {"events": list(events), **envelope},
            content_type="application/json",
            headers={"Authorization": f"Bearer {key}"},
        )

    return post


def answer_of(response: Any) -> dict[str, Any]:
    assert response.status_code == 202, response.content
    answer: dict[str, Any] = json.loads(response.content)
    return answer


def assert_nothing_stored() -> None:
    assert not Event.objects.exists()
    assert not Shopper.objects.exists()
    assert not QuarantinedEvent.objects.exists()


# ---------------------------------------------------------------------------------------- storing


def test_an_event_is_stored_with_everything_it_said(send: Send, store: Store) -> None:
    tea = make_product(store, "tea")
    recommendation_id = recommendation_id_new(1_795_000_000_000)
    sent = event(
        type="purchase",
        product_id=None,
        items=[
            {"product_id": "tea", "quantity": 2, "price": "1.99", "list_price": 2.49},
            {"product_id": "coffee", "price": 5},
        ],
        order_id="A-1",
        page="/thanks",
        recommendation_id=recommendation_id_sign(bytes(store.signing_secret), recommendation_id),
        consent="granted",
        properties={"coupon": "SPRING", "deep": {"list": [1, 2.5, None, True]}},
    )
    answer = answer_of(send(sent))
    assert answer == {"accepted": 1, "duplicate": 0, "rejected": []}
    first, second = Event.objects.order_by("line")
    assert str(first.event_id) == sent["event_id"] == str(second.event_id)
    assert first.type == EventType.PURCHASE
    assert first.store_id == store.pk
    assert first.shopper.external_id == "household-1"
    assert (first.product_id, first.unknown_product) == (tea.pk, None)
    assert (first.quantity, first.price_minor, first.list_price_minor) == (2, 199, 249)
    assert first.value_minor == 398
    assert (first.order_id, first.page, first.session_id) == ("A-1", "/thanks", "visit-1")
    assert first.recommendation_id == recommendation_id
    assert first.consent == 1
    assert first.properties == sent["properties"]
    assert abs(first.received_at - datetime.now(UTC)) < timedelta(minutes=1)
    # A product that the catalog lacks is kept by the shop's id.
    assert (second.product_id, second.unknown_product) == (None, "coffee")
    assert (second.line, second.value_minor, second.properties) == (1, 500, None)


def test_a_product_of_another_store_is_unknown(
    send: Send, store: Store, other_store: Store
) -> None:
    make_product(other_store, "tea")
    answer_of(send(event()))
    stored = Event.objects.get()
    assert (stored.store_id, stored.product_id, stored.unknown_product) == (store.pk, None, "tea")


def test_good_and_bad_events_of_a_batch_part_ways(send: Send, store: Store) -> None:
    make_product(store, "tea")
    answer = answer_of(
        send(
            event(),
            event(type="dance"),
            event(quantity=-2),
            event(shopper_id="x" * 5_000),
            event(occurred_at="1970-01-01T00:00:01Z"),
            event(query="a\x00b"),
            event(),
        )
    )
    assert (answer["accepted"], answer["duplicate"]) == (2, 0)
    assert [(each["index"], each["code"], each["field"]) for each in answer["rejected"]] == [
        (1, "unknown_type", "type"),
        (2, "out_of_range", "quantity"),
        (3, "too_long", "shopper_id"),
        (4, "too_old", "occurred_at"),
        (5, "nul_character", ""),
    ]
    assert Event.objects.count() == 2
    assert list(Shopper.objects.values_list("external_id", flat=True)) == ["household-1"]
    kept = QuarantinedEvent.objects.order_by("pk")
    assert [each.code for each in kept] == [each["code"] for each in answer["rejected"]]
    assert all(each.store_id == store.pk for each in kept)
    assert kept[0].payload["type"] == "dance"
    assert set(kept[2].payload) == {"text", "n_bytes"}
    assert len(kept[2].payload["text"]) <= 4_096


def test_hostile_events_get_a_verdict_and_no_500(
    client: Client, send: Send, publishable_key: str
) -> None:
    hostile = [
        b'{"price": NaN}',
        b'{"query": "\\ud800"}',
        b'{"type": "search", "query": "\\u0000", "shopper_id": "s"}',
        b"[" * 5_000 + b"]" * 5_000,
        b'{"quantity": ' + b"9" * 5_000 + b"}",
        b'{"rating": 1e999}',
        b"\xff",
        b'{"type": "search", "query": "x", "shopper_id": "s", "properties": {"n": '
        + b"9" * 4_000
        + b', "small": 1e-320, "e": "\\ud83d\\ude00", "k\\n": {}}}',
    ]
    body = b'{"events": [' + b",".join(hostile) + b"]}"
    answer = answer_of(
        client.post(
            "/v1/events",
            body,
            content_type="application/json",
            headers={"Authorization": f"Bearer {publishable_key}"},
        )
    )
    assert answer["accepted"] == 1
    assert [each["index"] for each in answer["rejected"]] == list(range(7))
    assert QuarantinedEvent.objects.count() == 7
    stored = Event.objects.get()
    assert stored.properties is not None
    assert stored.properties["e"] == "\U0001f600"


def test_a_forged_recommendation_id_is_dropped_with_a_warning(
    send: Send, store: Store, other_store: Store
) -> None:
    theirs = recommendation_id_sign(
        bytes(other_store.signing_secret), recommendation_id_new(1_795_000_000_000)
    )
    answer = answer_of(send(event(), event(recommendation_id=theirs)))
    assert answer["accepted"] == 2
    assert [(each["index"], each["code"]) for each in answer["warnings"]] == [
        (1, "recommendation_unknown")
    ]
    assert set(Event.objects.values_list("recommendation_id", flat=True)) == {None}


def test_denied_consent_stores_no_shopper(send: Send, store: Store) -> None:
    make_product(store, "tea")
    answer_of(send(event(consent="denied")))
    stored = Event.objects.get()
    assert (stored.shopper.external_id, stored.session_id, stored.consent) == (ANONYMOUS, None, 0)
    assert not Shopper.objects.filter(external_id="household-1").exists()


def test_shoppers_are_seen_from_their_first_to_their_last_event(
    send: Send, secret_key: str
) -> None:
    def at(hours: int) -> str:
        return (datetime.now(UTC) - timedelta(hours=hours)).isoformat()

    answer_of(send(event(occurred_at=at(5)), event(occurred_at=at(3)), key=secret_key))
    answer_of(send(event(occurred_at=at(9)), event(occurred_at=at(1)), key=secret_key))
    answer_of(send(event(occurred_at=at(4)), key=secret_key))
    shopper = Shopper.objects.get()
    now = datetime.now(UTC)
    assert abs(now - shopper.first_seen_at - timedelta(hours=9)) < timedelta(minutes=1)
    assert abs(now - shopper.last_seen_at - timedelta(hours=1)) < timedelta(minutes=1)


def test_the_number_of_queries_does_not_grow_with_the_events(
    send: Send, store: Store, secret_key: str, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    answer_of(send(event(), key=secret_key))  # The key is known from here on.
    # A shopper who was just seen, with a product that the catalog lacks: products, events.
    with django_assert_num_queries(2):
        answer_of(send(event(), key=secret_key))
    # One who wasn't is noted by the same statement.
    with django_assert_num_queries(2):
        answer_of(send(event(shopper_id="new"), key=secret_key))
    # Savepoint and release (a test runs inside a transaction), products, shoppers, and COPY, which
    # Django doesn't count.
    with django_assert_num_queries(4):
        many = [event(shopper_id=f"s{n}", product_id=f"p{n}") for n in range(200)]
        assert answer_of(send(*many, key=secret_key))["accepted"] == 200


# -------------------------------------------------------------------------------------- duplicates


def test_an_event_that_is_sent_twice_is_stored_once(send: Send, store: Store) -> None:
    once = event()
    assert answer_of(send(once, once))["duplicate"] == 1
    answer = answer_of(send(event(), once))
    assert (answer["accepted"], answer["duplicate"]) == (1, 1)
    assert Event.objects.filter(event_id=once["event_id"]).count() == 1


def test_ids_that_are_no_uuid_are_recognised_too(
    send: Send, other_store: Store, store: Store
) -> None:
    assert answer_of(send(event(event_id="order-17")))["accepted"] == 1
    assert answer_of(send(event(event_id="order-17")))["duplicate"] == 1
    from catalog.selectors.keys import publishable_key

    # The same text in another store is another event.
    assert (
        answer_of(send(event(event_id="order-17"), key=publishable_key(other_store)))["accepted"]
        == 1
    )
    assert Event.objects.values("event_id").distinct().count() == 2


def test_a_repetition_with_another_basket_adds_nothing(send: Send, store: Store) -> None:
    order = event(type="purchase", items=[{"product_id": "a"}])
    larger = {**order, "items": [{"product_id": "x"}, {"product_id": "y"}]}
    answer_of(send(order))
    assert answer_of(send(larger))["duplicate"] == 1
    assert list(Event.objects.values_list("unknown_product", flat=True)) == ["a"]


def test_a_retry_across_midnight_with_a_wrong_clock_is_a_duplicate(store: Store) -> None:
    happened = "2026-11-23T00:05:00+00:00"
    body = json.dumps(event(event_id="e", occurred_at=happened)).encode()

    def send_at(received: datetime, sent: datetime) -> EventsAnswer:
        return events_ingest(
            store_id=store.pk,
            currency="USD",
            signing_secret=bytes(store.signing_secret),
            from_server=False,
            raw_events=[body],
            sent_at=sent.isoformat(),
            received_at=received,
        )

    before = datetime(2026, 11, 22, 23, 50, tzinfo=UTC)
    skew, later = timedelta(minutes=20), timedelta(minutes=25)
    assert send_at(before, before + skew).accepted == 1
    assert send_at(before + later, before + later + skew).duplicate == 1
    stored = Event.objects.get()
    assert stored.occurred_on == date(2026, 11, 23)
    assert stored.occurred_at == datetime(2026, 11, 22, 23, 45, tzinfo=UTC)


@pytest.mark.django_db(transaction=True)
def test_the_same_events_at_the_same_time_are_stored_once(store: Store) -> None:
    """Four posts of the same events, each in another order: no deadlock, no double."""
    events = [json.dumps(event(shopper_id=f"s{number % 7}")).encode() for number in range(600)]
    # The shoppers have just been seen, so no post waits for another one's shoppers.
    for number in range(7):
        make_shopper(store, f"s{number}")
    Shopper.objects.update(last_seen_at=datetime.now(UTC) + timedelta(hours=1))
    answers: list[EventsAnswer] = []
    start = threading.Barrier(4)

    def post(turn: int) -> None:
        mixed = random.Random(turn).sample(events, len(events))
        start.wait()
        try:
            answer = events_ingest(
                store_id=store.pk,
                currency="USD",
                signing_secret=bytes(store.signing_secret),
                from_server=True,
                raw_events=mixed,
            )
            answers.append(answer)
        finally:
            connection.close()

    threads = [threading.Thread(target=post, args=(turn,)) for turn in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 4
    assert sum(answer.accepted for answer in answers) == 600
    assert sum(answer.duplicate for answer in answers) == 3 * 600
    assert Event.objects.count() == 600
    assert Shopper.objects.count() == 7


# ------------------------------------------------------------------------------ bodies and limits


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"hello", 400, "not_json"),
        (b"", 400, "not_json"),
        (b"[]", 400, "not_json"),
        (b"{}", 400, "invalid_request"),
        (b'{"events": []}', 400, "invalid_request"),
        (b'{"events": [' + b"{}," * 50 + b"{}]}", 400, "too_many_events"),
        (b'{"events": [{"properties": "' + b"x" * 66_000 + b'"}]}', 413, "body_too_large"),
    ],
)
def test_a_body_that_can_not_be_taken_is_refused_as_a_whole(
    client: Client, publishable_key: str, body: bytes, status: int, code: str
) -> None:
    response = client.post(
        "/v1/events",
        body,
        content_type="application/json",
        headers={"Authorization": f"Bearer {publishable_key}"},
    )
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    assert_nothing_stored()


def test_ten_megabytes_are_refused_before_they_are_read(store: Store) -> None:
    class Unreadable:
        def read(self, *_: object) -> bytes:
            raise AssertionError("the body was read")

    request = RequestFactory().post("/v1/events", b"", content_type="application/json")
    request.META["CONTENT_LENGTH"] = str(10 * 1024 * 1024)
    request._stream = Unreadable()  # type: ignore[assignment]
    with pytest.raises(ApiError) as refusal:
        body_read(request, limit=64 * 1024)
    assert refusal.value.status == 413


def test_a_body_in_chunks_is_read_no_further_than_the_limit() -> None:
    class Endless:
        n_read = 0

        def read(self, n_bytes: int) -> bytes:
            self.n_read += n_bytes
            return b"x" * n_bytes

    request = RequestFactory().post("/v1/events")
    request.META.pop("CONTENT_LENGTH", None)
    request.META["HTTP_TRANSFER_ENCODING"] = "chunked"
    with pytest.raises(ApiError) as refusal:
        body_read(request, limit=1_000)
    assert refusal.value.status == 411  # Django's own server can't tell where it ends.
    endless = Endless()
    request.META.update({"wsgi.input_terminated": True, "wsgi.input": endless})
    with pytest.raises(ApiError) as refusal:
        body_read(request, limit=1_000)
    assert refusal.value.status == 413
    assert endless.n_read <= 1_001


def test_a_server_may_send_a_thousand_events_and_not_one_more(send: Send, secret_key: str) -> None:
    many = [event(occurred_at="2020-02-29T10:00:00Z") for _ in range(1_000)]
    assert answer_of(send(*many, key=secret_key))["accepted"] == 1_000
    response = send(*many, event(), key=secret_key)
    assert response.status_code == 400
    assert json.loads(response.content)["error"]["code"] == "too_many_events"
    assert Event.objects.count() == 1_000


# ------------------------------------------------------------------------------------- quarantine


def test_quarantine_is_bounded_and_pruned(
    send: Send, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine_services, "QUARANTINE_PER_DAY", 3)
    answer = answer_of(send(*[event(type="dance") for _ in range(5)]))
    assert len(answer["rejected"]) == 5
    answer_of(send(event(type="dance")))
    assert QuarantinedEvent.objects.count() == 3
    oldest = QuarantinedEvent.objects.first()
    assert oldest is not None
    QuarantinedEvent.objects.filter(pk=oldest.pk).update(
        received_at=datetime.now(UTC) - timedelta(days=31)
    )
    assert quarantine_prune() == 1
    assert QuarantinedEvent.objects.count() == 2


# ----------------------------------------------------------------------------------------- outages


def test_without_postgresql_events_are_answered_503_and_can_be_sent_again(
    send: Send, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer_of(send(event(type="search", query="warm up")))
    Event.objects.all().delete()
    Shopper.objects.all().delete()
    lost = event()

    def away(**_: object) -> None:
        raise OperationalError("server closed the connection unexpectedly")

    # As in production the connection is dropped, which the test's own transaction must survive.
    monkeypatch.setattr("recommender.api.fast_lane.connection.close", lambda: None)
    with monkeypatch.context() as patch:
        patch.setattr(ingest, "events_store", away)
        response = send(lost)
    assert response.status_code == 503
    assert response["Retry-After"] == "5"
    assert json.loads(response.content)["error"]["code"] == "unavailable"
    assert_nothing_stored()
    assert answer_of(send(lost))["accepted"] == 1


def test_a_quarantine_that_can_not_be_written_takes_no_good_event_with_it(
    send: Send, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def disk_full(*_: object) -> None:
        raise OperationalError("could not extend file: No space left on device")

    monkeypatch.setattr(QuarantinedEvent.objects, "bulk_create", disk_full)
    answer = answer_of(send(event(), event(type="dance")))
    assert (answer["accepted"], len(answer["rejected"])) == (1, 1)
    assert Event.objects.count() == 1
    assert not QuarantinedEvent.objects.exists()


def test_a_failure_in_the_middle_stores_nothing(
    send: Send, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(event_rows.TYPE_NUMBERS, "search", 99_999)  # more than the column takes
    with pytest.raises(DataError), transaction.atomic():
        send(event(), event(type="search", query="tea"), event(type="dance"))
    assert_nothing_stored()
    assert not Shopper.objects.filter(store=store).exists()


# -------------------------------------------------------------------------------------- many events


def test_many_events_are_stored_as_few_are(send: Send, secret_key: str, store: Store) -> None:
    """COPY and INSERT leave the same rows."""
    make_product(store, "tea")
    hard = [
        event(query="tab\tnew\nline\r back\\slash \\N \\. \u2028 ünï \U0001f600"),
        event(properties={"a\\b": 'c\n\\"d', "n": 1.5, "z": None, "ü": [True]}),
        event(type="rate_item", rating=4.5, consent="granted"),
        event(product_id="not\tthere", shopper_id="\\N", session_id="\\."),
        event(
            type="purchase",
            product_id=None,
            order_id="A\n1",
            items=[{"product_id": f"p{n}", "price": n, "quantity": 2} for n in range(12)],
        ),
        event(type="search", query="x", product_id=None, user_agent="Googlebot/2.1"),
    ]
    columns = [
        field.attname
        for field in Event._meta.concrete_fields
        if field.attname not in ("event_id", "received_at", "shopper_id")
    ]

    def rows(events: list[dict[str, Any]]) -> list[Any]:
        ids = [each["event_id"] for each in events]
        found = Event.objects.filter(event_id__in=ids).order_by("line")
        by_id: dict[str, list[Any]] = {each: [] for each in ids}
        for row in found.values_list("event_id", "shopper__external_id", *columns):
            by_id[str(row[0])].append(row[1:])
        return list(by_id.values())

    answer_of(send(*hard, key=secret_key))
    again = [{**each, "event_id": str(uuid4())} for each in hard]
    padding = [event() for _ in range(event_services.COPY_FROM)]
    answer = answer_of(send(*padding, *again, key=secret_key))
    assert answer["accepted"] == len(padding) + len(again)
    assert rows(again) == rows(hard)
    assert all(rows(hard))


def test_many_events_with_a_repetition_among_them_are_stored_once_each(
    send: Send, secret_key: str
) -> None:
    first = [event() for _ in range(event_services.COPY_FROM)]
    assert answer_of(send(*first, key=secret_key))["accepted"] == len(first)
    more = [event() for _ in range(event_services.COPY_FROM)]
    answer = answer_of(send(*more, first[7], key=secret_key))
    assert (answer["accepted"], answer["duplicate"]) == (len(more), 1)
    assert Event.objects.count() == len(first) + len(more)


@pytest.mark.parametrize("n_events", [1, event_services.COPY_FROM])
def test_a_shopper_who_was_erased_elsewhere_gets_a_new_row(
    send: Send, secret_key: str, n_events: int
) -> None:
    answer_of(send(event(), key=secret_key))
    erased = Shopper.objects.get()
    erased.delete()
    events = [event() for _ in range(n_events)]
    assert answer_of(send(*events, key=secret_key))["accepted"] == n_events
    known = Shopper.objects.get()
    assert known.pk != erased.pk
    ids = [each["event_id"] for each in events]
    assert Event.objects.filter(event_id__in=ids, shopper=known).count() == n_events


# -------------------------------------------------------------------------------------------- bots


def test_what_a_crawler_did_is_stored_and_changes_no_session(
    client: Client, store: Store, publishable_key: str
) -> None:
    make_product(store, "tea")
    client.post(
        "/v1/events",
        {"events": [event(shopper_id="crawler"), event(type="dance")]},
        content_type="application/json",
        headers={
            "Authorization": f"Bearer {publishable_key}",
            "User-Agent": "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        },
    )
    assert Event.objects.get().is_bot
    assert not session_read(store.pk, "crawler").product_ids.size
    assert not QuarantinedEvent.objects.exists()


def test_a_server_is_no_bot_whatever_it_calls_itself_but_its_visitors_may_be(
    client: Client, secret_key: str
) -> None:
    client.post(
        "/v1/events",
        {"events": [event(), event(user_agent="AhrefsBot/7.0")]},
        content_type="application/json",
        headers={"Authorization": f"Bearer {secret_key}", "User-Agent": "shop-bot/1.0"},
    )
    assert sorted(Event.objects.values_list("is_bot", flat=True)) == [False, True]


# ---------------------------------------------------------------------------------------- addresses


def test_no_table_holds_the_address_of_who_sent_an_event(
    client: Client, publishable_key: str, store: Store
) -> None:
    address, other = "203.0.113.77", "2001:db8:77::1"
    client.post(
        "/v1/events",
        {
            "events": [
                event(
                    properties={"ip": address, "deep": [{"v6": other}]}, page=f"/?from={address}"
                ),
                event(type=address, context={"ip": address, "v6": other}),
                event(type="dance", properties={"blob": f"{address} " * 400}),
            ]
        },
        content_type="application/json",
        headers={"Authorization": f"Bearer {publishable_key}", "X-Forwarded-For": address},
        REMOTE_ADDR=address,
    )
    assert Event.objects.count() == 1
    assert QuarantinedEvent.objects.count() == 2
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name FROM information_schema.tables"
            " WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
        )
        tables = [name for (name,) in cursor.fetchall()]
        assert "catalog_quarantinedevent" in tables
        for table in tables:
            cursor.execute(
                f'SELECT count(*) FROM "{table}" AS row_of'
                " WHERE row_of::text LIKE %s OR row_of::text LIKE %s",
                [f"%{address}%", f"%{other}%"],
            )
            assert cursor.fetchone() == (0,), table


# ------------------------------------------------------------------------------------------ replay


def test_a_refused_event_is_stored_once_when_the_reason_is_gone(
    send: Send, store: Store, other_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_product(store, "tea")
    no_id = event(type="quick_view")
    del no_id["event_id"]
    answer_of(send(no_id, event(type="dance"), event(type="quick_view", event_id="fixed")))
    received_at = QuarantinedEvent.objects.order_by("pk")[0].received_at
    now = datetime.now(UTC) + timedelta(days=9)
    assert quarantine_replay(store=other_store, now=now).total == 0
    assert quarantine_replay(store=store, now=now).refused == 3
    assert set(QuarantinedEvent.objects.values_list("replay_message", flat=True)) == {
        "type 'quick_view' is not the name of an event",
        "type 'dance' is not the name of an event",
    }
    monkeypatch.setitem(event_names.NAME_OF, "quick_view", "view_item")
    result = quarantine_replay(store=store, now=now)
    assert (result.accepted, result.duplicate, result.refused) == (2, 0, 1)
    # Judged by the day it came, received by those who learn only now.
    for stored in Event.objects.all():
        assert stored.occurred_at <= received_at
        assert stored.received_at == now
    assert list(session_read(store.pk, "household-1").product_ids)
    QuarantinedEvent.objects.update(replayed_at=None)
    result = quarantine_replay(store=store, now=now)
    assert (result.accepted, result.duplicate, result.refused) == (0, 2, 1)
    assert answer_of(send(event(event_id="fixed", occurred_at=received_at.isoformat())))
    assert Event.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_two_replays_at_the_same_time_store_each_event_once(
    client: Client, publishable_key: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "ROWS_AT_A_TIME", 7)
    client.post(
        "/v1/events",
        {"events": [event(type="quick_view") for _ in range(40)]},
        content_type="application/json",
        headers={"Authorization": f"Bearer {publishable_key}"},
    )
    monkeypatch.setitem(event_names.NAME_OF, "quick_view", "view_item")
    start, results = threading.Barrier(2), []

    def run() -> None:
        start.wait()
        try:
            results.append(quarantine_replay(store=store, now=datetime.now(UTC)))
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(result.accepted for result in results) == 40
    assert sum(result.duplicate for result in results) == 0
    assert Event.objects.count() == 40
    assert not QuarantinedEvent.objects.filter(replayed_at=None).exists()


def test_the_replay_command_says_what_it_did(send: Send, store: Store) -> None:
    answer_of(send(event(type="dance")))
    out = StringIO()
    call_command("replay_quarantine", store=store.slug, stdout=out)
    assert "1 judged again: 0 stored, 0 were there already, 1 refused again." in out.getvalue()
