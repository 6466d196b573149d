"""From trained arrays to what serves: write, compare, switch, tidy up."""

from __future__ import annotations

import time
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from catalog.models import Store
from recommender.artifacts.writer import artifact_remove, artifact_write
from recommender.models import Artifact, Run
from recommender.services.training.trained import Trained

# A run that is worse than the serving one by more than this share is held for a member.
CLEARLY_WORSE = 0.2
# Old versions that stay on disk, for a way back.
KEPT_VERSIONS = 2


class RunNotHeld(Exception):
    """Only a held run can be confirmed or discarded."""


def artifact_publish(*, run: Run, trained: Trained) -> Artifact:
    """Write the folder, then publish it, or hold it if it is clearly worse than what serves.

    The switch is one transaction; serving processes see it within two seconds.
    """
    now = timezone.now()
    version = f"{now:%Y%m%dT%H%M%S}-{run.pk}"
    manifest = artifact_write(
        Path(settings.ARTIFACT_DIR),
        store_id=run.store_id,
        family=run.family,
        version=version,
        created_at_s=time.time(),
        as_of_s=trained.as_of_s,
        parameters=trained.parameters,
        counts=trained.counts,
        quality=trained.quality,
        arrays=trained.arrays,
    )
    serving = Artifact.objects.filter(
        store_id=run.store_id, family=run.family, serving=True
    ).first()
    worse = _worse_than(trained, serving)
    with transaction.atomic():
        artifact = Artifact.objects.create(
            store_id=run.store_id,
            run=run,
            family=run.family,
            version=version,
            size_bytes=manifest.size_bytes,
            manifest={
                "as_of_s": manifest.as_of_s,
                "headline": trained.headline,
                "arrays": {name: entry.size_bytes for name, entry in manifest.arrays.items()},
            },
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
    _tidy(store_id=run.store_id, family=run.family)
    return artifact


def run_confirm(*, store: Store, run_id: int) -> Run:
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
        _switch(run.artifact)
        run.state = Run.State.PUBLISHED
        run.save(update_fields=["state"])
    return run


def run_discard(*, store: Store, run_id: int) -> Run:
    """Drop a held run and its folder. Raises as `run_confirm` does."""
    with transaction.atomic():
        run = Run.objects.select_for_update().get(store=store, pk=run_id)
        if run.state != Run.State.HELD:
            raise RunNotHeld(f"The run is {run.get_state_display().lower()}.")
        run.state = Run.State.REJECTED
        run.save(update_fields=["state"])
    _tidy(store_id=store.pk, family=run.family)
    return run


def _worse_than(trained: Trained, serving: Artifact | None) -> str:
    """Why the new one should not serve unseen; empty if it may."""
    if serving is None:
        return ""
    before = serving.run.quality.get(trained.headline)
    after = trained.quality.get(trained.headline)
    if before is None or after is None or after >= before * (1.0 - CLEARLY_WORSE):
        return ""
    return (
        f"{trained.headline} fell from {before:.3f} to {after:.3f}."
        " The version before goes on serving until a member decides."
    )


def _switch(artifact: Artifact) -> None:
    Artifact.objects.filter(
        store_id=artifact.store_id, family=artifact.family, serving=True
    ).update(serving=False)
    Artifact.objects.filter(pk=artifact.pk).update(serving=True, published_at=timezone.now())


def _tidy(*, store_id: int, family: str) -> None:
    """Delete the folders of versions that neither serve nor wait, except the latest few."""
    old = Artifact.objects.filter(store_id=store_id, family=family, serving=False).exclude(
        run__state=Run.State.HELD
    )
    for artifact in old.order_by("-created_at")[KEPT_VERSIONS:]:
        artifact_remove(
            Path(settings.ARTIFACT_DIR),
            store_id=store_id,
            family=family,
            version=artifact.version,
        )
        artifact.delete()
