"""Who was asked in, and what members did."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone

from catalog.models.stores import Member, Store


class Invitation(models.Model):
    """A link that makes whoever opens it a member, once. The link itself is never stored."""

    store = models.ForeignKey(Store, on_delete=models.CASCADE, related_name="invitations")
    role = models.CharField(max_length=16, choices=Member.Role.choices)
    note = models.CharField(max_length=120, blank=True, default="", help_text="For whom it is")
    token_digest = models.CharField(max_length=64, unique=True, help_text="SHA-256 of the token")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    accepted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    accepted_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.get_role_display()} of {self.store}"


class AuditEntry(models.Model):
    """One change by a member, with what was there before and after. Append-only."""

    store = models.ForeignKey(Store, on_delete=models.CASCADE, related_name="audit_entries")
    at = models.DateTimeField(default=timezone.now)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    actor_email = models.CharField(
        max_length=254, blank=True, default="", help_text="Stays when the person is gone"
    )
    action = models.CharField(max_length=60, help_text="Such as placement.edit")
    subject = models.CharField(max_length=200, help_text="What was changed, by its name")
    subject_key = models.CharField(
        max_length=128, blank=True, default="", help_text="Its id or slug"
    )
    before = models.JSONField(null=True, blank=True)
    after = models.JSONField(null=True, blank=True)

    class Meta:
        indexes = (models.Index(fields=("store", "-at"), name="audit_newest"),)
        verbose_name_plural = "audit entries"

    def __str__(self) -> str:
        return f"{self.action}: {self.subject}"
