"""What a store gives out and must recognise again, each with a keyed checksum.

Recommendation ids are a UUIDv7; the token of a QA link names a variant.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import uuid

MAC_BYTES = 8
ID_LENGTH = 32  # base64 of 24 bytes needs no padding
QA_MAX_CHARS = 36  # two ids of 64 bits
# What is signed for one purpose is worth nothing for another.
_RECOMMENDATION = b"vitrine-rec"
_QA = b"vitrine-qa"


def recommendation_id_new(now_ms: int) -> uuid.UUID:
    """A UUIDv7 (RFC 9562): 48 bits of Unix milliseconds, then randomness. Sorts by time."""
    random = int.from_bytes(os.urandom(10), "big")
    value = (now_ms & 0xFFFF_FFFF_FFFF) << 80 | random
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return uuid.UUID(int=value)


def recommendation_id_sign(secret: bytes, recommendation_id: uuid.UUID) -> str:
    """The id as it goes out: 32 URL-safe characters."""
    raw = recommendation_id.bytes
    return base64.urlsafe_b64encode(raw + _mac(secret, raw)).decode("ascii")


def recommendation_id_verify(secret: bytes, text: str) -> uuid.UUID | None:
    """The id behind a signed text, or None if this store didn't sign it."""
    if len(text) != ID_LENGTH:
        return None
    try:
        raw = base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError):
        return None
    if not hmac.compare_digest(raw[16:], _mac(secret, raw[:16])):
        return None
    return uuid.UUID(bytes=raw[:16])


def qa_token(secret: bytes, experiment_id: int, variant_id: int) -> str:
    """The token of a link that shows one variant to whoever opens it: 15 URL-safe characters or
    some more. It doesn't expire; its experiment does."""
    experiment, variant = _plain_bytes(experiment_id), _plain_bytes(variant_id)
    raw = bytes([len(experiment)]) + experiment + variant
    signed = raw + _mac(secret, raw, _QA)
    return base64.urlsafe_b64encode(signed).decode("ascii").rstrip("=")


def qa_token_read(secret: bytes, text: str) -> tuple[int, int] | None:
    """The experiment and the variant that a token names, or None if this store didn't sign it."""
    if len(text) > QA_MAX_CHARS:
        return None
    padding = "=" * (-len(text) % 4)
    try:
        signed = base64.b64decode((text + padding).encode("ascii"), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError):
        return None
    raw, mac = signed[:-MAC_BYTES], signed[-MAC_BYTES:]
    if not raw or not hmac.compare_digest(mac, _mac(secret, raw, _QA)):
        return None
    ends = 1 + raw[0]
    return int.from_bytes(raw[1:ends], "big"), int.from_bytes(raw[ends:], "big")


def _plain_bytes(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _mac(secret: bytes, raw: bytes, person: bytes = _RECOMMENDATION) -> bytes:
    return hashlib.blake2b(raw, key=secret, digest_size=MAC_BYTES, person=person).digest()
