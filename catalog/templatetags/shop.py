"""How the demo shop writes prices and people."""

from __future__ import annotations

from django import template

from catalog.demo.tiles import tile_url
from catalog.money import money_text

register = template.Library()


@register.filter
def money(minor: int | None, currency: str) -> str:
    """Minor units as a price: "$12.50"; nothing for a missing price."""
    return "" if minor is None else money_text(minor, currency)


@register.filter
def saving(price_minor: int | None, list_price_minor: int | None) -> int:
    """By how many percent the price is reduced; 0 if it isn't.

    >>> saving(750, 1000), saving(1000, 750), saving(None, 10)
    (25, 0, 0)
    """
    if not price_minor or not list_price_minor or list_price_minor <= price_minor:
        return 0
    return round(100 * (list_price_minor - price_minor) / list_price_minor)


@register.filter
def shopper_name(external_id: str) -> str:
    """A pseudonym as a name.

    >>> shopper_name("household-718")
    'Household 718'
    """
    return external_id.replace("-", " ").capitalize()


@register.filter
def tile(category_path: str) -> str:
    """The address of the picture that stands for a category."""
    return tile_url(category_path)
