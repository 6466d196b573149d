"""Quiet pictures for products that have none: one drawn tile per category, made by pure functions.

The demo's data comes without pictures. `tile_url` is what the import writes into `image_url`, so
shop pages and recommendation widgets show the same tile; `tile_svg` draws it from its slug alone.
"""

from __future__ import annotations

import re
from hashlib import blake2b

from django.utils.text import slugify

from catalog.demo.glyphs import BASKET, GLYPHS, Glyph
from catalog.models.products import CATEGORY_SEPARATOR

LEVEL_SEPARATOR = "--"
SLUG_LENGTH = 120


_GLYPH_BY_WORD = {word: glyph for glyph in reversed(GLYPHS) for word in glyph.words.split()}


def tile_slug(category_path: str) -> str:
    """Name the tile of a category: its levels as slugs, the most general first.

    >>> tile_slug("Dairy > Cheese > Shredded cheese")
    'dairy--cheese--shredded-cheese'
    >>> tile_slug("")
    'other'
    """
    levels = [slugify(level) for level in category_path.split(CATEGORY_SEPARATOR.strip())]
    return LEVEL_SEPARATOR.join(filter(None, levels))[:SLUG_LENGTH].strip("-") or "other"


def tile_url(category_path: str) -> str:
    """Give the address of the picture that stands for products of this category."""
    return f"/shop/tiles/{tile_slug(category_path)}.svg"


def tile_glyph(slug: str) -> Glyph:
    """Choose the drawing: the most specific level that has a known word decides.

    Of several words the last one does, for English says at the end what a thing is; but what is
    in a can looks like a can.

    >>> tile_glyph("grocery--soup--chicken-noodle-soup").name
    'soup'
    >>> tile_glyph("bakery--breakfast-sweets--coffee-cake").name
    'cake'
    >>> tile_glyph("pantry--canned-vegetables--canned-corn").name
    'can'
    >>> tile_glyph("something--else").name
    'basket'
    """
    for level in reversed(slug.split(LEVEL_SEPARATOR)):
        words = re.findall(r"[a-z]+", level)
        if words[:1] == ["canned"]:
            return _GLYPH_BY_WORD["canned"]
        for end in range(len(words), 0, -1):
            pair = "-".join(words[max(0, end - 2) : end])
            glyph = _GLYPH_BY_WORD.get(pair) or _GLYPH_BY_WORD.get(words[end - 1])
            if glyph is not None:
                return glyph
    return BASKET


def tile_svg(slug: str) -> str:
    """Draw the tile: the same slug gives the same bytes, in light and in dark.

    The glyph's family gives the hue, the slug moves it by a few degrees and places the disc behind
    the drawing, so that neighbours in a row differ without shouting.
    """
    glyph = tile_glyph(slug)
    noise = blake2b(slug.encode(), digest_size=4).digest()
    hue = (glyph.hue + noise[0] % 17 - 8) % 360
    across, down = 160 + (noise[1] % 5 - 2) * 12, 160 + (noise[2] % 5 - 2) * 12
    radius = 98 + noise[3] % 4 * 8
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 320 320" width="320" height="320">'
        "<style>"
        f".a{{fill:oklch(.962 .014 {hue})}}.b{{fill:oklch(.925 .03 {hue})}}"
        f".c{{fill:none;stroke:oklch(.43 .062 {hue});stroke-width:1.75px;vector-effect:non-scaling-stroke;"
        "stroke-linecap:round;stroke-linejoin:round}"
        "@media(prefers-color-scheme:dark){"
        f".a{{fill:oklch(.272 .014 {hue})}}.b{{fill:oklch(.322 .026 {hue})}}"
        f".c{{stroke:oklch(.82 .05 {hue})}}}}"
        "</style>"
        '<path class="a" d="M0 0h320v320H0z"/>'
        f'<circle class="b" cx="{across}" cy="{down}" r="{radius}"/>'
        f'<path class="c" transform="translate(78 78) scale(3.417)" d="{glyph.path}"/>'
        "</svg>"
    )
