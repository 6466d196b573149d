"""Writing segments of shoppers. Serving follows within a second."""

from __future__ import annotations

from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.text import slugify

from catalog.models import Store, User
from catalog.services.audit import audit_record
from recommender.models import Experiment, Segment
from recommender.selectors.rules import segment_users
from recommender.services.strategies import settings_touch, store_lock
from recommender.serving.segments import InvalidSegmentError, segment_json, segment_parse


class SegmentRefused(ValueError):
    """A segment that can't be written, or deleted, like this; the text says why."""


def segment_create(
    *, store: Store, name: str, document: Any, member: User | None, key: str | None = None
) -> Segment:
    """Add a segment; its key is made from the name. Raises SegmentRefused."""
    name, stored = _checked(name, document)
    key = slugify(name)[:60] if key is None else key
    if not key or slugify(key) != key:
        raise SegmentRefused("Give the segment a name with a letter or digit in it.")
    try:
        with transaction.atomic():
            segment = Segment.objects.create(store=store, key=key, name=name, document=stored)
            _record(segment, member, "segment.create", before=None, after=_told(segment))
    except IntegrityError as error:
        raise SegmentRefused(f"There is a segment {key!r} already.") from error
    return segment


def segment_edit(*, segment: Segment, name: str, document: Any, member: User | None) -> Segment:
    """Replace what a segment says; its key stays, since rules name it.

    While an experiment for it goes on, nothing but its name. Raises SegmentRefused.
    """
    name, stored = _checked(name, document)
    with transaction.atomic():
        current = _locked(segment)
        before = _told(current)
        if stored != current.document:
            _refuse_change(current)
        current.name, current.document, current.updated_at = name, stored, timezone.now()
        current.save()
        _record(current, member, "segment.edit", before=before, after=_told(current))
    return current


def segment_delete(*, segment: Segment, member: User | None) -> None:
    """Delete a segment that no rule and no experiment names; else SegmentRefused says which do."""
    with transaction.atomic():
        current = _locked(segment)
        users = segment_users(store=current.store, key=current.key)
        if users:
            names = ", ".join(f"“{rule.name}”" for rule in users[:5])
            raise SegmentRefused(f"It is part of {names}: change or delete that first.")
        tests = list(current.experiments.order_by("pk").values_list("name", flat=True)[:5])
        if tests:
            names = ", ".join(f"“{name}”" for name in tests)
            raise SegmentRefused(f"{names} is for it: who took part must stay known.")
        _record(current, member, "segment.delete", before=_told(current), after=None)
        current.delete()


def _refuse_change(segment: Segment) -> None:
    """Who could take part must stay the same as long as an experiment divides them."""
    tests = segment.experiments.filter(state__in=Experiment.LIVE).order_by("pk")
    names = ", ".join(f"“{name}”" for name in tests.values_list("name", flat=True)[:5])
    if names:
        raise SegmentRefused(f"{names} is for it: stop that first, or make another segment.")


def _checked(name: str, document: Any) -> tuple[str, dict[str, Any]]:
    name = name.strip()
    if not name or len(name) > 120:
        raise SegmentRefused("Give the segment a name of at most 120 characters.")
    try:
        return name, segment_json(segment_parse(document))
    except InvalidSegmentError as error:
        raise SegmentRefused(str(error)) from error


def _locked(segment: Segment) -> Segment:
    store_lock(segment.store_id)
    found = (
        Segment.objects.select_for_update().filter(pk=segment.pk, store_id=segment.store_id).first()
    )
    if found is None:
        raise SegmentRefused("Somebody has deleted this segment.")
    return found


def _told(segment: Segment) -> dict[str, Any]:
    return {"key": segment.key, "name": segment.name, "document": segment.document}


def _record(segment: Segment, member: User | None, action: str, *, before: Any, after: Any) -> None:
    audit_record(
        store=segment.store,
        actor=member,
        action=action,
        subject=segment.name,
        subject_key=segment.key,
        before=before,
        after=after,
    )
    settings_touch(store_id=segment.store_id)
