"""Titles, categories, brands and sizes of the demo catalog: till words → shop words.

Pure. The source names its products the way a till does: capitals, abbreviations, words cut off
after thirty characters ("CANDY BARS (SINGLES)(INCLUDING"). Nothing is added that the source
doesn't say: what it cuts off is left out, what it leaves open stays open.

The tables are in `catalog.demo.wording`; this module has the rules for everything not in them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from catalog.demo.wording import (
    CATEGORIES,
    CODES,
    DEPARTMENTS,
    HIDDEN_CATEGORIES,
    HIDDEN_DEPARTMENTS,
    HIDDEN_TYPES,
    NATURAL,
    NOUN_FIRST,
    PROPER_NAMES,
    TYPES,
    TYPES_IN_CATEGORY,
    WORDS,
)

OWN_LABEL = "Journey Market"
UNNAMED = "Other"
LEVEL_SEPARATOR = " > "


@dataclass(frozen=True, slots=True)
class Wording:
    """How one product of the source is called in the shop."""

    title: str
    brand: str
    category_path: str
    size: str
    hidden: bool


def product_wording(
    *,
    department: str,
    category: str | None,
    product_type: str | None,
    package_size: str | None,
    private_label: bool,
    manufacturer_id: int,
) -> Wording:
    """Word one product.

    Parameters
    ----------
    department, category, product_type, package_size
        As in the source; None where it is silent.
    private_label
        True if the product is the grocer's own.
    manufacturer_id
        The source has numbers instead of names of makers; the number becomes the brand.

    Examples
    --------
    >>> wording = product_wording(
    ...     department="GROCERY",
    ...     category="FRZN BREAKFAST FOODS",
    ...     product_type="WAFFLES/PANCAKES/FRENCH TOAST",
    ...     package_size="19.8 OZ",
    ...     private_label=False,
    ...     manufacturer_id=544,
    ... )
    >>> wording.title
    'Waffles, pancakes & French toast, 19.8 oz'
    >>> wording.category_path
    'Frozen > Breakfast > Waffles, pancakes & French toast'
    >>> wording.brand
    'Brand 544'
    """
    name = type_title(product_type, category=category)
    size = size_title(package_size, department=department)
    levels = category_levels(department, category)
    if product_type is not None and name.casefold() != levels[-1].casefold():
        levels = (*levels, name)
    return Wording(
        title=f"{name}, {size}" if size else name,
        brand=OWN_LABEL if private_label else f"Brand {manufacturer_id}",
        category_path=LEVEL_SEPARATOR.join(levels),
        size=size,
        hidden=is_hidden(department, category, product_type),
    )


def is_hidden(department: str, category: str | None, product_type: str | None) -> bool:
    """Tell what isn't for the shelf of an online shop.

    Fuel, coupons, deposits, gift cards, tickets, services, the till's own bookings, and tobacco,
    which many countries don't let a shop advertise.
    """
    return (
        product_type is None
        or department in HIDDEN_DEPARTMENTS
        or category in HIDDEN_CATEGORIES
        or product_type in HIDDEN_TYPES
    )


def category_levels(department: str, category: str | None) -> tuple[str, ...]:
    """Name the department and the category as a shop would: ("Bakery", "Bread").

    The source's largest department, "GROCERY", holds everything from ice cream to cat litter, so
    the shop's department follows from the category; the source's one decides only where the
    category says nothing, and for natural foods, which have shelves of their own.
    """
    if category is None or category not in CATEGORIES:
        return DEPARTMENTS.get(department, (UNNAMED,))
    aisle, name = CATEGORIES[category]
    if department == "NUTRITION":
        aisle = NATURAL
    return (aisle, name) if aisle != name else (aisle,)


# ----------------------------------------------------------------------------------------- types


@lru_cache(maxsize=8192)
def type_title(product_type: str | None, *, category: str | None = None) -> str:
    """Word a product type; the category disambiguates "PREMIUM" (ice cream? bacon?).

    Examples
    --------
    >>> type_title("SOAP - LIQUID & BAR")
    'Soap, liquid & bar'
    >>> type_title("PREMIUM COOKIES (EX: PEPPERIDG")
    'Premium cookies'
    >>> type_title("PREMIUM", category="BACON")
    'Premium bacon'
    """
    if product_type is None:
        return UNNAMED
    worded = TYPES_IN_CATEGORY.get((category or "", product_type)) or TYPES.get(product_type)
    return worded or _spell_out(product_type)


def _spell_out(product_type: str) -> str:
    """Word a type by rule: drop codes and brackets, expand abbreviations, order the words."""
    text = re.sub(r"\([^)]*\)?", " ", product_type)
    for code, replacement in CODES:
        text = code.sub(replacement, text)
    text = re.sub(r"\s*(?:&| AND )\s*", " & ", text)
    text = re.sub(r"\s*/\s*", " / ", text)
    text = re.sub(r"\s*(?::|\s-|-\s)\s*", " , ", text)
    words = [_expand(word) for word in text.split()]
    words = _noun_last(words)
    return _tidy(" ".join(word for word in words if word))


def _expand(word: str) -> str:
    bare = word.rstrip(".")
    if bare in WORDS:
        return WORDS[bare]
    return word.lower()


def _noun_last(words: list[str]) -> list[str]:
    """Turn "apples gala" into "gala apples", as people say it."""
    if len(words) > 1 and words[0] in NOUN_FIRST and not {",", "/", "&"} & set(words):
        return [*words[1:], words[0]]
    return words


def _tidy(text: str) -> str:
    parts = [part.strip() for part in text.split("/") if part.strip()]
    if len(parts) > 1:
        text = f"{', '.join(parts[:-1])} & {parts[-1]}" if "&" not in text else ", ".join(parts)
    text = re.sub(r"\s+", " ", text)
    text = re.sub(r"(?:\s*,)+\s*", ", ", text).strip(" ,.&-")
    text = _PROPER.sub(lambda match: PROPER_NAMES[match.group(0).lower()], text)
    return text[:1].upper() + text[1:] if text else UNNAMED


_PROPER = re.compile(
    r"(?<![\w'])(?:"
    + "|".join(map(re.escape, sorted(PROPER_NAMES, key=len, reverse=True)))
    + r")(?![\w'])",
    re.IGNORECASE,
)

# ----------------------------------------------------------------------------------------- sizes

_FRACTIONS = {
    "1/2": "½",
    "1/3": "⅓",
    "2/3": "⅔",
    "1/4": "¼",
    "3/4": "¾",
    "1/8": "⅛",
    "3/8": "⅜",
    "5/8": "⅝",
    "7/8": "⅞",
}
_UNITS = {
    "OZ": "oz",
    "OZS": "oz",
    "Z": "oz",
    "FL OZ": "fl oz",
    "LB": "lb",
    "LBS": "lb",
    "GM": "g",
    "G": "g",
    "ML": "ml",
    "L": "L",
    "LTR": "L",
    "LRT": "L",
    "PT": "pt",
    "QT": "qt",
    "GAL": "gal",
    "GA": "gal",
    "IN": "in",
    "FT": "ft",
    "SQ FT": "sq ft",
    "YD": "yd",
    "MM": "mm",
    "CM": "cm",
    "CT": "ct",
    "PC": "pc",
    "PCS": "pc",
    "DZ": "dozen",
    "DZN": "dozen",
    "DOZ": "dozen",
    "STEM": "stems",
    "STEMS": "stems",
    "LOAD": "loads",
    "LOADS": "loads",
    "LD": "loads",
    "LDS": "loads",
    "USE": "uses",
    "USES": "uses",
    "ROLL": "rolls",
    "ROLLS": "rolls",
    "SHEET": "sheets",
    "SHEETS": "sheets",
    "CUP": "cups",
    "CUPS": "cups",
    "PADS": "pads",
    "MG": "mg",
}
# Within these bounds a number is a size; beyond, it is a stock number that strayed into the column.
_MOST_PACKS = 144
_MOST = 5_000
_PIECES = frozenset({"ct", "pc", "stems", "loads", "uses", "rolls", "sheets", "pads"})
_WORD_SIZES = {
    "LARGE": "large",
    "LRG": "large",
    "MED": "medium",
    "MEDIUM": "medium",
    "SMALL": "small",
    "X-LARGE": "extra large",
    "XLRG": "extra large",
    "KING": "king size",
    "QUEEN": "queen size",
    "TALL": "tall",
    "MINI": "mini",
    "PT": "1 pt",
    "QT": "1 qt",
    "GAL": "1 gal",
    "L": "1 L",
    "DZ": "1 dozen",
    "DOZ": "1 dozen",
    "HALF GAL": "½ gal",
}
_NUMBER = r"\d*\.\d+|\d+ \d/\d|\d/\d|\d+"
_WEIGHT = "FL OZ|OZS|OZ|Z|LB|ML|L|QT|PT|GM|G"
_UNIT = "|".join(sorted(map(re.escape, _UNITS), key=len, reverse=True))
_PACK = r"(?:PK|PKS|PACK|P)"
_AMOUNT = re.compile(rf"(?P<n>{_NUMBER}) ?(?P<unit>{_UNIT})")
_RANGE = re.compile(r"(?P<low>\d+) ?[-/] ?(?P<high>\d+) ?(?P<unit>CT|STEMS?|IN)")
_TIMES = re.compile(rf"(?P<count>\d+) ?(?:/|-| - ) ?(?P<n>{_NUMBER}) ?(?P<unit>{_WEIGHT})")
_PACKS = re.compile(rf"(?P<count>\d+) ?{_PACK}")
_AREA = re.compile(rf"(?P<a>{_NUMBER}) ?X ?(?P<b>{_NUMBER}) ?(?P<unit>IN|FT|CM|YD)")
_CONTAINER = re.compile(
    r" ?(?:CAN|BTL|PET|NR|BAG|BOX|JAR|TRAY|TUBE|PLST|POUCH|AEROS?|LOOSE|REFIL|POT|EA|ASST|SET|\*)$"
)
_GRADE = re.compile(r"^(?:[A-Z]{1,3} +)+(?=[\d.])")
_CASE = re.compile(r" ?/?\(\d+\)$|(?<=[A-Z])\.$")
# What the till calls the size of loose produce is the size of the box that it came in.
_LOOSE_DEPARTMENTS = frozenset(
    {"PRODUCE", "MEAT", "SEAFOOD", "TRAVEL & LEISURE", "FROZEN GROCERY", "CHEF SHOPPE", "SALAD BAR"}
)
_BOX_POUNDS = 15
_BOX_PIECES = 7
# 40 pounds: beyond, the source has lost a separator ("2416.9 OZ" is 24 bottles of 16.9).
_MOST_OUNCES = 640


@lru_cache(maxsize=8192)
def size_title(package_size: str | None, *, department: str = "") -> str:
    """Word a package size; an empty text where it is missing, unreadable or says nothing.

    Examples
    --------
    >>> size_title("1/2 GAL"), size_title(".5 OZ"), size_title("6 PK/4 OZ"), size_title("4/187 ML")
    ('½ gal', '0.5 oz', '6-pack, 4 oz', '4 × 187 ml')
    >>> size_title("CTN"), size_title("1 CT"), size_title("40 LB", department="PRODUCE")
    ('', '', '')
    """
    if package_size is None:
        return ""
    text = _GRADE.sub("", package_size.strip().upper())
    text = re.sub(r"\s+", " ", _CASE.sub("", text))
    text = re.sub(r"(?<=\d)\.?[- ](?=(?:LB|CT|OZ|STEMS?)\b)", " ", text)
    if text in _WORD_SIZES:
        return _WORD_SIZES[text]
    text = _CONTAINER.sub("", text)
    if match := _RANGE.fullmatch(text):
        if department in _LOOSE_DEPARTMENTS or int(match["low"]) >= int(match["high"]):
            return ""
        return f"{match['low']}–{match['high']} {_UNITS[match['unit']]}"
    if match := _AREA.fullmatch(text):
        return f"{_number(match['a'])} × {_number(match['b'])} {_UNITS[match['unit']]}"
    if match := _AMOUNT.fullmatch(text):
        return _amount(match["n"], match["unit"], department)
    if match := _TIMES.fullmatch(text):
        amount = _amount(match["n"], match["unit"], department)
        return f"{match['count']} × {amount}" if amount and _is_pack(match["count"]) else ""
    return _several(text, department)


def _several(text: str, department: str) -> str:
    """Word "6 PK/4 OZ", "10 CT 12 OZ" and "12 OZ/4 PK": packs first, each part if readable."""
    parts = [part for part in re.split(r"/|(?<=PK|CT|OZ|LB|IN) (?=[\d.])", text) if part.strip()]
    packs, amounts = [], []
    for part in map(str.strip, parts):
        if match := _PACKS.fullmatch(part):
            packs += [f"{match['count']}-pack"] if _is_pack(match["count"]) else []
        elif match := _AMOUNT.fullmatch(part):
            amounts.append(_amount(match["n"], match["unit"], department))
        else:
            return ""
    worded = [amount for amount in amounts if amount]
    # Pieces first, then what they weigh together.
    worded.sort(key=lambda amount: amount.split()[-1] not in _PIECES)
    return ", ".join(packs + worded)


def _is_pack(count: str) -> bool:
    return 1 < int(count) <= _MOST_PACKS


def _amount(number: str, unit: str, department: str) -> str:
    worded, plain = _number(number), _UNITS[unit]
    value = float(number) if re.fullmatch(r"\d*\.?\d+", number) else None
    box = {"lb": _BOX_POUNDS, "ct": _BOX_PIECES}.get(plain)
    if department in _LOOSE_DEPARTMENTS and value is not None and box and value >= box:
        return ""
    if value is not None and plain in {"oz", "fl oz"} and value > _MOST_OUNCES:
        return ""
    if value is not None and value > _MOST:
        return ""
    if value == 0 or (value == 1 and plain in {"ct", "pc"}):
        return ""
    if value == 1 and plain in _PIECES:
        plain = plain.removesuffix("s")
    return f"{worded} {plain}"


def _number(number: str) -> str:
    """Write "10 3/4" as "10¾", ".50" as "0.5", "1.0" as "1"."""
    if "/" in number:
        whole, _, fraction = number.rpartition(" ")
        glyph = _FRACTIONS.get(fraction)
        if glyph:
            return f"{whole}{glyph}"
        numerator, denominator = map(int, fraction.split("/"))
        value = int(whole or 0) + (numerator / denominator if denominator else 0)
        return f"{value:g}"
    return f"{float(number):g}"
