"""Below /console/<store>/: the pages about figures."""

from __future__ import annotations

from django.urls import include, path

from analytics.console import off_policy, overview, radar, results, results_range

urlpatterns = [
    path("experiments/", include("analytics.console.experiments_urls")),
    path("overview/", overview.overview, name="console-overview"),
    path("overview/events/", overview.latest_events_list, name="console-latest-events"),
    path("overview/tracking/", overview.tracking_notice, name="console-overview-tracking"),
    path("experiments/off-policy/", off_policy.off_policy_page, name="console-off-policy"),
    path(
        "experiments/off-policy/<slug:token>/",
        off_policy.off_policy_run,
        name="console-off-policy-run",
    ),
    path("insights/", include("analytics.console.insights_urls")),
    path("radar/", radar.radar_page, name="console-radar"),
    # Below those with a word of their own: a key may be any word that is left.
    path("experiments/<slug:key>/", results.results_page, name="console-experiment"),
    path("experiments/<slug:key>/fresh/", results.results_fresh, name="console-experiment-fresh"),
    path("experiments/<slug:key>/results.csv", results.results_csv, name="console-experiment-csv"),
    path(
        "experiments/<slug:key>/results.json",
        results.results_download,
        name="console-experiment-json",
    ),
    path(
        "experiments/<slug:key>/range/",
        results_range.results_range,
        name="console-experiment-range",
    ),
    path("experiments/<slug:key>/note/", results.results_note, name="console-experiment-note"),
]
