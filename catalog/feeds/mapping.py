"""From the columns of a feed to the fields of a product.

A mapping is a dict {field: column}. Fields are those of `FIELDS` and, for everything else that a
feed says about a product, `attributes.<name>`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from catalog.contract.limits import MAX_ATTRIBUTES
from catalog.contract.products import GOOGLE_ATTRIBUTES

ATTRIBUTE = "attributes."
REQUIRED = ("id", "title")
# Google's five free labels become tags.
LABELS = tuple(f"custom_label_{number}" for number in range(5))


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a product: what it is called on screen, and in feeds."""

    name: str
    label: str
    meaning: str
    synonyms: tuple[str, ...]


# Synonyms as `_plain` writes them, the surest first.
FIELDS: tuple[Field, ...] = (
    Field("id", "Product id", "the shop's own; events name products by it",
          ("id", "product_id", "external_id", "sku", "item_id", "article_number", "artikelnummer",
           "item_number", "product_code", "handle", "offer_id", "商品id", "商品编号", "编号", "货号")),
    Field("title", "Title", "as shown to shoppers",
          ("title", "name", "product_name", "product_title", "item_name", "titel", "bezeichnung",
           "produktname", "nom", "nombre", "标题", "商品名称", "名称", "品名")),
    Field("description", "Description", "for what is like what",
          ("description", "body_html", "long_description", "short_description", "beschreibung",
           "body", "details", "描述", "商品描述", "简介")),
    Field("url", "Page", "where the product is sold",
          ("link", "url", "product_url", "product_link", "permalink", "deeplink", "page_url",
           "canonical_link", "链接", "商品链接", "网址")),
    Field("image_url", "Picture", "",
          ("image_link", "image_url", "image", "image_src", "picture", "picture_url", "images",
           "main_image", "thumbnail", "bild", "bild_url", "图片", "图片链接", "主图", "商品图片")),
    Field("price", "Price", "what it costs; with a sale price: what it cost before",
          ("price", "regular_price", "variant_price", "unit_price", "current_price", "amount",
           "preis", "prix", "precio", "价格", "售价", "单价")),
    Field("sale_price", "Sale price", "what it costs now, if it is reduced",
          ("sale_price", "special_price", "discount_price", "offer_price", "angebotspreis",
           "促销价", "折扣价", "优惠价")),
    Field("list_price", "List price", "what it cost before, to be crossed out",
          ("list_price", "compare_at_price", "variant_compare_at_price", "msrp", "rrp", "old_price",
           "original_price", "uvp", "原价", "市场价", "划线价")),
    Field("currency", "Currency", "has to be the store's",
          ("currency", "currency_code", "price_currency", "währung", "货币", "币种")),
    Field("margin", "Margin", "what the shop earns with one",
          ("margin", "profit", "gross_margin", "marge", "利润", "毛利")),
    Field("availability", "Availability", "in stock, out of stock, preorder, backorder",
          ("availability", "stock_status", "in_stock", "is_in_stock", "available",
           "verfügbarkeit", "库存状态", "有货", "状态")),
    Field("stock_count", "Stock", "how many there are; none means: not recommended",
          ("stock_count", "quantity", "stock", "inventory", "inventory_quantity", "qty",
           "stock_quantity", "variant_inventory_qty", "bestand", "lagerbestand", "库存", "库存数量",
           "数量")),
    Field("brand", "Brand", "",
          ("brand", "vendor", "manufacturer", "marke", "hersteller", "marque", "品牌", "厂商")),
    Field("category", "Category", "the path, as in Home > Kitchen > Mugs",
          ("product_type", "category", "categories", "category_path", "product_category",
           "google_product_category", "kategorie", "kategorien", "catégorie", "categoría", "type",
           "department", "分类", "类目", "商品分类", "类别")),
    Field("tags", "Tags", "several separated by commas",
          ("tags", "tag", "labels", "keywords", "schlagworte", "标签")),
    Field("published_at", "On sale since", "date as in 2026-01-31",
          ("published_at", "availability_date", "created_at", "date_added", "release_date",
           "launch_date", "date_created", "上架时间", "发布时间", "上架日期")),
    Field("vector", "Own vector", "numbers of a picture or text model, for what is like what",
          ("vector", "embedding", "embeddings", "image_vector", "image_embedding", "text_vector",
           "text_embedding", "feature_vector", "向量", "特征向量")),
)  # fmt: skip
FIELD_NAMES = tuple(field.name for field in FIELDS)
_BY_NAME = {field.name: field for field in FIELDS}


class MappingRefused(ValueError):
    """A mapping that can't be used; `fields` says for each field what is wrong with it."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        super().__init__(" ".join(f"{field_label(name)}: {fields[name]}" for name in fields))
        self.fields = dict(fields)


def field_label(name: str) -> str:
    """A field as a person reads it.

    >>> field_label("image_url"), field_label("attributes.colour")
    ('Picture', 'Colour')
    """
    known = _BY_NAME.get(name)
    return known.label if known else name.removeprefix(ATTRIBUTE).replace("_", " ").capitalize()


def mapping_words(mapping: Mapping[str, str]) -> list[tuple[str, str]]:
    """A mapping as a person reads it, in the order of `FIELDS`, then attributes by name.

    >>> mapping_words({"attributes.colour": "farbe", "title": "name", "id": "sku"})
    [('Product id', 'sku'), ('Title', 'name'), ('Colour', 'farbe')]
    """
    place = {name: number for number, name in enumerate(FIELD_NAMES)}
    ordered = sorted(mapping, key=lambda name: (place.get(name, len(place)), name))
    return [(field_label(name), mapping[name]) for name in ordered]


def mapping_suggest(columns: Sequence[str]) -> dict[str, str]:
    """The mapping that the names of the columns suggest.

    Every column is used once at most. Google's attributes (colour, size, …) and custom labels are
    taken over under their own names; other columns are left out.

    >>> mapping_suggest(["SKU", "Product Name", "g:image_link", "Preis", "color", "Shelf"])
    {'id': 'SKU', 'title': 'Product Name', 'image_url': 'g:image_link', 'price': 'Preis', 'attributes.color': 'color'}
    """
    by_plain: dict[str, str] = {}
    for column in columns:
        by_plain.setdefault(_plain(column), column)
    suggested: dict[str, str] = {}
    for field in FIELDS:
        for synonym in field.synonyms:
            if synonym in by_plain:
                suggested[field.name] = by_plain.pop(synonym)
                break
    for name in (*GOOGLE_ATTRIBUTES, *LABELS):
        if name in by_plain:
            suggested[ATTRIBUTE + name] = by_plain.pop(name)
    return suggested


def mapping_check(mapping: Mapping[str, str], columns: Collection[str] | None = None) -> None:
    """Refuse a mapping without id or title, with unknown fields or columns, or two of one.

    Parameters
    ----------
    columns
        Those of the feed; None where they aren't known yet.

    Raises
    ------
    MappingRefused
    """
    wrong = {name: "has no column." for name in REQUIRED if not mapping.get(name)}
    n_attributes = 0
    for name, column in mapping.items():
        if name.startswith(ATTRIBUTE) and 0 < len(name.removeprefix(ATTRIBUTE)) <= 100:
            n_attributes += 1
        elif name not in _BY_NAME:
            wrong[name[:80]] = "is no field of a product."
            continue
        if len(column) > 120:
            wrong[name] = "needs the name of a column."
        elif columns is not None and column and column not in columns:
            wrong[name] = f"the feed has no column “{column}”."
    if n_attributes > MAX_ATTRIBUTES:
        wrong["attributes"] = f"at most {MAX_ATTRIBUTES} columns can be kept as attributes."
    if wrong:
        raise MappingRefused(wrong)


def columns_missing(mapping: Mapping[str, str], columns: Collection[str]) -> list[str]:
    """Mapped columns that a table no longer has, in order of the mapping."""
    return [column for column in dict.fromkeys(mapping.values()) if column not in columns]


def _plain(column: str) -> str:
    """A name for comparison: "g:Image Link" → "image_link"."""
    name = column.strip().lower().removeprefix("g:")
    return re.sub(r"[^\w]+", "_", name).strip("_")
