"""Published artifacts, bound to the rows of a catalog snapshot."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from recommender.artifacts.reader import LoadedArtifact
from recommender.engine.online.fold_in import FoldedHistory, ease_fold_history
from recommender.engine.online.popular import rank_all
from recommender.engine.types import (
    NO_ROW,
    Candidates,
    EaseModel,
    Float32Array,
    Int32Array,
    Int64Array,
    Neighbours,
    NextClickModel,
    RepeatModel,
    SessionIndex,
    ShopperIndex,
)
from recommender.serving.blends import BlendsModel, blends_bind
from recommender.serving.recent import Recent
from recommender.serving.snapshot import CatalogSnapshot
from recommender.serving.source_bandits import SourceBanditsModel, source_bandits_bind

# Products of a history that `for_you` starts from, the weightiest ones. Each is a line of the model to
# read: 100 find as much as 200 (recall .1163 and .1175 on the demo shop) in half the time.
MAX_HISTORY = 100
# What the folded histories of shoppers may take in a process: 2,500 of them for 6,000 products.
FOLDED_BYTES = 32_000_000
N_CATEGORIES = 512


@dataclass(frozen=True, slots=True)
class RowMap:
    """Artifact rows ↔ snapshot rows.

    Attributes
    ----------
    to_snapshot : int32[n_artifact]
        -1 where the product left the catalog.
    from_snapshot : int32[n_snapshot]
        -1 where the product came after the training.
    """

    to_snapshot: Int32Array
    from_snapshot: Int32Array

    @classmethod
    def between(cls, item_ids: Int64Array, snapshot: CatalogSnapshot) -> RowMap:
        """Bind an artifact's id map to a snapshot: two binary searches over the whole catalog."""
        to_snapshot = snapshot.rows_of(item_ids)
        from_snapshot = np.full(len(snapshot), -1, np.int32)
        known = np.flatnonzero(to_snapshot >= 0)
        from_snapshot[to_snapshot[known]] = known
        return cls(to_snapshot, from_snapshot)

    def candidates(self, found: Candidates, *, reasons: bool) -> Candidates:
        """Candidates in snapshot rows; those that left the catalog are dropped.

        Without `reasons` nobody will ask what they started from, and `because` is -1.
        """
        rows = self.to_snapshot.take(found.rows)
        if reasons:
            because = self.to_snapshot.take(found.because, mode="clip")
            because[found.because < 0] = NO_ROW
        else:
            because = no_reasons(len(rows))
        if len(rows) and rows.min() < 0:
            kept = rows >= 0
            return Candidates(rows[kept], found.scores[kept], because[kept])
        return Candidates(rows, found.scores, because)


_NO_REASONS = np.full(1_000, NO_ROW, np.int32)


def no_reasons(n: int) -> Int32Array:
    """-1 n times. Not to be changed."""
    return _NO_REASONS[:n] if n <= len(_NO_REASONS) else np.full(n, NO_ROW, np.int32)


@dataclass(frozen=True, slots=True)
class ItemSimilarityModel:
    rows: RowMap
    bought_together: Neighbours
    also_viewed: Neighbours


@dataclass(frozen=True, slots=True)
class ContentModel:
    """`vectors` are in snapshot rows' reach through `rows`; unit length, zero without text."""

    rows: RowMap
    vectors: Float32Array
    neighbours: Neighbours


@dataclass(frozen=True, slots=True)
class Chart:
    """A score for every product of the snapshot, and the products in its order.

    Attributes
    ----------
    scores : float32[n_snapshot]
    ranking : int32[m]
        Rows with a score above 0, best first.
    """

    scores: Float32Array
    ranking: Int32Array
    _by_category: Recent[str, Int32Array] = field(default_factory=lambda: Recent(N_CATEGORIES))

    def ranking_inside(self, path: str, snapshot: CatalogSnapshot) -> Int32Array:
        """The ranking of a category with all levels below it."""

        def make() -> Int32Array:
            inside = snapshot.categories_inside(path)
            return self.ranking[inside[snapshot.category_codes[self.ranking]]]

        return self._by_category.get(path, make)


@dataclass(frozen=True, slots=True)
class PopularityModel:
    trending: Chart
    bestsellers: Chart


@dataclass(frozen=True, slots=True)
class SessionsModel:
    """What shoppers did next."""

    rows: RowMap
    next_click: NextClickModel
    index: SessionIndex


@dataclass(frozen=True, slots=True)
class ChosenModel:
    """Partners of every product, of the method that a member chose in the Lab.

    Attributes
    ----------
    title
        Of the method; empty in what an older release trained.
    because, otherwise
        The method's words before the product that an answer started from, and those without it;
        either may be empty.
    """

    rows: RowMap
    neighbours: Neighbours
    title: str = ""
    because: str = ""
    otherwise: str = ""


@dataclass(frozen=True, slots=True)
class ShopperHistory:
    """One shopper's past in rows of the profiles model.

    `rows` ascend; all arrays are of one length.
    """

    place: int
    rows: Int32Array
    weights: Float32Array
    counts: Int32Array
    last_at_s: Int64Array


@dataclass(frozen=True, slots=True)
class AlikeModel:
    """Shoppers whose histories others are compared with.

    Attributes
    ----------
    places : int32[m], ascending
        Where the shopper of every row of the index stands in the profiles: a row names nobody.
    """

    places: Int32Array
    index: ShopperIndex

    def row_of(self, place: int) -> int:
        """The row of a shopper of the profiles, -1 if they are none of those. O(log m)."""
        row = int(self.places.searchsorted(place))
        return row if row < len(self.places) and int(self.places[row]) == place else NO_ROW


@dataclass(frozen=True, slots=True)
class ProfilesModel:
    """What is known of shoppers at training time, and how to score a history.

    Attributes
    ----------
    shopper_hashes : int64[n_shoppers]
        `stable_hash64` of the external id, ascending.
    demand : float32[n_items]
        Recent sales of every product, for `buy_again`.
    taste
        The `for_you` model.
    alike
        For `similar_shoppers`; None in what an older release trained.
    orders : int32[n_shoppers, 3] or None
    spend_minor : int64[n_shoppers, 3] or None
        Within `segments.VALUE_DAYS` before the training; None in what an older release trained.
    """

    rows: RowMap
    as_of_s: int
    shopper_hashes: Int64Array
    offsets: Int64Array
    item_rows: Int32Array
    weights: Float32Array
    counts: Int32Array
    last_at_s: Int64Array
    repeat: RepeatModel
    demand: Float32Array
    taste: EaseModel
    alike: AlikeModel | None
    orders: Int32Array | None
    spend_minor: Int64Array | None
    _folded: Recent[int, FoldedHistory]

    def history_of(self, shopper_hash: int) -> ShopperHistory | None:
        """What the last training knows of a shopper, None if nothing. O(log shoppers)."""
        place = int(self.shopper_hashes.searchsorted(shopper_hash))
        if place == len(self.shopper_hashes) or int(self.shopper_hashes[place]) != shopper_hash:
            return None
        own = slice(int(self.offsets[place]), int(self.offsets[place + 1]))
        if own.start == own.stop:
            return None
        return ShopperHistory(
            place, self.item_rows[own], self.weights[own], self.counts[own], self.last_at_s[own]
        )

    def folded(self, history: ShopperHistory) -> FoldedHistory:
        """The history's scores, kept from one page view of a shopper to the next."""
        return self._folded.get(
            history.place,
            lambda: ease_fold_history(
                self.taste, history.rows, history.weights, max_history=MAX_HISTORY
            ),
        )


@dataclass(frozen=True, slots=True)
class ServingModels:
    """What a store serves with; None for a family that was never published."""

    item_similarity: ItemSimilarityModel | None = None
    content: ContentModel | None = None
    popularity: PopularityModel | None = None
    profiles: ProfilesModel | None = None
    sessions: SessionsModel | None = None
    chosen_method: ChosenModel | None = None
    blend: BlendsModel | None = None
    source_bandit: SourceBanditsModel | None = None


def bind_models(
    artifacts: dict[str, LoadedArtifact],
    snapshot: CatalogSnapshot,
    before: tuple[dict[str, LoadedArtifact], CatalogSnapshot, ServingModels] | None = None,
) -> ServingModels:
    """Bind loaded artifacts to a snapshot. Costs a few ms per family and 100,000 products.

    `before` is what was bound last: a family whose artifact and snapshot are the same keeps its
    model, with whatever that has worked out already.
    """
    models: dict[str, Any] = {}
    for family, bind in _BIND.items():
        artifact = artifacts.get(family)
        if artifact is None:
            continue
        if before is not None and before[0].get(family) is artifact and before[1] is snapshot:
            models[family] = getattr(before[2], family)
        else:
            models[family] = bind(artifact, snapshot)
    return ServingModels(**models)


def model_check(family: str, artifact: LoadedArtifact) -> None:
    """Raise ArtifactError if an artifact hasn't got what its family needs."""
    if family in _BIND:
        _BIND[family](artifact, CatalogSnapshot.empty())


def _item_similarity(artifact: LoadedArtifact, snapshot: CatalogSnapshot) -> ItemSimilarityModel:
    return ItemSimilarityModel(
        rows=RowMap.between(artifact["item_ids"], snapshot),
        bought_together=Neighbours(
            artifact["bought_together_rows"], artifact["bought_together_scores"]
        ),
        also_viewed=Neighbours(artifact["also_viewed_rows"], artifact["also_viewed_scores"]),
    )


def _content(artifact: LoadedArtifact, snapshot: CatalogSnapshot) -> ContentModel:
    return ContentModel(
        rows=RowMap.between(artifact["item_ids"], snapshot),
        vectors=artifact["vectors"],
        neighbours=Neighbours(artifact["neighbour_rows"], artifact["neighbour_scores"]),
    )


def _popularity(artifact: LoadedArtifact, snapshot: CatalogSnapshot) -> PopularityModel:
    rows = snapshot.rows_of(artifact["item_ids"])
    known = rows >= 0

    def chart(name: str) -> Chart:
        scores = np.zeros(len(snapshot), np.float32)
        scores[rows[known]] = artifact[name][known]
        return Chart(scores, rank_all(scores))

    return PopularityModel(trending=chart("trending"), bestsellers=chart("bestsellers"))


def _sessions(artifact: LoadedArtifact, snapshot: CatalogSnapshot) -> SessionsModel:
    return SessionsModel(
        rows=RowMap.between(artifact["item_ids"], snapshot),
        next_click=NextClickModel(
            **{each.name: artifact[f"click_{each.name}"] for each in fields(NextClickModel)}
        ),
        index=SessionIndex(
            **{each.name: artifact[f"index_{each.name}"] for each in fields(SessionIndex)}
        ),
    )


def _chosen_method(artifact: LoadedArtifact, snapshot: CatalogSnapshot) -> ChosenModel:
    said = artifact.manifest.parameters
    # What an older release trained has either of the words under one name, and no title.
    words = ("title", "because", "otherwise") if "title" in said else ()
    return ChosenModel(
        rows=RowMap.between(artifact["item_ids"], snapshot),
        neighbours=Neighbours(artifact["neighbour_rows"], artifact["neighbour_scores"]),
        **{name: said[name] for name in words},
    )


def _profiles(artifact: LoadedArtifact, snapshot: CatalogSnapshot) -> ProfilesModel:
    return ProfilesModel(
        rows=RowMap.between(artifact["item_ids"], snapshot),
        as_of_s=int(artifact.manifest.as_of_s),
        shopper_hashes=artifact["shopper_hashes"],
        offsets=artifact["history_offsets"],
        item_rows=artifact["history_rows"],
        weights=artifact["history_weights"],
        counts=artifact["history_counts"],
        last_at_s=artifact["history_last_at_s"],
        repeat=RepeatModel(artifact["repeat_interval_days"], artifact["repeat_probability"]),
        demand=artifact["demand"],
        taste=EaseModel(artifact["ease_rows"], artifact["ease_weights"]),
        alike=_alike(artifact),
        orders=artifact.arrays.get("shopper_orders"),
        spend_minor=artifact.arrays.get("shopper_spend"),
        _folded=Recent(FOLDED_BYTES // (2 * len(artifact["ease_rows"]) + 1_000)),
    )


def _alike(artifact: LoadedArtifact) -> AlikeModel | None:
    if "alike_places" not in artifact:
        return None
    index = {each.name: artifact[f"alike_{each.name}"] for each in fields(ShopperIndex)}
    return AlikeModel(artifact["alike_places"], ShopperIndex(**index))


_BIND = {
    "item_similarity": _item_similarity,
    "content": _content,
    "popularity": _popularity,
    "profiles": _profiles,
    "sessions": _sessions,
    "chosen_method": _chosen_method,
    "blend": blends_bind,
    "source_bandit": source_bandits_bind,
}
