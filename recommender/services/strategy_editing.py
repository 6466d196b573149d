"""What members do to strategies in the console: make, change, go back."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from django.db import transaction
from django.utils import timezone
from django.utils.text import slugify

from catalog.models import Store, User
from catalog.services.audit import audit_record
from recommender.models import Placement, Strategy, StrategyVersion
from recommender.services.strategies import settings_touch, store_lock, strategy_version_create
from recommender.serving.strategy import InvalidStrategyError, strategy_parse
from recommender.serving.strategy_changes import strategy_changes

# Addresses of the console below a store's strategies.
RESERVED_KEYS = frozenset({"new"})


class StrategyRefused(Exception):
    """A strategy that can't be saved; `fields` says for each field what is wrong."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        self.fields = dict(fields)
        super().__init__("; ".join(fields.values()))


class StaleStrategy(Exception):
    """Somebody saved another version since the editor was opened."""

    def __init__(self, latest: StrategyVersion) -> None:
        self.latest = latest
        super().__init__(f"version {latest.number}")


@dataclass(frozen=True, slots=True)
class Saved:
    """A version, whether it is new, what is different from the one before, and what shows it now."""

    version: StrategyVersion
    is_new: bool
    changes: list[str]
    placements: list[Placement]


def strategy_create(
    *,
    store: Store,
    name: str,
    description: str,
    document: Mapping[str, Any],
    note: str,
    actor: User | None,
) -> Strategy:
    """A strategy with its first version. Its key follows from its name.

    Raises StrategyRefused for a name that is missing or taken, InvalidStrategyError for the document.
    """
    name = name.strip()
    if not 1 <= len(name) <= 120:
        raise StrategyRefused({"name": "A name of up to 120 letters, so that you find it again."})
    with transaction.atomic():
        # Two members who make one at once get two keys.
        Store.objects.select_for_update().get(pk=store.pk)
        if Strategy.objects.filter(store=store, name__iexact=name).exists():
            raise StrategyRefused({"name": "There is a strategy of this name."})
        strategy = Strategy.objects.create(
            store=store, key=_free_key(store, name), name=name, description=description[:300]
        )
        version = strategy_version_create(
            strategy=strategy, document=dict(document), note=note[:300], author=actor
        )
        audit_record(
            store=store,
            actor=actor,
            action="strategy.create",
            subject=name,
            subject_key=strategy.key,
            after={"version": version.number, "note": version.note, "document": version.document},
        )
    return strategy


def strategy_edit(
    *,
    strategy: Strategy,
    document: Mapping[str, Any],
    base_number: int,
    note: str,
    placements: Collection[str],
    actor: User | None,
) -> Saved:
    """Save a new version, and point those of the strategy's placements at it that are named by slug.

    A document that says the same as the latest version makes no new one. Locks the strategy, so of
    two editors at once the second is refused. Raises StaleStrategy if `base_number` isn't the latest
    any more, InvalidStrategyError for the document; then nothing is changed.
    """
    parsed = strategy_parse(document)
    with transaction.atomic():
        store_lock(strategy.store_id)
        Strategy.objects.select_for_update().get(pk=strategy.pk)
        latest = strategy.versions.order_by("-number").select_related("author").first()
        if latest is not None and latest.number != base_number:
            raise StaleStrategy(latest)
        changes = _changes(latest, parsed_document=msgspec.to_builtins(parsed))
        if latest is not None and changes == []:
            version, is_new = latest, False
        else:
            version = strategy_version_create(
                strategy=strategy,
                document=msgspec.to_builtins(parsed),
                note=note.strip()[:300],
                author=actor,
            )
            is_new = latest is None or version.pk != latest.pk
        moved = _point_at(strategy, version, placements)
        if is_new or moved:
            _record(strategy, latest, version, changes or [], moved, actor, "strategy.edit")
    return Saved(version, is_new, changes or [], moved)


def strategy_restore(
    *, strategy: Strategy, number: int, placements: Collection[str], actor: User | None
) -> Saved:
    """Go back: a new version with the document of an old one. Raises StrategyVersion.DoesNotExist.

    The old version stays what it was, and the way back from here is the same.
    """
    with transaction.atomic():
        store_lock(strategy.store_id)
        Strategy.objects.select_for_update().get(pk=strategy.pk)
        old = strategy.versions.get(number=number)
        latest = strategy.versions.order_by("-number").first()
        changes = _changes(latest, parsed_document=old.document)
        version = strategy_version_create(
            strategy=strategy,
            document=old.document,
            note=f"Back to version {old.number}",
            author=actor,
        )
        is_new = latest is None or version.pk != latest.pk
        moved = _point_at(strategy, version, placements)
        if is_new or moved:
            _record(strategy, latest, version, changes or [], moved, actor, "strategy.restore")
    return Saved(version, is_new, changes or [], moved)


def strategy_rename(
    *, strategy: Strategy, name: str, description: str, actor: User | None
) -> Strategy:
    """Another name or description; the key stays, placements and history with it."""
    name = name.strip()
    if not 1 <= len(name) <= 120:
        raise StrategyRefused({"name": "A name of up to 120 letters."})
    with transaction.atomic():
        store_lock(strategy.store_id)
        others = Strategy.objects.filter(store_id=strategy.store_id).exclude(pk=strategy.pk)
        if others.filter(name__iexact=name).exists():
            raise StrategyRefused({"name": "There is another strategy of this name."})
        before = {"name": strategy.name, "description": strategy.description}
        strategy.name, strategy.description = name, description.strip()[:300]
        after = {"name": strategy.name, "description": strategy.description}
        if before == after:
            return strategy
        strategy.save(update_fields=["name", "description"])
        audit_record(
            store=strategy.store,
            actor=actor,
            action="strategy.rename",
            subject=name,
            subject_key=strategy.key,
            before=before,
            after=after,
        )
        settings_touch(store_id=strategy.store_id)
    return strategy


def _free_key(store: Store, name: str) -> str:
    base = slugify(name)[:50].strip("-") or "strategy"
    taken = RESERVED_KEYS | set(
        Strategy.objects.filter(store=store, key__startswith=base).values_list("key", flat=True)
    )
    if base not in taken:
        return base
    return next(key for n in range(2, len(taken) + 3) if (key := f"{base}-{n}") not in taken)


def _changes(
    latest: StrategyVersion | None, *, parsed_document: dict[str, Any]
) -> list[str] | None:
    """In words; None if there was nothing before, or nothing that can be read any more."""
    if latest is None:
        return None
    try:
        return strategy_changes(strategy_parse(latest.document), strategy_parse(parsed_document))
    except InvalidStrategyError:
        return None


def _point_at(
    strategy: Strategy, version: StrategyVersion, slugs: Collection[str]
) -> list[Placement]:
    """Only placements that use the strategy already; returns those that changed."""
    moved = list(
        Placement.objects.select_for_update(of=("self",))
        .filter(
            store_id=strategy.store_id, slug__in=slugs, strategy_version__strategy_id=strategy.pk
        )
        .exclude(strategy_version=version)
        .order_by("slug")
    )
    if moved:
        Placement.objects.filter(pk__in=[each.pk for each in moved]).update(
            strategy_version=version, updated_at=timezone.now()
        )
        settings_touch(store_id=strategy.store_id)
    return moved


def _record(
    strategy: Strategy,
    before: StrategyVersion | None,
    after: StrategyVersion,
    changes: list[str],
    moved: list[Placement],
    actor: User | None,
    action: str,
) -> None:
    audit_record(
        store=strategy.store,
        actor=actor,
        action=action,
        subject=strategy.name,
        subject_key=strategy.key,
        before=None if before is None else {"version": before.number, "document": before.document},
        after={
            "version": after.number,
            "note": after.note,
            "document": after.document,
            "changes": changes,
            "placements": [each.slug for each in moved],
        },
    )
