"""What diversity, novelty, serendipity and calibration know of products."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from django.db import connection

from analytics.metrics.lists import self_information
from analytics.selectors.content_vectors import content_vectors
from catalog.models import EventType
from recommender.engine.id_map import IdMap
from recommender.engine.types import Float32Array, Float64Array, Int64Array

POPULARITY_DAYS = 90
# "Grocery > Dairy > Cheese" and "Grocery > Dairy > Milk" are one taste: deeper, a list of eight
# would miss most of what anybody likes.
CATEGORY_LEVELS = 2


@dataclass(frozen=True, slots=True, eq=False)
class ListWorth:
    """Every product of a store that was ever in the catalog, and behind the last an unknown one.

    Attributes
    ----------
    ids
        Row to product id.
    vectors : float32[n + 1, d]
        Of the content model that serves, unit length; zeros without content.
    bits : float64[n + 1]
        Novelty; NaN if nothing was looked at or sold.
    codes : int64[n + 1]
        The first levels of the category as a number.
    """

    ids: IdMap
    vectors: Float32Array
    bits: Float64Array
    codes: Int64Array

    def rows_of(self, product_ids: Int64Array) -> Int64Array:
        """Their rows; the last one for what is unknown."""
        rows = self.ids.rows_of(product_ids).astype(np.int64)
        rows[rows < 0] = len(self.ids)
        return rows


def list_worth(*, store_id: int, as_of: datetime) -> ListWorth:
    """Three queries and the arrays of the content model.

    How well a product is known is counted over the 90 days before `as_of`, views and order lines:
    before the start of an experiment, so that no arm makes its own products familiar, and so that
    the same list is worth the same tomorrow.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, category_path FROM catalog_product WHERE store_id = %s ORDER BY id",
            [store_id],
        )
        products = cursor.fetchall()
        cursor.execute(
            "SELECT product_id, count(*) FROM catalog_event"
            " WHERE store_id = %s AND occurred_at >= %s AND occurred_at < %s"
            " AND type IN (%s, %s) AND product_id IS NOT NULL AND NOT is_bot GROUP BY 1",
            [
                store_id,
                as_of - timedelta(days=POPULARITY_DAYS),
                as_of,
                EventType.VIEW_ITEM,
                EventType.PURCHASE,
            ],
        )
        known = np.array(cursor.fetchall(), np.int64).reshape(-1, 2)
    ids = IdMap(np.array([row[0] for row in products], np.int64))
    counts = np.zeros(len(ids) + 1, np.int64)
    rows = ids.rows_of(known[:, 0])
    counts[rows[rows >= 0]] = known[rows >= 0, 1]
    names: dict[str, int] = {}
    codes = [
        names.setdefault(" > ".join(path.split(" > ")[:CATEGORY_LEVELS]), len(names))
        for _, path in products
    ]
    return ListWorth(
        ids=ids,
        vectors=_vectors(store_id, ids),
        bits=self_information(counts),
        codes=np.array([*codes, len(names)], np.int64),
    )


def _vectors(store_id: int, ids: IdMap) -> Float32Array:
    """Those of the catalog's rows, and zeros for the unknown product behind the last."""
    content = content_vectors(store_id=store_id)
    if content is None:
        return np.zeros((len(ids) + 1, 1), np.float32)
    rows = np.append(content.rows_of(ids.ids), len(content.item_ids))
    vectors: Float32Array = content.vectors[rows]
    return vectors
