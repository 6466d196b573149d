"""Where products come from: feeds, and each time one was read."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone

from catalog.models.stores import Store


class FeedFormat(models.TextChoices):
    GOOGLE_XML = "google_xml", "Google Merchant XML"
    GOOGLE_TSV = "google_tsv", "Google Merchant TSV"
    CSV = "csv", "CSV"
    JSON_LINES = "json_lines", "JSON Lines"


class ProductFeed(models.Model):
    """An address that is read again and again."""

    class Every(models.TextChoices):
        NEVER = "never", "Only by hand"
        HOUR = "hour", "Every hour"
        DAY = "day", "Every day"
        WEEK = "week", "Every week"

    store = models.ForeignKey(Store, on_delete=models.CASCADE, related_name="feeds")
    name = models.CharField(max_length=120)
    url = models.CharField(max_length=2000)
    format = models.CharField(max_length=16, choices=FeedFormat.choices)
    mapping = models.JSONField(default=dict, help_text="Column of the feed by field of the product")
    remove_vanished = models.BooleanField(
        default=False, help_text="Take products out of the catalog that the feed no longer has"
    )
    every = models.CharField(max_length=8, choices=Every.choices, default=Every.NEVER)
    next_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.name


class ProductImport(models.Model):
    """One reading of a feed, from the upload to the counts."""

    class State(models.TextChoices):
        DRAFT = "draft", "Being set up"
        QUEUED = "queued", "Waiting"
        CHECKING = "checking", "Checking"
        CHECKED = "checked", "Checked, not imported"
        ASKING = "asking", "Waits for an answer"
        IMPORTING = "importing", "Importing"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"

    class Job(models.TextChoices):
        """How far the workers go with it; a fetched file waits for its columns to be matched."""

        FETCH = "fetch", "Fetch the file"
        CHECK = "check", "Check"
        IMPORT = "import", "Import"

    class Origin(models.TextChoices):
        UPLOAD = "upload", "Upload"
        URL = "url", "Address"
        SCHEDULE = "schedule", "Schedule"
        API = "api", "API"

    store = models.ForeignKey(Store, on_delete=models.CASCADE, related_name="imports")
    feed = models.ForeignKey(
        ProductFeed, on_delete=models.SET_NULL, null=True, blank=True, related_name="imports"
    )
    origin = models.CharField(max_length=16, choices=Origin.choices)
    name = models.CharField(max_length=255, help_text="File name or address")
    url = models.CharField(max_length=2000, blank=True, default="")
    format = models.CharField(max_length=16, choices=FeedFormat.choices, blank=True, default="")
    mapping = models.JSONField(default=dict)
    remove_vanished = models.BooleanField(
        default=False, help_text="Take products out of the catalog that the feed no longer has"
    )
    job = models.CharField(max_length=8, choices=Job.choices, default=Job.IMPORT)
    may_remove_many = models.BooleanField(
        default=False, help_text="A member agreed that more than a fifth of the catalog goes"
    )
    n_attempts = models.PositiveSmallIntegerField(
        default=0, help_text="How often a worker began with the job"
    )
    state = models.CharField(max_length=16, choices=State.choices, default=State.DRAFT)
    step = models.CharField(max_length=120, blank=True, default="")
    progress = models.FloatField(default=0.0)
    message = models.TextField(blank=True, default="")
    n_rows = models.PositiveIntegerField(default=0)
    n_new = models.PositiveIntegerField(default=0)
    n_changed = models.PositiveIntegerField(default=0)
    n_unchanged = models.PositiveIntegerField(default=0)
    n_vanished = models.PositiveIntegerField(default=0)
    n_errors = models.PositiveIntegerField(default=0)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now)
    heartbeat_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = (models.Index(fields=("store", "-created_at"), name="import_newest"),)

    def __str__(self) -> str:
        return self.name


class ImportProblem(models.Model):
    """A row that was left out, or a value that was."""

    product_import = models.ForeignKey(
        ProductImport, on_delete=models.CASCADE, related_name="problems"
    )
    line = models.PositiveIntegerField(help_text="Line of the file, or number of the entry")
    column = models.CharField(max_length=120, blank=True, default="")
    value = models.CharField(max_length=200, blank=True, default="")
    reason = models.CharField(max_length=300)

    class Meta:
        indexes = (models.Index(fields=("product_import", "line"), name="import_problem_line"),)

    def __str__(self) -> str:
        return f"{self.line}: {self.reason}"
