"""Everything below /v1/.

The first three are answered by `recommender.api.fast_lane` before they get here. They are listed
all the same, for `reverse` and for Django's test client.
"""

from __future__ import annotations

from django.urls import URLPattern, path, re_path

from catalog.api.errors import v1_not_found
from catalog.api.imports import ImportsView, ImportView
from catalog.api.products import ProductsView, ProductView
from recommender.api.fast_lane import hot, hot_events, hot_page, hot_placement
from recommender.api.openapi import DocumentationPage, OpenApiDocument
from recommender.api.recommendations import placement_fragment
from recommender.api.shoppers import ShopperExportView, ShopperLinkView, ShopperView

urlpatterns: list[URLPattern] = [
    path("events", hot_events, name="v1-events"),
    path("recommendations", hot_page, name="v1-recommendations"),
    path(
        "placements/<slug:slug>/recommendations",
        hot_placement,
        name="v1-placement-recommendations",
    ),
    path(
        "placements/<slug:slug>/fragment",
        hot(placement_fragment, counted_as="fragment"),
        name="v1-placement-fragment",
    ),
    path("imports", ImportsView.as_view(), name="v1-imports"),
    path("imports/<int:import_id>", ImportView.as_view(), name="v1-import"),
    path("products", ProductsView.as_view(), name="v1-products"),
    path("products/<path:external_id>", ProductView.as_view(), name="v1-product"),
    path("shoppers/<path:shopper_id>/link", ShopperLinkView.as_view(), name="v1-shopper-link"),
    path(
        "shoppers/<path:shopper_id>/export", ShopperExportView.as_view(), name="v1-shopper-export"
    ),
    path("shoppers/<path:shopper_id>", ShopperView.as_view(), name="v1-shopper"),
    path("openapi.json", OpenApiDocument.as_view(), name="v1-openapi"),
    path("docs", DocumentationPage.as_view(), name="v1-docs"),
    # Last: an address that doesn't exist is told in the API's own way.
    re_path(r"", v1_not_found),
]
