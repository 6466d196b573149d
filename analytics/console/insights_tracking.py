"""The tracking alarm in words, and its chart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils import timezone

from analytics.charts.theme import BAND, BEFORE, SERIES, Figure, Trace, figure
from analytics.console.overview_charts import Chart
from analytics.metrics.tracking import (
    CLICKS_NEEDED,
    LINES_NEEDED,
    ORDERS_NEEDED,
    UNKNOWN_CLICKS_AMBER,
    UNKNOWN_CLICKS_RED,
    UNKNOWN_PRODUCTS_AMBER,
    UNKNOWN_PRODUCTS_RED,
    UNSEEN_ORDERS_AMBER,
    UNSEEN_ORDERS_RED,
    Alarm,
    flow_alarm,
    sessions_alarm,
    share_alarm,
)
from analytics.selectors.insights_tracking import Shares, TrackedHour, Tracking
from catalog.durations import age_words, seconds_between

_ORDER: dict[Alarm, int] = {"red": 0, "amber": 1, "unknown": 2, "none": 3}


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the tracking page: what is asked, the answer with its numbers, what to do."""

    key: str
    alarm: Alarm
    title: str
    words: str
    advice: str = ""

    @property
    def wrong(self) -> bool:
        return self.alarm in ("red", "amber")


def checks_of(tracking: Tracking, *, shopper_name: str = "") -> list[Check]:
    """All checks, what is worst first. `shopper_name` is that of the busiest shopper id."""
    shares = tracking.shares
    checks = [
        _flow(tracking),
        _share(
            "products", "Products that don't join the catalog", shares.n_lines_unknown, shares.n_lines,
            "event lines name a product that the catalog lacks", (LINES_NEEDED, UNKNOWN_PRODUCTS_AMBER,
            UNKNOWN_PRODUCTS_RED), "The page sends other ids than the feed: compare one of each under"
            " Events, and send the catalog's product id.",
        ),
        _share(
            "unseen", "Purchases without a view", shares.n_orders_unseen, shares.n_orders,
            "orders came from shoppers without any product view in the 24 hours before",
            (ORDERS_NEEDED, UNSEEN_ORDERS_AMBER, UNSEEN_ORDERS_RED),
            "Either the script is missing on product pages, or the checkout uses another shopper id"
            " than they do. Link the two, or send the same id.",
        ),
        _share(
            "clicks", "Clicks that don't join a recommendation", shares.n_clicks_unknown,
            shares.n_clicks, "clicks name no recommendation that this store gave out",
            (CLICKS_NEEDED, UNKNOWN_CLICKS_AMBER, UNKNOWN_CLICKS_RED),
            "Send the recommendation_id of the answer along with recommendation_click.",
        ),
        _sessions(shares, shopper_name),
    ]  # fmt: skip
    return sorted(checks, key=lambda check: _ORDER[check.alarm])


def tracking_line(checks: Sequence[Check]) -> str:
    """What is wrong in one line, for the overview; empty if nothing is."""
    wrong = [check for check in checks if check.wrong]
    if not wrong:
        return ""
    more = f" And {len(wrong) - 1} more." if len(wrong) > 1 else ""
    return f"{wrong[0].title}: {wrong[0].words}{more}"


def _flow(tracking: Tracking) -> Check:
    title = "Events per minute"
    if tracking.last_hour is None or not tracking.hours or tracking.read_at is None:
        return Check(
            "flow", "unknown", title,
            "No event has come in live yet: imports and uploads of the past don't count.",
            "Paste the snippet into the shop's pages; Events shows the first one within seconds.",
        )  # fmt: skip
    hour = tracking.hours[-1]
    alarm = flow_alarm([(each.n, each.usual) for each in tracking.hours])
    if hour.usual is None:
        words = (
            f"{_rate(hour.n, hour)} a minute in the latest hour. What is usual is known after three"
            " weeks of live events."
        )
        return Check("flow", "unknown", title, words)
    at = f"{timezone.localtime(hour.at):%H:%M}"
    words = (
        f"{_rate(hour.n, hour)} a minute since {at}; usual at this hour of the week is"
        f" {_rate(hour.usual.middle, hour)} ({_rate(hour.usual.low, hour)} to"
        f" {_rate(hour.usual.high, hour)})."
    )
    if alarm == "unknown":
        return Check(
            "flow", alarm, title, f"{words} Too few are expected to tell a fault from chance."
        )
    if hour.n > hour.usual.high:
        advice = "A campaign, or a machine that doesn't say so: look at Events by type and shopper."
        return Check("flow", alarm, title, f"More than usual: {words}", advice)
    if alarm == "none":
        return Check("flow", alarm, title, words)
    silent = seconds_between(tracking.last_hour, tracking.read_at)
    since = f" The last hour with any began {age_words(silent)}." if not hour.n else ""
    return Check(
        "flow", alarm, title, f"Fewer than usual: {words}{since}",
        "Open a page of the shop and look at Events: if your visit isn't there, the snippet is gone,"
        " its key was revoked, or a content policy blocks it.",
    )  # fmt: skip


def _rate(n: float, hour: TrackedHour) -> str:
    value = n / hour.minutes
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def _share(
    key: str, title: str, n: int, of: int, what: str, limits: tuple[int, float, float], advice: str
) -> Check:
    needed, amber, red = limits
    alarm = share_alarm(n, of, needed=needed, amber=amber, red=red)
    if alarm == "unknown":
        words = f"{of:,} in the last 7 days; from {needed:,} on a share can be told."
        return Check(key, alarm, title, words)
    words = f"{n / of * 100:.1f} % of {of:,} {what} (last 7 days; amber above {amber * 100:.0f} %)."
    return Check(key, alarm, title, words, advice if alarm != "none" else "")


def _sessions(shares: Shares, name: str) -> Check:
    title = "One shopper id for many people"
    if shares.busiest_shopper_id is None:
        return Check(
            "sessions", "unknown", title, "No live event of the last 7 days has a session."
        )
    alarm = sessions_alarm(shares.busiest_sessions)
    who = f"Shopper “{name}”" if name else "One shopper, erased since,"
    words = (
        f"{who} had {shares.busiest_sessions:,}"
        f" {'session' if shares.busiest_sessions == 1 else 'sessions'} in one day,"
        f" {shares.busiest_events / shares.busiest_of * 100:.1f} % of its events."
    )
    advice = (
        "A constant, an empty or a shared id is sent for everybody: what one of them does changes"
        " what all of them are shown. Leave the id to our script, or send one per visitor."
    )
    return Check("sessions", alarm, title, words, advice if alarm != "none" else "")


# ---------------------------------------------------------------------------------------- chart


def flow_chart(tracking: Tracking) -> Chart:
    """Events per minute of the last hours inside the band of the usual."""
    hours = tracking.hours
    flow = _flow(tracking)
    finding = {
        "red": "Far fewer events come in than usual",
        "amber": "Another number of events comes in than usual",
        "none": "Events come in as usual",
        "unknown": "No event has come in live yet",
    }[flow.alarm]
    if hours and flow.alarm == "unknown":
        finding = (
            "What is usual isn't known yet"
            if hours[-1].usual is None
            else "Too few events come in to tell a fault from chance"
        )
    return Chart(
        key="flow",
        finding=finding,
        about="Events per minute in each of the last 48 hours, and the same hour of the week in the 4"
        " weeks before",
        figure=_flow_figure(hours) if hours else None,
        head=("Hour", "Events", "Per minute", "Usual", "Band"),
        rows=[
            (
                f"{timezone.localtime(hour.at):%a %-d %b, %H:%M}",
                f"{hour.n:,}",
                _rate(hour.n, hour),
                "–" if hour.usual is None else _rate(hour.usual.middle, hour),
                "–"
                if hour.usual is None
                else f"{_rate(hour.usual.low, hour)} – {_rate(hour.usual.high, hour)}",
            )
            for hour in hours
        ],
        missing="Imports and uploads of the past don't count. Paste the snippet into the shop's pages:"
        " the first event is here within a minute.",
    )


def _flow_figure(hours: Sequence[TrackedHour]) -> Figure:
    x = [f"{timezone.localtime(hour.at):%Y-%m-%d %H:%M}" for hour in hours]
    usual = [hour.usual for hour in hours]
    edge = {"color": "rgba(0,0,0,0)", "width": 0}
    low = [u and round(u.low / h.minutes, 3) for u, h in zip(usual, hours, strict=True)]
    high = [u and round(u.high / h.minutes, 3) for u, h in zip(usual, hours, strict=True)]
    middle = [u and round(u.middle / h.minutes, 3) for u, h in zip(usual, hours, strict=True)]
    base: Trace = {"type": "scatter", "mode": "lines", "x": x, "yaxis": "y"}
    traces: list[Trace] = [
        {**base, "y": low, "line": edge, "showlegend": False, "hoverinfo": "skip"},
        {**base, "y": high, "line": edge, "fill": "tonexty", "fillcolor": BAND, "name": "Usual band",
         "hoverinfo": "skip"},
        {**base, "y": middle, "name": "Usual", "line": {"color": BEFORE, "width": 1.5, "dash": "dot"},
         "hovertemplate": "%{y:.1f} usually<extra></extra>"},
        {**base, "y": [round(hour.per_minute, 3) for hour in hours], "name": "Events per minute",
         "line": {"color": SERIES, "width": 2.25}, "hovertemplate": "%{y:.1f} a minute<extra></extra>"},
    ]  # fmt: skip
    if all(each is None for each in usual):
        traces = traces[-1:]
    drawn = figure(traces, ["events per minute"])
    drawn["layout"]["xaxis"] |= {"tickformat": "%H:%M\n%-d %b", "hoverformat": "%a %-d %b, %H:%M"}
    return drawn
