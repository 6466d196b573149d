"""What one web process knows of the stores, and the thread that keeps it fresh.

Requests read `StoreRuntime` objects, which are never changed: a refresh builds a new one beside
the old one and swaps the reference. Everything a request needs except the shopper's own state is
in memory, so serving goes on while PostgreSQL is away.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError, close_old_connections

from catalog.models.events import EventType
from recommender.artifacts.manifest import ArtifactError
from recommender.artifacts.reader import LoadedArtifact, artifact_open
from recommender.artifacts.writer import artifact_folder
from recommender.engine.types import Float32Array
from recommender.selectors.catalog_rows import catalog_rows, catalog_rows_changed
from recommender.selectors.serving_settings import (
    RuleSettings,
    StoreSettings,
    StoreVersions,
    store_settings,
    store_versions,
)
from recommender.serving.experiments import experiments_on
from recommender.serving.models import ServingModels, bind_models, model_check
from recommender.serving.placement import ServingPlacement
from recommender.serving.recent import Recent
from recommender.serving.rule_index import ServingRules, rules_compile, segments_parse
from recommender.serving.snapshot import CatalogSnapshot, snapshot_apply
from recommender.serving.strategy import InvalidStrategyError, ServingStrategy, strategy_parse
from recommender.serving.trace import Reason

POLL_SECONDS = 1.0
# A refused artifact is looked at again: a shared folder may have been late.
RETRY_REFUSED_S = 60.0
# Each is some 1.5 KB.
N_CONTEXTUAL = 5_000

log = structlog.get_logger(__name__)


# Row, score, source and what it started from, of each product; and why it may be short. Plain tuples:
# the garbage collector needn't walk through them.
ContextualAnswer: TypeAlias = tuple[tuple[tuple[int, float, str, int], ...], Reason]
# By strategy version, number of products wanted, category and products in view.
ContextualAnswers: TypeAlias = Recent[tuple[object, ...], ContextualAnswer]


@dataclass(frozen=True, slots=True)
class StoreRuntime:
    """One store, ready to answer.

    `contextual` are answers that are the same for every shopper, as long as neither the catalog nor
    the models that they come from change.
    """

    settings: StoreSettings
    placements: dict[str, ServingPlacement]
    snapshot: CatalogSnapshot
    artifacts: dict[str, LoadedArtifact]
    models: ServingModels
    catalog_version: int
    event_weights: Float32Array = field(default_factory=lambda: event_weight_table({}))
    contextual: ContextualAnswers = field(default_factory=lambda: Recent(N_CONTEXTUAL))
    rules: ServingRules | None = None
    refused: Mapping[tuple[str, str], float] = field(default_factory=dict)
    known_updates: dict[int, int] = field(default_factory=dict)


class Runtimes:
    """The stores of this process."""

    def __init__(self, artifact_root: Path) -> None:
        self._root = artifact_root
        self._stores: dict[int, StoreRuntime] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self.refreshed_at: float | None = None

    def get(self, store_id: int) -> StoreRuntime | None:
        """The runtime of a store; the first request of a new store waits until it is loaded.

        Returns None for a store that doesn't exist.

        Raises
        ------
        DatabaseError
            The store is not in memory and PostgreSQL is away.
        """
        runtime = self._stores.get(store_id)
        if runtime is None:
            self.refresh()
            runtime = self._stores.get(store_id)
        return runtime

    def refresh(self) -> None:
        """Bring every store up to date with PostgreSQL and the artifact folders."""
        with self._lock:
            versions = store_versions()
            for store_id, version in versions.items():
                self._refresh_store(store_id, version)
            for gone in self._stores.keys() - versions.keys():
                del self._stores[gone]
            self.refreshed_at = time.monotonic()

    def start(self, *, beside: Callable[[], object] = lambda: None) -> None:
        """Load all stores and keep them fresh in a thread of their own. Safe to call again.

        `beside` is called with every look, once a second.
        """
        if self._thread is not None and self._thread.is_alive():
            return
        self._thread = threading.Thread(
            target=self._watch, args=(beside,), name="vitrine-runtime", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()

    def clear(self) -> None:
        """Forget everything; the next `get` loads afresh."""
        with self._lock:
            self._stores.clear()
            self.refreshed_at = None

    def _watch(self, beside: Callable[[], object]) -> None:
        away = False
        while not self._stop.is_set():
            try:
                close_old_connections()
                self.refresh()
                beside()
                if away:
                    log.info("PostgreSQL is back; serving is fresh again")
                away = False
            except (DatabaseError, InterfaceError) as error:
                if not away:
                    log.warning("PostgreSQL is away; serving goes on from memory", error=str(error))
                away = True
            self._stop.wait(POLL_SECONDS)

    def _refresh_store(self, store_id: int, versions: StoreVersions) -> None:
        before = self._stores.get(store_id)
        if before is None:
            self._load_store(store_id, versions)
            return
        after = before
        if versions.settings_version != before.settings.settings_version:
            current = store_settings(store_id=store_id)
            if current is not None:
                after = replace(
                    after,
                    settings=current,
                    placements=_placements(current),
                    event_weights=event_weight_table(current.event_weights),
                )
        snapshot_changed = versions.catalog_version != before.catalog_version
        if snapshot_changed:
            snapshot = _snapshot_updated(before)
            after = replace(after, snapshot=snapshot, catalog_version=versions.catalog_version)
        artifacts, refused = self._artifacts(store_id, versions, after)
        if artifacts is not after.artifacts or after.snapshot is not before.snapshot:
            bound = (before.artifacts, before.snapshot, before.models)
            models = bind_models(artifacts, after.snapshot, bound)
            after = replace(after, artifacts=artifacts, models=models)
            if (
                models.item_similarity is not before.models.item_similarity
                or models.content is not before.models.content
            ):
                after = replace(after, contextual=Recent(N_CONTEXTUAL))
        if refused != after.refused:
            after = replace(after, refused=refused)
        self._stores[store_id] = _with_rules(after, before)

    def _load_store(self, store_id: int, versions: StoreVersions) -> None:
        current = store_settings(store_id=store_id)
        if current is None:
            return
        snapshot = CatalogSnapshot.empty()
        rows = [row for block in catalog_rows(store_id=store_id) for row in block]
        snapshot = snapshot_apply(snapshot, rows)
        runtime = StoreRuntime(
            settings=current,
            placements=_placements(current),
            snapshot=snapshot,
            artifacts={},
            models=ServingModels(),
            catalog_version=versions.catalog_version,
            event_weights=event_weight_table(current.event_weights),
        )
        artifacts, refused = self._artifacts(store_id, versions, runtime)
        self._stores[store_id] = replace(
            runtime,
            artifacts=artifacts,
            models=bind_models(artifacts, snapshot),
            refused=refused,
            rules=runtime_rules(runtime),
        )

    def _artifacts(
        self, store_id: int, versions: StoreVersions, runtime: StoreRuntime
    ) -> tuple[dict[str, LoadedArtifact], Mapping[tuple[str, str], float]]:
        """Open what is newly published. A broken artifact is refused and the old one stays."""
        artifacts = {k: v for k, v in runtime.artifacts.items() if k in versions.artifacts}
        refused = dict(runtime.refused)
        for family, version in versions.artifacts.items():
            loaded = artifacts.get(family)
            if loaded is not None and loaded.manifest.version == version:
                continue
            if time.monotonic() - refused.get((family, version), -math.inf) < RETRY_REFUSED_S:
                continue
            folder = artifact_folder(self._root, store_id=store_id, family=family, version=version)
            try:
                opened = artifact_open(folder)
                model_check(family, opened)
                artifacts[family] = opened
            except ArtifactError as error:
                refused[family, version] = time.monotonic()
                log.error(
                    "artifact refused; the one before goes on serving",
                    store_id=store_id,
                    family=family,
                    version=version,
                    error=str(error),
                )
        if artifacts.keys() == runtime.artifacts.keys() and all(
            artifacts[k] is runtime.artifacts[k] for k in artifacts
        ):
            artifacts = runtime.artifacts
        return artifacts, refused


def runtime_rules(
    runtime: StoreRuntime, stored: Sequence[RuleSettings] | None = None
) -> ServingRules | None:
    """The rules of a store on its catalog; others than it has, to try them. Those that can't serve
    are reported and left out."""
    current = runtime.settings
    rules = rules_compile(
        current.rules if stored is None else stored,
        current.segments,
        runtime.snapshot,
        placements=[placement.slug for placement in current.placements],
        time_zone=current.time_zone,
        now_s=time.time(),
    )
    for problem in rules.problems if rules is not None and stored is None else ():
        log.warning(
            "rule left out",
            store_id=current.store_id,
            rule_id=problem.rule_id,
            rule=problem.name,
            reason=problem.words,
        )
    return rules


def _with_rules(after: StoreRuntime, before: StoreRuntime) -> StoreRuntime:
    """Rules follow the settings, the catalog and, once an hour, the ages of products."""
    same = after.settings is before.settings and after.snapshot is before.snapshot
    if same and (before.rules is None or not before.rules.is_stale(time.time())):
        return after
    rules = runtime_rules(after)
    if rules is None and before.rules is None:
        return after
    # Kept answers are kept under the ids of rules, whose text may have changed.
    return replace(after, rules=rules, contextual=Recent(N_CONTEXTUAL))


def event_weight_table(weights: Mapping[str, float]) -> Float32Array:
    """Event weights by the number of the type, float32[256]; 0 for types without one."""
    table = np.zeros(256, np.float32)
    for kind in EventType:
        table[kind] = weights.get(kind.label, 0.0)
    return table


def _placements(current: StoreSettings) -> dict[str, ServingPlacement]:
    """Placements by slug. What can't be understood is reported and left out."""
    placements = {}
    segments = segments_parse(current.segments)
    for placement in current.placements:
        try:
            strategy = ServingStrategy(
                placement.strategy_version_id,
                strategy_parse(placement.document),
                exclude=placement.exclude,
            )
        except InvalidStrategyError as error:
            log.error("strategy refused", placement=placement.slug, error=str(error))
            continue
        experiments = experiments_on(placement, strategy, current.experiments, segments)
        placements[placement.slug] = ServingPlacement(placement, strategy, experiments)
    return placements


def _snapshot_updated(before: StoreRuntime) -> CatalogSnapshot:
    newest = before.snapshot.newest_update_us
    if not newest:
        rows = [row for block in catalog_rows(store_id=before.settings.store_id) for row in block]
    else:
        rows = catalog_rows_changed(
            store_id=before.settings.store_id,
            newest_update_us=newest,
            known=before.known_updates,
        )
    return snapshot_apply(before.snapshot, rows)


RUNTIMES = Runtimes(Path(settings.ARTIFACT_DIR))
