from importlib import import_module

from django.apps import AppConfig


class RecommenderConfig(AppConfig):
    """Engine and serving: artifacts, strategies, placements, impressions."""

    name = "recommender"
    verbose_name = "Recommender"

    def ready(self) -> None:
        """Make Vitrine's Celery the current one in every process, also in those that only send."""
        import_module("recommender.config.celery")
