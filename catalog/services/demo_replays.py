"""Writing down how far the replay of a demo store is."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from catalog.models import ApiKey, DemoReplay, Store
from catalog.services.keys import api_key_create, api_key_revoke

KEY_NAME = "Replay of the demo"


class ReplayRefused(Exception):
    """A replay that must not be; the text says why."""


def replay_begin(
    *,
    store: Store,
    from_at: datetime,
    until_at: datetime,
    share: float,
    n_visits: int,
    n_wanted: int,
    n_played: int,
    now: datetime,
) -> tuple[DemoReplay, str]:
    """Note that the replay runs, and make the secret key that it plays with; returns both.

    What earlier runs counted stays. The key of a run that was killed is revoked: there is one.
    Raises ReplayRefused for a store that is no demo: its facts are not ours to make up.
    """
    if not store.is_demo:
        raise ReplayRefused(f"The store {store.slug!r} is a real one: nothing is played into it.")
    with transaction.atomic():
        locked = Store.objects.select_for_update(no_key=True).get(pk=store.pk)
        replay_key_revoke(store=locked)
        replay, _ = DemoReplay.objects.update_or_create(
            store=locked,
            defaults={
                "state": DemoReplay.State.RUNNING,
                "from_at": from_at,
                "until_at": until_at,
                "share": share,
                "n_visits": n_visits,
                "n_wanted": n_wanted,
                "n_played": n_played,
                "updated_at": now,
            },
            create_defaults={
                "from_at": from_at,
                "until_at": until_at,
                "share": share,
                "n_visits": n_visits,
                "n_wanted": n_wanted,
                "n_played": n_played,
                "started_at": now,
                "updated_at": now,
            },
        )
        _, key = api_key_create(store=locked, kind=ApiKey.Kind.SECRET, name=KEY_NAME)
    return replay, key


def replay_advance(
    *,
    replay: DemoReplay,
    n_visits: int,
    n_events: int,
    n_recommendations: int,
    n_clicks: int,
    now: datetime,
) -> None:
    """Add what was played since the last time."""
    replay.n_played += n_visits
    replay.n_events += n_events
    replay.n_recommendations += n_recommendations
    replay.n_clicks += n_clicks
    replay.updated_at = now
    replay.save(
        update_fields=[
            *("n_played", "n_events", "n_recommendations", "n_clicks", "updated_at"),
        ]
    )


def replay_end(*, replay: DemoReplay, now: datetime) -> None:
    """Note that the replay has ended, at its end or before, and revoke its key."""
    done = replay.n_played >= replay.n_wanted
    replay.state = DemoReplay.State.DONE if done else DemoReplay.State.STOPPED
    replay.updated_at = now
    replay.save(update_fields=["state", "updated_at"])
    replay_key_revoke(store=replay.store)


def replay_key_revoke(*, store: Store) -> None:
    keys = ApiKey.objects.filter(store=store, name=KEY_NAME, revoked_at=None)
    for key_id in keys.values_list("pk", flat=True):
        api_key_revoke(store=store, key_id=key_id)
