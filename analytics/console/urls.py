"""Below /console/<store>/: the pages about figures."""

from __future__ import annotations

from django.urls import path

from analytics.console import overview, radar

urlpatterns = [
    path("overview/", overview.overview, name="console-overview"),
    path("overview/events/", overview.latest_events_list, name="console-latest-events"),
    path("radar/", radar.radar_page, name="console-radar"),
]
