"""Where a store's shop is, so that a member can look at a variant in it."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from catalog.models import ApiKey, Product, Store


@dataclass(frozen=True, slots=True)
class ShopPages:
    """Where the shop is: its home pages, and one page of a product; empty: it isn't known.

    The demo shop's products have addresses without an origin.
    """

    homes: tuple[str, ...] = ()
    product: str = ""


def shop_pages(*, store: Store) -> ShopPages:
    """From the origins of the publishable keys, else from where the products are. Two queries."""
    keys = ApiKey.objects.filter(
        store=store, kind=ApiKey.Kind.PUBLISHABLE, revoked_at__isnull=True
    ).order_by("-created_at", "-pk")
    homes = dict.fromkeys(f"{origin}/" for key in keys for origin in key.origins)
    product = (
        Product.objects.filter(store=store, hidden=False)
        .exclude(url="")
        .order_by("-pk")
        .values_list("url", flat=True)
        .first()
    )
    if product and product.startswith("http") and not homes:
        parts = urlsplit(product)
        homes = {f"{parts.scheme}://{parts.netloc}/": None}
    return ShopPages(tuple(homes), product or "")
