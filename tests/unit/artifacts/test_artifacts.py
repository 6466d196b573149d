"""An artifact folder is whole and as its manifest says, or it is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from recommender.artifacts.manifest import MANIFEST_NAME, ArtifactError
from recommender.artifacts.reader import artifact_open
from recommender.artifacts.writer import artifact_folder, artifact_remove, artifact_write

ARRAYS = {
    "scores": np.arange(6, dtype=np.float32).reshape(2, 3),
    "rows": np.array([3, 1, 2], np.int32),
    "nothing": np.empty((0, 4), np.float32),
}


def write(root: Path, version: str = "v1") -> Path:
    artifact_write(
        root,
        store_id=7,
        family="content",
        version=version,
        created_at_s=10.0,
        as_of_s=9.0,
        parameters={"k": 3},
        counts={"products": 2},
        quality={"coverage": 1.0},
        arrays=ARRAYS,
    )
    return artifact_folder(root, store_id=7, family="content", version=version)


def test_arrays_come_back_as_they_were_and_can_not_be_written(tmp_path: Path) -> None:
    loaded = artifact_open(write(tmp_path))
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(loaded[name], array)
        assert loaded[name].dtype == array.dtype
    assert not loaded["scores"].flags.writeable
    assert loaded.manifest.counts == {"products": 2}
    assert loaded.manifest.size_bytes == sum(
        path.stat().st_size for path in write(tmp_path, "v2").glob("*.npy")
    )


def test_what_only_training_needs_is_opened_for_training_alone(tmp_path: Path) -> None:
    artifact_write(
        tmp_path,
        store_id=7,
        family="content",
        version="v1",
        created_at_s=10.0,
        as_of_s=9.0,
        parameters={},
        counts={},
        quality={},
        arrays=ARRAYS,
        state={"words": np.arange(3), "now_s": np.array(5, np.int64)},
        marks={"received_us": 12},
    )
    folder = artifact_folder(tmp_path, store_id=7, family="content", version="v1")
    # A web process doesn't read them, so it doesn't mind that one is broken.
    (folder / "words.npy").write_bytes(b"")
    assert artifact_open(folder).arrays.keys() == ARRAYS.keys()
    assert artifact_open(folder).manifest.marks == {"received_us": 12}
    with pytest.raises(ArtifactError, match="words"):
        artifact_open(folder, training=True)
    np.save(folder / "words.npy", np.arange(3))
    opened = artifact_open(folder, training=True)
    assert (opened["words"].tolist(), opened["now_s"].shape, int(opened["now_s"])) == (
        [0, 1, 2],
        (),
        5,
    )


def test_a_version_is_never_overwritten(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(ArtifactError, match="never overwritten"):
        write(tmp_path)


@pytest.mark.parametrize("position", [0, 70, -1])
def test_one_changed_byte_is_refused(tmp_path: Path, position: int) -> None:
    path = write(tmp_path) / "scores.npy"
    raw = bytearray(path.read_bytes())
    raw[position] ^= 0x01
    path.write_bytes(raw)
    with pytest.raises(ArtifactError, match=r"scores\.npy: the checksum differs"):
        artifact_open(path.parent)


def test_a_truncated_array_is_refused_by_its_size_alone(tmp_path: Path) -> None:
    path = write(tmp_path) / "rows.npy"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ArtifactError, match="the manifest says"):
        artifact_open(path.parent, verify=False)


def test_a_missing_array_a_missing_manifest_and_a_broken_one_are_refused(tmp_path: Path) -> None:
    folder = write(tmp_path)
    (folder / "rows.npy").unlink()
    with pytest.raises(ArtifactError, match=r"rows\.npy"):
        artifact_open(folder)
    (folder / MANIFEST_NAME).write_text("{")
    with pytest.raises(ArtifactError, match=r"manifest\.json"):
        artifact_open(folder)
    with pytest.raises(ArtifactError, match="No such file"):
        artifact_open(tmp_path / "nowhere")


def test_a_manifest_of_another_format_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path) / MANIFEST_NAME
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps({**manifest, "format_version": 99}))
    with pytest.raises(ArtifactError, match="format 99"):
        artifact_open(path.parent)


def test_an_array_with_python_objects_never_gets_into_an_artifact(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="pickle"):
        artifact_write(
            tmp_path,
            store_id=1,
            family="content",
            version="v1",
            created_at_s=0.0,
            as_of_s=0.0,
            parameters={},
            counts={},
            quality={},
            arrays={"objects": np.array([{"a": 1}], dtype=object)},
        )
    assert [path.name for path in tmp_path.rglob("*.npy")] == []


def test_a_process_that_mapped_a_removed_artifact_keeps_reading(tmp_path: Path) -> None:
    loaded = artifact_open(write(tmp_path))
    artifact_remove(tmp_path, store_id=7, family="content", version="v1")
    np.testing.assert_array_equal(loaded["scores"], ARRAYS["scores"])
