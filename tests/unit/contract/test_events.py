"""The judge of events: every event gets exactly one verdict, and the right one."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.contract import event_names, limits
from catalog.contract.dialects import SentEvent
from catalog.contract.events import (
    ANONYMOUS,
    Batch,
    EventDraft,
    Judged,
    events_judge,
)
from catalog.contract.verdicts import CODES, Code
from catalog.models import EventType

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
NAMESPACE = UUID(int=1)
MADE_ID = UUID(int=2)
KNOWN_RECOMMENDATION = UUID(int=3)
BROWSER = Batch(
    received_at=NOW,
    sent_at=None,
    from_server=False,
    currency="USD",
    id_namespace=NAMESPACE,
    new_event_id=lambda: MADE_ID,
    recommendation_id_verify=lambda text: KNOWN_RECOMMENDATION if text == "good" else None,
)
SERVER = replace(BROWSER, from_server=True)


def judge(*events: Any, batch: Batch = BROWSER) -> Judged:
    return events_judge([json.dumps(event).encode() for event in events], batch)


def view(**members: Any) -> dict[str, Any]:
    return {"type": "view_item", "shopper_id": "s", "product_id": "p", **members}


def accepted(event: dict[str, Any], batch: Batch = BROWSER) -> EventDraft:
    judged = judge(event, batch=batch)
    assert not judged.refused, judged.refused
    assert not judged.warnings, judged.warnings
    return judged.drafts[0]


def verdict(event: Any, batch: Batch = BROWSER) -> tuple[str, str]:
    judged = judge(event, batch=batch)
    assert not judged.drafts
    (remark,) = judged.refused
    assert remark.index == 0
    assert 0 < len(remark.message) <= 300
    return remark.code, remark.field


def test_the_names_are_those_of_the_table() -> None:
    assert tuple(kind.label for kind in EventType) == event_names.EVENT_NAMES
    assert set(event_names.NAME_OF.values()) == set(event_names.EVENT_NAMES)
    assert set(CODES) == set(Code)


# ------------------------------------------------------------------------------------------ names


@pytest.mark.parametrize("name", sorted(event_names.NAME_OF))
@pytest.mark.parametrize("member", ["type", "event", "eventType", "name"])
def test_names_of_other_trackers_are_understood(name: str, member: str) -> None:
    event = {
        member: name,
        "shopper_id": "s",
        "items": [{"item_id": "p"}],
        "query": "tea",
        "rating": 4,
    }
    assert accepted(event).type == event_names.NAME_OF[name]


def test_ga4_members_are_understood() -> None:
    draft = accepted(
        {
            "name": "purchase",
            "shopper_id": 77,
            "transaction_id": 12,
            "timestamp": "2026-11-22T11:00:00Z",
            "items": [{"item_id": 5, "price": 1.5, "quantity": 2}],
        }
    )
    assert (draft.shopper_external_id, draft.order_id) == ("77", "12")
    assert draft.lines[0].product_external_id == "5"
    assert draft.occurred_at == NOW - timedelta(hours=1)


@pytest.mark.parametrize(
    ("members", "code", "field"),
    [
        ({"type": "page_view"}, Code.UNKNOWN_TYPE, "type"),
        ({"type": None}, Code.MISSING, "type"),
        ({"type": 5}, Code.WRONG_TYPE, "type"),
        ({"shopper_id": None}, Code.MISSING, "shopper_id"),
        ({"shopper_id": "  "}, Code.MISSING, "shopper_id"),
        ({"shopper_id": "x" * 5_000}, Code.TOO_LONG, "shopper_id"),
        ({"shopper_id": 10**4_000}, Code.TOO_LONG, "shopper_id"),
        ({"shopper_id": ["a"]}, Code.WRONG_TYPE, "shopper_id"),
        ({"session_id": "x" * 65}, Code.TOO_LONG, "session_id"),
        ({"event_id": "x" * 129}, Code.TOO_LONG, "event_id"),
        ({"order_id": "x" * 129}, Code.TOO_LONG, "order_id"),
        ({"product_id": "x" * 129}, Code.TOO_LONG, "product_id"),
        ({"product_id": None}, Code.MISSING, "items"),
        ({"items": []}, Code.MISSING, "items"),
        ({"items": [{}]}, Code.MISSING, "items[0].product_id"),
        ({"items": [{"product_id": "p"}] * 201}, Code.TOO_MANY, "items"),
        ({"items": [{"product_id": "p", "quantity": -1}]}, Code.OUT_OF_RANGE, "items[0].quantity"),
        ({"quantity": 0}, Code.OUT_OF_RANGE, "quantity"),
        ({"quantity": 1.5}, Code.OUT_OF_RANGE, "quantity"),
        ({"quantity": 10**3_000}, Code.OUT_OF_RANGE, "quantity"),
        ({"quantity": "2"}, Code.WRONG_TYPE, "quantity"),
        ({"price": -1}, Code.OUT_OF_RANGE, "price"),
        ({"price": "NaN"}, Code.OUT_OF_RANGE, "price"),
        ({"price": "12,50"}, Code.WRONG_TYPE, "price"),
        ({"price": 10**30}, Code.OUT_OF_RANGE, "price"),
        ({"list_price": "-3"}, Code.OUT_OF_RANGE, "list_price"),
        ({"consent": "yes"}, Code.OUT_OF_RANGE, "consent"),
        ({"type": "rate_item"}, Code.MISSING, "rating"),
        ({"type": "rate_item", "rating": 101}, Code.OUT_OF_RANGE, "rating"),
        ({"type": "search"}, Code.MISSING, "query"),
        ({"properties": {str(n): n for n in range(51)}}, Code.TOO_MANY, "properties"),
        ({"properties": [1]}, Code.WRONG_TYPE, "properties"),
        ({"properties": {"a": "x" * 33_000}}, Code.TOO_LARGE, ""),
        ({"query": "a\x00b"}, Code.NUL_CHARACTER, ""),
        ({"properties": {"\x00": 1}}, Code.NUL_CHARACTER, ""),
        ({"occurred_at": "yesterday"}, Code.UNREADABLE_TIME, "occurred_at"),
        ({"occurred_at": int(NOW.timestamp())}, Code.UNREADABLE_TIME, "occurred_at"),
        ({"occurred_at": -5}, Code.UNREADABLE_TIME, "occurred_at"),
        ({"occurred_at": 1e300}, Code.UNREADABLE_TIME, "occurred_at"),
        ({"occurred_at": True}, Code.WRONG_TYPE, "occurred_at"),
        ({"occurred_at": "0001-01-01T00:00:00+14:00"}, Code.UNREADABLE_TIME, "occurred_at"),
        ({"occurred_at": "1970-01-01T00:00:09Z"}, Code.TOO_OLD, "occurred_at"),
        ({"occurred_at": "2026-11-15T11:59:59Z"}, Code.TOO_OLD, "occurred_at"),
        ({"occurred_at": "2026-11-23T12:00:01Z"}, Code.IN_FUTURE, "occurred_at"),
    ],
)
def test_what_is_wrong_is_refused_with_code_and_field(
    members: dict[str, Any], code: Code, field: str
) -> None:
    assert verdict(view(**members)) == (code, field)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"7",
        b"null",
        b"[]",
        b'"text"',
        b'{"type": "search",}',
        b'{"price": NaN}',
        b'{"query": "\\ud800"}',
        b'{"query": "\xff"}',
        b'{"properties": ' + b"[" * 40 + b"]" * 40 + b"}",
        b'{"properties": {"a": ' + b"[" * 15_000 + b"]" * 15_000 + b"}}",
        b'{"rating": 1e999}',
        b'{"quantity": ' + b"9" * 20_000 + b"}",
    ],
)
def test_what_is_no_event_is_refused_and_its_neighbours_are_not(raw: bytes) -> None:
    good = json.dumps(view()).encode()
    judged = events_judge([good, raw, good], BROWSER)
    assert [draft.index for draft in judged.drafts] == [0, 2]
    assert [remark.index for remark in judged.refused] == [1]
    assert judged.refused[0].code in (Code.NOT_JSON, Code.WRONG_TYPE)


def test_a_backslash_before_u0000_is_text_and_no_nul() -> None:
    assert accepted(view(query="a\\u0000")).query == "a\\u0000"


def test_texts_that_only_decorate_are_cut() -> None:
    draft = accepted(view(query="q" * 500, page="p" * 500))
    assert (draft.query, draft.page) == ("q" * 300, "p" * 300)


def test_limits_themselves_are_allowed() -> None:
    draft = accepted(
        view(
            shopper_id="x" * 128,
            session_id="x" * 64,
            event_id="x" * 128,
            product_id=None,
            items=[{"product_id": "p", "quantity": limits.MAX_QUANTITY, "price": "9999999999"}]
            * 200,
            properties={str(number): number for number in range(50)},
        )
    )
    # The largest value of a line fits PostgreSQL's bigint.
    assert draft.lines[0].quantity * (draft.lines[0].price_minor or 0) < 2**63
    assert len(draft.lines) == 200


# ------------------------------------------------------------------------------------------ money


@pytest.mark.parametrize(
    ("currency", "price", "minor"),
    [
        ("USD", "12.50", 1250),
        ("USD", 12.5, 1250),
        ("USD", 0.29, 29),
        ("USD", 1.1 + 2.2, 330),
        ("USD", 7, 700),
        ("JPY", "1500", 1500),
        ("JPY", 1500, 1500),
        ("KWD", "1.234", 1234),
        ("KWD", 0.001, 1),
    ],
)
def test_prices_are_exact(currency: str, price: Any, minor: int) -> None:
    draft = accepted(view(price=price), replace(BROWSER, currency=currency))
    assert draft.lines[0].price_minor == minor


def test_prices_in_another_currency_are_left_out_with_a_warning() -> None:
    judged = judge(view(price="5.00", list_price="6.00", quantity=3, currency="GBP"))
    (line,) = judged.drafts[0].lines
    assert (line.price_minor, line.list_price_minor, line.quantity) == (None, None, 3)
    assert [(w.index, w.code) for w in judged.warnings] == [(0, Code.CURRENCY_MISMATCH)]
    assert accepted(view(price="5.00", currency="usd")).lines[0].price_minor == 500


# -------------------------------------------------------------------------------------------- ids


def test_a_uuid_is_kept_and_other_text_becomes_one_of_the_store() -> None:
    own = "0192f0c1-2b3c-7def-8abc-0123456789ab"
    at = {"occurred_at": NOW.isoformat()}
    assert accepted(view(event_id=own, **at)).event_id == UUID(own)
    assert accepted(view(event_id=own.upper(), **at)).event_id == UUID(own)
    assert accepted(view(event_id="order-1")).event_id == uuid5(NAMESPACE, "order-1")
    assert accepted(view(event_id=17)).event_id == uuid5(NAMESPACE, "17")
    assert accepted(view()).event_id == MADE_ID
    assert accepted(view(event_id="")).event_id == MADE_ID


def test_a_recommendation_id_that_is_not_ours_is_left_out_with_a_warning() -> None:
    assert accepted(view(recommendation_id="good")).recommendation_id == KNOWN_RECOMMENDATION
    judged = judge(view(), view(recommendation_id="forged"))
    assert judged.drafts[1].recommendation_id is None
    assert [(w.index, w.code) for w in judged.warnings] == [(1, Code.RECOMMENDATION_UNKNOWN)]


def test_denied_consent_leaves_no_shopper_and_no_session() -> None:
    draft = accepted(view(consent="denied", shopper_id="me", session_id="visit"))
    assert (draft.shopper_external_id, draft.session_id, draft.consent) == (ANONYMOUS, None, 0)
    assert accepted(view(consent="denied", shopper_id=None)).shopper_external_id == ANONYMOUS
    assert accepted(view(consent="granted")).consent == 1
    assert accepted(view(consent="unknown")).consent is None


# ------------------------------------------------------------------------------------------ times


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-22T10:00:00Z",
        "2026-11-22T10:00:00",
        "2026-11-22T12:00:00+02:00",
        1795341600000,
        1795341600000.0,
    ],
)
def test_times_are_read_in_all_their_forms(text: Any) -> None:
    assert accepted(view(occurred_at=text)).occurred_at == NOW - timedelta(hours=2)


def test_an_event_without_a_time_happened_now() -> None:
    draft = accepted(view())
    assert (draft.occurred_at, draft.occurred_on) == (NOW, NOW.date())


def test_an_event_without_a_time_happened_when_its_uuid7_was_made() -> None:
    yesterday = NOW - timedelta(days=1)
    ms = int(yesterday.timestamp() * 1000)
    event_id = str(UUID(int=ms << 80 | 0x7 << 76 | 0x2 << 62 | 5))
    draft = accepted(view(event_id=event_id))
    assert (draft.occurred_at, draft.occurred_on) == (yesterday, yesterday.date())


def test_times_are_corrected_for_a_clock_that_is_ahead() -> None:
    batch = replace(BROWSER, sent_at=(NOW + timedelta(hours=3)).isoformat())
    draft = accepted(view(occurred_at=(NOW + timedelta(hours=2)).isoformat()), batch)
    assert draft.occurred_at == NOW - timedelta(hours=1)


def test_times_are_corrected_for_a_clock_that_is_behind() -> None:
    batch = replace(BROWSER, sent_at=int((NOW - timedelta(days=3)).timestamp() * 1000))
    draft = accepted(view(occurred_at=(NOW - timedelta(days=3, hours=1)).isoformat()), batch)
    assert draft.occurred_at == NOW - timedelta(hours=1)


def test_nothing_has_happened_after_it_was_received() -> None:
    assert accepted(view(occurred_at="2026-11-23T11:00:00Z")).occurred_at == NOW


def test_the_date_is_the_claimed_one_so_that_a_retry_after_midnight_meets_its_key() -> None:
    # The phone is 20 minutes ahead. Sent at 23:50 by our clock, again at 00:10.
    happened = "2026-11-23T00:05:00Z"
    first = replace(
        BROWSER,
        received_at=datetime(2026, 11, 22, 23, 50, tzinfo=UTC),
        sent_at="2026-11-23T00:10:00Z",
    )
    again = replace(
        BROWSER,
        received_at=datetime(2026, 11, 23, 0, 10, tzinfo=UTC),
        sent_at="2026-11-23T00:30:00Z",
    )
    event = view(event_id="e", occurred_at=happened)
    one, two = accepted(event, first), accepted(event, again)
    assert one.occurred_at == two.occurred_at == datetime(2026, 11, 22, 23, 45, tzinfo=UTC)
    assert one.occurred_on == two.occurred_on == date(2026, 11, 23)
    assert one.event_id == two.event_id


@pytest.mark.parametrize("sent_at", ["soon", {"a": 1}, "2020-01-01T00:00:00Z", 5, True])
def test_a_sent_at_that_is_no_clock_is_ignored_with_a_warning(sent_at: Any) -> None:
    happened = NOW - timedelta(hours=1)
    judged = judge(view(occurred_at=happened.isoformat()), batch=replace(BROWSER, sent_at=sent_at))
    assert judged.drafts[0].occurred_at == happened
    assert [w.code for w in judged.warnings] == [Code.SENT_AT_IGNORED]


def test_a_server_may_send_events_of_any_age() -> None:
    old = accepted(view(occurred_at="1999-12-31T23:00:00Z"), SERVER)
    assert old.occurred_on == date(1999, 12, 31)
    assert verdict(view(occurred_at="1969-12-31T23:59:59Z"), SERVER) == (
        Code.TOO_OLD,
        "occurred_at",
    )
    assert verdict(view(occurred_at="2026-11-23T12:00:01Z"), SERVER)[0] == Code.IN_FUTURE


def test_the_refusal_of_1970_says_that_the_clock_is_not_set() -> None:
    (remark,) = judge(view(occurred_at="1970-01-01T00:00:09Z")).refused
    assert "clock" in remark.message


def test_a_clock_two_days_ahead_loses_no_event_if_it_says_so() -> None:
    ahead = timedelta(hours=48)
    happened = (NOW + ahead - timedelta(minutes=5)).isoformat()
    assert verdict(view(occurred_at=happened)) == (Code.IN_FUTURE, "occurred_at")
    batch = replace(BROWSER, sent_at=(NOW + ahead).isoformat())
    draft = accepted(view(occurred_at=happened), batch)
    assert draft.occurred_at == NOW - timedelta(minutes=5)
    assert draft.occurred_on == date(2026, 11, 24)
    behind = replace(BROWSER, sent_at=(NOW - ahead).isoformat())
    old = (NOW - ahead - timedelta(days=6)).isoformat()
    assert accepted(view(occurred_at=old), behind).occurred_at == NOW - timedelta(days=6)


# --------------------------------------------------------------------------------------- dialects


def test_events_of_other_trackers_are_taken_as_they_are() -> None:
    segment = accepted(
        {
            "event": "Order Completed",
            "messageId": "m-1",
            "anonymousId": "a-1",
            "timestamp": "2026-11-22T11:00:00Z",
            "properties": {
                "order_id": "50314b8e",
                "currency": "USD",
                "products": [{"product_id": "507f", "price": "19.00", "quantity": 2}],
            },
        }
    )
    assert (segment.type, segment.order_id) == ("purchase", "50314b8e")
    assert segment.lines[0].product_external_id == "507f"
    assert (segment.lines[0].quantity, segment.lines[0].price_minor) == (2, 1900)
    google = accepted(
        {
            "eventType": "purchase-complete",
            "visitorId": "v-1",
            "sessionId": "s-1",
            "eventTime": "2026-11-22T11:00:00Z",
            "productDetails": [{"product": {"id": "p-9"}, "quantity": 3}],
            "purchaseTransaction": {"id": "o-7", "revenue": 30, "currencyCode": "USD"},
        }
    )
    assert (google.type, google.session_id, google.order_id) == ("purchase", "s-1", "o-7")
    assert [(line.product_external_id, line.quantity) for line in google.lines] == [("p-9", 3)]
    ga4 = accepted(
        {
            "name": "search",
            "shopper_id": "s",
            "params": {"search_term": "tea", "items": [{"item_id": "t"}]},
        }
    )
    assert (ga4.type, ga4.query) == ("search", "tea")
    assert verdict(
        {"event": "Product Viewed", "anonymousId": "a", "properties": {"product_id": ["p"]}}
    ) == (Code.WRONG_TYPE, "properties.product_id")


# ------------------------------------------------------------------------------------------- bots


@pytest.mark.parametrize(
    ("user_agent", "machine"),
    [
        ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", True),
        ("Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)", True),
        ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 HeadlessChrome/131.0.0.0", True),
        ("Mozilla/5.0 (compatible; Baiduspider/2.0)", True),
        ("Pingdom.com_bot_version_1.4", True),
        ("Mozilla/5.0 (compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)", True),
        ("facebookexternalhit/1.1", True),
        ("Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)", True),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) Safari/604.1", False),
        ("Mozilla/5.0 (Linux; Android 13; CUBOT X70) Chrome/131.0 Mobile Safari/537.36", False),
        ("Mozilla/5.0 (Windows NT 10.0) Chrome/130.0 YaBrowser/24.10 Safari/537.36", False),
        ("python-requests/2.32", False),
        ("", False),
        (None, False),
    ],
)
def test_only_machines_that_say_so_are_bots(user_agent: str | None, machine: bool) -> None:
    assert accepted(view(), replace(BROWSER, user_agent=user_agent)).is_bot is machine
    assert accepted(view(user_agent=user_agent)).is_bot is machine


def test_addresses_are_left_out_of_what_is_stored() -> None:
    draft = accepted(view(page="/?ip=203.0.113.9", properties={"ip": "2001:db8::1", "n": 1}))
    assert (draft.page, draft.properties) == ("/?ip=[address]", {"ip": "[address]", "n": 1})


# ------------------------------------------------------------------------------------------- fuzz

anything: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["NaN", "1e999999", "2026-11-22T10:00:00Z", "\x00", "9" * 400, "denied"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
MEMBERS = tuple(SentEvent.__struct_fields__)
items = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("product_id", "quantity", "price", "list_price"), anything)
)
events = (
    st.fixed_dictionaries(
        {},
        optional={
            **dict.fromkeys(MEMBERS, anything),
            "type": st.sampled_from(event_names.EVENT_NAMES) | anything,
            "items": st.lists(items) | anything,
        },
    )
    | anything
)


@given(
    st.lists(
        events.map(lambda event: json.dumps(event).encode("utf-8", "surrogatepass"))
        | st.binary(max_size=60),
        max_size=8,
    ),
    anything,
    st.booleans(),
)
def test_every_event_gets_exactly_one_verdict(
    raw_events: list[bytes], sent_at: Any, from_server: bool
) -> None:
    judged = events_judge(raw_events, replace(BROWSER, sent_at=sent_at, from_server=from_server))
    indexes = [draft.index for draft in judged.drafts] + [each.index for each in judged.refused]
    assert sorted(indexes) == list(range(len(raw_events)))
    for draft in judged.drafts:
        assert draft.lines
        assert 0 < len(draft.shopper_external_id) <= limits.ID_MAX_CHARS
        assert draft.occurred_at <= NOW
        assert all(line.quantity >= 1 for line in draft.lines)
        assert all((line.price_minor or 0) >= 0 for line in draft.lines)
    for remark in judged.refused:
        assert Code(remark.code)
        assert len(remark.message) <= 300
