"""Where recommendations appear."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from catalog.models import Store
from recommender.models.strategies import StrategyVersion


class Placement(models.Model):
    """A named spot on a page. The page calls it by its slug."""

    class PageType(models.TextChoices):
        HOME = "home", "Home"
        CATEGORY = "category", "Category"
        SEARCH = "search", "Search"
        PRODUCT = "product", "Product"
        CART = "cart", "Cart"
        CONFIRMATION = "confirmation", "Order confirmation"
        OTHER = "other", "Other"

    store = models.ForeignKey(Store, on_delete=models.CASCADE, related_name="placements")
    slug = models.SlugField(max_length=80)
    name = models.CharField(max_length=120, help_text="For members")
    title = models.CharField(max_length=160, blank=True, default="", help_text="For shoppers")
    page_type = models.CharField(max_length=16, choices=PageType.choices)
    strategy_version = models.ForeignKey(
        StrategyVersion, on_delete=models.PROTECT, related_name="placements"
    )
    n_products = models.PositiveSmallIntegerField(default=8)
    n_minimum = models.PositiveSmallIntegerField(
        default=1, help_text="Below this many products the fallback chain fills"
    )
    paused = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("store", "slug"), name="placement_slug_in_store"),
        )

    def __str__(self) -> str:
        return self.name
