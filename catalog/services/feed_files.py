"""Where the file of an import is kept until it was imported, and how it is opened.

One folder per store, readable by Vitrine's own user only. The name is the import's number: nothing
of what the sender called it becomes part of a path.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from django.conf import settings

from catalog.feeds.rows import FeedRefused
from catalog.feeds.unpacking import feed_unpacked
from catalog.models import ProductImport

MIB = 1024 * 1024
# What may come out of a packed file, for each byte that may come in.
UNPACKED_FACTOR = 10


class FileTooLarge(FeedRefused):
    """More bytes than a feed may have."""

    def __init__(self) -> None:
        super().__init__(
            f"The file has more than {settings.IMPORT_MAX_BYTES // MIB:,} MB. Pack it with gzip or"
            " zip, or have VITRINE_IMPORT_MAX_MB raised."
        )


class FileGone(FeedRefused):
    """The file isn't there: it was imported, given up, or the disk was changed."""

    def __init__(self) -> None:
        super().__init__("The file isn't there any more. Start a new import.")


def feed_path(product_import: ProductImport) -> Path:
    return Path(settings.IMPORT_DIR) / str(product_import.store_id) / f"{product_import.pk}.feed"


def feed_has_file(product_import: ProductImport) -> bool:
    return feed_path(product_import).exists()


def feed_keep(*, product_import: ProductImport, chunks: Iterable[bytes]) -> int:
    """Write the file of an import; returns its bytes. Whole or not at all.

    Raises
    ------
    FileTooLarge
        Nothing is kept.
    """
    path = feed_path(product_import)
    for folder in (path.parent.parent, path.parent):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_suffix(".part")
    n_bytes = 0
    try:
        with draft.open("wb") as file:
            draft.chmod(0o600)
            for chunk in chunks:
                n_bytes += len(chunk)
                if n_bytes > settings.IMPORT_MAX_BYTES:
                    raise FileTooLarge
                file.write(chunk)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return n_bytes


def feed_open(product_import: ProductImport) -> tuple[BinaryIO, BinaryIO]:
    """The file itself, whose position is the progress, and the feed unpacked from it.

    Raises
    ------
    FileGone, FeedRefused
    """
    path = feed_path(product_import)
    try:
        file = path.open("rb")
    except FileNotFoundError as error:
        raise FileGone from error
    try:
        feed = feed_unpacked(
            file,
            n_packed=path.stat().st_size,
            max_bytes=settings.IMPORT_MAX_BYTES * UNPACKED_FACTOR,
        )
    except FeedRefused:
        file.close()
        raise
    return file, feed


def feed_forget(product_import: ProductImport) -> None:
    path = feed_path(product_import)
    for each in (path, path.with_suffix(".part")):
        each.unlink(missing_ok=True)
