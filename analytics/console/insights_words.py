"""What Insights says of figures: tiles, names of slices, rows of tables, the funnel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse

from analytics.console.overview_tiles import Tile
from analytics.metrics.changes import Change, change, rate_change
from analytics.metrics.rates import Rate
from analytics.selectors.insights import Dimension, Figures
from catalog.models import Store
from catalog.money import money_rounded
from recommender.console.strategy_words import source_label
from recommender.models import Placement, Strategy

NOT_KNOWN = "Recommendation not known"
# A list of two strategies is none of theirs.
NO_STRATEGY = "Interleaved, or not known"
NO_CATEGORY = "No category"
# How the tables of each dimension are headed, and what an impression is there.
DIMENSIONS: dict[Dimension, tuple[str, str, str]] = {
    Dimension.PLACEMENT: ("Placement", "By placement", "Impressions"),
    Dimension.STRATEGY: ("Strategy", "By strategy", "Impressions"),
    Dimension.SOURCE: ("Source", "By source", "Places shown"),
    Dimension.CATEGORY: ("Category", "By category", "Places shown"),
}
_OTHER_SOURCES = {"": NOT_KNOWN, "pinned": "Pinned by a rule"}


@dataclass(frozen=True, slots=True)
class Row:
    """A slice in a table; `address` is empty if there is nothing more to see of it."""

    key: Any
    name: str
    address: str
    now: Figures
    before: Figures | None

    @property
    def revenue_change(self) -> Change:
        return change(
            self.now.revenue_minor, self.before.revenue_minor if self.before is not None else None
        )


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the funnel: how many, their share of the first, and of the step before."""

    label: str
    n: int
    of_first: float
    of_previous: float | None
    what: str

    @property
    def percent(self) -> float:
        return round(self.of_first * 100, 2)


def tiles_of(now: Figures, before: Figures | None, currency: str) -> list[Tile]:
    """`before` is None if there was nothing to compare with. An unknown says what is missing."""
    return [
        Tile(
            "Impressions",
            f"{now.n_impressions:,}",
            _delivered_parts(now),
            change(now.n_impressions, before.n_impressions if before else None),
            f"{before.n_impressions:,}" if before else "",
        ),
        _seen(now, before),
        _clicks(now, before),
        _orders(now, before),
        _revenue(now, before, currency),
    ]


def _delivered_parts(now: Figures) -> str:
    if not now.n_impressions:
        return "no recommendation delivered"
    return (
        f"{now.n_fallback / now.n_impressions * 100:.1f} % by fallback"
        f" · {now.n_empty / now.n_impressions * 100:.1f} % empty"
    )


def _seen(now: Figures, before: Figures | None) -> Tile:
    if not now.n_seen:
        return Tile(
            "Viewable",
            None,
            "No recommendation was reported as seen. Our script reports it by itself; apps send"
            " recommendation_view.",
            change(None, None),
        )
    share = Rate(now.n_seen, now.n_impressions).value
    return Tile(
        "Viewable",
        f"{now.n_seen:,}",
        "seen for a second"
        + ("" if share is None or share > 1 else f" · {share * 100:.0f} % of the impressions"),
        change(now.n_seen, before.n_seen if before else None),
        f"{before.n_seen:,}" if before else "",
    )


def _clicks(now: Figures, before: Figures | None) -> Tile:
    if not now.n_seen and not now.n_clicks:
        return Tile("Clicks", None, "Nothing was reported as seen or clicked.", change(None, None))
    rate = now.click_rate
    return Tile(
        "Clicks",
        f"{now.n_clicks:,}",
        "views are missing to tell the rate"
        if rate is None
        else f"{rate * 100:.1f} % of those seen",
        change(now.n_clicks, before.n_clicks if before else None),
        f"{before.n_clicks:,}" if before else "",
    )


def _orders(now: Figures, before: Figures | None) -> Tile:
    if _nothing_to_credit(now):
        return Tile(
            "Orders", None, "Orders are credited to clicks, and there was none.", change(None, None)
        )
    return Tile(
        "Orders",
        f"{now.n_orders:,}",
        "with a product clicked in a recommendation",
        change(now.n_orders, before.n_orders if before else None),
        f"{before.n_orders:,}" if before else "",
    )


def _revenue(now: Figures, before: Figures | None, currency: str) -> Tile:
    label = "Attributed revenue"
    if _nothing_to_credit(now):
        return Tile(label, None, "Without a click nothing can be credited.", change(None, None))
    return Tile(
        label,
        money_rounded(now.revenue_minor, currency),
        "last click on the same product, within 7 days",
        change(now.revenue_minor, before.revenue_minor if before else None),
        money_rounded(before.revenue_minor, currency) if before else "",
    )


def _nothing_to_credit(now: Figures) -> bool:
    """No click and no order: a click of the week before may have led to one all the same."""
    return not now.n_clicks and not now.n_orders


def steps_of(now: Figures) -> list[Step]:
    """Delivered, seen, clicked, bought; empty if nothing was delivered or nothing was seen."""
    n_lists = now.n_impressions - now.n_empty
    if not n_lists or not now.n_seen:
        return []
    counts = (
        ("Delivered", n_lists, "recommendations with a product"),
        ("Viewable", now.n_seen, "seen for a second"),
        ("Clicked", now.n_clicks, "clicks"),
        ("Bought", now.n_orders, "orders credited to a click"),
    )
    steps: list[Step] = []
    for label, n, what in counts:
        previous = steps[-1].n if steps else 0
        steps.append(
            Step(label, n, min(n / n_lists, 1.0), n / previous if previous else None, what)
        )
    return steps


# --------------------------------------------------------------------------------------- slices


def slice_rows(
    *,
    store: Store,
    dimension: Dimension,
    slices: Mapping[Any, tuple[Figures, Figures]],
    comparable: bool,
    query: Mapping[str, str],
) -> list[Row]:
    """Slices with anything in the period, named. One query at most."""
    names = _names(store, dimension)
    asked = f"?{urlencode(query)}" if query else ""
    rows = []
    for key, (now, before) in slices.items():
        if now == Figures():
            continue
        name, address = names(key)
        if dimension is Dimension.CATEGORY:
            address = f"{address}?{urlencode({**query, 'of': key})}"
        elif address:
            address += asked
        rows.append(Row(key, name, address, now, before if comparable else None))
    return rows


def _names(store: Store, dimension: Dimension) -> Callable[[Any], tuple[str, str]]:
    """From a key to its name and the address of its page."""
    if dimension is Dimension.SOURCE:
        return lambda key: (source_name(key), _address("source", store, key) if key else "")
    if dimension is Dimension.CATEGORY:
        page = reverse("console-insights-by", args=[store.slug, Dimension.CATEGORY])
        return lambda key: (key or NO_CATEGORY, page)
    known: dict[int, tuple[str, str]]
    if dimension is Dimension.PLACEMENT:
        known = {
            pk: (name, slug)
            for pk, name, slug in Placement.objects.filter(store=store).values_list(
                "pk", "name", "slug"
            )
        }
    else:
        known = {
            pk: (name, key)
            for pk, name, key in Strategy.objects.filter(store=store).values_list(
                "pk", "name", "key"
            )
        }

    def named(key: int | None) -> tuple[str, str]:
        if not key:
            return NO_STRATEGY if dimension is Dimension.STRATEGY else NOT_KNOWN, ""
        found = known.get(key)
        if found is None:
            return f"Deleted {dimension}", ""
        return found[0], _address(str(dimension), store, found[1])

    return named


def source_name(key: str) -> str:
    return _OTHER_SOURCES.get(key) or source_label(key)


def _address(dimension: str, store: Store, key: str) -> str:
    return reverse(f"console-insights-{dimension}", args=[store.slug, key])


# What a table may be sorted by, most first; the words of its column.
SORTS: dict[str, Callable[[Row], Any]] = {
    "impressions": lambda row: row.now.n_impressions,
    "seen": lambda row: row.now.n_seen,
    "clicks": lambda row: row.now.n_clicks,
    "rate": lambda row: -1.0 if row.now.click_rate is None else row.now.click_rate,
    "orders": lambda row: row.now.n_orders,
    "revenue": lambda row: row.now.revenue_minor,
    "name": lambda row: row.name.casefold(),
}


def rows_sorted(rows: Sequence[Row], sort: str) -> list[Row]:
    """By a column of `SORTS`: names from A, figures from the largest; a minus turns it round."""
    column = sort.removeprefix("-")
    falling = (column != "name") != sort.startswith("-")
    by_name = sorted(rows, key=SORTS["name"])
    return sorted(by_name, key=SORTS[column], reverse=falling)


def rate_tile(
    label: str, now: float | None, before: float | None, parts: str, missing: str
) -> Tile:
    """A share of the catalog."""
    if now is None:
        return Tile(label, None, missing, rate_change(None, None))
    return Tile(
        label,
        f"{now * 100:.1f} %",
        parts,
        rate_change(now, before),
        "" if before is None else f"{before * 100:.1f} %",
    )


def number_tile(
    label: str, now: float | None, before: float | None, parts: str, missing: str, places: int = 2
) -> Tile:
    if now is None:
        return Tile(label, None, missing, change(None, None))
    return Tile(
        label,
        f"{now:.{places}f}",
        parts,
        change(now, before),
        "" if before is None else f"{before:.{places}f}",
    )
