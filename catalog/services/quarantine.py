"""Refused events: kept for a look, and judged again when the reason is gone.

Judging needs what the recommender knows (signatures), so that the replay itself is a service of
the recommender: `recommender.services.replay`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
import structlog
from django.db import DatabaseError, InterfaceError, transaction
from django.utils import timezone

from catalog.contract.addresses import without_addresses
from catalog.contract.envelope import nesting_depth
from catalog.contract.limits import MAX_NESTING
from catalog.contract.verdicts import Remark
from catalog.models import QuarantinedEvent

# Refused events are kept for a look, not as a gift to whoever floods the API with them.
QUARANTINE_PER_DAY = 5_000
QUARANTINE_DAYS = 30
QUARANTINE_MAX_BYTES = 4_096

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RefusedEvent:
    """A refused event and its bytes."""

    remark: Remark
    raw: bytes


def quarantine_add(
    *,
    store_id: int,
    refused: Sequence[RefusedEvent],
    received_at: datetime,
    from_server: bool,
    sent_at: object,
) -> int:
    """Keep refused events, at most `QUARANTINE_PER_DAY` a day; returns how many were kept.

    A transaction of its own. If it fails (a full disk, say) that is logged and the events are gone:
    the sender has been told, and nothing may depend on them.
    """
    try:
        with transaction.atomic():
            since = received_at - timedelta(days=1)
            kept = QuarantinedEvent.objects.filter(store_id=store_id, received_at__gt=since)
            room = max(QUARANTINE_PER_DAY - kept[:QUARANTINE_PER_DAY].count(), 0)
            rows = QuarantinedEvent.objects.bulk_create(
                QuarantinedEvent(
                    store_id=store_id,
                    code=event.remark.code,
                    field=event.remark.field.replace("\x00", ""),
                    message=without_addresses(event.remark.message.replace("\x00", "")),
                    payload=_payload(event.raw),
                    received_at=received_at,
                    from_server=from_server,
                    sent_at=_clock_text(sent_at),
                )
                for event in refused[:room]
            )
            return len(rows)
    except (DatabaseError, InterfaceError) as error:
        log.error("refused events could not be kept", n_events=len(refused), error=str(error))
        return 0


def quarantine_prune() -> int:
    """Drop refused events that are older than 30 days. Returns how many."""
    horizon = timezone.now() - timedelta(days=QUARANTINE_DAYS)
    count, _ = QuarantinedEvent.objects.filter(received_at__lt=horizon).delete()
    return count


def payload_raw(payload: Any) -> bytes | None:
    """The bytes to judge again; None if only the beginning of the event was kept."""
    if isinstance(payload, dict) and payload.keys() == {"text", "n_bytes"}:
        text = str(payload["text"]).encode()
        return text if len(text) == payload["n_bytes"] else None
    return msgspec.json.encode(payload)


def _clock_text(sent_at: object) -> str | None:
    """The sender's clock as JSON, if it is short enough to be one."""
    if sent_at is None:
        return None
    text = msgspec.json.encode(sent_at).decode().replace("\\u0000", "")
    return text if len(text) <= 64 else None


def sent_at_of(text: str | None) -> object:
    """What `_clock_text` wrote down."""
    if text is None:
        return None
    with suppress(msgspec.DecodeError):
        found: object = msgspec.json.decode(text)
        return found
    return None


def _payload(raw: bytes) -> Any:
    """What was sent, as JSON if PostgreSQL can hold it, else the beginning of its text.

    Without network addresses, wherever the shop put them.
    """
    if (
        len(raw) <= QUARANTINE_MAX_BYTES
        and b"\\u0000" not in raw
        and nesting_depth(raw) <= MAX_NESTING
    ):
        with suppress(msgspec.DecodeError, UnicodeDecodeError):
            return without_addresses(msgspec.json.decode(raw))
    text = raw[:QUARANTINE_MAX_BYTES].decode("utf-8", "replace").replace("\x00", "\ufffd")
    return {"text": without_addresses(text), "n_bytes": len(raw)}
