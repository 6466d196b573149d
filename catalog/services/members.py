"""Changing what a member may do, and taking members out of a store."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from catalog.models import Invitation, Member, Store, User
from catalog.services.audit import audit_record


class LastOwner(Exception):
    """The change would leave the store without anybody who can let people in."""

    def __init__(self, member: Member) -> None:
        super().__init__(
            f"{member.user.email} is the only owner of {member.store.name}."
            " Make somebody else an owner first."
        )


def member_role_change(*, store: Store, member_id: int, role: str, actor: User) -> Member:
    """Give a member another role, in force with their next click.

    Whoever is no owner any more loses the invitations that they made and nobody used: a link kept
    in a drawer would lead back in. Raises Member.DoesNotExist for a member of another store,
    ValueError for a role that doesn't exist, LastOwner.
    """
    role = Member.Role(role)
    with transaction.atomic():
        member = _locked(store, member_id)
        before = member.role
        if before == role:
            return member
        _keep_an_owner(store, member)
        member.role = role
        member.save(update_fields=["role"])
        n_revoked = _invitations_revoke(store, member.user)
        audit_record(
            store=store,
            actor=actor,
            action="member.role",
            subject=member.user.email,
            subject_key=str(member.pk),
            before={"role": before},
            after={"role": role.value} | ({"invitations revoked": n_revoked} if n_revoked else {}),
        )
    return member


def member_remove(*, store: Store, member_id: int, actor: User) -> Member:
    """Take a member out of the store, with the invitations that they made and nobody used.

    The account stays, and so does everything that they did. Raises Member.DoesNotExist for a member
    of another store, LastOwner.
    """
    with transaction.atomic():
        member = _locked(store, member_id)
        _keep_an_owner(store, member)
        n_revoked = _invitations_revoke(store, member.user)
        audit_record(
            store=store,
            actor=actor,
            action="member.remove",
            subject=member.user.email,
            subject_key=str(member.pk),
            before={"role": member.role, "since": f"{member.created_at:%Y-%m-%d}"},
            after={"invitations revoked": n_revoked} if n_revoked else None,
        )
        Member.objects.filter(pk=member.pk).delete()
    return member


def _locked(store: Store, member_id: int) -> Member:
    """The member, with all members of the store locked: two owners can't depose each other."""
    members = {
        member.pk: member
        for member in Member.objects.select_for_update(of=("self",))
        .select_related("store", "user")
        .filter(store=store)
        .order_by("pk")
    }
    if member_id not in members:
        raise Member.DoesNotExist
    return members[member_id]


def _keep_an_owner(store: Store, member: Member) -> None:
    """Whatever becomes of this member, somebody else must own the store."""
    owners = Member.objects.filter(store=store, role=Member.Role.OWNER)
    if member.role == Member.Role.OWNER and not owners.exclude(pk=member.pk).exists():
        raise LastOwner(member)


def _invitations_revoke(store: Store, user: User) -> int:
    now = timezone.now()
    return Invitation.objects.filter(
        store=store, created_by=user, accepted_at=None, revoked_at=None, expires_at__gt=now
    ).update(revoked_at=now)
