"""Everything below /v1/.

The first three are answered by `recommender.api.fast_lane` before they get here. They are listed
all the same, for `reverse` and for whoever takes the middleware out.
"""

from __future__ import annotations

from django.urls import URLPattern, path, re_path

from catalog.api.errors import v1_not_found
from catalog.api.imports import ImportsView, ImportView
from catalog.api.products import ProductsView, ProductView
from recommender.api.events import events
from recommender.api.fast_lane import hot
from recommender.api.openapi import DocumentationPage, OpenApiDocument
from recommender.api.recommendations import (
    page_recommendations,
    placement_fragment,
    placement_recommendations,
)
from recommender.api.shoppers import ShopperLinkView

urlpatterns: list[URLPattern] = [
    path("events", hot(events), name="v1-events"),
    path("recommendations", hot(page_recommendations), name="v1-recommendations"),
    path(
        "placements/<slug:slug>/recommendations",
        hot(placement_recommendations),
        name="v1-placement-recommendations",
    ),
    path("placements/<slug:slug>/fragment", hot(placement_fragment), name="v1-placement-fragment"),
    path("imports", ImportsView.as_view(), name="v1-imports"),
    path("imports/<int:import_id>", ImportView.as_view(), name="v1-import"),
    path("products", ProductsView.as_view(), name="v1-products"),
    path("products/<path:external_id>", ProductView.as_view(), name="v1-product"),
    path("shoppers/<path:shopper_id>/link", ShopperLinkView.as_view(), name="v1-shopper-link"),
    path("openapi.json", OpenApiDocument.as_view(), name="v1-openapi"),
    path("docs", DocumentationPage.as_view(), name="v1-docs"),
    # Last: an address that doesn't exist is told in the API's own way.
    re_path(r"", v1_not_found),
]
