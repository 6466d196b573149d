"""How far the replay of a demo store is, for the notice on its pages."""

from __future__ import annotations

from typing import TypedDict

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from catalog.console.access import ConsoleRequest, member_page
from catalog.models import DemoReplay, Store
from catalog.selectors.demo_replays import demo_replay, replay_is_active


class Notice(TypedDict, total=False):
    """What the fragment shows; without a replay nothing."""

    replay: DemoReplay
    active: bool
    percent: int
    url: str


@require_safe
@member_page()
def replay_progress(request: ConsoleRequest) -> HttpResponse:
    """The notice alone; it asks again until the replay has ended. Empty without one."""
    return render(request, "console/replay/_notice.html", {**replay_notice(store=request.store)})


def replay_notice(*, store: Store) -> Notice:
    """What the notice says. One query for a demo store, none for a real one."""
    replay = demo_replay(store=store) if store.is_demo else None
    if replay is None:
        return {}
    return {
        "replay": replay,
        "active": replay_is_active(replay, timezone.now()),
        "percent": 100 * replay.n_played // max(replay.n_wanted, 1),
        "url": reverse("console-replay", args=[store.slug]),
    }
