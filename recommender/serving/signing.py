"""Recommendation ids that can't be made up: a UUIDv7 and a keyed checksum of it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import uuid

MAC_BYTES = 8
ID_LENGTH = 32  # base64 of 24 bytes needs no padding


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


def _mac(secret: bytes, raw: bytes) -> bytes:
    return hashlib.blake2b(raw, key=secret, digest_size=MAC_BYTES, person=b"vitrine-rec").digest()
