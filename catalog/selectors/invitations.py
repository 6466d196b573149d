"""Invitations: by the token in their link, and those that a store has out."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from hashlib import sha256

from catalog.models import Invitation, Store, User


class InvitationState(StrEnum):
    """What has become of an invitation."""

    OPEN = "open"
    USED = "used"
    REVOKED = "revoked"
    EXPIRED = "expired"
    UNKNOWN = "unknown"


def token_digest(token: str) -> str:
    """What is stored of a token: 64 hexadecimal digits. Whatever came in the address has one."""
    return sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def invitation_find(*, token: str) -> Invitation | None:
    """The invitation of a link, with its store; None if there never was one."""
    return (
        Invitation.objects.select_related("store").filter(token_digest=token_digest(token)).first()
    )


def invitation_state(invitation: Invitation | None, *, now: datetime) -> InvitationState:
    if invitation is None:
        return InvitationState.UNKNOWN
    if invitation.accepted_at is not None:
        return InvitationState.USED
    if invitation.revoked_at is not None:
        return InvitationState.REVOKED
    return InvitationState.OPEN if now < invitation.expires_at else InvitationState.EXPIRED


def invitations_open(
    *, store: Store, now: datetime, made_by: User | None = None
) -> list[Invitation]:
    """Those that can still be used, the newest first, with whoever made them."""
    invitations = Invitation.objects.select_related("created_by").filter(
        store=store, accepted_at=None, revoked_at=None, expires_at__gt=now
    )
    if made_by is not None:
        invitations = invitations.filter(created_by=made_by)
    return list(invitations.order_by("-created_at", "-pk"))
