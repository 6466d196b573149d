"""Which products may be shown at all: they have a price, are in stock, not hidden, not deleted.

Serving calls them eligible before it knows the shopper, the console says that they can be
recommended, and every share "of the catalog" is a share of them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from django.db import connection
from django.db.models import Q

from catalog.models import Product

SHOWABLE = (
    Q(deleted_at=None, hidden=False, price_minor__gt=0)
    & ~Q(availability=Product.Availability.OUT_OF_STOCK)
    & (Q(stock_count=None) | Q(stock_count__gt=0))
)
# The same for queries that no ORM writes, over the columns of `catalog_product`; in parts for
# serving, which says which of them is missing.
AVAILABLE_SQL = "availability <> 'out_of_stock' AND coalesce(stock_count, 1) > 0"
VISIBLE_SQL = "NOT hidden AND deleted_at IS NULL"
SHOWABLE_SQL = f"{AVAILABLE_SQL} AND {VISIBLE_SQL} AND price_minor > 0"


def showable_ids(*, store_id: int) -> npt.NDArray[np.int64]:
    """Ids of the products that may be shown now, ascending. One query."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT id FROM catalog_product WHERE store_id = %s AND {SHOWABLE_SQL} ORDER BY id",
            [store_id],
        )
        return np.array([row[0] for row in cursor.fetchall()], np.int64)


def n_of_catalog(showable: npt.NDArray[np.int64], shown: npt.NDArray[np.int64]) -> int:
    """How many products there are to show, whatever was shown among them.

    What was shown could be shown then, though it may be sold out by now. Both without repeats.

    >>> n_of_catalog(np.array([1, 2, 3]), np.array([3, 9]))
    4
    """
    return len(showable) + int(np.isin(shown, showable, assume_unique=True, invert=True).sum())
