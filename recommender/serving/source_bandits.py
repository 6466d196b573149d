"""What was learned of sources for places given to chance: strategies with "explore_by": "bandit"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from recommender.artifacts.manifest import ArtifactError
from recommender.artifacts.reader import LoadedArtifact
from recommender.engine.errors import InvalidInputError
from recommender.engine.online.source_bandit import GRID, SourceTable
from recommender.serving.snapshot import CatalogSnapshot


@dataclass(frozen=True, slots=True)
class SourceBanditsModel:
    """The tables of a store, by the key of the placement."""

    by_placement: Mapping[int, SourceTable]


def source_bandits_bind(artifact: LoadedArtifact, _snapshot: CatalogSnapshot) -> SourceBanditsModel:
    """The tables of an artifact.

    Raises
    ------
    ArtifactError
        They were learned of other situations than this release knows.
    """
    known = artifact.manifest.parameters
    # Levels in another order have as many situations.
    if known.get("grid") != GRID:
        raise _of_another_release(artifact, "other situations")
    tables = {}
    for place, said in enumerate(known.get("placements", ())):
        try:
            tables[int(said["placement_id"])] = SourceTable(
                tuple(each["source"] for each in said["sources"]), artifact[f"chances_{place}"]
            )
        except (InvalidInputError, KeyError) as error:
            raise _of_another_release(artifact, str(error)) from error
    return SourceBanditsModel(tables)


def _of_another_release(artifact: LoadedArtifact, what: str) -> ArtifactError:
    return ArtifactError(
        f"version {artifact.manifest.version} was learned by another release ({what}):"
        " train the family again"
    )
