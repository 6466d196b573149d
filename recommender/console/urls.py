"""Below /console/<store>/: the pages about what is recommended, and by what."""

from __future__ import annotations

from django.urls import path

from recommender.console import models, placements, products

urlpatterns = [
    path("catalog/<int:product_id>/", products.product_page, name="console-product"),
    path("placements/", placements.placement_list, name="console-placements"),
    path("placements/<slug:slug>/", placements.placement_page, name="console-placement"),
    path("models/", models.model_list, name="console-models"),
    path("models/retrain/", models.retrain, name="console-retrain"),
    path("models/<int:run_id>/", models.run_page, name="console-run"),
    path("models/<int:run_id>/confirm/", models.confirm, name="console-run-confirm"),
    path("models/<int:run_id>/discard/", models.discard, name="console-run-discard"),
]
