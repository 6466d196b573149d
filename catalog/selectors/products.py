"""Reading products."""

from __future__ import annotations

from collections.abc import Iterable

from catalog.models import Product


def product_ids_by_external(*, store_id: int, external_ids: Iterable[str]) -> dict[str, int]:
    """Our ids for those of the shop's that the catalog knows. One query, none for no ids."""
    wanted = list(external_ids)
    if not wanted:
        return {}
    return dict(
        Product.objects.filter(store_id=store_id, external_id__in=wanted).values_list(
            "external_id", "pk"
        )
    )
