from django.apps import AppConfig


class AnalyticsConfig(AppConfig):
    """Reading: rollups, metrics and charts."""

    name = "analytics"
    verbose_name = "Analytics"
