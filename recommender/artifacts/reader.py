"""Open an artifact folder: check every file against the manifest, then map it into memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from recommender.artifacts.manifest import (
    ArrayEntry,
    ArtifactError,
    Manifest,
    file_checksum,
    manifest_read,
)


@dataclass(frozen=True, slots=True, eq=False)
class LoadedArtifact:
    """A manifest and its arrays, memory-mapped read-only and so shared between processes."""

    manifest: Manifest
    arrays: dict[str, npt.NDArray[Any]]

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        try:
            return self.arrays[name]
        except KeyError:
            raise ArtifactError(
                f"version {self.manifest.version} has no array {name!r}: it was made by another"
                " release; train the family again"
            ) from None

    def __contains__(self, name: str) -> bool:
        return name in self.arrays


def artifact_open(folder: Path, *, verify: bool = True, training: bool = False) -> LoadedArtifact:
    """Map the arrays of a folder.

    Parameters
    ----------
    training
        Also what only the next training needs.
    verify
        Read every file once and compare sizes and checksums (about 1 s per GB). Only who has just
        written the folder may skip it.

    Raises
    ------
    ArtifactError
        A file is missing, of another size, shape or type, or its checksum differs.
    """
    manifest = manifest_read(folder)
    arrays = {
        name: _array_open(folder / f"{name}.npy", entry, verify=verify)
        for name, entry in manifest.arrays.items()
        if training or not entry.training
    }
    return LoadedArtifact(manifest, arrays)


def _array_open(path: Path, entry: ArrayEntry, *, verify: bool) -> npt.NDArray[Any]:
    try:
        size = path.stat().st_size
        if size != entry.size_bytes:
            raise ArtifactError(f"{path}: {size} bytes, the manifest says {entry.size_bytes}")
        if verify and file_checksum(path) != entry.checksum:
            raise ArtifactError(f"{path}: the checksum differs from the manifest")
        # A memory map can't be empty.
        mapped = 0 not in entry.shape
        array: npt.NDArray[Any] = np.load(
            path, mmap_mode="r" if mapped else None, allow_pickle=False
        )
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path}: {error}") from error
    if array.dtype.str != entry.dtype or array.shape != entry.shape:
        raise ArtifactError(
            f"{path}: {array.dtype.str}{array.shape}, the manifest says {entry.dtype}{entry.shape}"
        )
    # A plain view: indexing an np.memmap runs Python code per slice, indexing an ndarray doesn't.
    return array.view(np.ndarray)
