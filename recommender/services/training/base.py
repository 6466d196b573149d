"""What an increment starts from: the serving version and how far it knows the facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from recommender.artifacts.reader import LoadedArtifact, artifact_open
from recommender.selectors.event_weights import event_weights
from recommender.selectors.training_data import Watermark


class NeedsRebuild(Exception):
    """Adding won't do: only a full training gets it right. The text says why."""


@dataclass(frozen=True)
class Base:
    """The serving version of a family.

    Attributes
    ----------
    marks
        Up to where facts were read. May be ahead of the manifest's: looking at facts that teach
        nothing moves the marks, but publishes no new version.
    headline
        As in `Trained`.
    """

    store_id: int
    folder: Path
    marks: Mapping[str, int]
    headline: str

    @cached_property
    def artifact(self) -> LoadedArtifact:
        """Its arrays, opened when they are first asked for: most looks find no news."""
        # Written by ourselves, and read every minute: mapping is enough.
        return artifact_open(self.folder, verify=False, training=True)

    @cached_property
    def watermark(self) -> Watermark:
        """Up to where events were read."""
        return Watermark(
            self.marks["received_us"],
            self.marks["since_us"],
            np.asarray(self.artifact["watermark_keys"]),
        )

    @cached_property
    def event_weights(self) -> Mapping[str, float]:
        """What each kind of event weighs in this store now."""
        return event_weights(store_id=self.store_id)


@dataclass(frozen=True, slots=True)
class Looked:
    """There was nothing to learn from; the marks say how far it was looked."""

    marks: Mapping[str, int] = field(default_factory=dict)


def check_weights(base: Base) -> None:
    """Sums of old and new weights mean nothing.

    Raises
    ------
    NeedsRebuild
        Somebody has changed the event weights since the full training.
    """
    if base.artifact.manifest.parameters.get("event_weights") != dict(base.event_weights):
        raise NeedsRebuild("The event weights have changed.")
