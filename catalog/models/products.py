"""What a shop sells."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVector
from django.db import models
from django.db.models.functions import Now

from catalog.models.stores import Store

CATEGORY_SEPARATOR = " > "


class Product(models.Model):
    """A product as the merchant describes it. Money is integer minor units."""

    class Availability(models.TextChoices):
        IN_STOCK = "in_stock", "In stock"
        OUT_OF_STOCK = "out_of_stock", "Out of stock"
        PREORDER = "preorder", "Pre-order"
        BACKORDER = "backorder", "Back-order"

    store = models.ForeignKey(Store, on_delete=models.CASCADE, related_name="products")
    external_id = models.CharField(max_length=128)
    title = models.CharField(max_length=300)
    description = models.TextField(blank=True, default="")
    url = models.CharField(max_length=2000, blank=True, default="")
    image_url = models.CharField(max_length=2000, blank=True, default="")
    price_minor = models.BigIntegerField(null=True, blank=True)
    list_price_minor = models.BigIntegerField(null=True, blank=True)
    currency = models.CharField(max_length=3)
    availability = models.CharField(
        max_length=12, choices=Availability.choices, default=Availability.IN_STOCK
    )
    stock_count = models.IntegerField(null=True, blank=True)
    brand = models.CharField(max_length=120, blank=True, default="")
    category_path = models.CharField(
        max_length=400, blank=True, default="", help_text="Levels joined by ' > '"
    )
    tags = ArrayField(models.CharField(max_length=60), default=list, blank=True)
    # Apart from the feed's, which are replaced with each import. Both count: see `all_tags`.
    member_tags = ArrayField(
        models.CharField(max_length=60),
        default=list,
        db_default=[],
        blank=True,
        help_text="Given by members in the console: feeds and the API leave them alone",
    )
    attributes = models.JSONField(default=dict, blank=True)
    margin_minor = models.BigIntegerField(null=True, blank=True)
    vector = ArrayField(models.FloatField(), null=True, blank=True)
    hidden = models.BooleanField(default=False, help_text="Hidden by a member: never recommended")
    deleted_at = models.DateTimeField(
        null=True, blank=True, help_text="No longer in the catalog; kept, since events point at it"
    )
    published_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("store", "external_id"), name="product_external_id"),
        )
        indexes = (
            models.Index(fields=("store", "updated_at"), name="product_updated"),
            models.Index(
                fields=("store", "category_path"),
                name="product_category",
                opclasses=("int8_ops", "varchar_pattern_ops"),
            ),
            GinIndex(SearchVector("title", "brand", config="simple"), name="product_search"),
        )

    def __str__(self) -> str:
        return self.title

    @property
    def is_available(self) -> bool:
        """It can be bought: what serving calls available."""
        in_stock = self.stock_count is None or self.stock_count > 0
        return in_stock and self.availability != self.Availability.OUT_OF_STOCK

    @property
    def all_tags(self) -> list[str]:
        """The feed's and the members', each once."""
        return list(dict.fromkeys((*self.tags, *self.member_tags)))
