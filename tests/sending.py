"""Events sent as a page or a back office sends them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from django.test import Client


def send_events(client: Client, key: str, *events: dict[str, Any]) -> dict[str, Any]:
    """Post events of the shopper "me", happening now unless they say otherwise; the answer."""
    complete = [
        {
            "event_id": str(uuid4()),
            "shopper_id": "me",
            "occurred_at": datetime.now(UTC).isoformat(),
            **event,
        }
        for event in events
    ]
    response = client.post(
        "/v1/events",
        {"events": complete},
        content_type="application/json",
        headers={"Authorization": f"Bearer {key}"},
    )
    assert response.status_code == 202, response.content
    answer: dict[str, Any] = json.loads(response.content)
    return answer
