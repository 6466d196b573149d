"""Exclusion groups: experiments that never share a shopper."""

from __future__ import annotations

import secrets
from typing import Literal

from django.db import transaction

from catalog.models import Store, User
from catalog.services.audit import audit_record
from recommender.models import ExclusionGroup
from recommender.services.experiments.records import ExperimentRefused
from recommender.services.strategies import store_lock

__all__ = [
    "ExperimentRefused",
    "exclusion_group_create",
    "exclusion_group_delete",
    "exclusion_group_rename",
]

_Action = Literal["exclusion_group.create", "exclusion_group.rename", "exclusion_group.delete"]


def exclusion_group_create(*, store: Store, name: str, actor: User | None) -> ExclusionGroup:
    """An empty group. Raises ExperimentRefused for a name that is missing or taken."""
    with transaction.atomic():
        store_lock(store.pk)
        group = ExclusionGroup.objects.create(
            store=store, name=_free_name(store, name), seed=secrets.token_hex(8)
        )
        _record(group, actor, "exclusion_group.create", None, {"name": group.name})
    return group


def exclusion_group_rename(*, group: ExclusionGroup, name: str, actor: User | None) -> None:
    """Another name; nobody is divided differently."""
    with transaction.atomic():
        store_lock(group.store_id)
        current = _found(group)
        before, after = current.name, _free_name(current.store, name, but=current)
        if before == after:
            return
        current.name = after
        current.save(update_fields=["name"])
        _record(current, actor, "exclusion_group.rename", {"name": before}, {"name": current.name})
    group.refresh_from_db()


def exclusion_group_delete(*, group: ExclusionGroup, actor: User | None) -> None:
    """Delete a group that no experiment has ever been in; else ExperimentRefused names them."""
    with transaction.atomic():
        store_lock(group.store_id)
        current = _found(group)
        members = list(current.experiments.order_by("pk").values_list("name", flat=True)[:5])
        if members:
            names = ", ".join(f"“{name}”" for name in members)
            raise ExperimentRefused(
                f"{names} is part of it: who was divided by it must stay known."
            )
        _record(current, actor, "exclusion_group.delete", {"name": current.name}, None)
        current.delete()


def _found(group: ExclusionGroup) -> ExclusionGroup:
    found = (
        ExclusionGroup.objects.select_for_update(of=("self",))
        .select_related("store")
        .filter(pk=group.pk, store_id=group.store_id)
        .first()
    )
    if found is None:
        raise ExperimentRefused("Somebody has deleted this group.")
    return found


def _free_name(store: Store, name: str, but: ExclusionGroup | None = None) -> str:
    name = name.strip()
    if not 1 <= len(name) <= 80:
        raise ExperimentRefused({"name": "A name of up to 80 letters."})
    others = ExclusionGroup.objects.filter(store=store, name__iexact=name)
    if (others.exclude(pk=but.pk) if but is not None else others).exists():
        raise ExperimentRefused({"name": "There is a group of this name."})
    return name


def _record(
    group: ExclusionGroup,
    actor: User | None,
    action: _Action,
    before: dict[str, str] | None,
    after: dict[str, str] | None,
) -> None:
    audit_record(
        store=group.store,
        actor=actor,
        action=action,
        subject=group.name,
        subject_key=str(group.pk),
        before=before,
        after=after,
    )
