"""What products are like, from the content model that serves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from django.conf import settings

from recommender.artifacts.manifest import ArtifactError
from recommender.artifacts.reader import artifact_open
from recommender.artifacts.writer import artifact_folder
from recommender.models import Artifact, Run


@dataclass(frozen=True, slots=True, eq=False)
class ContentVectors:
    """Unit vectors of products; the last row is zeros, for those that have none.

    Attributes
    ----------
    item_ids : int64[n]
        Ascending.
    vectors : float32[n + 1, d]
    """

    item_ids: npt.NDArray[np.int64]
    vectors: npt.NDArray[np.float32]

    def rows_of(self, product_ids: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Rows in `vectors`, of the same shape; the row of zeros for unknown products."""
        n = len(self.item_ids)
        if not n:
            return np.zeros(len(product_ids), np.int64)
        places = np.minimum(np.searchsorted(self.item_ids, product_ids), n - 1)
        return np.where(self.item_ids[places] == product_ids, places, n)


def content_vectors(*, store_id: int) -> ContentVectors | None:
    """None if no content model serves, or its folder can't be read. One query."""
    version = (
        Artifact.objects.filter(store_id=store_id, family=Run.Family.CONTENT, serving=True)
        .values_list("version", flat=True)
        .first()
    )
    if version is None:
        return None
    folder = artifact_folder(
        Path(settings.ARTIFACT_DIR),
        store_id=store_id,
        family=Run.Family.CONTENT,
        version=version,
    )
    try:
        # Serving has checked it against its manifest; mapping is enough.
        artifact = artifact_open(folder, verify=False)
        item_ids = np.asarray(artifact["item_ids"], np.int64)
        vectors = np.asarray(artifact["vectors"], np.float32)
    except ArtifactError:
        return None
    order = np.argsort(item_ids, kind="stable")
    nothing = np.zeros((1, vectors.shape[1]), np.float32)
    return ContentVectors(item_ids[order], np.concatenate([vectors[order], nothing]))
