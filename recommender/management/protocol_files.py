"""From files of public evaluation data to tasks."""

from __future__ import annotations

import lzma
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TypeVar

from django.core.management.base import CommandError

from recommender.engine.errors import EngineError
from recommender.engine.evaluation import formats, protocols, rating_protocol
from recommender.engine.evaluation.tasks import Task

NEEDED = {
    "next-click": ("train", "test"),
    "top-n": ("train", "test"),
    "basket-completion": ("orders",),
    "next-purchases": ("orders",),
    "multi-behaviour": ("purchases", "test"),
    "ratings": ("ratings",),
}
FILES = ("train", "test", "orders", "views", "carts", "purchases", "ratings")
XZ_MAGIC = b"\xfd7zXZ\x00"
Parsed = TypeVar("Parsed")


@dataclass(frozen=True, slots=True)
class DataSet:
    """A protocol, and the files that it reads.

    Attributes
    ----------
    test_share
        Next click without a test file: so many of the last sessions are the test.
    """

    title: str
    protocol: str
    files: Mapping[str, Path] = field(default_factory=dict)
    test_share: float | None = None

    def missing(self) -> list[str]:
        """Names of files that the protocol needs and that aren't given."""
        lacking = [name for name in NEEDED[self.protocol] if name not in self.files]
        if self.protocol == "next-click" and self.test_share is not None and "test" in lacking:
            lacking.remove("test")
        return lacking


# From small to large: what the small ones leave of the time is there for the large.
_KNOWN = (
    ("bol.com", "next-click", {"train": "sessions/bol/train", "test": "sessions/bol/test"}),
    ("Online Retail", "basket-completion", {"orders": "online_retail/online_retail.csv"}),
    ("Online Retail", "next-purchases", {"orders": "online_retail/online_retail.csv"}),
    ("MovieLens-1M", "top-n", {"train": "topn/ml-1m/train", "test": "topn/ml-1m/test"}),
    (
        "Tmall",
        "multi-behaviour",
        {
            "purchases": "multi_behaviour/tmall/buy_train",
            "carts": "multi_behaviour/tmall/cart_train",
            "views": "multi_behaviour/tmall/view_train",
            "test": "multi_behaviour/tmall/buy_test",
        },
    ),
    (
        "Diginetica",
        "next-click",
        {"train": "sessions/diginetica/train", "test": "sessions/diginetica/test"},
    ),
)
_ENDINGS = ("", ".txt", ".xz", ".txt.xz", ".tsv", ".tsv.xz")


def data_sets_of(folder: Path) -> list[DataSet]:
    """The public data sets whose files are in a folder, each below its own name.

    Raises
    ------
    CommandError
        If there is none.
    """
    found: list[DataSet] = []
    for title, protocol, names in _KNOWN:
        files = {name: _with_ending(folder, start) for name, start in names.items()}
        there = {name: path for name, path in files.items() if path is not None}
        if len(there) == len(files):
            found.append(DataSet(title, protocol, there))
    if not found:
        raise CommandError(f"{folder} has none of the data sets that docs/algorithms.md names.")
    return found


def _with_ending(folder: Path, start: str) -> Path | None:
    return next((p for end in _ENDINGS if (p := folder / f"{start}{end}").is_file()), None)


def tasks_of(data: DataSet, *, seed: int) -> tuple[Task, Callable[[], Task]]:
    """The task of the test, and how to make that of a validation."""
    files = data.files
    if data.protocol == "next-click":
        log = read(files["train"], formats.parse_sessions)
        if "test" in files:
            queries = read(files["test"], formats.parse_next_item_queries)
        else:
            log, queries = protocols.split_sessions(log, share=data.test_share or 0.0)
        return (
            protocols.next_click_task(log, queries),
            lambda: protocols.next_click_validation(log),
        )
    if data.protocol == "top-n":
        train = read(files["train"], formats.parse_user_items)
        test = read(files["test"], formats.parse_user_items)
        return (
            protocols.top_n_task(train, test),
            lambda: protocols.top_n_validation(train, seed=seed),
        )
    if data.protocol == "ratings":
        ratings = read(files["ratings"], rating_protocol.parse_ratings)
        return (
            rating_protocol.ratings_task(ratings, seed=seed),
            lambda: rating_protocol.ratings_validation(ratings, seed=seed),
        )
    if data.protocol == "multi-behaviour":
        return _multi_behaviour(files, seed)
    lines = read(files["orders"], formats.parse_orders)
    if data.protocol == "basket-completion":
        return (
            protocols.basket_completion_task(lines, seed=seed),
            lambda: protocols.basket_completion_task(
                protocols.before_cut(lines, with_customer=False), seed=seed
            ),
        )
    return (
        protocols.next_purchases_task(lines),
        lambda: protocols.next_purchases_task(protocols.before_cut(lines, with_customer=True)),
    )


def _multi_behaviour(files: Mapping[str, Path], seed: int) -> tuple[Task, Callable[[], Task]]:
    names = {"purchase": "purchases", "add_to_cart": "carts", "view_item": "views"}
    kinds = {
        kind: read(files[name], formats.parse_user_items)
        for kind, name in names.items()
        if name in files
    }
    test = read(files["test"], formats.parse_user_items)
    return (
        protocols.multi_behaviour_task(kinds, test),
        lambda: protocols.multi_behaviour_validation(kinds, seed=seed),
    )


def validation_of(make: Callable[[], Task]) -> Task | None:
    """A task to choose parameters on; None if the training part is too small to be cut."""
    try:
        return make()
    except EngineError:
        return None


def read(path: Path, parse: Callable[[Iterator[str]], Parsed]) -> Parsed:
    """Parse a file, or say in one sentence why not."""
    try:
        with _opened(path) as lines:
            return parse(iter(lines))
    except EngineError as error:
        raise CommandError(f"{path}: {error}.") from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{path} is not a text file in UTF-8.") from error
    except (lzma.LZMAError, EOFError) as error:
        raise CommandError(f"{path} is not a complete .xz file.") from error
    except OSError as error:
        raise CommandError(f"{path} can't be read: {error.strerror}.") from error


def _opened(path: Path) -> IO[str]:
    """The lines of a plain file, or of an .xz file whatever it is called."""
    with path.open("rb") as start:
        packed = start.read(len(XZ_MAGIC)) == XZ_MAGIC
    if packed or path.suffix == ".xz":
        return lzma.open(path, "rt", encoding="utf-8", newline="")
    return path.open(encoding="utf-8", newline="")
