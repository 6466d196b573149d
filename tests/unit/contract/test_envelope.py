"""Cutting a batch into its entries, whatever the entries are."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.contract.envelope import EnvelopeRefused, _scan, envelope_parse, nesting_depth

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.lists(json_values, min_size=1), st.text(), st.booleans())
def test_the_scanner_cuts_where_the_decoder_cuts(values: list[Any], key: str, spaced: bool) -> None:
    body = json.dumps(
        {"key": key, "other": values, "events": values, "sent_at": 5},
        indent=2 if spaced else None,
        ensure_ascii=False,
    )
    try:
        raw = body.encode()
    except UnicodeEncodeError:  # Half a surrogate pair can't be sent as UTF-8.
        return
    scanned, decoded = _scan(raw, b"events"), envelope_parse(raw, member="events")
    assert [json.loads(entry) for entry in scanned.entries] == values
    assert [json.loads(entry) for entry in decoded.entries] == values
    assert scanned.key == decoded.key == key
    assert scanned.sent_at == decoded.sent_at == 5


@pytest.mark.parametrize(
    "bad",
    [
        b'{"price": NaN}',
        b'{"query": "\\ud800"}',
        b"[" * 50_000 + b"]" * 50_000,
        b'{"a" 1}',
        b"tru",
        b'{"a": 01}',
    ],
)
def test_one_unreadable_entry_leaves_the_others_whole(bad: bytes) -> None:
    body = b'{"key": "pk", "events": [{"type": "a"}, ' + bad + b', {"type": "b]}\\""}]}'
    envelope = envelope_parse(body, member="events")
    assert envelope.entries == [b'{"type": "a"}', bad, b'{"type": "b]}\\""}']
    assert envelope.key == "pk"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", ""),
        (b"hello", ""),
        (b"[]", ""),
        (b"null", ""),
        (b"{}", "events"),
        (b'{"events": null}', "events"),
        (b'{"events": {}}', "events"),
        (b'{"products": []}', "events"),
        (b'{"events": [1', ""),
        (b'{"events": [1]} x', ""),
        (b'{"key": 5, "events": []}', "key"),
        (b"\xff\xfe", ""),
        (b'"' * 3, ""),
    ],
)
def test_what_is_no_batch_is_refused_with_the_member_at_fault(body: bytes, field: str) -> None:
    with pytest.raises(EnvelopeRefused) as refusal:
        envelope_parse(body, member="events")
    assert refusal.value.field == field


@given(st.binary())
def test_no_bytes_break_the_parser(body: bytes) -> None:
    with suppress(EnvelopeRefused):
        envelope_parse(body, member="events")


@pytest.mark.parametrize("piece", [b'"', b'\\"', b'"\\', b"[", b"{", b",", b'{"events":['])
def test_a_hostile_body_is_scanned_in_a_moment(piece: bytes) -> None:
    body = b'{"events":[' + piece * (200_000 // len(piece))
    started = time.perf_counter()
    with pytest.raises(EnvelopeRefused):
        envelope_parse(body, member="events")
    # Linear: measured 0.1 s at most. A quadratic scan takes minutes.
    assert time.perf_counter() - started < 5


def test_brackets_in_strings_do_not_nest() -> None:
    assert nesting_depth(b'{"a": "[[[\\"[", "b": [1]}') == 2
