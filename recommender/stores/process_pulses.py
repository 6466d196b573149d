"""What workers and beats last said of themselves, and how much waits for them. In Valkey."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import msgspec

from recommender.stores.client import valkey
from recommender.stores.keys import PREFIX

QUEUES = ("default", "training")
# Whose workers `manage.py up` calls so. Elsewhere one worker may take the tasks of both.
QUEUE_OF = {"worker": "default", "trainer": "training"}
# A process that was silent for so long is no longer looked for.
FORGOTTEN_AFTER_S = 3_600
# A worker and a beat tell of themselves every second or two.
SILENT_AFTER_S = 20.0

_KEY = f"{PREFIX}:processes"


@dataclass(frozen=True, slots=True)
class ProcessPulse:
    """A process's last word.

    `facts` of a worker are `busy` and `slots`, the tasks that it executes and could execute, and its
    `queues`; of a beat `leads`, whether it is the one that sends.
    """

    kind: str
    name: str
    age_s: float
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ProcessState:
    """Of one kind of process; `pulses` is empty if none was heard of within the hour."""

    kind: str
    pulses: tuple[ProcessPulse, ...]

    @property
    def age_s(self) -> float | None:
        """Seconds since the last sign of life of the one that matters: any worker, the leading beat."""
        ages = [
            each.age_s
            for each in self.pulses
            if self.kind != "beat" or each.facts.get("leads") is True
        ]
        return min(ages, default=None)

    @property
    def words(self) -> str:
        """`ok`, or what is wrong."""
        if self.age_s is None:
            return "none seen"
        return "ok" if self.age_s < SILENT_AFTER_S else f"silent for {self.age_s:.0f} s"


class _Kept(msgspec.Struct):
    kind: str
    at_s: float
    facts: dict[str, Any]


def process_pulse_write(*, kind: str, name: str, facts: dict[str, Any]) -> None:
    """One round trip. Raises StoreUnavailable."""
    valkey().call("HSET", _KEY, name, msgspec.json.encode(_Kept(kind, time.time(), facts)))


def process_pulses() -> list[ProcessPulse]:
    """Every process that was heard of within the hour, the freshest first. Raises StoreUnavailable."""
    now = time.time()
    kept: dict[bytes, bytes] = _pairs(valkey().call("HGETALL", _KEY))
    pulses, forgotten = [], []
    for name, raw in kept.items():
        try:
            one = msgspec.json.decode(raw, type=_Kept)
        except msgspec.MsgspecError:
            forgotten.append(name)
            continue
        age_s = max(now - one.at_s, 0.0)
        if age_s > FORGOTTEN_AFTER_S:
            forgotten.append(name)
        else:
            pulses.append(ProcessPulse(one.kind, name.decode(), age_s, one.facts))
    if forgotten:
        valkey().call("HDEL", _KEY, *forgotten)
    return sorted(pulses, key=lambda each: each.age_s)


def process_states() -> dict[str, ProcessState]:
    """Workers of each queue, and beats. One round trip. Raises StoreUnavailable."""
    pulses = process_pulses()
    workers = [each for each in pulses if each.kind == "worker"]
    states = {
        kind: ProcessState(
            kind, tuple(each for each in workers if queue in each.facts.get("queues", QUEUES))
        )
        for kind, queue in QUEUE_OF.items()
    }
    beats = tuple(each for each in pulses if each.kind == "beat")
    return {**states, "beat": ProcessState("beat", beats)}


def queue_lengths() -> dict[str, int]:
    """Tasks that wait, by queue, and those handed to a worker (`unacked`). Raises StoreUnavailable."""
    answers = valkey().pipeline([*(("LLEN", queue) for queue in QUEUES), ("HLEN", "unacked")])
    return dict(zip((*QUEUES, "unacked"), map(int, answers), strict=True))


def _pairs(answer: Any) -> dict[bytes, bytes]:
    # redis-py makes a dict of HGETALL's answer; a plain list comes from servers behind proxies.
    return answer if isinstance(answer, dict) else dict(zip(answer[::2], answer[1::2], strict=True))
