"""One product after the other: from JSON to a draft that can be stored, or to the reason why not.

Our names and those of a Google Merchant feed are both read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from math import isfinite
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec

from catalog.contract import limits
from catalog.contract.money import AmountRefused, minor_units
from catalog.contract.verdicts import Code, Refused, Remark, decode, refuse

T = TypeVar("T")

# As `Product.Availability` has them; Google Merchant writes them with blanks too.
AVAILABILITIES = ("in_stock", "out_of_stock", "preorder", "backorder")
CATEGORY_SEPARATOR = " > "
# What a Google Merchant feed says about a product, kept as attributes under these names.
GOOGLE_ATTRIBUTES = (
    "age_group",
    "color",
    "condition",
    "gender",
    "gtin",
    "item_group_id",
    "material",
    "mpn",
    "pattern",
    "size",
)


class ProductDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A product that can be stored. Money is minor units of `currency`."""

    external_id: str
    title: str
    currency: str
    description: str = ""
    url: str = ""
    image_url: str = ""
    price_minor: int | None = None
    list_price_minor: int | None = None
    margin_minor: int | None = None
    availability: str = "in_stock"
    stock_count: int | None = None
    brand: str = ""
    category_path: str = ""
    tags: list[str] = []
    attributes: dict[str, Any] = {}
    vector: list[float] | None = None
    published_at: datetime | None = None


class _Product(msgspec.Struct):
    """All members that are read."""

    id: str | int | None = None
    product_id: str | int | None = None
    title: str | None = None
    description: str | None = None
    url: str | None = None
    link: str | None = None
    image_url: str | None = None
    image_link: str | None = None
    price: str | int | float | None = None
    sale_price: str | int | float | None = None
    list_price: str | int | float | None = None
    margin: str | int | float | None = None
    currency: str | None = None
    availability: str | None = None
    stock_count: int | None = None
    quantity: int | None = None
    brand: str | None = None
    category: str | list[str] | None = None
    product_type: str | list[str] | None = None
    google_product_category: str | int | None = None
    tags: list[str] | None = None
    attributes: dict[str, Any] | None = None
    vector: list[float] | None = None
    published_at: str | None = None
    custom_label_0: str | None = None
    custom_label_1: str | None = None
    custom_label_2: str | None = None
    custom_label_3: str | None = None
    custom_label_4: str | None = None
    age_group: str | None = None
    color: str | None = None
    condition: str | None = None
    gender: str | None = None
    gtin: str | int | None = None
    item_group_id: str | int | None = None
    material: str | None = None
    mpn: str | int | None = None
    pattern: str | None = None
    size: str | None = None


_decoder = msgspec.json.Decoder(_Product)
# "12.50", "12.50 GBP" and, as Google allows, "GBP 12.50".
_PRICE = re.compile(r"(?:([A-Za-z]{3}) )?([0-9]{1,15}(?:\.[0-9]{1,15})?)(?: ([A-Za-z]{3}))?")


@dataclass(slots=True)
class JudgedProducts:
    """Every product of a batch is in exactly one of `drafts` and `refused`, in order."""

    drafts: list[ProductDraft] = field(default_factory=list)
    refused: list[Remark] = field(default_factory=list)


def products_judge(raw_products: Sequence[bytes], *, currency: str) -> JudgedProducts:
    """Judge each product by itself. Never raises, whatever the bytes are.

    Parameters
    ----------
    currency
        The store's. Prices in another one are refused: nothing here converts them.
    """
    judged = JudgedProducts()
    for index, raw in enumerate(raw_products):
        try:
            sent = decode(_decoder, raw, max_bytes=limits.PRODUCT_MAX_BYTES)
            judged.drafts.append(_draft(sent, currency))
        except Refused as refused:
            judged.refused.append(refused.remark(index))
    return judged


def _draft(sent: _Product, currency: str) -> ProductDraft:
    raw_id = _first(sent.id, sent.product_id)
    external_id = "" if raw_id is None else str(raw_id)
    if not external_id.strip():
        refuse(Code.MISSING, "id", "is missing")
    if not (sent.title or "").strip():
        refuse(Code.MISSING, "title", "is missing")
    if sent.currency is not None and sent.currency.upper() != currency:
        refuse(Code.CURRENCY_MISMATCH, "currency", f"the store sells in {currency}")
    price = _price("price", sent.price, currency)
    sale_price = _price("sale_price", sent.sale_price, currency)
    list_price = _price("list_price", sent.list_price, currency)
    if sale_price is not None:
        # Google's `price` is what it cost before.
        price, list_price = sale_price, _first(list_price, price)
    stock_count = _first(sent.stock_count, sent.quantity)
    if stock_count is not None and not 0 <= stock_count < 2**31:
        refuse(Code.OUT_OF_RANGE, "stock_count", "must be from 0 to 2,147,483,647")
    return ProductDraft(
        external_id=_text("id", external_id, limits.ID_MAX_CHARS),
        title=_text("title", sent.title, 300).strip(),
        currency=currency,
        description=_text("description", sent.description, 10_000),
        url=_web_address("url", _first(sent.url, sent.link)),
        image_url=_web_address("image_url", _first(sent.image_url, sent.image_link)),
        price_minor=price,
        list_price_minor=list_price,
        margin_minor=_price("margin", sent.margin, currency),
        availability=_availability(sent.availability),
        stock_count=stock_count,
        brand=_text("brand", sent.brand, 120).strip(),
        category_path=_category(sent),
        tags=_tags(sent),
        attributes=_attributes(sent),
        vector=_vector(sent.vector),
        published_at=_time("published_at", sent.published_at),
    )


def _first(one: T | None, other: T | None) -> T | None:
    return other if one is None else one


def _text(name: str, text: str | None, max_chars: int) -> str:
    if text is None:
        return ""
    if len(text) > max_chars:
        message = f"has {len(text):,} characters, at most {max_chars:,} are allowed"
        refuse(Code.TOO_LONG, name, message)
    return text


def _web_address(name: str, text: str | None) -> str:
    """An address that a page may link to: never `javascript:` and the like."""
    address = _text(name, text, 2_000).strip()
    if address.startswith("/") or not address:
        return address
    try:
        parts = urlsplit(address)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.netloc:
        refuse(Code.OUT_OF_RANGE, name, "must start with https://, http:// or /")
    return address


def _price(name: str, value: str | int | float | None, currency: str) -> int | None:
    if value is None or value == "":
        return None
    if isinstance(value, str):
        match = _PRICE.fullmatch(value.strip())
        if match is None:
            refuse(Code.WRONG_TYPE, name, f"{value[:40]!r} isn't a price such as 12.50")
        before, digits, behind = match.groups()
        stated = before or behind
        if stated and stated.upper() != currency:
            refuse(Code.CURRENCY_MISMATCH, name, f"the store sells in {currency}")
        value = digits
    try:
        # A float's shortest text is the number that was sent.
        return minor_units(Decimal(str(value)), currency)
    except AmountRefused as error:
        refuse(Code.OUT_OF_RANGE, name, str(error))


def _availability(text: str | None) -> str:
    if text is None:
        return "in_stock"
    value = "_".join(text.lower().replace("-", " ").split())
    if value not in AVAILABILITIES:
        refuse(Code.OUT_OF_RANGE, "availability", f"must be one of {', '.join(AVAILABILITIES)}")
    return value


def _category(sent: _Product) -> str:
    given = _first(sent.category, sent.product_type)
    if given is None and isinstance(sent.google_product_category, str):
        given = sent.google_product_category
    levels: Iterable[str] = given.split(">") if isinstance(given, str) else (given or ())
    path = CATEGORY_SEPARATOR.join(level.strip() for level in levels if level.strip())
    return _text("category", path, 400)


def _tags(sent: _Product) -> list[str]:
    labels = (getattr(sent, f"custom_label_{number}") for number in range(5))
    tags = [tag.strip() for tag in (*(sent.tags or ()), *labels) if tag and tag.strip()]
    if len(tags) > limits.MAX_TAGS:
        refuse(Code.TOO_MANY, "tags", f"at most {limits.MAX_TAGS} are kept")
    return [_text("tags", tag, 60) for tag in dict.fromkeys(tags)]


def _attributes(sent: _Product) -> dict[str, Any]:
    from_google = {name: getattr(sent, name) for name in GOOGLE_ATTRIBUTES}
    attributes = {name: value for name, value in from_google.items() if value is not None}
    attributes.update(sent.attributes or {})
    if len(attributes) > limits.MAX_ATTRIBUTES:
        refuse(Code.TOO_MANY, "attributes", f"at most {limits.MAX_ATTRIBUTES} are kept")
    return attributes


def _vector(vector: list[float] | None) -> list[float] | None:
    if vector is None:
        return None
    if not 1 <= len(vector) <= limits.MAX_VECTOR or not all(map(isfinite, vector)):
        message = f"must have 1 to {limits.MAX_VECTOR:,} numbers"
        refuse(Code.OUT_OF_RANGE, "vector", message)
    return vector


def _time(name: str, text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        if len(text) > 40:
            raise ValueError
        time = datetime.fromisoformat(text)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        refuse(Code.UNREADABLE_TIME, name, f"{text[:40]!r} isn't ISO 8601")
