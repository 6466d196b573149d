"""Write an artifact folder so that it is either whole or not there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from recommender.artifacts.manifest import (
    FORMAT_VERSION,
    MANIFEST_NAME,
    ArrayEntry,
    ArtifactError,
    Manifest,
    file_checksum,
)


def artifact_folder(root: Path, *, store_id: int, family: str, version: str) -> Path:
    """Where an artifact lives below the artifact root."""
    return root / str(store_id) / family / version


def artifact_write(
    root: Path,
    *,
    store_id: int,
    family: str,
    version: str,
    created_at_s: float,
    as_of_s: float,
    parameters: Mapping[str, Any],
    counts: Mapping[str, Any],
    quality: Mapping[str, Any],
    arrays: Mapping[str, npt.NDArray[Any]],
    state: Mapping[str, npt.NDArray[Any]] = MappingProxyType({}),
    marks: Mapping[str, int] = MappingProxyType({}),
) -> Manifest:
    """Write arrays and manifest into a folder of their own, then move it into place in one step.

    `state` are arrays for the next training only. Files are flushed to disk before the move: after
    a power cut the folder is whole or absent.

    Raises
    ------
    ArtifactError
        The version exists already: artifacts are immutable.
    """
    target = artifact_folder(root, store_id=store_id, family=family, version=version)
    if target.exists():
        raise ArtifactError(f"{target} exists; artifacts are never overwritten")
    draft = target.with_name(f".{version}.{os.getpid()}")
    draft.mkdir(parents=True)
    try:
        entries: dict[str, ArrayEntry] = {}
        for name, array in (*arrays.items(), *state.items()):
            path = draft / f"{name}.npy"
            with path.open("wb") as file:
                np.save(file, np.asarray(array, order="C"), allow_pickle=False)
                file.flush()
                os.fsync(file.fileno())
            entries[name] = ArrayEntry(
                dtype=array.dtype.str,
                shape=tuple(array.shape),
                size_bytes=path.stat().st_size,
                checksum=file_checksum(path),
                training=name in state,
            )
        manifest = Manifest(
            format_version=FORMAT_VERSION,
            store_id=store_id,
            family=family,
            version=version,
            created_at_s=created_at_s,
            as_of_s=as_of_s,
            parameters=dict(parameters),
            counts=dict(counts),
            quality=dict(quality),
            arrays=entries,
            marks=dict(marks),
        )
        with (draft / MANIFEST_NAME).open("wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(manifest)))
            file.flush()
            os.fsync(file.fileno())
        draft.rename(target)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    _fsync_folder(target.parent)
    return manifest


def artifact_remove(root: Path, *, store_id: int, family: str, version: str) -> None:
    """Delete a folder. Processes that have it mapped keep their pages until they let go."""
    target = artifact_folder(root, store_id=store_id, family=family, version=version)
    shutil.rmtree(target, ignore_errors=True)


def artifacts_remove_orphans(
    root: Path, *, store_id: int, family: str, known: Collection[str], before_s: float
) -> int:
    """Delete folders that aren't known and were last written before a time; returns how many.

    They are what a killed process left behind: drafts, and versions that never got their row.
    """
    parent = root / str(store_id) / family
    if not parent.is_dir():
        return 0
    orphans = [
        folder
        for folder in parent.iterdir()
        if folder.name not in known and folder.stat().st_mtime < before_s
    ]
    for folder in orphans:
        shutil.rmtree(folder, ignore_errors=True)
    return len(orphans)


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
