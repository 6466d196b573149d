"""Who visits a shop, under a pseudonym."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone

from catalog.models.stores import Store


class Shopper(models.Model):
    """A visitor. `external_id` comes from the shop's page; we never learn a name."""

    store = models.ForeignKey(Store, on_delete=models.CASCADE, related_name="shoppers")
    external_id = models.CharField(max_length=128)
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    profile = models.JSONField(
        default=dict, blank=True, help_text="The durable profile, recomputed from events"
    )
    profiled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("store", "external_id"), name="shopper_external_id"),
        )
        indexes = (models.Index(fields=("store", "-last_seen_at"), name="shopper_last_seen"),)

    def __str__(self) -> str:
        return self.external_id


class ShopperLink(models.Model):
    """A guest who turned out to be a customer: from now on the two are one person.

    The row is the link. Undoing it keeps the row, so that it can be seen who did what and when.
    """

    class LinkedBy(models.TextChoices):
        API = "api", "The shop"
        MEMBER = "member", "A member"

    store = models.ForeignKey(Store, on_delete=models.CASCADE, related_name="shopper_links")
    shopper = models.ForeignKey(
        Shopper, on_delete=models.CASCADE, related_name="links", help_text="The guest or device"
    )
    customer = models.ForeignKey(
        Shopper,
        on_delete=models.CASCADE,
        related_name="linked",
        help_text="Who it turned out to be",
    )
    linked_at = models.DateTimeField(default=timezone.now)
    linked_by = models.CharField(max_length=8, choices=LinkedBy.choices)
    member = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    undone_at = models.DateTimeField(null=True, blank=True)
    undone_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("store", "shopper"),
                condition=models.Q(undone_at=None),
                name="shopper_link_one_customer",
            ),
            models.CheckConstraint(
                condition=~models.Q(shopper=models.F("customer")), name="shopper_link_not_itself"
            ),
        )
        indexes = (models.Index(fields=("store", "customer"), name="shopper_link_customer"),)

    def __str__(self) -> str:
        return f"{self.shopper} is {self.customer}"


class Erasure(models.Model):
    """That a shopper was erased: whoever has counted those days counts them again. Append-only.

    Who it was stands nowhere. `linked_ids` are the shoppers who were one person with the erased
    one: what is counted by person is counted anew for them.
    """

    store = models.ForeignKey(Store, on_delete=models.CASCADE, related_name="erasures")
    erased_at = models.DateTimeField(default=timezone.now)
    days = ArrayField(
        models.DateField(), help_text="With events of the person, in the store's time zone"
    )
    linked_ids = ArrayField(models.BigIntegerField(), default=list)
    n_events = models.BigIntegerField()
    n_impressions = models.BigIntegerField()
    n_exposures = models.BigIntegerField()
    member = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        help_text="Empty: the shop asked for it",
    )

    class Meta:
        indexes = (models.Index(fields=("store", "-erased_at"), name="erasure_newest"),)

    def __str__(self) -> str:
        return f"{self.n_events} events at {self.erased_at:%Y-%m-%d %H:%M}"
