"""What an artifact folder says about itself."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec

MANIFEST_NAME = "manifest.json"
FORMAT_VERSION = 1


class ArtifactError(Exception):
    """An artifact folder that can't be trusted: what is wrong with which file."""


class ArrayEntry(msgspec.Struct, frozen=True):
    """One `.npy` file: its shape and type, its size and its BLAKE2b-256.

    `training` marks what only the next training needs; serving doesn't open it.
    """

    dtype: str
    shape: tuple[int, ...]
    size_bytes: int
    checksum: str
    training: bool = False


class Manifest(msgspec.Struct, frozen=True):
    """Everything that is known of an artifact without opening its arrays.

    Attributes
    ----------
    arrays
        By name; the file is `<name>.npy`.
    parameters, counts, quality
        As the run recorded them.
    as_of_s
        Unix seconds of the newest fact that the arrays know.
    marks
        Up to where facts were read, by name: where the next increment goes on.
    """

    format_version: int
    store_id: int
    family: str
    version: str
    created_at_s: float
    as_of_s: float
    parameters: dict[str, Any]
    counts: dict[str, Any]
    quality: dict[str, Any]
    arrays: dict[str, ArrayEntry]
    marks: dict[str, int] = {}

    @property
    def size_bytes(self) -> int:
        return sum(entry.size_bytes for entry in self.arrays.values())


def file_checksum(path: Path) -> str:
    """BLAKE2b-256 of a file, read once in blocks: about 1 GB/s, memory of one block."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=32)).hexdigest()


def manifest_read(folder: Path) -> Manifest:
    """The manifest of a folder.

    Raises
    ------
    ArtifactError
        No manifest, not JSON, or of a format this version doesn't know.
    """
    path = folder / MANIFEST_NAME
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except OSError as error:
        raise ArtifactError(f"{path}: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise ArtifactError(f"{path}: {error}") from error
    if manifest.format_version != FORMAT_VERSION:
        raise ArtifactError(
            f"{path}: format {manifest.format_version}, this version reads {FORMAT_VERSION}"
        )
    return manifest
