"""Below /console/<store>/: the pages about facts."""

from __future__ import annotations

from django.urls import path

from catalog.console import catalog, settings

urlpatterns = [
    path("catalog/", catalog.product_list, name="console-catalog"),
    path("settings/", settings.settings_page, name="console-settings"),
    path("settings/keys/", settings.key_create, name="console-key-create"),
    path("settings/keys/<int:key_id>/revoke/", settings.key_revoke, name="console-key-revoke"),
]
