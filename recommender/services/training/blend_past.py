"""What the sources would have answered at a moment in the past: blends are learned from that.

The weights may not be learned from lists that knew what came next, or the source that remembers
best would win. So the families are trained once more on what came before a cut, and nothing of it is
published.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import numpy as np
from django.conf import settings

from recommender.artifacts.manifest import FORMAT_VERSION, Manifest
from recommender.artifacts.reader import LoadedArtifact, artifact_open
from recommender.artifacts.writer import artifact_folder
from recommender.models import Artifact, Run
from recommender.selectors.catalog_rows import catalog_rows
from recommender.selectors.serving_settings import store_settings
from recommender.selectors.training_data import (
    TrainingEvents,
    TrainingProducts,
    TrainingShoppers,
    Watermark,
)
from recommender.services.training.chosen_method import train_chosen_method
from recommender.services.training.item_similarity import train_item_similarity
from recommender.services.training.popularity import train_popularity
from recommender.services.training.profiles import train_profiles
from recommender.services.training.sessions import train_sessions
from recommender.services.training.trained import NotEnoughData, Report, Trained, TrainingData
from recommender.serving.models import bind_models
from recommender.serving.runtime import StoreRuntime, event_weight_table
from recommender.serving.snapshot import CatalogSnapshot, snapshot_apply

# What a source answers from. The content of products isn't learned from what shoppers do: what
# serves is taken as it is.
_FAMILY_OF = {
    "bought_together": Run.Family.ITEM_SIMILARITY,
    "also_viewed": Run.Family.ITEM_SIMILARITY,
    "next_click": Run.Family.SESSIONS,
    "session_neighbours": Run.Family.SESSIONS,
    "trending": Run.Family.POPULARITY,
    "bestsellers": Run.Family.POPULARITY,
    "chosen": Run.Family.CHOSEN_METHOD,
}
_TRAIN: Mapping[str, Callable[[TrainingData, Report], Trained]] = {
    Run.Family.ITEM_SIMILARITY: train_item_similarity,
    Run.Family.SESSIONS: train_sessions,
    Run.Family.POPULARITY: train_popularity,
    Run.Family.CHOSEN_METHOD: train_chosen_method,
    # Always: what a shopper had to do with a product is a feature whatever the sources are.
    Run.Family.PROFILES: train_profiles,
}


class EarlierData(TrainingData):
    """The facts of a store as they were at a moment, out of what was read already."""

    def __init__(self, data: TrainingData, *, until_s: int) -> None:
        super().__init__(store_id=data.store_id, now=datetime.fromtimestamp(until_s, UTC))
        self._all, self._until_s = data, until_s

    @cached_property
    def products(self) -> TrainingProducts:
        return self._all.products

    @cached_property
    def shoppers(self) -> TrainingShoppers:
        return self._all.shoppers

    @cached_property
    def _read(self) -> tuple[TrainingEvents, Watermark]:
        events = self._all.events
        return events.where(events.times_s < self._until_s), self._all.watermark


def runtime_before(
    data: TrainingData, *, until_s: int, sources: set[str], report: Report
) -> StoreRuntime:
    """A store that knows what it knew at a moment, as far as these sources ask; rules are left out.

    A family for which there was too little is missing, as it would have been then.
    """
    past = EarlierData(data, until_s=until_s)
    families = {Run.Family.PROFILES, *(_FAMILY_OF[name] for name in sources & _FAMILY_OF.keys())}
    artifacts = _serving(data.store_id, {Run.Family.CONTENT})
    for place, family in enumerate(sorted(families)):
        report(f"{Run.Family(family).label} as they were", 0.05 + 0.5 * place / len(families))
        try:
            trained = _TRAIN[family](past, _quietly)
        except NotEnoughData:
            continue
        artifacts[family] = _in_memory(data.store_id, family, trained)
    return _runtime(data.store_id, artifacts)


def runtime_now(*, store_id: int) -> StoreRuntime:
    """A store with what serves, for a worker: nothing of it is kept.

    Without what chance is drawn by: no candidate comes from it, and should it be broken, blends
    learn all the same.
    """
    return _runtime(store_id, _serving(store_id, set(Run.Family) - {Run.Family.SOURCE_BANDIT}))


def _runtime(store_id: int, artifacts: dict[str, LoadedArtifact]) -> StoreRuntime:
    current = store_settings(store_id=store_id)
    if current is None:
        raise NotEnoughData("The store is gone.")
    rows = [row for block in catalog_rows(store_id=store_id) for row in block]
    snapshot = snapshot_apply(CatalogSnapshot.empty(), rows)
    return StoreRuntime(
        settings=current,
        placements={},
        snapshot=snapshot,
        artifacts=artifacts,
        models=bind_models(artifacts, snapshot),
        catalog_version=0,
        event_weights=event_weight_table(current.event_weights),
    )


def _serving(store_id: int, families: set[Run.Family]) -> dict[str, LoadedArtifact]:
    serving = Artifact.objects.filter(store_id=store_id, serving=True, family__in=families)
    root = Path(settings.ARTIFACT_DIR)
    return {
        family: artifact_open(
            artifact_folder(root, store_id=store_id, family=family, version=version), verify=False
        )
        for family, version in serving.values_list("family", "version")
    }


def _in_memory(store_id: int, family: str, trained: Trained) -> LoadedArtifact:
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        store_id=store_id,
        family=family,
        version="past",
        created_at_s=0.0,
        as_of_s=trained.as_of_s,
        parameters=trained.parameters,
        counts={},
        quality={},
        arrays={},
    )
    arrays = {name: np.ascontiguousarray(array) for name, array in trained.arrays.items()}
    return LoadedArtifact(manifest, arrays)


def _quietly(_step: str, _share: float) -> None:
    return
