"""Rows with a list in them, as arrays: binary COPY again, whose rows then differ in length."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from django.db import connection

from recommender.engine.types import Int64Array
from recommender.selectors.training_data import copy_messages

_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_HEADER_BYTES = 19
_TRAILER = b"\xff\xff"
_TRAILER_BYTES = 2
# Of an array of one dimension: dimensions, flags, type, size, lower bound. Of an empty one the
# first three.
_ARRAY_HEADER = 5
_EMPTY_ARRAY_HEADER = 3


@dataclass(frozen=True, slots=True, eq=False)
class Lists:
    """Rows by ascending first key.

    Attributes
    ----------
    keys : int64[n, n_keys]
    values : int64[m]
    starts : int64[n + 1]
        Row i has ``values[starts[i]:starts[i + 1]]``.
    """

    keys: Int64Array
    values: Int64Array
    starts: Int64Array


def copy_lists(query: str, parameters: dict[str, Any], *, n_keys: int) -> Lists:
    """The rows of a query with `n_keys` bigint columns, then one bigint[]; none of them null.

    PostgreSQL sends one message per row. Those of one length have one layout, so they are read
    together, and only as many steps are taken in Python as there are rows.
    """
    by_size: defaultdict[int, list[bytes]] = defaultdict(list)
    with (
        connection.cursor() as cursor,
        cursor.cursor.copy(f"COPY ({query}) TO STDOUT (FORMAT binary)", parameters) as copy,
    ):
        rows = copy_messages(copy)
    rows[0] = rows[0][_HEADER_BYTES:]
    for row in rows:
        by_size[len(row)].append(row)
    blocks = [_block(rows, size, n_keys) for size, rows in by_size.items() if size > _TRAILER_BYTES]
    return _assembled(blocks, n_keys)


def binary_rows(columns: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """Columns of one length for `COPY … FROM STDIN (FORMAT binary)`, in their order.

    Sums (`…_sum`) become float8, everything else int4, which a date is as well.
    """
    n = len(next(iter(columns.values())))
    layout: list[tuple[str, str]] = [("_n_fields", ">i2")]
    for name in columns:
        layout += [(f"_{name}_length", ">i4"), (name, ">f8" if name.endswith("_sum") else ">i4")]
    rows = np.zeros(n, np.dtype(layout))
    rows["_n_fields"] = len(columns)
    for name, values in columns.items():
        rows[f"_{name}_length"] = rows.dtype[name].itemsize
        rows[name] = values
    return _HEADER + rows.tobytes() + _TRAILER


def _block(rows: list[bytes], size: int, n_keys: int) -> tuple[Int64Array, Int64Array]:
    """Keys [r, n_keys] and values [r, k] of rows with lists of one length."""
    before = 2 + 12 * n_keys + 4
    if size == before + 4 * _EMPTY_ARRAY_HEADER:
        n_header, n_values = _EMPTY_ARRAY_HEADER, 0
    else:
        n_header = _ARRAY_HEADER
        n_values, rest = divmod(size - before - 4 * _ARRAY_HEADER, 12)
        if rest or n_values < 1:
            raise ValueError(f"a row of {size} bytes is no {n_keys} numbers and a list of numbers")
    one = np.dtype([("length", ">i4"), ("value", ">i8")])
    raw = np.frombuffer(
        b"".join(rows),
        np.dtype(
            [
                ("n_fields", ">i2"),
                ("keys", one, (n_keys,)),
                ("array_length", ">i4"),
                ("array_header", ">i4", (n_header,)),
                ("values", one, (n_values,)),
            ]
        ),
    )
    if not (raw["n_fields"] == n_keys + 1).all() or not (raw["keys"]["length"] == 8).all():
        raise ValueError(f"the rows aren't {n_keys} bigint and a bigint[]")
    return raw["keys"]["value"].astype(np.int64), raw["values"]["value"].astype(np.int64)


def _assembled(blocks: list[tuple[Int64Array, Int64Array]], n_keys: int) -> Lists:
    if not blocks:
        return Lists(np.zeros((0, n_keys), np.int64), np.zeros(0, np.int64), np.zeros(1, np.int64))
    keys = np.concatenate([block[0] for block in blocks])
    sizes = np.concatenate([np.full(len(block[1]), block[1].shape[1]) for block in blocks])
    order = np.argsort(keys[:, 0], kind="stable")
    starts = np.zeros(len(order) + 1, np.int64)
    np.cumsum(sizes[order], out=starts[1:])
    place: npt.NDArray[np.int64] = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    values = np.zeros(int(starts[-1]), np.int64)
    done = 0
    for _, block in blocks:
        at = starts[place[done : done + len(block)]]
        values[at[:, None] + np.arange(block.shape[1])] = block
        done += len(block)
    return Lists(keys[order], values, starts)
