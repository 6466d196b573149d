"""Below /console/<store>/insights/."""

from __future__ import annotations

from django.urls import path

from analytics.console import insights, insights_exports

urlpatterns = [
    path("", insights.insights_overview, name="console-insights"),
    path("by/<slug:dimension>/", insights.insights_by, name="console-insights-by"),
    path(
        "by/placement/<slug:slug>/", insights.insights_placement, name="console-insights-placement"
    ),
    path("by/strategy/<slug:key>/", insights.insights_strategy, name="console-insights-strategy"),
    path("by/source/<slug:source>/", insights.insights_source, name="console-insights-source"),
    path("diversity/", insights.insights_diversity, name="console-insights-diversity"),
    path("never-shown/", insights.insights_unseen, name="console-insights-unseen"),
    path("tracking/", insights.insights_tracking, name="console-insights-tracking"),
    path("<slug:table>.csv", insights_exports.insights_export, name="console-insights-export"),
]
