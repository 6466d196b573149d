from django.apps import AppConfig


class RecommenderConfig(AppConfig):
    """Engine and serving: artifacts, strategies, placements, impressions."""

    name = "recommender"
    verbose_name = "Recommender"
