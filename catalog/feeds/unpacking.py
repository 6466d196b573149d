"""Packed files, and those that would grow without end when unpacked."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from typing import BinaryIO

from catalog.feeds.rows import FeedRefused

MIB = 1024 * 1024
# No feed packs better than this: product texts reach 10 to 30. Looked at beyond the first megabytes,
# where a few repeated lines say nothing.
MAX_RATIO = 200
RATIO_FROM_BYTES = 16 * MIB


def feed_unpacked(file: BinaryIO, *, n_packed: int, max_bytes: int) -> BinaryIO:
    """The feed in a file: as it is, or from gzip or zip.

    Parameters
    ----------
    file
        Can be searched; read from its beginning.
    n_packed
        Its length in bytes.
    max_bytes
        How much may come out. What is packed more than `MAX_RATIO` to one is refused as soon as
        that shows.

    Raises
    ------
    FeedRefused
        A zip without exactly one file, or with a password. While reading: too much comes out, or
        the archive is damaged.

    Examples
    --------
    >>> packed = gzip.compress(b"id,title")
    >>> feed_unpacked(io.BytesIO(packed), n_packed=len(packed), max_bytes=100).read()
    b'id,title'
    """
    file.seek(0)
    start = file.read(4)
    file.seek(0)
    if start.startswith(b"\x1f\x8b"):
        opened: BinaryIO = gzip.GzipFile(fileobj=file)  # type: ignore[assignment]
    elif start.startswith(b"PK\x03\x04"):
        opened = _only_member(file)
    else:
        return file
    return io.BufferedReader(_Bounded(opened, n_packed, max_bytes), 64 * 1024)  # type: ignore[type-var]


def _only_member(file: BinaryIO) -> BinaryIO:
    try:
        archive = zipfile.ZipFile(file)
        members = [
            member
            for member in archive.infolist()
            if not member.is_dir() and not member.filename.startswith(("__MACOSX/", "."))
        ]
        if any(member.filename.startswith("xl/") for member in members):
            raise FeedRefused("This is an Excel file. Save the table as CSV and try that file.")
        if len(members) != 1:
            raise FeedRefused(f"The zip holds {len(members)} files; it has to be exactly one.")
        if members[0].flag_bits & 0x1:
            raise FeedRefused("The zip has a password. Pack it without one.")
        return archive.open(members[0])  # type: ignore[return-value]
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise FeedRefused("The zip is damaged, or packed in a way that can't be read.") from error


class _Bounded(io.RawIOBase):
    """Stops when too much has come out."""

    def __init__(self, opened: BinaryIO, n_packed: int, max_bytes: int) -> None:
        self._opened, self._n_packed, self._max_bytes = opened, n_packed, max_bytes
        self._n_read = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        try:
            part = self._opened.read(len(buffer))
        except (OSError, EOFError, zlib.error, zipfile.BadZipFile) as error:
            raise FeedRefused("The packed file is damaged or broken off.") from error
        self._n_read += len(part)
        if self._n_read > self._max_bytes:
            raise FeedRefused(
                f"Unpacked, the file has more than {self._max_bytes // MIB:,} MB: that is too much."
            )
        if self._n_read > max(RATIO_FROM_BYTES, MAX_RATIO * self._n_packed):
            raise FeedRefused(
                f"The file grows more than {MAX_RATIO} times when it is unpacked: no feed does."
            )
        buffer[: len(part)] = part
        return len(part)
