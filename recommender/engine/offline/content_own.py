"""The merchant's own vectors (of pictures, of a text model) as vectors that can be compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh

from recommender.engine.errors import EmptyInputError, InvalidInputError
from recommender.engine.types import Float32Array

NUMBERS = 20_000_000
"""Of the vectors that the directions are found on: 20,000 of 1,024 numbers, 5,000 of 4,096."""
COMPANY = 8
"""Lines that every matrix product has at least."""


@dataclass(frozen=True, slots=True)
class OwnSpace:
    """Where a catalog's own vectors lie.

    Attributes
    ----------
    mean : float32[d]
        Of the unit vectors: what all products share, which tells none of them apart.
    directions : float32[d, m]
        Orthonormal; the m directions in which the products differ most.
    """

    mean: Float32Array
    directions: Float32Array

    def embed(self, vectors: Float32Array) -> Float32Array:
        """Vectors of any products, new ones too, as `content_fusion` takes them.

        Parameters
        ----------
        vectors : float32[n, d]
            Of any length; a line of zeros where a product has none.

        Returns
        -------
        float32[n, m]
            Unit vectors, the same for the same vector to the last bit; zeros stay zeros, and a
            vector that is the mean becomes zeros.

        Raises
        ------
        InvalidInputError
            If they have another number of dimensions.
        """
        if vectors.shape[1] != len(self.mean):
            raise InvalidInputError(
                f"own vectors have {len(self.mean)} numbers here, not {vectors.shape[1]}"
            )
        # A line alone would be multiplied by another routine, which rounds otherwise.
        company = np.zeros((COMPANY, vectors.shape[1]), np.float32)
        units = _unit(np.concatenate([vectors, company]))
        there = np.any(units, axis=1)
        units[there] -= self.mean
        return _unit((units @ self.directions)[: len(vectors)])


def fit_own_space(vectors: Float32Array, *, dimensions: int = 64) -> OwnSpace:
    """The mean and the principal directions of the catalog's own vectors.

    Vectors of a picture or text model usually point the same way for the most part: without the
    mean taken out, everything is like everything, and their cosines would drown those of other
    parts or drown in them. Costs O(n d² + d³), n at most `sample_size(d)`.

    Parameters
    ----------
    vectors : float32[n, d]
        Of any length; lines of zeros are products without one.
    dimensions : int
        With d up to this all directions are kept, and cosines are exact.

    Returns
    -------
    OwnSpace

    Raises
    ------
    EmptyInputError
        If no product has a vector.

    Examples
    --------
    >>> space = fit_own_space(np.array([[9, 1], [9, -1], [18, 2], [0, 0]], np.float32))
    >>> space.embed(np.array([[9, 1], [9, -1], [0, 0]], np.float32)).shape
    (3, 2)
    """
    units = _unit(np.asarray(vectors, np.float32))
    units = units[np.any(units, axis=1)]
    if not len(units):
        raise EmptyInputError(f"none of the {len(vectors)} products has a vector")
    mean = units.mean(axis=0, dtype=np.float64).astype(np.float32)
    n_dimensions = units.shape[1]
    if n_dimensions <= dimensions:
        return OwnSpace(mean, np.eye(n_dimensions, dtype=np.float32))
    most = sample_size(n_dimensions)
    step = max(len(units) // most, 1)
    centred = (units[::step][:most] - mean).astype(np.float64)
    leading = (n_dimensions - dimensions, n_dimensions - 1)
    _, directions = eigh(centred.T @ centred, subset_by_index=leading, overwrite_a=True)
    return OwnSpace(mean, np.ascontiguousarray(directions, np.float32))


def sample_size(n_dimensions: int) -> int:
    """How many vectors the directions are found on.

    Examples
    --------
    >>> sample_size(1_000), sample_size(4_000)
    (20000, 5000)
    """
    return NUMBERS // max(n_dimensions, 1)


def common_length(lengths: Iterable[int]) -> int:
    """The number of numbers that most vectors have; 0 if there is none, ties by the larger.

    Vectors of different models can't be compared: a catalog keeps to the one that most of its
    products have.

    Examples
    --------
    >>> common_length([3, 512, 512, 3, 512]), common_length([2, 3]), common_length([])
    (512, 3, 0)
    """
    counted = Counter(lengths)
    return max(counted, key=lambda length: (counted[length], length), default=0)


def _unit(vectors: Float32Array) -> Float32Array:
    """Lines scaled to length 1; a line that is nothing but rounding becomes 0."""
    # First by the largest number, or squares of tiny or huge numbers leave what float32 can hold.
    largest = np.abs(vectors).max(axis=1, initial=0.0)
    tiny = largest < 1e-6
    largest[tiny] = np.inf
    scaled = vectors / largest[:, None]
    lengths = np.sqrt(np.einsum("ij,ij->i", scaled, scaled))
    lengths[tiny] = np.inf
    unit: Float32Array = (scaled / lengths[:, None]).astype(np.float32)
    return unit
