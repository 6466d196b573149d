"""Insights: what recommendations led to, told apart, and whether the figures can be trusted."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe
from django.views.decorators.vary import vary_on_headers

from analytics.charts.marks import Mark, marks_of
from analytics.console.insights_asked import Asked, asked_of, unseen_filter
from analytics.console.insights_charts import Course, diversity_charts, overview_charts
from analytics.console.insights_tracking import Check, checks_of, flow_chart
from analytics.console.insights_words import (
    DIMENSIONS,
    NO_CATEGORY,
    SORTS,
    number_tile,
    rate_tile,
    rows_sorted,
    slice_rows,
    source_name,
    steps_of,
    tiles_of,
)
from analytics.metrics.periods import PERIOD_DAYS, Period
from analytics.selectors.changes import changes_in
from analytics.selectors.holdout import Incremental, incremental_revenue
from analytics.selectors.insights import (
    NOTHING,
    Dimension,
    Figures,
    InsightsState,
    credited_revenue,
    insights_state,
    period_slices,
    reach_of,
    span_figures,
    spans_before,
    spans_of,
    visit_conversion,
)
from analytics.selectors.insights_products import (
    UnseenFilter,
    catalog_reach,
    top_products,
    unseen_page,
)
from analytics.selectors.insights_tracking import Tracking, shopper_named, tracking_of
from analytics.selectors.overview import period_figures
from catalog.console.access import ConsoleRequest, member_page
from catalog.models import Shopper, Store
from recommender.models import Placement, Strategy
from recommender.serving.strategy import SOURCE_NAMES

TOP_PRODUCTS = 10
PAGES = 100

# name of the address, words; those of the dimensions come between.
_OVERVIEW = ("console-insights", "Overview")
_OTHERS = (
    ("console-insights-diversity", "Diversity"),
    ("console-insights-unseen", "Never shown"),
    ("console-insights-tracking", "Tracking"),
)

_OF_THE_DAYS = ("days", "until", "from", "to", "page")


@require_safe
@vary_on_headers("HX-Request")
@member_page()
def insights_overview(request: ConsoleRequest) -> HttpResponse:
    """What recommendations led to in all."""
    store, asked = request.store, asked_of(request)
    state = insights_state(store=store)
    if state.first_day is None:
        # There are orders already: what recommendations will be compared with.
        sold, _ = period_figures(store=store, period=asked.period)
        return _page(request, asked, "overview", state, {"sold": sold})
    course, figures = _course(store, asked, state)
    incremental = incremental_revenue(store=store)
    return _page(
        request,
        asked,
        "overview",
        state,
        {
            **figures,
            "charts": overview_charts(course),
            "incremental": incremental,
            "credited_meanwhile": _credited_meanwhile(store, incremental),
            "products": top_products(store=store, period=asked.period, limit=TOP_PRODUCTS),
        },
    )


def _credited_meanwhile(store: Store, incremental: Incremental) -> int | None:
    """Attributed revenue of the hold-out's own days: what its figure can be held against."""
    if incremental.first_day is None or incremental.last_day is None:
        return None
    return credited_revenue(store=store, first=incremental.first_day, last=incremental.last_day)


@require_safe
@vary_on_headers("HX-Request")
@member_page()
def insights_by(request: ConsoleRequest, dimension: str) -> HttpResponse:
    """A table of all slices; a category, which has no address of its own, also by itself."""
    if dimension not in list(Dimension):
        raise Http404("Insights aren't told apart by that.")
    by = Dimension(dimension)
    if by is Dimension.CATEGORY and "of" in request.GET:
        category = request.GET["of"]
        if "\x00" in category:
            raise Http404("There is no such category.")
        return _slice(request, by, category, category or NO_CATEGORY)
    sort = request.GET.get("sort", "") or "revenue"
    if sort.removeprefix("-") not in SORTS:
        raise Http404("The table has no such column.")
    store, asked = request.store, asked_of(request)
    state = insights_state(store=store)
    comparable = _comparable(state, asked.period)
    rows = slice_rows(
        store=store,
        dimension=by,
        slices=period_slices(store=store, period=asked.period, dimension=by),
        comparable=comparable,
        query=asked.query,
    )
    context = {
        "dimension": by,
        "words": DIMENSIONS[by],
        "rows": rows_sorted(rows, sort),
        "sort": sort,
        "comparable": comparable,
    }
    return _page(request, asked, str(by), state, context)


@require_safe
@vary_on_headers("HX-Request")
@member_page()
def insights_placement(request: ConsoleRequest, slug: str) -> HttpResponse:
    """One placement."""
    placement = Placement.objects.filter(store=request.store, slug=slug).first()
    if placement is None:
        raise Http404("There is no such placement.")
    return _slice(request, Dimension.PLACEMENT, placement.pk, placement.name, slug)


@require_safe
@vary_on_headers("HX-Request")
@member_page()
def insights_strategy(request: ConsoleRequest, key: str) -> HttpResponse:
    """One strategy, all of its versions."""
    strategy = Strategy.objects.filter(store=request.store, key=key).first()
    if strategy is None:
        raise Http404("There is no such strategy.")
    return _slice(request, Dimension.STRATEGY, strategy.pk, strategy.name, key)


@require_safe
@vary_on_headers("HX-Request")
@member_page()
def insights_source(request: ConsoleRequest, source: str) -> HttpResponse:
    """One source."""
    if source not in (*SOURCE_NAMES, "pinned"):
        raise Http404("There is no such source.")
    return _slice(request, Dimension.SOURCE, source, source_name(source))


def _slice(
    request: ConsoleRequest, dimension: Dimension, key: Any, name: str, slug: str = ""
) -> HttpResponse:
    asked = asked_of(request)
    state = insights_state(store=request.store)
    only = slug if dimension is Dimension.PLACEMENT else ""
    course, figures = _course(request.store, asked, state, dimension, key, placement=only)
    context = {
        **figures,
        "charts": overview_charts(course),
        "dimension": dimension,
        "words": DIMENSIONS[dimension],
        "name": name,
        "slug": slug,
    }
    return _page(request, asked, str(dimension), state, context, template="slice")


@require_safe
@vary_on_headers("HX-Request")
@member_page()
def insights_diversity(request: ConsoleRequest) -> HttpResponse:
    """What lists were like, beside what shoppers did."""
    store, asked = request.store, asked_of(request)
    state = insights_state(store=store)
    if state.first_day is None:
        return _page(request, asked, "diversity", state, {})
    course, figures = _course(store, asked, state)
    spans = course.spans
    charts = diversity_charts(
        course, reach_of(store=store, spans=spans), visit_conversion(store=store, spans=spans)
    )
    now, before = course.now, course.before or NOTHING
    reach = catalog_reach(store=store, period=asked.period)
    earlier = (
        catalog_reach(store=store, period=asked.period.before) if figures["comparable"] else None
    )
    tiles = [
        number_tile(
            "Diversity of a list", now.diversity, before.diversity,
            f"0 alike – 1 nothing in common · {now.n_diversity:,} lists",
            "No list of two products with content: train “Content embeddings”.",
        ),
        rate_tile(
            "Catalog coverage", reach.coverage, earlier.coverage if earlier else None,
            f"{reach.n_shown:,} of {reach.n_catalog:,} products were shown",
            "Nothing was shown.",
        ),
        number_tile(
            "Novelty", now.novelty, before.novelty,
            "bits: each more is half as well known",
            "There were no views or sales in the four weeks before to compare with.", 1,
        ),
        number_tile(
            "Concentration", reach.gini, earlier.gini if earlier else None,
            "Gini: 0 all alike – 1 one product takes every place", "Nothing was shown.",
        ),
    ]  # fmt: skip
    return _page(request, asked, "diversity", state, {**figures, "charts": charts, "tiles": tiles})


@require_safe
@vary_on_headers("HX-Request")
@member_page()
def insights_unseen(request: ConsoleRequest) -> HttpResponse:
    """Products that could be shown and never were."""
    store, asked, wanted = request.store, asked_of(request), unseen_filter(request)
    text = request.GET.get("page", "") or "1"
    if not text.isdecimal() or not 1 <= int(text) <= PAGES:
        raise Http404("There is no such page.")
    number = int(text)
    page = unseen_page(
        store=store, period=asked.period, today=asked.today, wanted=wanted, number=number
    )
    context = {
        "summary": page.summary,
        "products": page.products,
        "number": number,
        "previous": number - 1,
        "next": number + 1 if page.has_next else 0,
        "wanted": wanted,
        "narrowed": wanted != UnseenFilter(),
    }
    return _page(request, asked, "unseen", insights_state(store=store), context)


@require_safe
@vary_on_headers("HX-Request")
@member_page()
def insights_tracking(request: ConsoleRequest) -> HttpResponse:
    """Whether what the shop reports looks whole."""
    tracking, checks, shopper = tracking_told(request.store)
    context = {
        "tracking": tracking,
        "checks": checks,
        "nothing_known": all(check.alarm == "unknown" for check in checks),
        "chart": flow_chart(tracking),
        "shopper": shopper,
    }
    asked = asked_of(request)
    return _page(request, asked, "tracking", insights_state(store=request.store), context)


def tracking_told(store: Store) -> tuple[Tracking, list[Check], Shopper | None]:
    """The checks, and the shopper with most sessions. Six queries at most."""
    tracking = tracking_of(store=store)
    busiest = tracking.shares.busiest_shopper_id
    shopper = None if busiest is None else shopper_named(store=store, shopper_id=busiest)
    return (
        tracking,
        checks_of(tracking, shopper_name=shopper.external_id if shopper else ""),
        shopper,
    )


# --------------------------------------------------------------------------- what pages have alike


def _course(
    store: Store,
    asked: Asked,
    state: InsightsState,
    dimension: Dimension | None = None,
    key: Any = None,
    *,
    placement: str = "",
) -> tuple[Course, dict[str, Any]]:
    """Figures of one slice, or of everything, and what the templates need of them."""
    period = asked.period
    spans = spans_of(period)
    comparable = _comparable(state, period)
    slices = period_slices(store=store, period=period, dimension=dimension)
    now, before = slices.get(key, (NOTHING, NOTHING))
    shown_before: Figures | None = before if comparable else None
    earlier = spans_before(spans) if comparable and spans else []
    points = span_figures(store=store, spans=[*earlier, *spans], dimension=dimension, key=key)
    course = Course(
        period=period,
        now=now,
        before=shown_before,
        spans=spans,
        points=points[len(earlier) :],
        earlier=points[: len(earlier)],
        marks=marks_in(store=store, period=period, placement=placement),
        currency=store.currency,
        thing="places"
        if dimension in (Dimension.SOURCE, Dimension.CATEGORY)
        else "recommendations",
    )
    return course, {
        "now": now,
        "comparable": comparable,
        "tiles": tiles_of(now, shown_before, store.currency),
        "steps": steps_of(now),
    }


def marks_in(*, store: Store, period: Period, placement: str = "") -> tuple[Mark, ...]:
    """The marks of change of a period; those of one placement and of the whole store, if it's named."""
    changes = [
        (timezone.localtime(each.at).date(), each.words)
        for each in changes_in(store=store, first=period.first, last=period.last)
        if not placement or not each.placements or placement in each.placements
    ]
    return marks_of(changes, first=period.first, last=period.last)


def _comparable(state: InsightsState, period: Period) -> bool:
    """Days before the first impression are no days without clicks."""
    return state.first_day is not None and state.first_day <= period.before.first


def _page(
    request: ConsoleRequest,
    asked: Asked,
    tab: str,
    state: InsightsState,
    context: dict[str, Any],
    *,
    template: str = "",
) -> HttpResponse:
    """The page, or for htmx the part of it that a tab or a period exchanges."""
    tabs = [(*_OVERVIEW, "", "overview")]
    tabs += [("console-insights-by", DIMENSIONS[each][1], each, each) for each in Dimension]
    tabs += [(name, words, "", name.rpartition("-")[2]) for name, words in _OTHERS]
    part = bool(request.htmx) and not request.htmx.history_restore_request
    by = tab in list(Dimension)
    context |= {
        "asked": asked,
        "period": asked.period,
        "period_days": PERIOD_DAYS,
        # What stays when other days are chosen.
        "kept": [(key, text) for key, text in request.GET.items() if key not in _OF_THE_DAYS],
        "tabs": tabs,
        "tab": tab,
        "state": state,
        # Nothing was shown lately: a replay has ended, or the pages ask for nothing any more.
        "ends_early": tab != "tracking"
        and not asked.is_range
        and state.last_day is not None
        and asked.period.first <= state.last_day < asked.period.last,
        "body": f"console/insights/_{template or ('by' if by else tab)}.html",
    }
    name = "_part" if part else "page"
    return render(request, f"console/insights/{name}.html", context)
