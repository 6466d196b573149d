"""A store's own history for the Lab: what training reads, in rows of the products that took part.

Read by what trains, never by a web process: it brings the engine's offline side along.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from django.db import connection

from recommender.engine.id_map import IdMap
from recommender.engine.methods.inputs import ItemFacts
from recommender.engine.offline.content_own import common_length, fit_own_space, sample_size
from recommender.engine.types import NO_ROW, Float32Array, Int32Array, Int64Array
from recommender.selectors.own_vectors import (
    own_vector_lengths,
    own_vector_sample,
    own_vectors,
)
from recommender.selectors.training_data import (
    TrainingEvents,
    TrainingProducts,
    training_events,
    training_products,
    training_shoppers,
)

MOST_VECTOR_NUMBERS = 50_000_000
"""Of all own vectors together: 200 MB, of which methods make copies."""


@dataclass(frozen=True, slots=True)
class LabHistory:
    """A store's history in rows of the products that anybody ever did something with.

    Attributes
    ----------
    item_ids
        Product ids; row = position. Products without a single event are left out: nobody could
        say whether they were right.
    events
        As training reads them: without erased, denied and machines, guests as their customers.
    facts
        Of the items; `since_s` is made for each cut (`facts_at`).
    published_s : int64[n_items]
        When the catalog says that an item came; 0: it doesn't.
    brands
        Names by `facts.brand_codes`.
    """

    item_ids: IdMap
    events: TrainingEvents
    facts: ItemFacts
    published_s: Int64Array
    brands: Sequence[str]

    @property
    def n_items(self) -> int:
        return len(self.item_ids)


def lab_history(*, store_id: int, since: datetime) -> LabHistory:
    """Read everything since a time. Seven queries, of which one is a COPY of the events."""
    products = training_products(store_id=store_id)
    events, _ = training_events(
        store_id=store_id,
        since=since,
        products=products,
        shoppers=training_shoppers(store_id=store_id),
    )
    return lab_history_of(store_id=store_id, products=products, events=events)


def lab_history_of(
    *, store_id: int, products: TrainingProducts, events: TrainingEvents
) -> LabHistory:
    """A history out of what training has read already. One query."""
    used = np.unique(events.item_rows)
    rows = np.full(len(products), NO_ROW, np.int32)
    rows[used] = np.arange(len(used))
    prices, published, vectors = _catalog_facts(store_id, products.ids.ids[used])
    brand_codes, brands = _codes([products.brands[i] for i in used])
    category_codes, _ = _codes([products.category_paths[i] for i in used])
    return LabHistory(
        item_ids=IdMap(products.ids.ids[used]),
        events=TrainingEvents(
            events.shopper_rows,
            rows[events.item_rows],
            events.types,
            events.quantities,
            events.times_s,
            events.group_keys,
            events.session_keys,
        ),
        facts=ItemFacts(
            titles=[products.titles[i] for i in used],
            texts=[_text(products, i) for i in used],
            category_codes=category_codes,
            brand_codes=brand_codes,
            prices=prices,
            vectors=vectors,
        ),
        published_s=published,
        brands=brands,
    )


def _catalog_facts(
    store_id: int, product_ids: Int64Array
) -> tuple[Float32Array, Int64Array, Float32Array | None]:
    """Prices (NaN: none), dates of publication (0: none), and own vectors if products have some."""
    n = len(product_ids)
    prices, published = np.full(n, np.nan, np.float32), np.zeros(n, np.int64)
    ids = IdMap(product_ids)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, price_minor, floor(extract(epoch FROM published_at))::int8"
            " FROM catalog_product WHERE store_id = %s AND id = ANY(%s)",
            [store_id, product_ids.tolist()],
        )
        found = cursor.fetchall()
    rows = ids.rows_of(np.array([line[0] for line in found], np.int64)).tolist()
    for row, (_, price_minor, published_s) in zip(rows, found, strict=True):
        prices[row] = np.nan if price_minor is None else price_minor
        published[row] = published_s or 0
    return prices, published, _vector_matrix(store_id, ids)


def _vector_matrix(store_id: int, ids: IdMap) -> Float32Array | None:
    """The vectors of the usual length; a line of zeros for whoever has another one or none.

    Read a block at a time: as Python's numbers they would take ten times the memory. Where there
    are too many numbers they are kept by their leading directions alone, as what serves keeps them.
    """
    lengths = own_vector_lengths(store_id=store_id)
    length = common_length(size for size, count in lengths.items() for _ in range(count))
    if not length:
        return None
    space = None
    if len(ids) * length > MOST_VECTOR_NUMBERS:
        sample = own_vector_sample(
            store_id=store_id, length=length, n_vectors=lengths[length], at_most=sample_size(length)
        )
        space = fit_own_space(sample) if np.any(sample) else None
    width = length if space is None else space.directions.shape[1]
    matrix = np.zeros((len(ids), width), np.float32)
    for block in own_vectors(store_id=store_id, length=length):
        rows = ids.rows_of(block.product_ids)
        known = block.vectors[rows >= 0]
        matrix[rows[rows >= 0]] = known if space is None else space.embed(known)
    return matrix if matrix.any() else None


def _text(products: TrainingProducts, row: int) -> str:
    attributes = products.attributes[row]
    parts = [
        products.titles[row],
        products.brands[row],
        products.category_paths[row].replace(" > ", " "),
        *(f"{name} {value}" for name, value in sorted(attributes.items())),
    ]
    return " ".join(part for part in parts if part)


def _codes(names: Sequence[str]) -> tuple[Int32Array, list[str]]:
    """Numbers for names in the order in which they come, -1 for an empty one."""
    codes: dict[str, int] = {}
    rows = [codes.setdefault(name, len(codes)) if name else NO_ROW for name in names]
    return np.array(rows, np.int32), list(codes)
