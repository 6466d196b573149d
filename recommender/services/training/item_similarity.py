"""Item similarities: bought together, also viewed."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix

from recommender.engine.offline.ease import combine_neighbours, ease_neighbours, fit_ease
from recommender.engine.offline.interactions import basket_items_matrix
from recommender.engine.offline.item_similarity import fit_item_similarity
from recommender.engine.online.neighbours import expand_neighbours
from recommender.engine.types import Neighbours
from recommender.selectors.training_data import TrainingEvents
from recommender.services.training.trained import (
    NotEnoughData,
    Report,
    Trained,
    TrainingData,
    cut_before,
    dense,
)

NEIGHBOURS = 50
MIN_BASKETS = 20
# Two orders with the same two rare products are chance: shampoo and recording tape.
MIN_PAIR_ORDERS = 3
# Sessions of views replace orders for `also_viewed` from here on; between, both count.
MIN_VIEW_SESSIONS = 1_000
EASE_ITEMS = 4_000
EASE_REGULARISATION = 100.0
# A wholesale order says little about what goes with what, and costs the square of its length.
MAX_BASKET_ITEMS = 150
QUALITY_BASKETS = 2_000


def train_item_similarity(data: TrainingData, report: Report) -> Trained:
    """Learn from orders and sessions.

    Raises
    ------
    NotEnoughData
        Fewer than `MIN_BASKETS` orders of two or more products.
    """
    n_items = len(data.products)
    purchases, views = data.purchases, data.views
    basket_rows, n_baskets = dense(purchases.group_keys)
    baskets = basket_items_matrix(
        basket_rows, purchases.item_rows, n_baskets=n_baskets, n_items=n_items
    )
    n_useful = int((np.diff(baskets.indptr) > 1).sum())
    if n_useful < MIN_BASKETS:
        raise NotEnoughData(
            f"Bought together needs {MIN_BASKETS} orders of two or more products;"
            f" there are {n_useful}."
        )
    report("Measuring on the latest orders", 0.05)
    quality = _quality(purchases, n_items)
    report("Bought together", 0.4)
    bought_together = _bought_together(baskets, n_items)
    report("Also viewed", 0.7)
    also_viewed, n_sessions = _also_viewed(views, baskets, n_items)
    return Trained(
        arrays={
            "item_ids": data.products.ids.ids,
            "bought_together_rows": bought_together.indices,
            "bought_together_scores": bought_together.scores,
            "also_viewed_rows": also_viewed.indices,
            "also_viewed_scores": also_viewed.scores,
        },
        parameters={
            "neighbours": NEIGHBOURS,
            "ease_items": EASE_ITEMS,
            "ease_regularisation": EASE_REGULARISATION,
            "max_basket_items": MAX_BASKET_ITEMS,
            "min_pair_orders": MIN_PAIR_ORDERS,
        },
        counts={
            "products": n_items,
            "orders": n_baskets,
            "order_lines": len(purchases),
            "view_sessions": n_sessions,
            "products_with_neighbours": int((bought_together.indices[:, 0] >= 0).sum()),
        },
        quality=quality,
        headline="basket_hit_rate_at_20",
        as_of_s=float(data.newest_s),
        marks=data.watermark.marks,
    )


def _bought_together(baskets: csr_matrix[np.float32], n_items: int) -> Neighbours:
    tail = fit_item_similarity(
        baskets,
        k=NEIGHBOURS,
        damping=0.5,
        shrinkage=5.0,
        min_support=MIN_PAIR_ORDERS,
        max_group_items=MAX_BASKET_ITEMS,
    )
    head = fit_ease(
        baskets, regularisation=EASE_REGULARISATION, max_items=EASE_ITEMS, min_support=5
    )
    return combine_neighbours(ease_neighbours(head, n_items=n_items, k=NEIGHBOURS), tail)


def _also_viewed(
    views: TrainingEvents, baskets: csr_matrix[np.float32], n_items: int
) -> tuple[Neighbours, int]:
    """Cosine over sessions of views; over orders where there are not enough views."""
    from_orders = fit_item_similarity(
        baskets,
        k=NEIGHBOURS,
        damping=0.7,
        shrinkage=2.0,
        min_support=MIN_PAIR_ORDERS,
        max_group_items=MAX_BASKET_ITEMS,
    )
    if not len(views):
        return from_orders, 0
    session_rows, n_sessions = dense(views.group_keys)
    if n_sessions < MIN_VIEW_SESSIONS:
        return from_orders, n_sessions
    sessions = basket_items_matrix(
        session_rows, views.item_rows, n_baskets=n_sessions, n_items=n_items
    )
    from_views = fit_item_similarity(
        sessions, k=NEIGHBOURS, damping=0.5, shrinkage=2.0, max_group_items=MAX_BASKET_ITEMS
    )
    return combine_neighbours(from_views, from_orders), n_sessions


def _quality(purchases: TrainingEvents, n_items: int) -> dict[str, float]:
    """Hit rate@20 of completing the latest orders, by a model that never saw them.

    One product of each order (the one with the smallest key of a fixed mixing of its row, so that
    no chance is involved) is hidden, the others are the query.
    """
    cut = cut_before(purchases.times_s, share=0.05)
    is_past = purchases.times_s < cut
    past, later = purchases.where(is_past), purchases.where(~is_past)
    if len(past) < MIN_BASKETS or not len(later):
        return {}
    past_rows, n_past = dense(past.group_keys)
    model = _bought_together(
        basket_items_matrix(past_rows, past.item_rows, n_baskets=n_past, n_items=n_items), n_items
    )
    known = np.bincount(past.item_rows, minlength=n_items) >= 5
    later_rows, n_later = dense(later.group_keys)
    orders = basket_items_matrix(later_rows, later.item_rows, n_baskets=n_later, n_items=n_items)
    n_tried = n_hit = 0
    for order in range(n_later):
        if n_tried == QUALITY_BASKETS:
            break
        items = orders.indices[orders.indptr[order] : orders.indptr[order + 1]]
        items = items[known[items]]
        if len(items) < 3:
            continue
        hidden = items[np.argmin((items.astype(np.int64) * 2_654_435_761) % 2**32)]
        found = expand_neighbours(model, items[items != hidden], limit=20)
        n_tried += 1
        n_hit += int(hidden in found.rows)
    if not n_tried:
        return {}
    return {"basket_hit_rate_at_20": round(n_hit / n_tried, 4), "n_test_orders": float(n_tried)}
