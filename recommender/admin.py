"""The operator's view of what is recommended, and by what."""

from __future__ import annotations

from django.contrib import admin

from catalog.admin import ReadOnlyAdmin
from recommender.models import Artifact, Experiment, Placement, Run, Strategy, StrategyVersion


@admin.register(Placement)
class PlacementAdmin(ReadOnlyAdmin):
    list_display = ("name", "slug", "store", "page_type", "strategy_version", "paused")
    list_filter = ("store", "page_type", "paused")
    list_select_related = ("store", "strategy_version__strategy")


@admin.register(Strategy)
class StrategyAdmin(ReadOnlyAdmin):
    list_display = ("name", "key", "store", "created_at")
    list_filter = ("store",)
    list_select_related = ("store",)


@admin.register(StrategyVersion)
class StrategyVersionAdmin(ReadOnlyAdmin):
    list_display = ("strategy", "number", "store", "note", "author", "created_at")
    list_filter = ("store",)
    list_select_related = ("store", "strategy", "author")


@admin.register(Experiment)
class ExperimentAdmin(ReadOnlyAdmin):
    list_display = ("name", "key", "store", "kind", "state", "started_at", "decision")
    list_filter = ("store", "kind", "state", "decision")
    list_select_related = ("store",)
    ordering = ("-created_at",)


@admin.register(Run)
class RunAdmin(ReadOnlyAdmin):
    list_display = ("pk", "store", "family", "state", "trigger", "queued_at", "finished_at")
    list_filter = ("store", "family", "state", "trigger")
    list_select_related = ("store",)
    ordering = ("-queued_at",)


@admin.register(Artifact)
class ArtifactAdmin(ReadOnlyAdmin):
    list_display = ("version", "store", "family", "serving", "size_bytes", "created_at")
    list_filter = ("store", "family", "serving")
    list_select_related = ("store",)
    ordering = ("-created_at",)
