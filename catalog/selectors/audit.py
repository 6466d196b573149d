"""Who changed what in a store."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet, Value
from django.db.models.functions import Left, StrIndex

from catalog.models import AuditEntry, Store


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries. None: any. `actor` is an e-mail address; "" is Vitrine itself."""

    actor: str | None = None
    # What stands before the dot of an action: "placement" of "placement.edit".
    family: str | None = None
    since: datetime | None = None

    @property
    def is_narrowed(self) -> bool:
        return self.actor is not None or self.family is not None


def audit_entries(*, store: Store, wanted: AuditFilter) -> QuerySet[AuditEntry]:
    """The entries, the newest first, with whoever made them."""
    entries = AuditEntry.objects.filter(store=store).select_related("actor")
    if wanted.actor is not None:
        entries = entries.filter(actor_email=wanted.actor)
    if wanted.family is not None:
        entries = entries.filter(action__startswith=f"{wanted.family}.")
    if wanted.since is not None:
        entries = entries.filter(at__gte=wanted.since)
    return entries.order_by("-at", "-pk")


def audit_actors(*, store: Store) -> list[str]:
    """The addresses that stand in the log, "" for Vitrine itself first."""
    entries = AuditEntry.objects.filter(store=store)
    return list(entries.order_by("actor_email").values_list("actor_email", flat=True).distinct())


def audit_families(*, store: Store) -> list[str]:
    """What stands before the dot of the actions in the log."""
    dot = StrIndex("action", Value("."))
    families = AuditEntry.objects.filter(store=store).annotate(family=Left("action", dot - 1))
    return list(families.order_by("family").values_list("family", flat=True).distinct())
