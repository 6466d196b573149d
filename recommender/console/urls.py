"""Below /console/<store>/: the pages about what is recommended, and by what."""

from __future__ import annotations

from django.urls import path

from recommender.console import events, learning, models, placements, products, shoppers

urlpatterns = [
    path("catalog/<int:product_id>/", products.product_page, name="console-product"),
    path("placements/", placements.placement_list, name="console-placements"),
    path("placements/<slug:slug>/", placements.placement_page, name="console-placement"),
    path("events/", events.event_page, name="console-events"),
    path("events/replay/", events.replay, name="console-events-replay"),
    path("models/", models.model_list, name="console-models"),
    path("models/weights/", learning.weights_page, name="console-weights"),
    path("models/weights/save/", learning.weights_save, name="console-weights-save"),
    path("models/retrain/", models.retrain, name="console-retrain"),
    path("models/ages/", models.model_ages, name="console-model-ages"),
    path("models/<int:run_id>/", models.run_page, name="console-run"),
    *(
        path(
            f"models/<int:run_id>/{decision}/",
            models.decide,
            {"decision": decision},
            name=f"console-run-{decision}",
        )
        for decision in models.DECISIONS
    ),
    path("shoppers/", shoppers.shopper_list, name="console-shoppers"),
    path("shoppers/<int:shopper_id>/", shoppers.shopper_detail, name="console-shopper"),
    path(
        "shoppers/<int:shopper_id>/link/", shoppers.shopper_link_make, name="console-shopper-link"
    ),
    path(
        "shoppers/<int:shopper_id>/unlink/",
        shoppers.shopper_link_undo,
        name="console-shopper-unlink",
    ),
]
