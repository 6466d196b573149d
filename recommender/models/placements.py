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

    class BelowMinimum(models.TextChoices):
        FILL = "fill", "Fill from the fallback chain"
        EMPTY = "empty", "Show nothing"

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
        default=1, help_text="Below this many products `below_minimum` says what happens"
    )
    below_minimum = models.CharField(
        max_length=8, choices=BelowMinimum.choices, default=BelowMinimum.FILL
    )
    title_by_locale = models.JSONField(
        default=dict, blank=True, help_text="Titles for shoppers in other languages, by locale"
    )
    exclude = models.JSONField(
        null=True,
        blank=True,
        help_text="in_cart, purchased, viewed: true or false; empty: as the strategy says",
    )
    position = models.PositiveSmallIntegerField(
        default=0, help_text="Which placement of a page chooses its products first"
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
