"""From lines of facts to the matrices that models are fitted on."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from recommender.engine.errors import InvalidInputError


def group_items_matrix(
    group_rows: npt.ArrayLike,
    item_rows: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    *,
    n_groups: int,
    n_items: int,
    binary: bool = False,
) -> csr_matrix[np.float32]:
    """A sparse groups × items matrix; a group is a shopper, a basket or a session.

    Parameters
    ----------
    group_rows, item_rows : int[n]
        One line per fact. Lines with a negative row are left out.
    weights : float[n] or None
        ``None`` means 1 each. Lines of the same group and item are added up.
    n_groups, n_items : int
    binary : bool
        Store 1 wherever the sum is positive, and nothing elsewhere.

    Returns
    -------
    csr_matrix of float32, shape (n_groups, n_items)
        Sorted indices, no duplicates, no stored zeros.

    Raises
    ------
    InvalidInputError
        If a row is beyond the stated shape or the arrays differ in length.

    Examples
    --------
    >>> group_items_matrix([0, 0, 1], [2, 2, 0], n_groups=2, n_items=3).toarray().tolist()
    [[0.0, 0.0, 2.0], [1.0, 0.0, 0.0]]
    """
    groups = np.asarray(group_rows)
    items = np.asarray(item_rows)
    values = np.ones(len(items), np.float32) if weights is None else np.asarray(weights, np.float32)
    if not len(groups) == len(items) == len(values):
        raise InvalidInputError(
            f"group_rows, item_rows and weights differ in length: "
            f"{len(groups)}, {len(items)}, {len(values)}"
        )
    kept = (groups >= 0) & (items >= 0)
    if not kept.all():
        groups, items, values = groups[kept], items[kept], values[kept]
    if len(items) and (int(groups.max()) >= n_groups or int(items.max()) >= n_items):
        raise InvalidInputError(
            f"row ({int(groups.max())}, {int(items.max())}) is outside ({n_groups}, {n_items})"
        )
    matrix = csr_matrix((values, (groups, items)), shape=(n_groups, n_items), dtype=np.float32)
    matrix.sum_duplicates()
    if binary:
        matrix.data = (matrix.data > 0).astype(np.float32)
    matrix.eliminate_zeros()
    return matrix


def user_items_matrix(
    shopper_rows: npt.ArrayLike,
    item_rows: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    *,
    n_shoppers: int,
    n_items: int,
    binary: bool = False,
) -> csr_matrix[np.float32]:
    """Shoppers × items; see `group_items_matrix`."""
    return group_items_matrix(
        shopper_rows, item_rows, weights, n_groups=n_shoppers, n_items=n_items, binary=binary
    )


def basket_items_matrix(
    basket_rows: npt.ArrayLike, item_rows: npt.ArrayLike, *, n_baskets: int, n_items: int
) -> csr_matrix[np.float32]:
    """Baskets × items, 1 where the basket holds the item, whatever the quantity.

    Examples
    --------
    >>> basket_items_matrix([0, 0], [1, 1], n_baskets=1, n_items=2).toarray().tolist()
    [[0.0, 1.0]]
    """
    return group_items_matrix(
        basket_rows, item_rows, n_groups=n_baskets, n_items=n_items, binary=True
    )
