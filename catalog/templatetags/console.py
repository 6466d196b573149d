"""What the console's templates say again and again: icons, numbers, money, moments."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from django import template
from django.http import HttpRequest
from django.template import Context
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from catalog.console.access import ConsoleRequest
from catalog.console.navigation import Section, section_first, sections_for
from catalog.durations import age_words, duration_words, seconds_between
from catalog.models import Member
from catalog.money import money_rounded, money_text
from catalog.selectors.members import memberships_of

register = template.Library()

UNKNOWN = "–"


@register.simple_tag
def icon(name: str, label: str = "") -> SafeString:
    """A drawing of the sprite. Without a label it is decoration beside a word."""
    if label:
        return format_html(
            '<svg class="icon" role="img" aria-label="{}"><use href="#icon-{}"/></svg>', label, name
        )
    return format_html('<svg class="icon" aria-hidden="true"><use href="#icon-{}"/></svg>', name)


@register.filter
def number(value: float | None) -> str:
    """1234567 → 1,234,567; None → –."""
    if value is None:
        return UNKNOWN
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.2f}"


@register.filter
def percent(value: float | None, places: int = 1) -> str:
    """0.1234 → 12.3 %; None → –."""
    if value is None:
        return UNKNOWN
    return f"{value * 100:.{places}f} %"


@register.filter
def decimals(value: float | None, places: int = 3) -> str:
    return UNKNOWN if value is None else f"{value:.{places}f}"


@register.filter
def money(minor: int | None, currency: str) -> str:
    return UNKNOWN if minor is None else money_text(minor, currency)


@register.filter
def money_whole(minor: int | None, currency: str) -> str:
    return UNKNOWN if minor is None else money_rounded(minor, currency)


@register.filter
def duration(seconds: float | None) -> str:
    return UNKNOWN if seconds is None else duration_words(seconds)


@register.filter
def megabytes(n_bytes: int | None) -> str:
    return UNKNOWN if n_bytes is None else f"{n_bytes / 1_000_000:,.1f} MB"


@register.filter(expects_localtime=True)
def day(value: date | None) -> str:
    """21 Nov 2026; of a moment, as a calendar of the store has it."""
    return UNKNOWN if value is None else f"{value.day} {value:%b %Y}"


@register.simple_tag
def age(at: datetime | None, never: str = "never") -> SafeString | str:
    """How long ago, kept up to date by console.js; the exact moment in the title."""
    if at is None:
        return never
    words = age_words(seconds_between(at, timezone.now()))
    return format_html(
        '<time datetime="{}" title="{}" data-age>{}</time>', at.isoformat(), moment_text(at), words
    )


@register.simple_tag
def clock(at: datetime | None) -> SafeString | str:
    """14:03 today, 21 Nov 2026, 14:03 on another day; in the store's time zone, which it names."""
    if at is None:
        return UNKNOWN
    local = timezone.localtime(at)
    today = local.date() == timezone.localdate()
    text = f"{local:%H:%M}" if today else moment_text(at)
    return format_html('<time datetime="{}">{} {}</time>', at.isoformat(), text, f"{local:%Z}")


@register.filter
def moment(at: datetime | None) -> str:
    return UNKNOWN if at is None else moment_text(at)


def moment_text(at: datetime) -> str:
    local = timezone.localtime(at)
    return f"{local.day} {local:%b %Y, %H:%M}"


@register.simple_tag(takes_context=True)
def console_sections(context: Context) -> list[Section]:
    """The links of the sidebar, the current one marked."""
    request: ConsoleRequest = context["request"]
    match = request.resolver_match
    return sections_for(
        store_slug=request.store.slug,
        url_name=match.url_name or "" if match else "",
    )


@dataclass(frozen=True, slots=True)
class StoreSwitch:
    """The other stores of whoever is logged in, each with where to go, and whether to open more."""

    others: list[tuple[Member, str]]
    may_open: bool


@register.simple_tag(takes_context=True)
def console_stores(context: Context) -> StoreSwitch:
    """Other stores lead to the same section there. One query."""
    request: ConsoleRequest = context["request"]
    match = request.resolver_match
    page = section_first(url_name=match.url_name or "" if match else "")
    memberships = memberships_of(user=request.user)
    return StoreSwitch(
        others=[
            (member, reverse(page, args=[member.store.slug]))
            for member in memberships
            if member.store_id != request.store.pk
        ],
        may_open=any(member.role == Member.Role.OWNER for member in memberships),
    )


@register.simple_tag(takes_context=True)
def query_with(context: Context, **changes: object) -> str:
    """The page's own query string with some parameters set; an empty value removes one."""
    request: HttpRequest = context["request"]
    query = {key: str(value) for key, value in request.GET.items() if key not in changes}
    query |= {key: str(value) for key, value in changes.items() if value not in (None, "")}
    return f"?{urlencode(query)}" if query else request.path
