"""Below /console/<store>/: the pages about facts."""

from __future__ import annotations

from django.urls import path

from catalog.console import audit, bulk, catalog, feeds, imports, members, replays, settings

urlpatterns = [
    path("catalog/", catalog.product_list, name="console-catalog"),
    path("catalog/bulk/", bulk.products_bulk, name="console-catalog-bulk"),
    path("catalog/imports/", imports.import_list, name="console-imports"),
    path("catalog/imports/new/", imports.import_new, name="console-import-new"),
    path("catalog/imports/upload/", imports.import_upload, name="console-import-upload"),
    path("catalog/imports/address/", imports.import_address, name="console-import-address"),
    path("catalog/imports/<int:import_id>/", imports.import_detail, name="console-import"),
    path(
        "catalog/imports/<int:import_id>/columns/",
        imports.import_columns,
        name="console-import-columns",
    ),
    path(
        "catalog/imports/<int:import_id>/preview/",
        imports.import_preview,
        name="console-import-preview",
    ),
    path("catalog/imports/<int:import_id>/import/", imports.import_go, name="console-import-go"),
    path(
        "catalog/imports/<int:import_id>/answer/",
        imports.import_decide,
        name="console-import-answer",
    ),
    path(
        "catalog/imports/<int:import_id>/cancel/",
        imports.import_stop,
        name="console-import-cancel",
    ),
    path(
        "catalog/imports/<int:import_id>/problems.csv",
        imports.import_problems_csv,
        name="console-import-problems",
    ),
    path("catalog/imports/<int:import_id>/feed/", feeds.feed_make, name="console-feed-create"),
    path("catalog/feeds/<int:feed_id>/", feeds.feed_page, name="console-feed"),
    path("catalog/feeds/<int:feed_id>/run/", feeds.feed_run, name="console-feed-run"),
    path("catalog/feeds/<int:feed_id>/columns/", feeds.feed_columns, name="console-feed-columns"),
    path("catalog/feeds/<int:feed_id>/delete/", feeds.feed_remove, name="console-feed-delete"),
    path("replay/", replays.replay_progress, name="console-replay"),
    path("settings/", settings.settings_page, name="console-settings"),
    path("settings/keys/", settings.key_create, name="console-key-create"),
    path("settings/keys/<int:key_id>/revoke/", settings.key_revoke, name="console-key-revoke"),
    path("members/", members.member_list, name="console-members"),
    path("members/<int:member_id>/", members.member_detail, name="console-member"),
    path("members/<int:member_id>/role/", members.member_role, name="console-member-role"),
    path("members/<int:member_id>/remove/", members.member_out, name="console-member-remove"),
    path("members/invite/", members.invitation_make, name="console-invitation-create"),
    path(
        "members/invitations/<int:invitation_id>/revoke/",
        members.invitation_undo,
        name="console-invitation-revoke",
    ),
    path("audit/", audit.audit_page, name="console-audit"),
    path("audit/export/", audit.audit_export, name="console-audit-export"),
]
