"""The vectors that a shop sends with its products, as arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from django.db import connection

from recommender.engine.types import Float32Array, Int64Array
from recommender.selectors.training_data import copy_binary

NUMBERS_PER_BLOCK = 5_000_000
"""60 MB as they come."""
_WITH_VECTOR = (
    "store_id = %s AND deleted_at IS NULL AND array_ndims(vector) = 1"
    " AND array_position(vector, NULL) IS NULL"
)


@dataclass(frozen=True, slots=True)
class OwnVectors:
    """Products that bring a vector, by ascending id.

    Attributes
    ----------
    product_ids : int64[n]
    vectors : float32[n, d]
        Scaled so that the largest number of each is 1: their direction is what counts, and a shop
        may send numbers that float32 can't hold.
    """

    product_ids: Int64Array
    vectors: Float32Array


def own_vector_lengths(*, store_id: int) -> dict[int, int]:
    """How many products have a vector of how many numbers. One query, which reads all of them."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT cardinality(vector), count(*) FROM catalog_product"
            f" WHERE {_WITH_VECTOR} GROUP BY 1",
            [store_id],
        )
        return dict(cursor.fetchall())


def own_vectors(
    *,
    store_id: int,
    length: int,
    product_ids: Sequence[int] | None = None,
    one_in: int = 1,
) -> Iterator[OwnVectors]:
    """Vectors of `length` numbers, in blocks; one query for each.

    `product_ids` are the only ones that are looked at, if given. `one_in` takes a sample, the same
    at every call.
    """
    n_rows = rows_per_block(length)
    chosen = "" if product_ids is None else " AND id = ANY(%s)"
    last = 0
    while True:
        parameters = [store_id, length, last, one_in]
        raw = copy_binary(
            "SELECT id, vector FROM catalog_product"
            f" WHERE {_WITH_VECTOR} AND cardinality(vector) = %s AND id > %s"
            # By a hash: ids may come in steps.
            f" AND hashint8(id) %% %s = 0{chosen} ORDER BY id LIMIT {n_rows}",
            parameters if product_ids is None else [*parameters, list(product_ids)],
            (("id", ">i8"), ("vector", f"V{_ARRAY_HEADER + length * _NUMBER.itemsize}")),
        )
        if len(raw):
            yield OwnVectors(raw["id"].astype(np.int64), _numbers(raw["vector"], length))
        if len(raw) < n_rows:
            return
        last = int(raw["id"][-1])


def rows_per_block(length: int) -> int:
    """Vectors of so many numbers that are read at once."""
    return max(NUMBERS_PER_BLOCK // length, 1)


def own_vector_sample(*, store_id: int, length: int, n_vectors: int, at_most: int) -> Float32Array:
    """Some of the `n_vectors` that there are, float32[n <= at_most, length]."""
    one_in = -(-n_vectors // at_most)
    blocks = own_vectors(store_id=store_id, length=length, one_in=one_in)
    parts = [block.vectors for block in islice(blocks, -(-at_most // rows_per_block(length)))]
    return np.concatenate([np.empty((0, length), np.float32), *parts])[:at_most]


# How PostgreSQL sends an array of one dimension: how many of these, whether any is NULL, of what
# type, the length and the lower bound; then a length before every number.
_ARRAY_HEADER = 5 * 4
_NUMBER = np.dtype([("size", ">i4"), ("value", ">f8")])


def _numbers(raw: np.ndarray[tuple[int], np.dtype[np.void]], length: int) -> Float32Array:
    layout = np.dtype([("header", f"V{_ARRAY_HEADER}"), ("numbers", _NUMBER, (length,))])
    values = raw.view(layout)["numbers"]["value"].astype(np.float64)
    largest = np.abs(values).max(axis=1, keepdims=True)
    largest[largest == 0] = 1
    scaled: Float32Array = (values / largest).astype(np.float32)
    return scaled
