"""From a row and a mapping to a product draft, judged exactly as `PUT /v1/products` judges it.

What spreadsheets and other shops write differently is put right first: prices with a decimal comma
or a currency sign, "yes" for in stock, several tags in one cell. Everything else is the contract's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from catalog.contract.money import currency_exponent
from catalog.contract.products import ProductDraft, products_judge
from catalog.feeds.mapping import ATTRIBUTE, LABELS, field_label
from catalog.feeds.rows import FeedProblem, FeedRow, problem

DOLLARS = ("USD", "CAD", "AUD", "NZD", "SGD", "HKD", "TWD", "MXN", "ARS", "CLP", "COP")
YEN = ("JPY", "CNY")
_SIGNS = {"€": "EUR", "£": "GBP", "₹": "INR", "₩": "KRW", "zł": "PLN", "₺": "TRY", "₽": "RUB"}
_IN_STOCK = frozenset(
    ("in_stock", "instock", "available", "yes", "true", "1", "y", "active", "limited_availability",
     "limitedavailability", "onlineonly", "instoreonly", "ja", "auf_lager", "lieferbar", "有货",
     "现货", "在售", "是", "有库存")
)  # fmt: skip
_OUT_OF_STOCK = frozenset(
    ("out_of_stock", "outofstock", "sold_out", "soldout", "unavailable", "no", "false", "0", "n",
     "discontinued", "nein", "ausverkauft", "nicht_lieferbar", "缺货", "无货", "售罄", "否", "已下架")
)  # fmt: skip
_PREORDER = frozenset(("preorder", "pre_order", "presale", "vorbestellbar", "预售", "预订"))
_BACKORDER = frozenset(("backorder", "back_order", "onbackorder", "on_backorder", "nachbestellt"))
_SYNONYMS = (
    (_IN_STOCK, "in_stock"),
    (_OUT_OF_STOCK, "out_of_stock"),
    (_PREORDER, "preorder"),
    (_BACKORDER, "backorder"),
)
_NO_VECTOR = "numbers with spaces between them, or a JSON list such as [0.1, -2]"
_WHOLE = re.compile(r"-?[0-9]{1,10}")
_GROUPED = re.compile(r"[0-9]{1,3}(?:([ ',.\u00a0\u202f’])[0-9]{3})(?:\1[0-9]{3})*")


def row_draft(
    row: FeedRow, *, mapping: Mapping[str, str], currency: str
) -> ProductDraft | FeedProblem:
    """The product that a row becomes, or why it can't be stored.

    Parameters
    ----------
    mapping
        {field: column}, checked by `mapping_check`.
    currency
        The store's. A price that names another one is a problem: nothing here converts.

    Examples
    --------
    >>> row = FeedRow(2, {"sku": "7", "name": "Tea", "preis": "1.234,50 €", "da": "ja"})
    >>> mapping = {"id": "sku", "title": "name", "price": "preis", "availability": "da"}
    >>> draft = row_draft(row, mapping=mapping, currency="EUR")
    >>> draft.price_minor, draft.availability
    (123450, 'in_stock')
    >>> row_draft(row, mapping=mapping, currency="GBP").reason
    'Price: the store sells in GBP.'
    """
    product: dict[str, Any] = {}
    attributes: dict[str, Any] = {}
    for field, column in mapping.items():
        value = row.values.get(column)
        if value is None or value == "" or value == []:
            continue
        name = field.removeprefix(ATTRIBUTE)
        if name in LABELS:
            product[name] = _text(value)
        elif field.startswith(ATTRIBUTE):
            attributes[name] = _attribute(value)
        else:
            read = _READ.get(field)
            product[field] = read(value, currency) if read else _text(value)
    attributes = {name: value for name, value in attributes.items() if value not in ("", None)}
    if attributes:
        product["attributes"] = attributes
    external_id = str(product.get("id", ""))
    try:
        raw = msgspec.json.encode(product)
    except (UnicodeEncodeError, TypeError, OverflowError):
        reason = "The row holds something that can't be written as text."
        return problem(row.line, reason, external_id=external_id)
    judged = products_judge([raw], currency=currency)
    if judged.drafts:
        return judged.drafts[0]
    return _refusal(row, judged.refused[0].field, judged.refused[0].message, mapping, external_id)


def _refusal(
    row: FeedRow, member: str, message: str, mapping: Mapping[str, str], external_id: str
) -> FeedProblem:
    field = member.partition(".")[0].partition("[")[0]
    column = mapping.get(member) or mapping.get(field, "")
    label = field_label(field) if field else "The row"
    if field == "vector" and "Expected" in message:
        message = _NO_VECTOR
    value = row.values.get(column, "") if column else ""
    return problem(
        row.line, f"{label}: {message}.", column=column, value=value, external_id=external_id
    )


# ------------------------------------------------------------------------------- reading values


def _text(value: Any) -> Any:
    """Text without blanks around it; of several, the first. Numbers of JSON stay what they are."""
    if isinstance(value, list):
        value = next((part for part in value if part not in ("", None)), "")
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.strip() if isinstance(value, str) else value


def _attribute(value: Any) -> Any:
    if isinstance(value, list) and len(value) == 1:
        return _text(value)
    return value.strip() if isinstance(value, str) else value


def _id(value: Any, _: str) -> Any:
    return _text(value)


def price_text(value: Any, currency: str) -> Any:
    """A price as the contract reads it; what isn't understood is left for it to refuse.

    A single comma or point with other than three digits behind it is a decimal sign, and so is the
    last one where both stand; everything else groups thousands.

    >>> [price_text(text, "EUR") for text in ("12,50", "1.234,50 EUR", "€ 1,234.5", "1 234", "12.5")]
    ['12.50', '1234.50 EUR', 'EUR 1234.5', '1234', '12.5']
    >>> price_text("$5", "CAD"), price_text("¥1,200", "JPY"), price_text("1.234", "USD")
    ('CAD 5', 'JPY 1200', '1.234')
    """
    value = _text(value)
    if not isinstance(value, str):
        return value
    sign, text = "", value.strip()
    own = (("$", DOLLARS), ("¥", YEN), ("￥", YEN))
    signs = (*_SIGNS.items(), *((mark, _own(currency, family)) for mark, family in own))
    for mark, code in signs:
        if mark in text:
            sign, text = code, text.replace(mark, "").strip()
            break
    match = re.fullmatch(
        r"(?:([A-Za-z]{3})\s*)?([0-9][0-9 ',.\u00a0\u202f’]*?)\s*([A-Za-z]{3})?", text
    )
    if match is None:
        return value
    before, digits, behind = match.groups()
    number = _number(digits, currency)
    code = before or sign
    return f"{code} {number}" if code else f"{number} {behind}" if behind else number


def _own(currency: str, family: Sequence[str]) -> str:
    return currency if currency in family else family[0]


def _number(digits: str, currency: str) -> str:
    comma, point = digits.rfind(","), digits.rfind(".")
    if comma >= 0 and point >= 0:
        decimal = max(comma, point)
        whole, part = re.sub(r"\D", "", digits[:decimal]), digits[decimal + 1 :].strip()
        return f"{whole}.{part}" if part else whole
    grouped = _GROUPED.fullmatch(digits)
    if grouped and (grouped[1] != "." or digits.count(".") > 1 or not currency_exponent(currency)):
        return re.sub(r"\D", "", digits)
    plain = re.sub(r"[ '\u00a0\u202f’]", "", digits)
    return plain.replace(",", ".").rstrip(".") if plain.count(",") == 1 else plain


def _availability(value: Any, _: str) -> Any:
    """One of the four, from what feeds say; schema.org's addresses too."""
    value = _text(value)
    if not isinstance(value, str):
        return "in_stock" if value else "out_of_stock"
    word = value.rpartition("/")[2] if value.startswith("http") else value
    plain = "_".join(word.lower().replace("-", " ").replace("_", " ").split())
    return next((known for words, known in _SYNONYMS if plain in words), value)


def _count(value: Any, _: str) -> Any:
    """Pieces in stock. Less than none, as after overselling, is none."""
    value = _text(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str):
        plain = re.sub(r"[.,]0+$", "", value)
        plain = re.sub(r"\D", "", plain) if _GROUPED.fullmatch(plain) else plain
        if not _WHOLE.fullmatch(plain):
            return value
        value = int(plain)
    return max(value, 0) if isinstance(value, int) else value


def _category(value: Any, _: str) -> Any:
    """A path whose levels stand between ">"; of several paths the first, as Google does."""
    if isinstance(value, list):
        texts = [part for part in value if isinstance(part, str) and part.strip()]
        if not any(">" in text for text in texts):
            return texts
        value = texts[0]
    if not isinstance(value, str):
        return ""
    text = value.strip()
    if text.isdigit():
        # A number of Google's own list says nothing to anybody else.
        return ""
    for mark in (">", "»", "›", "|", " / "):
        if mark in text:
            return text.replace(mark, ">")
    return text


def _tags(value: Any, _: str) -> Any:
    if isinstance(value, str):
        mark = next((mark for mark in ("|", ";", ",", "，", "、") if mark in value), ",")
        return [tag.strip() for tag in value.split(mark) if tag.strip()]
    return value if isinstance(value, list) else [str(value)]


def _time(value: Any, _: str) -> Any:
    """ISO 8601; of an interval, its beginning."""
    value = _text(value)
    return value.partition("/")[0].strip() if isinstance(value, str) and "T" in value else value


def _vector(value: Any, _: str) -> Any:
    """Numbers: a list of JSON, one written as text, or text with spaces between them.

    Commas don't part them: nobody could tell them from decimal ones.
    """
    if isinstance(value, list):
        value = " ".join(value) if all(isinstance(part, str) for part in value) else value
    if not isinstance(value, str):
        return value
    try:
        if value.lstrip().startswith("["):
            return msgspec.json.decode(value, type=list[float])
        return [float(part) for part in value.split()]
    except (ValueError, msgspec.DecodeError):
        return value


_READ: dict[str, Callable[[Any, str], Any]] = {
    "id": _id,
    "price": price_text,
    "sale_price": price_text,
    "list_price": price_text,
    "margin": price_text,
    "availability": _availability,
    "stock_count": _count,
    "category": _category,
    "tags": _tags,
    "published_at": _time,
    "vector": _vector,
}
