"""The first rows of a feed as they would become products."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

from catalog.contract.products import ProductDraft
from catalog.feeds.detection import format_detect, rows_of
from catalog.feeds.mapping import REQUIRED
from catalog.feeds.rows import FeedProblem, FeedRow, Format
from catalog.feeds.validation import row_draft
from catalog.models import ProductImport
from catalog.services.feed_files import feed_open

# Elements of XML and members of JSON may be missing: so many rows say which there are.
N_LOOKED_AT = 200
N_SHOWN = 5
HEAD_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class FeedHead:
    """What the first rows of a feed tell. `samples` has a first value for every column."""

    rows: list[FeedRow | FeedProblem]
    samples: dict[str, str]

    @property
    def columns(self) -> list[str]:
        return list(self.samples)


@dataclass(frozen=True, slots=True)
class PreviewRow:
    """A row, and the product it would become or what is wrong with it."""

    line: int
    draft: ProductDraft | None
    problem: FeedProblem | None


def feed_format(product_import: ProductImport) -> Format:
    """The format of an import's file. Raises FeedRefused."""
    file, feed = feed_open(product_import)
    with file, feed:
        return format_detect(feed.read(HEAD_BYTES))


def feed_head(product_import: ProductImport) -> FeedHead:
    """Read the first rows. Raises FeedRefused if the file breaks within them."""
    file, feed = feed_open(product_import)
    with file, feed:
        rows = list(islice(rows_of(feed, product_import.format), N_LOOKED_AT))
    samples: dict[str, str] = {}
    for row in rows:
        if isinstance(row, FeedRow):
            for column, value in row.values.items():
                if not samples.get(column):
                    samples[column] = _short(value)
    return FeedHead(rows, samples)


def feed_preview(
    head: FeedHead, *, mapping: Mapping[str, str], currency: str, limit: int = N_SHOWN
) -> list[PreviewRow]:
    """The first rows with a mapping; none while it lacks an id or a title."""
    if not all(mapping.get(name) for name in REQUIRED):
        return []
    shown = []
    for row in head.rows[:limit]:
        judged = (
            row
            if isinstance(row, FeedProblem)
            else row_draft(row, mapping=mapping, currency=currency)
        )
        is_problem = isinstance(judged, FeedProblem)
        shown.append(
            PreviewRow(
                row.line,
                None if is_problem else judged,  # type: ignore[arg-type]
                judged if is_problem else None,  # type: ignore[arg-type]
            )
        )
    return shown


def _short(value: object) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    text = " ".join(text.split())
    return text if len(text) <= 80 else text[:79] + "…"
