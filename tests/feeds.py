"""Feeds as shops make them, for tests."""

from __future__ import annotations

from collections.abc import Collection
from xml.sax.saxutils import escape

GOOGLE = "http://base.google.com/ns/1.0"


def google_item(number: int, **fields: str) -> str:
    """One item of a Google Merchant feed; a field that is empty is left out."""
    values = {
        "id": f"sku-{number}",
        "title": f"{('Blue', 'Red', 'Green')[number % 3]} mug {number}",
        "description": "Holds tea & coffee",
        "link": f"https://shop.example/mugs/{number}",
        "image_link": f"https://shop.example/mugs/{number}.jpg",
        "price": f"{5 + number % 40}.50 USD",
        "availability": "in stock",
        "brand": ("Kiln", "Clayworks")[number % 2],
        "product_type": f"Kitchen > Mugs > {('Small', 'Large')[number % 2]}",
        "color": ("blue", "red", "green")[number % 3],
        **fields,
    }
    inner = "".join(f"<g:{name}>{escape(text)}</g:{name}>" for name, text in values.items() if text)
    return f"<item>{inner}</item>"


# What is wrong with a row, taken in turn.
BROKEN: tuple[dict[str, str], ...] = (
    {"title": ""},
    {"price": "a lot"},
    {"link": "javascript:alert(1)"},
    {"price": "5.00 EUR"},
    {"availability": "maybe"},
)


def google_feed(n_rows: int, *, broken: Collection[int] = ()) -> bytes:
    """A feed in RSS with one item per line; item 1 stands in line 2."""
    items = "\n".join(
        google_item(number, **(BROKEN[number % len(BROKEN)] if number in broken else {}))
        for number in range(1, n_rows + 1)
    )
    start = (
        f'<?xml version="1.0"?><rss version="2.0" xmlns:g="{GOOGLE}"><channel><title>Shop</title>'
    )
    return f"{start}\n{items}\n</channel></rss>".encode()
