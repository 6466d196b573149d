"""From trained arrays to what serves: write, compare, switch, tidy up."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from catalog.models import Store, User
from catalog.services.audit import audit_record
from catalog.services.locks import wait_in_line
from recommender.artifacts.manifest import Manifest
from recommender.artifacts.writer import (
    artifact_remove,
    artifact_write,
    artifacts_remove_orphans,
)
from recommender.models import Artifact, Run
from recommender.services.training.trained import Trained

# A run that is worse than the serving one by more than this share is held for a member.
CLEARLY_WORSE = 0.2
# Old versions that stay on disk, for a way back.
KEPT_VERSIONS = 2
# A web process may just be opening what it read a moment ago as the serving version.
OPENING = timedelta(seconds=30)
# A folder without a row is what a killed process left, or what one is about to enter.
ORPHANED_AFTER = timedelta(hours=1)
# Increments come every minute; what they did is of interest while it is fresh.
KEPT_INCREMENT_RUNS = 50


class RunNotHeld(Exception):
    """Only a held run can be confirmed or discarded."""


def artifact_publish(*, run: Run, trained: Trained) -> Artifact:
    """Write the folder, then publish it, or hold it if it is clearly worse than what serves.

    The switch is one transaction; serving processes see it within two seconds.
    """
    now = timezone.now()
    manifest = _write(run.store_id, run.family, f"{now:%Y%m%dT%H%M%S}-{run.pk}", trained)
    with transaction.atomic():
        _line_up(run.store_id, run.family)
        serving = (
            Artifact.objects.filter(store_id=run.store_id, family=run.family, serving=True)
            .select_related("run")
            .first()
        )
        worse = _worse_than(trained, serving)
        artifact = _artifact_create(
            run, manifest, trained, full_run=run.pk, increments=0, full_at_s=now.timestamp()
        )
        Run.objects.filter(pk=run.pk).update(
            parameters=trained.parameters,
            counts=trained.counts,
            quality=trained.quality,
            finished_at=now,
            step="",
            progress=1.0,
            state=Run.State.HELD if worse else Run.State.PUBLISHED,
            message=worse,
        )
        if not worse:
            _switch(artifact)
    versions_tidy(store_id=run.store_id, family=run.family)
    return artifact


def increment_publish(*, base: Artifact, trained: Trained, started_at: datetime) -> Run | None:
    """Publish what was made of the serving version and newer facts, with a run of its own.

    None, and nothing is left behind, if another version serves by now: what was added to the old
    one is added to that one next time. Nothing here waits for a run or makes one wait.
    """
    now = timezone.now()
    known = base.manifest
    full_run, increments = known["full_run"], known["increments"] + 1
    version = f"{now:%Y%m%dT%H%M%S}-{full_run}.{increments}"
    manifest = _write(base.store_id, base.family, version, trained)
    run = None
    with transaction.atomic():
        _line_up(base.store_id, base.family)
        if Artifact.objects.filter(pk=base.pk, serving=True).exists():
            run = Run.objects.create(
                store_id=base.store_id,
                family=base.family,
                state=Run.State.PUBLISHED,
                trigger=Run.Trigger.INCREMENT,
                parameters=trained.parameters,
                counts=trained.counts,
                quality=trained.quality,
                progress=1.0,
                queued_at=started_at,
                started_at=started_at,
                finished_at=now,
            )
            artifact = _artifact_create(
                run,
                manifest,
                trained,
                full_run=full_run,
                increments=increments,
                full_at_s=known["full_at_s"],
            )
            _switch(artifact)
    if run is None:
        artifact_remove(
            Path(settings.ARTIFACT_DIR),
            store_id=base.store_id,
            family=base.family,
            version=version,
        )
        return None
    versions_tidy(store_id=base.store_id, family=base.family)
    increment_runs_prune(store_id=base.store_id, family=base.family)
    return run


def increment_failed(*, base: Artifact, started_at: datetime, message: str) -> Run:
    """Note an increment that failed. What serves goes on serving."""
    run = Run.objects.create(
        store_id=base.store_id,
        family=base.family,
        state=Run.State.FAILED,
        trigger=Run.Trigger.INCREMENT,
        message=message[:1000],
        queued_at=started_at,
        started_at=started_at,
        finished_at=timezone.now(),
    )
    increment_runs_prune(store_id=base.store_id, family=base.family)
    return run


def artifact_marks_update(*, artifact: Artifact, marks: Mapping[str, int]) -> None:
    """Note that newer facts were looked at and had nothing to learn from."""
    artifact.manifest = {**artifact.manifest, "marks": {**artifact.manifest["marks"], **marks}}
    Artifact.objects.filter(pk=artifact.pk).update(manifest=artifact.manifest)


def run_confirm(*, store: Store, run_id: int, member: User | None = None) -> Run:
    """Publish a held run after all.

    Raises
    ------
    Run.DoesNotExist
        The store has no such run.
    RunNotHeld
    """
    with transaction.atomic():
        run = Run.objects.select_for_update().get(store=store, pk=run_id)
        if run.state != Run.State.HELD:
            raise RunNotHeld(f"The run is {run.get_state_display().lower()}.")
        _line_up(store.pk, run.family)
        _switch(run.artifact)
        run.state = Run.State.PUBLISHED
        run.save(update_fields=["state"])
        _decision_record(run, member, "model.confirm")
    return run


def run_discard(*, store: Store, run_id: int, member: User | None = None) -> Run:
    """Drop a held run and its folder. Raises as `run_confirm` does."""
    with transaction.atomic():
        run = Run.objects.select_for_update().get(store=store, pk=run_id)
        if run.state != Run.State.HELD:
            raise RunNotHeld(f"The run is {run.get_state_display().lower()}.")
        run.state = Run.State.REJECTED
        run.save(update_fields=["state"])
        _decision_record(run, member, "model.discard")
    versions_tidy(store_id=store.pk, family=run.family)
    return run


def _decision_record(run: Run, member: User | None, action: str) -> None:
    audit_record(
        store=run.store,
        actor=member,
        action=action,
        subject=run.get_family_display(),
        subject_key=str(run.pk),
        before={"state": Run.State.HELD.label},
        after={"state": run.get_state_display()},
    )


def _worse_than(trained: Trained, serving: Artifact | None) -> str:
    """Why the new one should not serve unseen; empty if it may."""
    if serving is None:
        return ""
    if serving.run.parameters.get("weights") != trained.parameters.get("weights"):
        # A member wants something else, and has looked at what comes of it.
        return ""
    before = serving.run.quality.get(trained.headline)
    after = trained.quality.get(trained.headline)
    if before is None or after is None or after >= before * (1.0 - CLEARLY_WORSE):
        return ""
    return (
        f"{trained.headline} fell from {before:.3f} to {after:.3f}."
        " The version before goes on serving until a member decides."
    )


def _line_up(store_id: int, family: str) -> None:
    """One at a time publishes a family: two switches at once would both want to serve."""
    wait_in_line(f"publish:{store_id}:{family}")


def _write(store_id: int, family: str, version: str, trained: Trained) -> Manifest:
    return artifact_write(
        Path(settings.ARTIFACT_DIR),
        store_id=store_id,
        family=family,
        version=version,
        created_at_s=time.time(),
        as_of_s=trained.as_of_s,
        parameters=trained.parameters,
        counts=trained.counts,
        quality=trained.quality,
        arrays=trained.arrays,
        state=trained.state,
        marks=trained.marks,
    )


def _artifact_create(
    run: Run,
    manifest: Manifest,
    trained: Trained,
    *,
    full_run: int,
    increments: int,
    full_at_s: float,
) -> Artifact:
    return Artifact.objects.create(
        store_id=run.store_id,
        run=run,
        family=run.family,
        version=manifest.version,
        size_bytes=manifest.size_bytes,
        manifest={
            "as_of_s": manifest.as_of_s,
            "headline": trained.headline,
            "arrays": {name: entry.size_bytes for name, entry in manifest.arrays.items()},
            "marks": manifest.marks,
            # The full training that it goes back to, how often it was added to, and since when.
            "full_run": full_run,
            "increments": increments,
            "full_at_s": full_at_s,
        },
    )


def _switch(artifact: Artifact) -> None:
    Artifact.objects.filter(
        store_id=artifact.store_id, family=artifact.family, serving=True
    ).update(serving=False)
    Artifact.objects.filter(pk=artifact.pk).update(serving=True, published_at=timezone.now())


def versions_tidy(*, store_id: int, family: str) -> int:
    """Delete the versions that neither serve nor wait, except the latest few. Returns how many.

    Also those that have just been replaced stay: a web process may be opening them. And folders
    that no row knows go, when they are old.
    """
    now = timezone.now()
    versions = Artifact.objects.filter(store_id=store_id, family=family)
    rows = list(versions.select_related("run").order_by("-created_at"))
    replaced_at: datetime | None = None
    old = []
    for artifact in rows:
        may_be_opened = replaced_at is None or replaced_at > now - OPENING
        replaced_at = artifact.published_at or replaced_at
        if not artifact.serving and artifact.run.state != Run.State.HELD:
            old.append((artifact, may_be_opened))
    gone = [artifact for artifact, may_be_opened in old[KEPT_VERSIONS:] if not may_be_opened]
    for artifact in gone:
        artifact_remove(
            Path(settings.ARTIFACT_DIR),
            store_id=store_id,
            family=family,
            version=artifact.version,
        )
        artifact.delete()
    artifacts_remove_orphans(
        Path(settings.ARTIFACT_DIR),
        store_id=store_id,
        family=family,
        known={artifact.version for artifact in rows},
        before_s=(now - ORPHANED_AFTER).timestamp(),
    )
    return len(gone)


def increment_runs_prune(*, store_id: int, family: str) -> int:
    """Forget increments beyond the latest, except those whose files are still there."""
    increments = Run.objects.filter(
        store_id=store_id, family=family, trigger=Run.Trigger.INCREMENT
    ).order_by("-queued_at", "-pk")
    old = [run.pk for run in increments[KEPT_INCREMENT_RUNS:].only("pk")]
    count, _ = Run.objects.filter(pk__in=old, artifact=None).delete()
    return count
