"""Product texts to tokens, in any language that a shop may use."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping

from recommender.engine.offline.segmentation import segmenter

UNITS = frozenset(
    {"g", "kg", "mg", "oz", "lb", "lbs", "ml", "cl", "l", "ltr", "gal", "pt", "qt", "fl"}
    | {
        "mm",
        "cm",
        "m",
        "in",
        "ft",
        "w",
        "kw",
        "v",
        "mah",
        "gb",
        "tb",
        "mb",
        "ct",
        "pk",
        "pc",
        "pcs",
    }
)
"""A number followed by one of these is one token: "12 OZ" and "12oz" are the same size."""

# Scripts written without spaces: Chinese, Japanese kana, Thai, Lao, Khmer, Myanmar.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
    "\u3040-\u30fa\u30fc-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
)
_TOKEN = re.compile(rf"\d+(?:[.,]\d+)*|[{_UNSPACED}]+|[^\W\d_{_UNSPACED}]+")
_IS_UNSPACED = re.compile(rf"[{_UNSPACED}]")
_APOSTROPHE = re.compile(r"(?<=\w)['\u2019](?=\w)")


def tokenise(text: str) -> list[str]:
    """Words and numbers with their units; see `segmentation` for scripts without spaces.

    Case and accents are folded, and apostrophes inside words dropped. Numbers keep their decimals,
    with a point, and a unit that follows is joined to them.

    Parameters
    ----------
    text : str

    Returns
    -------
    list of str
        In the order of the text; empty for a text without letters and digits.

    Examples
    --------
    >>> tokenise("Crème brûlée 12 OZ, men's 1,5L")
    ['creme', 'brulee', '12oz', 'mens', '1.5l']
    >>> tokenise("绿茶杯 500ml")
    ['绿茶', '茶杯', '500ml']
    """
    # Compose what the fold leaves apart (Hangul), after the accents are gone.
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    folded = unicodedata.normalize("NFC", "".join(filter(_is_kept, decomposed)))
    segment = segmenter(folded)
    tokens: list[str] = []
    for word in _TOKEN.findall(_APOSTROPHE.sub("", folded)):
        if word in UNITS and tokens and tokens[-1][-1].isdigit():
            tokens[-1] += word
        elif _IS_UNSPACED.match(word):
            tokens.extend(segment(word))
        else:
            tokens.append(word.replace(",", ".") if word[0].isdigit() else word)
    return tokens


def product_tokens(
    title: str,
    *,
    brand: str = "",
    category_path: Iterable[str] = (),
    attributes: Mapping[str, str] | None = None,
) -> list[str]:
    """One token list for a product: the words of its title, then what it is, as whole facts.

    Brand and every level of the category are one token each, marked with their field, so that the
    brand "Apple" isn't the fruit, and their words are added as well, so that a category called
    "Pasta sauces" is near a title with "pasta".

    Parameters
    ----------
    title : str
    brand : str
    category_path : iterable of str
        From the widest to the narrowest level.
    attributes : mapping of name to value, or None

    Returns
    -------
    list of str
        Empty for a product without any text.

    Examples
    --------
    >>> product_tokens("Tea", brand="Apple", category_path=["Drinks"], attributes={"size": "S"})
    ['tea', 'brand=apple', 'category=drinks', 'drinks', 'size=s']
    """
    tokens = tokenise(title)
    seen = set(tokens)
    if brand and (name := "_".join(tokenise(brand))):
        tokens.append(f"brand={name}")
    for level in category_path:
        words = tokenise(level)
        if words:
            tokens.append(f"category={'_'.join(words)}")
            tokens.extend(word for word in words if word not in seen)
            seen.update(words)
    for name, value in (attributes or {}).items():
        words = tokenise(str(value))
        if words:
            tokens.append(f"{'_'.join(tokenise(name))}={'_'.join(words)}")
    return tokens


def _is_kept(character: str) -> bool:
    """Everything but combining accents; vowel signs of Indic and Thai scripts are letters."""
    return not "\u0300" <= character <= "\u036f"
