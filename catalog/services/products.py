"""Products as the shop's own systems send them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from catalog.contract.products import ProductDraft
from catalog.models import Product, Store


@dataclass(frozen=True, slots=True)
class ProductsUpserted:
    """What became of the products, each counted once."""

    created: int
    updated: int
    unchanged: int


# `hidden` and `member_tags` aren't touched: those are members' decisions. A deleted product comes
# back. Rows are taken by id, so that two posts of the same products wait for each other instead of
# blocking each other.
_UPSERT = """
WITH sent AS (
    SELECT * FROM json_to_recordset(%s::json) AS sent (
        external_id text, title text, currency text, description text, url text, image_url text,
        price_minor bigint, list_price_minor bigint, margin_minor bigint, availability text,
        stock_count integer, brand text, category_path text, tags text[], attributes jsonb,
        vector float8[], published_at timestamptz
    )
), upserted AS (
    INSERT INTO catalog_product AS product (
        store_id, external_id, title, currency, description, url, image_url, price_minor,
        list_price_minor, margin_minor, availability, stock_count, brand, category_path, tags,
        attributes, vector, published_at, hidden
    )
    SELECT %s, external_id, title, currency, description, url, image_url, price_minor,
        list_price_minor, margin_minor, availability, stock_count, brand, category_path, tags,
        attributes, vector, published_at, false
    FROM sent
    ORDER BY external_id
    ON CONFLICT (store_id, external_id) DO UPDATE SET
        title = excluded.title, currency = excluded.currency,
        description = excluded.description, url = excluded.url,
        image_url = excluded.image_url, price_minor = excluded.price_minor,
        list_price_minor = excluded.list_price_minor, margin_minor = excluded.margin_minor,
        availability = excluded.availability, stock_count = excluded.stock_count,
        brand = excluded.brand, category_path = excluded.category_path, tags = excluded.tags,
        attributes = excluded.attributes, vector = excluded.vector,
        published_at = excluded.published_at, deleted_at = NULL, updated_at = statement_timestamp()
    WHERE product.deleted_at IS NOT NULL
       OR (product.title, product.currency, product.description, product.url, product.image_url,
           product.price_minor, product.list_price_minor, product.margin_minor,
           product.availability, product.stock_count, product.brand, product.category_path,
           product.tags, product.attributes, product.vector, product.published_at)
        IS DISTINCT FROM
          (excluded.title, excluded.currency, excluded.description, excluded.url,
           excluded.image_url, excluded.price_minor, excluded.list_price_minor,
           excluded.margin_minor, excluded.availability, excluded.stock_count, excluded.brand,
           excluded.category_path, excluded.tags, excluded.attributes, excluded.vector,
           excluded.published_at)
    RETURNING (xmax = 0) AS is_new
)
SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new) FROM upserted
"""


def products_upsert(*, store_id: int, drafts: Sequence[ProductDraft]) -> ProductsUpserted:
    """Create products, or replace what the shop says about them, in one transaction.

    A product that is sent twice is stored as it was sent last. One that hasn't changed keeps its
    `updated_at`, and if none has, serving isn't told to read the catalog again.
    """
    last = {draft.external_id: draft for draft in drafts}
    if not last:
        return ProductsUpserted(0, 0, 0)
    document = msgspec.json.encode(list(last.values())).decode()
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(_UPSERT, (document, store_id))
            created, updated = cursor.fetchone()
        if created or updated:
            catalog_changed(store_id=store_id)
    return ProductsUpserted(created, updated, len(last) - created - updated)


def product_delete(*, store_id: int, external_id: str) -> bool:
    """Never recommend a product again. False if the store has none of this id.

    The row stays, so that past orders keep their product; sending the product again brings it back.
    """
    now = timezone.now()
    with transaction.atomic():
        found = Product.objects.filter(
            store_id=store_id, external_id=external_id, deleted_at__isnull=True
        ).update(deleted_at=now, updated_at=now)
        if found:
            catalog_changed(store_id=store_id)
    return bool(found)


def catalog_changed(*, store_id: int) -> None:
    """Tell serving that products have changed. Call it last in the transaction that changes them:
    it holds the store's row until the end."""
    Store.objects.filter(pk=store_id).update(catalog_version=F("catalog_version") + 1)
