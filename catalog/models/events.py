"""What shoppers did. Append-only."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from catalog.models.products import Product
from catalog.models.shoppers import Shopper
from catalog.models.stores import Store


class EventType(models.IntegerChoices):
    """The GA4 e-commerce vocabulary, and our own two. Stored as the number."""

    VIEW_ITEM = 1, "view_item"
    VIEW_ITEM_LIST = 2, "view_item_list"
    SELECT_ITEM = 3, "select_item"
    ADD_TO_CART = 4, "add_to_cart"
    REMOVE_FROM_CART = 5, "remove_from_cart"
    ADD_TO_WISHLIST = 6, "add_to_wishlist"
    BEGIN_CHECKOUT = 7, "begin_checkout"
    PURCHASE = 8, "purchase"
    SEARCH = 9, "search"
    RATE_ITEM = 10, "rate_item"
    HIDE_ITEM = 11, "hide_item"
    RECOMMENDATION_VIEW = 12, "recommendation_view"
    RECOMMENDATION_CLICK = 13, "recommendation_click"


class Event(models.Model):
    """One line of one event: an order of three products is three lines with the same event_id.

    The table is partitioned by month of `occurred_on`, which is taken from what the sender claims
    and never from the corrected clock: a retried event must land in the same partition, or its
    primary key could not make it a no-op.
    """

    pk = models.CompositePrimaryKey("store_id", "event_id", "line", "occurred_on")
    store = models.ForeignKey(
        Store, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False
    )
    event_id = models.UUIDField()
    line = models.SmallIntegerField(default=0)
    occurred_on = models.DateField()
    type = models.SmallIntegerField(choices=EventType.choices)
    shopper = models.ForeignKey(
        Shopper, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False
    )
    session_id = models.CharField(max_length=64, null=True)
    product = models.ForeignKey(
        Product, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, null=True
    )
    unknown_product = models.CharField(
        max_length=128, null=True, help_text="The shop's product id when the catalog lacks it"
    )
    quantity = models.IntegerField(default=1)
    price_minor = models.BigIntegerField(null=True, help_text="Paid for one")
    list_price_minor = models.BigIntegerField(null=True, help_text="Before discounts, for one")
    value_minor = models.BigIntegerField(null=True, help_text="Paid for the line")
    order_id = models.CharField(max_length=128, null=True)
    query = models.CharField(max_length=300, null=True)
    page = models.CharField(max_length=300, null=True)
    rating = models.FloatField(null=True)
    recommendation_id = models.UUIDField(null=True)
    consent = models.SmallIntegerField(null=True, help_text="1 granted, 0 denied, null unknown")
    properties = models.JSONField(null=True)
    is_bot = models.BooleanField(
        default=False, db_default=False, help_text="The sender calls itself a machine"
    )
    occurred_at = models.DateTimeField(help_text="Corrected for the client's clock")
    received_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = (
            models.Index(fields=("store", "shopper", "-occurred_at"), name="event_shopper"),
            models.Index(fields=("store", "-received_at"), name="event_received"),
            models.Index(fields=("store", "-occurred_at"), name="event_occurred"),
            # Only sales are looked up by product. For all events it would cost a third of storing
            # one: products come in no order, so that each event would touch another page.
            models.Index(
                fields=("store", "product", "-occurred_at"),
                condition=models.Q(type=EventType.PURCHASE),
                name="event_sale",
            ),
            # What was hidden stays hidden, however long ago it was.
            models.Index(
                fields=("store", "shopper"),
                condition=models.Q(type=EventType.HIDE_ITEM),
                name="event_hide",
            ),
        )

    def __str__(self) -> str:
        return f"{EventType(self.type).label} {self.event_id}/{self.line}"


class QuarantinedEvent(models.Model):
    """Rejected input with its reason, so that it can be looked at and sent again."""

    store = models.ForeignKey(Store, on_delete=models.CASCADE, related_name="quarantined_events")
    code = models.CharField(max_length=40)
    field = models.CharField(max_length=80, blank=True, default="")
    message = models.CharField(max_length=300)
    payload = models.JSONField()
    received_at = models.DateTimeField(db_default=Now())
    from_server = models.BooleanField(default=False, help_text="Came with a secret key")
    sent_at = models.CharField(max_length=64, null=True, help_text="The sender's clock, as it said")
    replayed_at = models.DateTimeField(null=True, help_text="When it was judged again and stored")
    replay_message = models.CharField(
        max_length=300, blank=True, default="", help_text="Why the last replay refused it again"
    )

    class Meta:
        indexes = (models.Index(fields=("store", "-received_at"), name="quarantine_received"),)

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"
