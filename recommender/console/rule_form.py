"""The editor of a rule as form fields, and what was typed as a document.

The form shows only the parts that a rule asks for; "add" and "remove" change which. Their names come
with the form, as `when` and `meant`, so that it works without JavaScript, too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from math import isfinite
from typing import Any

from django.http import QueryDict
from django.utils import timezone

from catalog.contract.money import AmountRefused, minor_units
from catalog.money import price_text
from recommender.serving.rules import InvalidRuleError

WHEN_PARTS = {
    "placements": "Placements",
    "page_types": "Kind of page",
    "viewed_categories": "Category in view",
    "viewed_brands": "Brand in view",
    "viewed_price": "Price in view",
    "viewed_tags": "Tag in view",
    "viewed_attributes": "Attribute in view",
    "segments": "Shopper segment",
    "devices": "Device",
    "locales": "Language",
    "weekdays": "Weekdays",
    "hours": "Time of day",
}
MEANT_PARTS = {
    "categories": "Category",
    "brands": "Brand",
    "price": "Price",
    "tags": "Tag",
    "attributes": "Attribute",
    "stock": "Stock",
    "margin": "Margin",
    "age": "Age",
    "availability": "Availability",
    "product_ids": "Chosen products",
    "relative": "Compared with the product in view",
}
ACTIONS = {
    "boost": "Boost",
    "bury": "Bury",
    "include_only": "Show only",
    "exclude": "Never show",
    "pin": "Pin to a position",
    "reserve": "Reserve slots",
}
# Fields that hold one thing a line, chosen with `components/picker.html`.
_LINES = {
    "viewed_categories": "categories",
    "viewed_brands": "brands",
    "viewed_tags": "tags",
}


def rule_document_from_form(post: QueryDict) -> dict[str, Any]:
    """The document that a form says. Fields of other forms are ignored.

    Raises
    ------
    InvalidRuleError
        A number or an amount can't be read. What it adds up to is judged by `rule_parse`.
    """
    when, meant = set(post.getlist("when")), set(post.getlist("meant"))
    action = _action(post)
    document: dict[str, Any] = {
        "schema": 1,
        "action": action,
        "condition": _condition(post, when),
        "target": {} if action["type"] == "pin" else _target(post, meant),
    }
    guard = {
        "stop_when_stock_below": whole_typed(post, "guard_stock", "The stock"),
        "stop_when_margin_below": _decimal(post, "guard_margin", "The margin"),
    }
    guard = {key: value for key, value in guard.items() if value is not None}
    if guard:
        document["guard"] = guard
    return document


def rule_dates_from_form(post: QueryDict) -> tuple[datetime | None, datetime | None]:
    """Start and end, in the store's time zone. Raises InvalidRuleError."""
    return _moment(post, "starts_at", "The start"), _moment(post, "ends_at", "The end")


def rule_form_values(document: Mapping[str, Any], currency: str) -> dict[str, Any]:
    """A stored document as the fields that say it, for the editor. Lists are of texts."""
    action = document.get("action", {})
    values: dict[str, Any] = {
        "action": action.get("type", "boost"),
        "factor": f"{action.get('factor', 2):g}",
        "position": str(action.get("position", 1)),
        "slots": str(action.get("slots", 1)),
        "pin_products": "\n".join(action.get("product_ids", ())),
        "when": [],
        "meant": [],
    }
    _condition_values(values, document.get("condition", {}), currency)
    _target_values(values, document.get("target", {}), currency)
    guard = document.get("guard") or {}
    values["guard_stock"] = _text(guard.get("stop_when_stock_below"))
    values["guard_margin"] = _text(guard.get("stop_when_margin_below"))
    return values


def rule_form_typed(post: QueryDict) -> dict[str, Any]:
    """What stands in the fields, right or wrong, with parts added and removed as asked."""
    many = {"when", "meant", "placements", "page_types", "segments", "devices", "weekdays",
            "availability", "relative"}  # fmt: skip
    values: dict[str, Any] = {key: post.get(key, "") for key in post if key not in many}
    values |= {key: post.getlist(key) for key in many}
    for kind, known in (("when", WHEN_PARTS), ("meant", MEANT_PARTS)):
        parts = [part for part in dict.fromkeys(values[kind]) if part in known]
        added = post.get(f"add_{kind}", "")
        if added in known and added not in parts:
            parts.append(added)
        removed = post.get("remove", "")
        values[kind] = [part for part in parts if f"{kind}:{part}" != removed]
    return values


def _action(post: QueryDict) -> dict[str, Any]:
    kind = post.get("action", "")
    action: dict[str, Any] = {"type": kind}
    if kind in ("boost", "bury"):
        action["factor"] = _decimal(post, "factor", "The factor") or 0.0
    if kind in ("pin", "reserve"):
        action["position"] = whole_typed(post, "position", "The position") or 1
    if kind == "reserve":
        action["slots"] = whole_typed(post, "slots", "The number of slots") or 1
    if kind == "pin":
        action["product_ids"] = _ids(post, "pin_products")
        if not action["product_ids"]:
            raise InvalidRuleError("Say which products to pin.")
    return action


def _condition(post: QueryDict, when: set[str]) -> dict[str, Any]:
    condition: dict[str, Any] = {}
    for part in ("placements", "page_types", "segments", "devices"):
        if part in when:
            condition[part] = post.getlist(part)
    if "locales" in when:
        condition["locales"] = re.findall(r"[\w-]+", post.get("locales", ""))
    if "weekdays" in when:
        condition["weekdays"] = [int(day) for day in post.getlist("weekdays") if day.isdigit()]
    if "hours" in when:
        condition["from_time"] = post.get("from_time", "").strip()[:5] or None
        condition["until_time"] = post.get("until_time", "").strip()[:5] or None
    viewed: dict[str, Any] = {
        name: lines_typed(post, part) for part, name in _LINES.items() if part in when
    }
    if "viewed_attributes" in when:
        viewed["attributes"] = _attributes(post, "viewed_attributes")
    if "viewed_price" in when:
        viewed["price_from_minor"] = _money(post, "viewed_price_from")
        viewed["price_until_minor"] = _money(post, "viewed_price_until")
    if viewed:
        condition["viewed"] = viewed
    return condition


def _target(post: QueryDict, meant: set[str]) -> dict[str, Any]:
    target: dict[str, Any] = {
        part: lines_typed(post, part) for part in ("categories", "brands", "tags") if part in meant
    }
    if "product_ids" in meant:
        target["product_ids"] = _ids(post, "product_ids")
    if "attributes" in meant:
        target["attributes"] = _attributes(post, "attributes")
    if "availability" in meant:
        target["availability"] = post.getlist("availability")
    if "price" in meant:
        target["price_from_minor"] = _money(post, "price_from")
        target["price_until_minor"] = _money(post, "price_until")
    if "stock" in meant:
        target["stock_from"] = whole_typed(post, "stock_from", "The stock")
        target["stock_until"] = whole_typed(post, "stock_until", "The stock")
    if "margin" in meant:
        target["margin_from_percent"] = _decimal(post, "margin_from", "The margin")
        target["margin_until_percent"] = _decimal(post, "margin_until", "The margin")
    if "age" in meant:
        target["age_from_days"] = whole_typed(post, "age_from", "The age")
        target["age_until_days"] = whole_typed(post, "age_until", "The age")
    if "relative" in meant:
        asked = post.getlist("relative")
        target["same_category"] = "same_category" in asked
        target["same_brand"] = "same_brand" in asked
        target["price_within_percent"] = _decimal(post, "price_within", "The percentage")
        target["compared"] = post.get("compared") or None
    return target


def _condition_values(values: dict[str, Any], condition: Mapping[str, Any], currency: str) -> None:
    parts = values["when"]
    for part in ("placements", "page_types", "segments", "devices"):
        values[part] = list(condition.get(part, ()))
        parts += [part] * bool(values[part])
    values["locales"] = ", ".join(condition.get("locales", ()))
    parts += ["locales"] * bool(values["locales"])
    values["weekdays"] = [str(day) for day in condition.get("weekdays", ())]
    parts += ["weekdays"] * bool(values["weekdays"])
    values["from_time"] = condition.get("from_time") or ""
    values["until_time"] = condition.get("until_time") or ""
    parts += ["hours"] * bool(values["from_time"] or values["until_time"])
    viewed = condition.get("viewed", {})
    for part, name in _LINES.items():
        values[part] = "\n".join(viewed.get(name, ()))
        parts += [part] * bool(values[part])
    values["viewed_attributes"] = _attribute_lines(viewed.get("attributes", {}))
    parts += ["viewed_attributes"] * bool(values["viewed_attributes"])
    for edge in ("from", "until"):
        values[f"viewed_price_{edge}"] = _price(viewed.get(f"price_{edge}_minor"), currency)
    parts += ["viewed_price"] * bool(values["viewed_price_from"] or values["viewed_price_until"])


def _target_values(values: dict[str, Any], target: Mapping[str, Any], currency: str) -> None:
    parts = values["meant"]
    for part in ("categories", "brands", "tags", "product_ids"):
        values[part] = "\n".join(target.get(part, ()))
        parts += [part] * bool(values[part])
    values["attributes"] = _attribute_lines(target.get("attributes", {}))
    parts += ["attributes"] * bool(values["attributes"])
    values["availability"] = list(target.get("availability", ()))
    parts += ["availability"] * bool(values["availability"])
    for part, ending in (("stock", ""), ("margin", "_percent"), ("age", "_days")):
        for edge in ("from", "until"):
            values[f"{part}_{edge}"] = _text(target.get(f"{part}_{edge}{ending}"))
        parts += [part] * bool(values[f"{part}_from"] or values[f"{part}_until"])
    for edge in ("from", "until"):
        values[f"price_{edge}"] = _price(target.get(f"price_{edge}_minor"), currency)
    parts += ["price"] * bool(values["price_from"] or values["price_until"])
    values["relative"] = [part for part in ("same_category", "same_brand") if target.get(part)]
    values["price_within"] = _text(target.get("price_within_percent"))
    values["compared"] = target.get("compared") or ""
    parts += ["relative"] * bool(values["relative"] or values["price_within"] or values["compared"])


def lines_typed(post: QueryDict, name: str) -> list[str]:
    """The lines of a field that aren't empty."""
    return [line.strip() for line in post.get(name, "").splitlines() if line.strip()]


def _ids(post: QueryDict, name: str) -> list[str]:
    """Product ids, one a line or between commas, each once."""
    typed = re.split(r"[\n,]", post.get(name, ""))
    return list(dict.fromkeys(each.strip() for each in typed if each.strip()))


def _attributes(post: QueryDict, name: str) -> dict[str, list[str]]:
    attributes: dict[str, list[str]] = {}
    for line in lines_typed(post, name):
        key, colon, values = line.partition(":")
        found = [value.strip() for value in values.split(",") if value.strip()]
        if not (colon and key.strip() and found):
            raise InvalidRuleError(f"An attribute is written as colour: red, blue; not {line!r}.")
        attributes.setdefault(key.strip(), []).extend(found)
    return attributes


def _attribute_lines(attributes: Mapping[str, Any]) -> str:
    return "\n".join(f"{name}: {', '.join(values)}" for name, values in attributes.items())


def _decimal(post: QueryDict, name: str, words: str) -> float | None:
    text = post.get(name, "").strip().replace(",", ".").rstrip("%").strip()
    if not text:
        return None
    try:
        value = float(text)
    except ValueError as error:
        raise InvalidRuleError(f"{words} {text!r} isn't a number.") from error
    if not isfinite(value):
        raise InvalidRuleError(f"{words} {text!r} isn't a number.")
    return value


def whole_typed(post: QueryDict, name: str, words: str) -> int | None:
    """A whole number, None if nothing was typed. Raises InvalidRuleError."""
    text = post.get(name, "").strip()
    if not text:
        return None
    if not text.isdecimal() or len(text) > 12:
        raise InvalidRuleError(f"{words} {text!r} isn't a whole number.")
    return int(text)


def _money(post: QueryDict, name: str) -> int | None:
    return amount_typed(post, name, post.get("currency", "USD"))


def amount_typed(post: QueryDict, name: str, currency: str) -> int | None:
    """An amount in minor units, None if nothing was typed. Raises InvalidRuleError."""
    text = post.get(name, "").strip().replace(",", ".")
    if not text:
        return None
    try:
        return minor_units(Decimal(text), currency)
    except (InvalidOperation, AmountRefused) as error:
        raise InvalidRuleError(f"The price {text!r} isn't an amount.") from error


def _moment(post: QueryDict, name: str, words: str) -> datetime | None:
    text = post.get(name, "").strip()
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidRuleError(f"{words} {text!r} isn't a date with a time.") from error
    return timezone.make_aware(moment) if timezone.is_naive(moment) else moment


def _text(value: float | None) -> str:
    # No exponents: 1e+06 isn't what anybody types.
    return "" if value is None else str(value).removesuffix(".0")


def _price(minor: int | None, currency: str) -> str:
    return "" if minor is None else price_text(minor, currency)
