"""Writing down who changed what."""

from __future__ import annotations

from typing import Any

from catalog.models import AuditEntry, Store, User


def audit_record(
    *,
    store: Store,
    actor: User | None,
    action: str,
    subject: str,
    subject_key: str = "",
    before: Any = None,
    after: Any = None,
) -> AuditEntry:
    """Add an entry; call it in the transaction of the change, so that neither is there alone.

    `action` is a noun and a verb: "placement.edit". `before` and `after` are JSON with what changed
    and nothing secret; None where there was nothing, or nothing is left. No actor: Vitrine itself.
    """
    return AuditEntry.objects.create(
        store=store,
        actor=actor,
        actor_email=actor.email if actor is not None else "",
        action=action,
        subject=subject[:200],
        subject_key=subject_key[:128],
        before=before,
        after=after,
    )
