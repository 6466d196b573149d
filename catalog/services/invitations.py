"""Asking people in by a link, and letting them in."""

from __future__ import annotations

import secrets
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from catalog.models import Invitation, Member, Store, User
from catalog.selectors.invitations import InvitationState, invitation_state, token_digest
from catalog.services.accounts import account_create
from catalog.services.audit import audit_record

OPEN_DAYS = 7
NOTE_MAX_CHARS = 120
# 256 bits: nobody guesses one, so that looking one up needs neither limit nor salt.
TOKEN_BYTES = 32


class InvitationRefused(Exception):
    """The link lets nobody in; `state` says why."""

    def __init__(self, state: InvitationState) -> None:
        self.state = state
        super().__init__(state.value)


class AlreadyMember(Exception):
    """Who wants to come in is inside. The invitation stays as it was."""

    def __init__(self, member: Member) -> None:
        self.member = member
        super().__init__(str(member))


def invitation_create(*, store: Store, role: str, note: str, actor: User) -> tuple[Invitation, str]:
    """Make an invitation for `OPEN_DAYS` days and return it with its token, never seen again.

    Raises ValueError for a role that doesn't exist and a note that is too long.
    """
    role, note = Member.Role(role), note.strip()
    if len(note) > NOTE_MAX_CHARS:
        raise ValueError(f"A note has at most {NOTE_MAX_CHARS} letters.")
    token, now = secrets.token_urlsafe(TOKEN_BYTES), timezone.now()
    with transaction.atomic():
        invitation = Invitation.objects.create(
            store=store,
            role=role,
            note=note,
            token_digest=token_digest(token),
            created_by=actor,
            created_at=now,
            expires_at=now + timedelta(days=OPEN_DAYS),
        )
        audit_record(
            store=store,
            actor=actor,
            action="invitation.create",
            subject=_named(invitation),
            subject_key=str(invitation.pk),
            after={"role": role.value, "expires": f"{invitation.expires_at:%Y-%m-%d %H:%M} UTC"},
        )
    return invitation, token


def invitation_revoke(*, store: Store, invitation_id: int, actor: User) -> Invitation:
    """Nobody comes in by this link any more. Revoking twice keeps the first time.

    Raises Invitation.DoesNotExist for one of another store, InvitationRefused if it was used:
    then there is a member to remove.
    """
    with transaction.atomic():
        invitation = Invitation.objects.select_for_update().get(store=store, pk=invitation_id)
        if invitation.accepted_at is not None:
            raise InvitationRefused(InvitationState.USED)
        if invitation.revoked_at is None:
            invitation.revoked_at = timezone.now()
            invitation.save(update_fields=["revoked_at"])
            audit_record(
                store=store,
                actor=actor,
                action="invitation.revoke",
                subject=_named(invitation),
                subject_key=str(invitation.pk),
                before={"role": invitation.role},
            )
    return invitation


def invitation_accept(*, token: str, user: User) -> Member:
    """Make the user a member, once per link however many clicks arrive at the same time.

    Raises InvitationRefused, and AlreadyMember: then nothing changed, the role least of all.
    """
    with transaction.atomic():
        return _accept(_open(token), user)


def invitation_accept_with_account(*, token: str, email: str, name: str, password: str) -> Member:
    """Make an account and let it in, or neither. Raises InvitationRefused, AccountRefused."""
    with transaction.atomic():
        invitation = _open(token)
        return _accept(invitation, account_create(email=email, name=name, password=password))


def _open(token: str) -> Invitation:
    """The invitation, locked. Raises InvitationRefused if nobody gets in by it."""
    invitation = (
        Invitation.objects.select_for_update(of=("self",))
        .select_related("store")
        .filter(token_digest=token_digest(token))
        .first()
    )
    state = invitation_state(invitation, now=timezone.now())
    if invitation is None or state != InvitationState.OPEN:
        raise InvitationRefused(state)
    return invitation


def _accept(invitation: Invitation, user: User) -> Member:
    member, is_new = Member.objects.get_or_create(
        store=invitation.store, user=user, defaults={"role": invitation.role}
    )
    if not is_new:
        raise AlreadyMember(member)
    invitation.accepted_by, invitation.accepted_at = user, timezone.now()
    invitation.save(update_fields=["accepted_by", "accepted_at"])
    audit_record(
        store=invitation.store,
        actor=user,
        action="member.join",
        subject=user.email,
        subject_key=str(member.pk),
        after={"role": member.role, "invitation": _named(invitation)},
    )
    return member


def _named(invitation: Invitation) -> str:
    """What people call it: whom it is for, or what it makes of them."""
    return invitation.note or f"Invitation as {invitation.get_role_display().lower()}"
