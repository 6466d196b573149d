"""Recommendation ids and QA tokens can be checked and can't be made up."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.serving.signing import (
    QA_MAX_CHARS,
    qa_token,
    qa_token_read,
    recommendation_id_new,
    recommendation_id_sign,
    recommendation_id_verify,
)

SECRET = b"s" * 32


def test_a_signed_id_is_short_safe_in_a_url_and_comes_back() -> None:
    made = recommendation_id_new(1_770_000_000_000)
    text = recommendation_id_sign(SECRET, made)
    assert len(text) == 32
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    assert recommendation_id_verify(SECRET, text) == made


def test_ids_are_of_version_7_and_sort_by_time() -> None:
    early, late = recommendation_id_new(1_000), recommendation_id_new(2_000)
    assert early < late
    assert (early.version, early.variant) == (7, "specified in RFC 4122")
    assert early.int >> 80 == 1_000


def test_another_stores_secret_does_not_verify() -> None:
    text = recommendation_id_sign(SECRET, recommendation_id_new(1))
    assert recommendation_id_verify(b"t" * 32, text) is None


@given(st.integers(0, 31), st.integers(1, 255))
def test_any_changed_byte_is_noticed(place: int, change: int) -> None:
    raw = bytearray(
        base64.urlsafe_b64decode(recommendation_id_sign(SECRET, recommendation_id_new(5)))
    )
    raw[place % 24] ^= change
    forged = base64.urlsafe_b64encode(bytes(raw)).decode()
    assert recommendation_id_verify(SECRET, forged) is None


@given(st.text(max_size=64))
def test_garbage_is_no_id_and_no_error(text: str) -> None:
    assert recommendation_id_verify(SECRET, text) is None


@pytest.mark.parametrize("text", ["", "x" * 32, "é" * 32, "=" * 32, "A" * 31 + "\n"])
def test_strange_texts_are_no_ids(text: str) -> None:
    assert recommendation_id_verify(SECRET, text) is None


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1), st.binary(min_size=16, max_size=63))
def test_a_qa_token_is_short_fits_into_an_address_and_says_what_it_said(
    experiment_id: int, variant_id: int, secret: bytes
) -> None:
    token = qa_token(secret, experiment_id, variant_id)
    assert len(token) <= QA_MAX_CHARS
    assert quote(token, safe="") == token
    assert qa_token_read(secret, token) == (experiment_id, variant_id)
    assert qa_token_read(secret + b"x", token) is None


def test_no_changed_qa_token_is_recognised() -> None:
    token = qa_token(SECRET, 12, 34)
    raw = base64.urlsafe_b64decode(token + "=")
    for place in range(len(raw)):
        for change in (1, 128, 255):
            changed = bytearray(raw)
            changed[place] ^= change
            text = base64.urlsafe_b64encode(changed).decode().rstrip("=")
            assert qa_token_read(SECRET, text) is None
    for text in ("", "A", token[:-1], f"{token}A", f"{token}==", "é" * 15, token[-8:]):
        assert qa_token_read(SECRET, text) is None


def test_what_is_signed_for_one_purpose_is_worth_nothing_for_the_other() -> None:
    token = recommendation_id_sign(SECRET, recommendation_id_new(1))
    assert qa_token_read(SECRET, token) is None
