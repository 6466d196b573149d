"""What the templates of Insights need: addresses that keep the period, heads that sort, signs."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django import template
from django.template import Context
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from analytics.console.insights_words import SORTS
from catalog.money import money_rounded
from catalog.templatetags.console import UNKNOWN, icon, query_with

register = template.Library()

AGE_WORDS = {
    30: "30 days or newer",
    90: "31 to 90 days",
    365: "91 to 365 days",
    None: "older than a year",
}


@register.simple_tag(takes_context=True)
def insights_tab(context: Context, name: str, argument: str = "") -> str:
    """A page of Insights about the same period."""
    slug, query = context["request"].store.slug, context["asked"].query
    arguments = [slug, str(argument)] if argument else [slug]
    return _with_query(reverse(name, args=arguments), query)


@register.simple_tag(takes_context=True)
def insights_export(context: Context, table: str) -> str:
    """A table of the same period, and of the group that the page shows, as a file."""
    request = context["request"]
    group = {name: request.GET[name] for name in ("category", "age") if request.GET.get(name)}
    address = reverse("console-insights-export", args=[request.store.slug, str(table)])
    return _with_query(address, {**context["asked"].query, **group})


@register.simple_tag(takes_context=True)
def unseen_address(context: Context, kind: str, key: Any) -> str:
    """The page with one group of products: a category, or an age."""
    value = (key or "-") if kind == "category" else (key or "older")
    return query_with(context, **{"category": "", "age": "", "page": "", kind: value})


def _with_query(address: str, query: dict[str, str]) -> str:
    return f"{address}?{urlencode(query)}" if query else address


@register.simple_tag(takes_context=True)
def sorted_head(context: Context, words: str, column: str, sort: str) -> SafeString:
    """The head of a column: a link that sorts by it, and the other way round when it does."""
    assert column in SORTS
    is_current = sort.removeprefix("-") == column
    turned = is_current and not sort.startswith("-")
    address = query_with(context, sort=f"-{column}" if turned else column)
    falling = (column != "name") != sort.startswith("-")
    mark = icon("sorted-down" if falling else "sorted-up") if is_current else ""
    state = (
        format_html(' aria-sort="{}"', "descending" if falling else "ascending")
        if is_current
        else ""
    )
    return format_html(
        '<th scope="col"{}{}><a id="sort-{}" href="{}" hx-get="{}">{} {}</a></th>',
        "" if column == "name" else format_html(' class="{}"', "number"),
        state,
        column,
        address,
        address,
        mark,
        words,
    )


@register.filter
def signed_money(minor: float | None, currency: str) -> str:
    """A gain or a loss, with its sign: +$1,200."""
    if minor is None:
        return UNKNOWN
    text = money_rounded(round(minor), currency)
    return f"+{text}" if minor > 0 else text


@register.filter
def age_band(key: int | None) -> str:
    return AGE_WORDS[key]
