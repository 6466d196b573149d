"""`/healthz`, `/readyz` and `/metrics`."""

from __future__ import annotations

import time

import msgspec
import pytest
import redis
from django.db import OperationalError
from django.test import Client

from catalog.models import Store
from recommender.api import health
from recommender.serving.runtime import RUNTIMES
from recommender.stores import process_pulses
from recommender.stores.client import StoreUnavailable
from recommender.stores.process_pulses import process_pulse_write, queue_lengths

pytestmark = pytest.mark.django_db


def checks(client: Client) -> dict[str, str]:
    answer: dict[str, dict[str, str]] = client.get("/readyz").json()
    return answer["checks"]


def value_of(client: Client, name: str) -> float | None:
    lines = client.get("/metrics").content.decode().splitlines()
    found = [line for line in lines if line.startswith(f"{name} ")]
    return float(found[0].rpartition(" ")[2]) if found else None


def test_readyz_says_which_processes_are_silent(
    client: Client, store: Store, valkey_server: redis.Redis
) -> None:
    RUNTIMES.refresh()
    assert checks(client)["worker"] == checks(client)["beat"] == "none seen"
    process_pulse_write(kind="worker", name="celery@a", facts={"busy": 1, "slots": 2})
    process_pulse_write(kind="beat", name="beat@a:1", facts={"leads": True})
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json()["status"] == "ok"

    # A beat that waits for the lock says nothing about the one that should send.
    process_pulse_write(kind="beat", name="beat@a:1", facts={"leads": False})
    assert checks(client)["beat"] == "none seen"
    old = process_pulses._Kept("worker", time.time() - 100, {})
    valkey_server.hset(process_pulses._KEY, "celery@a", msgspec.json.encode(old))
    assert checks(client)["worker"].startswith("silent for 100")
    process_pulse_write(kind="worker", name="celery@b", facts={})
    assert checks(client)["worker"] == "ok"
    assert client.get("/readyz").json()["status"] == "degraded"


def test_metrics_tell_how_much_waits_and_how_old_it_is(
    client: Client, store: Store, publishable_key: str, valkey_server: redis.Redis
) -> None:
    valkey_server.rpush("default", b"a task", b"another")
    process_pulse_write(kind="worker", name="celery@a", facts={})
    assert queue_lengths() == {"default": 2, "training": 0, "unacked": 0}
    assert value_of(client, 'vitrine_queue_length{queue="default"}') == 2
    silence = value_of(client, 'vitrine_process_silence_seconds{process="worker"}')
    assert silence is not None
    assert 0 <= silence < 60
    assert value_of(client, 'vitrine_up{server="postgresql"}') == 1

    counted = 'vitrine_request_seconds_count{endpoint="events",status="202"}'
    before = value_of(client, counted) or 0
    client.post(
        "/v1/events",
        {"events": [{"type": "view_item", "shopper_id": "me", "product_id": "tea"}]},
        content_type="application/json",
        headers={"Authorization": f"Bearer {publishable_key}"},
    )
    assert value_of(client, counted) == before + 1


def test_what_is_away_is_said_and_fails_nothing(
    client: Client, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    RUNTIMES.refresh()

    def valkey_away(*_: object, **__: object) -> None:
        raise StoreUnavailable("away")

    def postgresql_away(**_: object) -> None:
        raise OperationalError("away")

    monkeypatch.setattr(health, "process_states", valkey_away)
    monkeypatch.setattr(health, "queue_lengths", valkey_away)
    monkeypatch.setattr(health, "serving_artifact_ages", postgresql_away)
    assert checks(client)["worker"] == "unknown"
    assert client.get("/readyz").status_code == 200
    assert value_of(client, "vitrine_queue_length") is None
    assert client.get("/metrics").status_code == 200
