"""Below /v1/: what a shop's own tools read about figures."""

from __future__ import annotations

from django.urls import URLPattern, path

from analytics.api.results import ExperimentResultsView

urlpatterns: list[URLPattern] = [
    path(
        "experiments/<slug:key>/results",
        ExperimentResultsView.as_view(),
        name="v1-experiment-results",
    ),
]
