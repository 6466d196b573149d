"""Every address of Vitrine."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from recommender.api.health import healthz, metrics, readyz
from recommender.console.stores import store_new

handler400 = "catalog.api.errors.bad_request"
handler403 = "catalog.api.errors.permission_denied"
handler404 = "catalog.api.errors.page_not_found"
handler500 = "catalog.api.errors.server_error"

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="console-home"), name="root"),
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("metrics", metrics, name="metrics"),
    # Before the other: that one ends with an answer for every address below /v1/.
    path("v1/", include("analytics.api.urls")),
    path("v1/", include("recommender.api.urls")),
    path("console/", include("catalog.console.entry")),
    path("console/new/", store_new, name="console-store-new"),
    path("console/<slug:store>/", include("analytics.console.urls")),
    path("console/<slug:store>/", include("recommender.console.urls")),
    path("console/<slug:store>/", include("catalog.console.urls")),
    path("invitations/", include("catalog.console.invitations")),
    path("shop/", include("catalog.demo.urls")),
    path("admin/", admin.site.urls),
]
