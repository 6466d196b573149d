"""Between the ids of the database and the row numbers of the arrays."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from recommender.engine.errors import InvalidInputError
from recommender.engine.types import NO_ROW, Int32Array, Int64Array


@dataclass(frozen=True, slots=True)
class IdMap:
    """A sorted list of ids; the position of an id is its row.

    Looking up n ids costs O(n log m) and no memory beside the answer, and the map itself is one
    array, so it can be memory-mapped and shared between processes.

    Parameters
    ----------
    ids : int64[m]
        Ascending, each once.

    Raises
    ------
    InvalidInputError
        If the ids aren't strictly ascending.

    Examples
    --------
    >>> ids = IdMap.of([30, 10, 20, 10])
    >>> ids.rows_of([20, 99]).tolist()
    [1, -1]
    >>> ids.ids_of([0, 2]).tolist()
    [10, 30]
    """

    ids: Int64Array

    def __post_init__(self) -> None:
        if self.ids.ndim != 1:
            raise InvalidInputError(f"ids must be one-dimensional, not {self.ids.shape}")
        if len(self.ids) > np.iinfo(np.int32).max:
            raise InvalidInputError(f"{len(self.ids)} ids are more than an int32 row can number")
        if len(self.ids) > 1 and not bool((self.ids[1:] > self.ids[:-1]).all()):
            raise InvalidInputError("ids must be strictly ascending")

    @classmethod
    def of(cls, ids: npt.ArrayLike) -> IdMap:
        """Build a map from ids in any order, duplicates allowed."""
        return cls(np.unique(np.asarray(ids, dtype=np.int64)))

    def __len__(self) -> int:
        return len(self.ids)

    def rows_of(self, ids: npt.ArrayLike) -> Int32Array:
        """Rows of ids, in their order.

        Parameters
        ----------
        ids : int64[n]

        Returns
        -------
        int32[n]
            ``-1`` where the id is unknown.
        """
        wanted = np.asarray(ids, dtype=np.int64).reshape(-1)
        if not len(self.ids):
            return np.full(len(wanted), NO_ROW, np.int32)
        places = np.searchsorted(self.ids, wanted)
        places[places == len(self.ids)] = 0
        known = self.ids[places] == wanted
        return np.where(known, places, NO_ROW).astype(np.int32)

    def ids_of(self, rows: npt.ArrayLike) -> Int64Array:
        """Ids of rows, in their order.

        Raises
        ------
        InvalidInputError
            If a row is negative or not below the number of ids.
        """
        places = np.asarray(rows, dtype=np.int64).reshape(-1)
        if len(places) and (int(places.min()) < 0 or int(places.max()) >= len(self.ids)):
            raise InvalidInputError(
                f"rows {int(places.min())}..{int(places.max())} are outside 0..{len(self.ids) - 1}"
            )
        found: Int64Array = np.asarray(self.ids)[places]
        return found


def stable_hash64(text: str) -> int:
    """A signed 64-bit number for a string id, the same in every process and release.

    Blake2b with an 8-byte digest, big-endian, two's complement. Among n ids the chance of any
    collision is about n² / 2⁶⁵: 2.4 in 10 million for 3 million shoppers.

    Examples
    --------
    >>> stable_hash64("shopper-1")
    -3970711353813374061
    """
    digest = blake2b(text.encode("utf-8"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
