"""Below /console/<store>/: the pages about what is recommended, and by what."""

from __future__ import annotations

from django.urls import path

from recommender.console import (
    campaigns,
    configuration,
    events,
    lab,
    learning,
    models,
    picker,
    placements,
    preview,
    products,
    segments,
    shoppers,
    similarity,
    strategies,
)

urlpatterns = [
    path("catalog/<int:product_id>/", products.product_page, name="console-product"),
    path("placements/", placements.placement_list, name="console-placements"),
    path("placements/new/", placements.placement_new, name="console-placement-new"),
    path("placements/<slug:slug>/", placements.placement_page, name="console-placement"),
    path(
        "placements/<slug:slug>/edit/", placements.placement_editor, name="console-placement-edit"
    ),
    path(
        "placements/<slug:slug>/pause/",
        placements.placement_switch,
        {"paused": True},
        name="console-placement-pause",
    ),
    path(
        "placements/<slug:slug>/resume/",
        placements.placement_switch,
        {"paused": False},
        name="console-placement-resume",
    ),
    path("strategies/", strategies.strategy_list, name="console-strategies"),
    path("strategies/new/", strategies.strategy_gallery, name="console-strategies-new"),
    path("strategies/new/<slug:recipe>/", strategies.strategy_new, name="console-strategy-new"),
    path("strategies/<slug:key>/", strategies.strategy_page, name="console-strategy"),
    path("strategies/<slug:key>/edit/", strategies.strategy_editor, name="console-strategy-edit"),
    path(
        "strategies/<slug:key>/restore/", strategies.strategy_back, name="console-strategy-restore"
    ),
    path("strategies/<slug:key>/name/", strategies.strategy_name, name="console-strategy-name"),
    path("campaigns/", campaigns.campaign_list, name="console-campaigns"),
    path("campaigns/new/", campaigns.campaign_new, name="console-campaign-new"),
    path("campaigns/fields/", campaigns.campaign_fields, name="console-campaign-fields"),
    path("campaigns/words/", campaigns.campaign_words, name="console-campaign-words"),
    path("campaigns/<int:rule_id>/", campaigns.campaign_page, name="console-campaign"),
    path("campaigns/<int:rule_id>/move/", campaigns.campaign_move, name="console-campaign-move"),
    path(
        "campaigns/<int:rule_id>/switch/", campaigns.campaign_switch, name="console-campaign-switch"
    ),
    path(
        "campaigns/<int:rule_id>/delete/", campaigns.campaign_delete, name="console-campaign-delete"
    ),
    path("segments/", segments.segment_list, name="console-segments"),
    path("segments/new/", segments.segment_new, name="console-segment-new"),
    path("segments/<int:segment_id>/", segments.segment_page, name="console-segment"),
    path("segments/<int:segment_id>/size/", segments.segment_count, name="console-segment-size"),
    path(
        "segments/<int:segment_id>/delete/", segments.segment_remove, name="console-segment-delete"
    ),
    path("pick/<slug:kind>/", picker.picker_options, name="console-pick"),
    path("pick/<slug:kind>/chosen/", picker.picker_chosen, name="console-picked"),
    path("configuration/", configuration.configuration_page, name="console-configuration"),
    path(
        "configuration/export/",
        configuration.configuration_download,
        name="console-configuration-export",
    ),
    path(
        "configuration/look/", configuration.configuration_look, name="console-configuration-look"
    ),
    path(
        "configuration/apply/",
        configuration.configuration_apply,
        name="console-configuration-apply",
    ),
    path("preview/", preview.preview_page, name="console-preview"),
    path("preview/price-tag/", preview.price_tag_begin, name="console-price-tags"),
    path("preview/price-tag/<slug:token>/", preview.price_tag_progress, name="console-price-tag"),
    path("preview/shoppers/", preview.shopper_options, name="console-preview-shoppers"),
    path("events/", events.event_page, name="console-events"),
    path("events/replay/", events.replay, name="console-events-replay"),
    path("models/", models.model_list, name="console-models"),
    path("models/weights/", learning.weights_page, name="console-weights"),
    path("models/weights/save/", learning.weights_save, name="console-weights-save"),
    path("models/similarity/", similarity.similarity_page, name="console-similarity"),
    path(
        "models/similarity/look/",
        similarity.similarity_preview,
        name="console-similarity-preview",
    ),
    path("models/similarity/save/", similarity.similarity_save, name="console-similarity-save"),
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
    path("lab/", lab.lab_page, name="console-lab"),
    path("lab/start/", lab.lab_start, name="console-lab-start"),
    path("lab/<int:lab_id>/", lab.lab_run_page, name="console-lab-run"),
    path("lab/<int:lab_id>/cancel/", lab.lab_stop, name="console-lab-cancel"),
    path("lab/<int:lab_id>/use/", lab.lab_use_row, name="console-lab-use"),
    path("lab/<int:lab_id>/table.json", lab.lab_export, {"as_csv": False}, name="console-lab-json"),
    path("lab/<int:lab_id>/table.csv", lab.lab_export, {"as_csv": True}, name="console-lab-csv"),
    path("shoppers/", shoppers.shopper_list, name="console-shoppers"),
    path("shoppers/<int:shopper_id>/", shoppers.shopper_detail, name="console-shopper"),
    path(
        "shoppers/<int:shopper_id>/export/",
        shoppers.shopper_download,
        name="console-shopper-export",
    ),
    path(
        "shoppers/<int:shopper_id>/erase/",
        shoppers.shopper_erasing,
        name="console-shopper-erase",
    ),
    path(
        "shoppers/<int:shopper_id>/link/", shoppers.shopper_link_make, name="console-shopper-link"
    ),
    path(
        "shoppers/<int:shopper_id>/unlink/",
        shoppers.shopper_link_undo,
        name="console-shopper-unlink",
    ),
]
