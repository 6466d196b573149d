"""The operator's view of the rollups. They are recomputed, never edited."""

from __future__ import annotations

from django.contrib import admin

from analytics.models import DailyRollup, RollupWatermark
from catalog.admin import ReadOnlyAdmin


@admin.register(DailyRollup)
class DailyRollupAdmin(ReadOnlyAdmin):
    list_display = ("day", "store", "n_events", "n_orders", "n_recommendations", "computed_at")
    list_filter = ("store",)
    list_select_related = ("store",)
    ordering = ("-day",)


@admin.register(RollupWatermark)
class RollupWatermarkAdmin(ReadOnlyAdmin):
    list_display = ("store", "time_zone", "events_received_at", "computed_at")
    list_select_related = ("store",)
