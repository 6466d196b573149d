"""The console says that a demo's figures are replayed, not live."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client
from django.utils import timezone

from catalog.models import DemoReplay, Store
from tests.conftest import MemberClient

PAGES = ("overview/", "experiments/")


def make_replay(store: Store, **changes: object) -> DemoReplay:
    store.is_demo = True
    store.save()
    values = {
        "state": DemoReplay.State.RUNNING,
        "from_at": datetime(2026, 10, 19, 4, tzinfo=UTC),
        "until_at": datetime(2026, 11, 15, 23, tzinfo=UTC),
        "share": 0.25,
        "n_visits": 11_729,
        "n_wanted": 2_645,
        "n_played": 1_234,
        "started_at": timezone.now(),
        "updated_at": timezone.now(),
        **changes,
    }
    return DemoReplay.objects.create(store=store, **values)


def page(client: Client, store: Store, path: str) -> str:
    response = client.get(f"/console/{store.slug}/{path}")
    assert response.status_code == 200
    return " ".join(response.content.decode().split())


@pytest.mark.parametrize("path", PAGES)
def test_while_it_runs_the_notice_counts_and_asks_again(
    store: Store, member_client: MemberClient, path: str
) -> None:
    make_replay(store)

    text = page(member_client(store, "viewer"), store, path)

    assert "Replayed traffic, not live." in text
    assert "19 Oct – 15 Nov 2026" in text
    assert "1,234 of 2,645 visits so far" in text
    assert f'hx-get="/console/{store.slug}/replay/"' in text
    assert "no strategy can change conversion or revenue here" in text


def test_at_the_end_it_says_how_much_was_played_and_asks_no_more(
    store: Store, member_client: MemberClient
) -> None:
    make_replay(store, state=DemoReplay.State.DONE, n_played=2_645)

    text = page(member_client(store), store, "replay/")

    assert "2,645 of 11,729 visits, of 25 % of the households." in text
    assert "hx-get" not in text


@pytest.mark.parametrize(
    "changes",
    [
        {"state": DemoReplay.State.STOPPED},
        {"updated_at": timezone.now() - timedelta(minutes=10)},
    ],
)
def test_a_replay_that_was_stopped_or_killed_is_not_said_to_run(
    store: Store, member_client: MemberClient, changes: dict[str, object]
) -> None:
    make_replay(store, **changes)

    text = page(member_client(store), store, "replay/")

    assert "It stopped before its end" in text
    assert "manage.py replay" in text
    assert "hx-get" not in text


def test_other_pages_and_real_stores_say_nothing(
    store: Store, other_store: Store, member_client: MemberClient
) -> None:
    make_replay(store)
    client = member_client(store)

    assert "Replayed traffic" not in page(client, store, "catalog/")
    Store.objects.filter(pk=store.pk).update(is_demo=False)
    assert "Replayed traffic" not in page(client, store, "overview/")
    assert page(client, store, "replay/") == ""
    assert client.get(f"/console/{other_store.slug}/replay/").status_code == 404
