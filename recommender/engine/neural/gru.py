"""A recurrent network over sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from recommender.engine.errors import EmptyInputError
from recommender.engine.neural.batches import pieces_of
from recommender.engine.neural.forward import GruModel
from recommender.engine.neural.losses import dropped, softmax_loss
from recommender.engine.neural.training import (
    Catalog,
    OnEpoch,
    Schedule,
    array_of,
    optimise,
    reproducible,
)
from recommender.engine.types import Int64Array

if TYPE_CHECKING:
    from torch import Tensor


def fit_gru(
    offsets: Int64Array,
    places: npt.ArrayLike,
    *,
    n_places: int,
    factors: int,
    max_length: int,
    schedule: Schedule,
    on_epoch: OnEpoch | None = None,
) -> GruModel:
    """Learn a network that foresees every click of every session from those before it.

    The same vectors are read and compared with (tied), which halves what has to be learned. Costs
    O(epochs * clicks * (d² + negatives * d)); all clicks of a session are learned from in one pass.

    Parameters
    ----------
    offsets : int64[n_sessions + 1]
    places : int64[n_clicks]
        Items as 0..n_places - 1.
    n_places : int
    factors : int
        d, the length of vectors and state.
    max_length : int
        Clicks that are read at most.
    schedule : Schedule
    on_epoch : function or None
        Told every epoch's number and mean loss.

    Raises
    ------
    EmptyInputError
        If no session has two clicks.

    Notes
    -----
    B. Hidasi, A. Karatzoglou, L. Baltrunas, D. Tikk, "Session-based Recommendations with Recurrent
    Neural Networks", ICLR 2016; tied vectors and shared drawn items as in B. Hidasi,
    A. Karatzoglou, "Recurrent Neural Networks with Top-k Gains for Session-based Recommendations",
    CIKM 2018.
    """
    import torch

    pieces = pieces_of(offsets, places, max_length=max_length)
    if not len(pieces):
        raise EmptyInputError("no session has two clicks to learn from")
    counts = np.bincount(pieces.places, minlength=n_places)
    with reproducible(schedule.seed):
        catalog = Catalog(counts, factors, schedule)
        network: Any = torch.nn.GRU(factors, factors, batch_first=True)

        def loss_of(numbers: Int64Array) -> Tensor:
            read, following, there = pieces.batch(numbers)
            lesson = catalog.lesson(read, following[there])
            given = torch.nn.functional.embedding(lesson.read, lesson.vectors)
            given = dropped(given, schedule.dropout)
            states = (network(given)[0] + given)[torch.from_numpy(there)]
            return softmax_loss(dropped(states, schedule.dropout), lesson)

        weights = list(network.parameters())
        optimise(weights, [catalog.table], loss_of, pieces.lengths, schedule, on_epoch)
        vectors, biases = catalog.learned()
        return GruModel(
            item_vectors=vectors,
            item_biases=biases,
            input_weights=array_of(network.weight_ih_l0),
            hidden_weights=array_of(network.weight_hh_l0),
            input_biases=array_of(network.bias_ih_l0),
            hidden_biases=array_of(network.bias_hh_l0),
            max_length=max_length,
        )
