"""The replay of the demo's last weeks."""

from __future__ import annotations

from django.db import models

from catalog.models.stores import Store


class DemoReplay(models.Model):
    """How far the replay of a demo store is: one row per store, made with the first visit.

    The facts are the events and impressions themselves; these are for people who wait.
    """

    class State(models.TextChoices):
        RUNNING = "running", "Running"
        STOPPED = "stopped", "Stopped"
        DONE = "done", "Done"

    store = models.OneToOneField(Store, on_delete=models.CASCADE, related_name="demo_replay")
    state = models.CharField(max_length=8, choices=State.choices, default=State.RUNNING)
    from_at = models.DateTimeField(help_text="The time that is played")
    until_at = models.DateTimeField()
    share = models.FloatField(help_text="Of the households, 0 to 1")
    n_visits = models.PositiveIntegerField(help_text="Of all households, in the time played")
    n_wanted = models.PositiveIntegerField(help_text="Of the share of the households")
    n_played = models.PositiveIntegerField(default=0)
    n_events = models.PositiveBigIntegerField(default=0)
    n_recommendations = models.PositiveBigIntegerField(default=0)
    n_clicks = models.PositiveBigIntegerField(default=0)
    started_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.store}: {self.n_played} of {self.n_wanted} visits, {self.state}"
