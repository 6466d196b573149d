"""What members do to placements in the console: make, change, pause."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from django.db import transaction
from django.utils import timezone

from catalog.models import Store, User
from catalog.services.audit import audit_record
from recommender.models import Placement, StrategyVersion
from recommender.services.strategies import settings_touch, store_lock
from recommender.serving.request import MAX_LIMIT

EXCLUSIONS = ("in_cart", "purchased", "viewed")
MAX_POSITION = 1_000
# Addresses of the console below a store's placements.
RESERVED_SLUGS = frozenset({"new"})
_SLUG = re.compile(r"[a-z0-9][-a-z0-9_]{0,79}")
_LOCALE = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*")


class PlacementRefused(Exception):
    """A placement that can't be saved; `fields` says for each field what is wrong."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        self.fields = dict(fields)
        super().__init__("; ".join(f"{name}: {why}" for name, why in fields.items()))


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementFields:
    """Everything of a placement that members decide, except its slug and whether it is paused."""

    name: str
    title: str
    page_type: str
    n_products: int | None
    n_minimum: int | None
    below_minimum: str
    position: int | None
    strategy_version_id: int | None
    title_by_locale: Mapping[str, str] = field(default_factory=dict)
    exclude: Mapping[str, bool] | None = None


def placement_create(
    *, store: Store, slug: str, fields: PlacementFields, actor: User | None
) -> Placement:
    """A live placement. Raises PlacementRefused; then nothing is changed."""
    wrong = _faults(store, fields)
    if not _SLUG.fullmatch(slug) or slug in RESERVED_SLUGS:
        wrong["slug"] = "Small letters, digits and hyphens, such as home-for-you."
    with transaction.atomic():
        # Of two members who take the same slug at once, one is told.
        Store.objects.select_for_update().get(pk=store.pk)
        if "slug" not in wrong and Placement.objects.filter(store=store, slug=slug).exists():
            wrong["slug"] = "There is a placement of this name."
        if wrong:
            raise PlacementRefused(wrong)
        placement = Placement.objects.create(store=store, slug=slug, **_values(fields))
        audit_record(
            store=store,
            actor=actor,
            action="placement.create",
            subject=placement.name,
            subject_key=slug,
            after=_values(fields),
        )
        settings_touch(store_id=store.pk)
    return placement


def placement_edit(
    *, placement: Placement, fields: PlacementFields, actor: User | None
) -> dict[str, Any]:
    """Change a placement; returns what is different now. The same again changes nothing.

    Raises PlacementRefused; then nothing is changed.
    """
    wrong = _faults(placement.store, fields)
    if wrong:
        raise PlacementRefused(wrong)
    return _change(placement, _values(fields), actor)


def placement_point_at(
    *, placement: Placement, version: StrategyVersion, actor: User | None
) -> bool:
    """Show a strategy version from the next request on; False if the placement does already."""
    return bool(_change(placement, {"strategy_version_id": version.pk}, actor))


def _change(placement: Placement, values: Mapping[str, Any], actor: User | None) -> dict[str, Any]:
    with transaction.atomic():
        store_lock(placement.store_id)
        locked = Placement.objects.select_for_update(of=("self",)).get(pk=placement.pk)
        before = {name: getattr(locked, name) for name in values}
        changed = {name: value for name, value in values.items() if before[name] != value}
        if not changed:
            return {}
        for name, value in changed.items():
            setattr(locked, name, value)
        locked.updated_at = timezone.now()
        locked.save(update_fields=[*changed, "updated_at"])
        audit_record(
            store=placement.store,
            actor=actor,
            action="placement.edit",
            subject=locked.name,
            subject_key=locked.slug,
            before={name: before[name] for name in changed},
            after=changed,
        )
        settings_touch(store_id=placement.store_id)
    return changed


def placement_pause(*, placement: Placement, paused: bool, actor: User | None) -> bool:
    """Pause (it answers nobody) or resume; returns whether that changed anything."""
    with transaction.atomic():
        store_lock(placement.store_id)
        changed = (
            Placement.objects.filter(pk=placement.pk)
            .exclude(paused=paused)
            .update(paused=paused, updated_at=timezone.now())
        )
        if changed:
            audit_record(
                store=placement.store,
                actor=actor,
                action="placement.pause" if paused else "placement.resume",
                subject=placement.name,
                subject_key=placement.slug,
                before={"paused": not paused},
                after={"paused": paused},
            )
            settings_touch(store_id=placement.store_id)
    return bool(changed)


def _values(fields: PlacementFields) -> dict[str, Any]:
    values = asdict(fields)
    values["title_by_locale"] = dict(fields.title_by_locale)
    values["exclude"] = dict(fields.exclude) if fields.exclude is not None else None
    return values


def _faults(store: Store, fields: PlacementFields) -> dict[str, str]:
    wrong: dict[str, str] = {}
    if not 1 <= len(fields.name) <= 120:
        wrong["name"] = "A name of up to 120 letters, for members."
    if len(fields.title) > 160:
        wrong["title"] = "A title of up to 160 letters."
    if fields.page_type not in Placement.PageType.values:
        wrong["page_type"] = "Choose a kind of page."
    if fields.below_minimum not in Placement.BelowMinimum.values:
        wrong["below_minimum"] = "Choose what happens."
    n_products, n_minimum = fields.n_products, fields.n_minimum
    if n_products is None or not 1 <= n_products <= MAX_LIMIT:
        wrong["n_products"] = f"A whole number from 1 to {MAX_LIMIT}."
    elif n_minimum is None or not 0 <= n_minimum <= n_products:
        wrong["n_minimum"] = f"A whole number from 0 to {n_products}, the number of products."
    if fields.position is None or not 0 <= fields.position <= MAX_POSITION:
        wrong["position"] = f"A whole number from 0 to {MAX_POSITION:,}."
    versions = StrategyVersion.objects.filter(store=store, pk=fields.strategy_version_id or 0)
    if not versions.exists():
        wrong["strategy"] = "Choose a strategy of this store."
    bad = [locale for locale in fields.title_by_locale if not _is_locale(locale)]
    if bad:
        wrong["title_by_locale"] = (
            f"“{bad[0]}” is not a language such as de or de-AT, or its title is missing."
        )
    elif any(not 1 <= len(title) <= 160 for title in fields.title_by_locale.values()):
        wrong["title_by_locale"] = "Each language needs a title of up to 160 letters."
    if fields.exclude is not None and not set(fields.exclude) <= set(EXCLUSIONS):
        wrong["exclude"] = f"Only {', '.join(EXCLUSIONS)} can be left out."
    return wrong


def _is_locale(text: str) -> bool:
    return len(text) <= 16 and _LOCALE.fullmatch(text) is not None
