"""Two towers that meet in a dot product."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_matrix

from recommender.engine.errors import EmptyInputError
from recommender.engine.neural.forward import TowerModel
from recommender.engine.neural.losses import dropped, multinomial_loss, softmax_loss
from recommender.engine.neural.training import (
    Catalog,
    OnEpoch,
    Schedule,
    Table,
    array_of,
    constants,
    new_weights,
    optimise,
    reproducible,
)
from recommender.engine.selection import ragged_positions
from recommender.engine.types import Int64Array

if TYPE_CHECKING:
    from torch import Tensor

NOTHING = np.empty(0, np.int64)


def fit_towers(
    user_items: csr_matrix[np.float32],
    *,
    factors: int,
    schedule: Schedule,
    on_epoch: OnEpoch | None = None,
) -> TowerModel:
    """Learn a network that finds a history's items from what a random part of it says.

    A shopper's tower reads the weighted sum of the vectors of a history, some of its items left out
    at random (`dropout`), so that it foresees what it didn't read, and anyone's history can be
    folded in; an item's tower is its vector. The loss is the cross-entropy with every item of the
    history, read or not, as a right answer. Costs
    O(epochs * (interactions * d + shoppers * (d² + items * d))), with `negatives` instead of items
    in a large catalog.

    Parameters
    ----------
    user_items : csr_matrix of float32[n_shoppers, m]
        Weights; lines that aren't positive are ignored.
    factors : int
        d, the length of vectors and state.
    schedule : Schedule
    on_epoch : function or None
        Told every epoch's number and mean loss.

    Raises
    ------
    EmptyInputError
        If there is no positive weight.

    Notes
    -----
    P. Covington, J. Adams, E. Sargin, "Deep Neural Networks for YouTube Recommendations",
    RecSys 2016; trained like the denoising autoencoder of D. Liang, R. Krishnan, M. Hoffman,
    T. Jebara, "Variational Autoencoders for Collaborative Filtering", WWW 2018. A dot product
    instead of the network on top of X. He et al., "Neural Collaborative Filtering", WWW 2017: it
    ranks as well or better and is one product of a matrix with a vector (S. Rendle et al., "Neural
    Collaborative Filtering vs. Matrix Factorization Revisited", RecSys 2020).
    """
    import torch

    liked = user_items.copy()
    liked.data = np.maximum(liked.data, 0).astype(np.float32)
    liked.eliminate_zeros()
    liked = liked[np.diff(liked.indptr) > 0].tocsr()
    if not liked.nnz:
        raise EmptyInputError("there is no interaction to learn from")
    n_items = int(liked.shape[1])
    starts, lengths = liked.indptr[:-1].astype(np.int64), np.diff(liked.indptr).astype(np.int64)
    items, weights = liked.indices.astype(np.int64), liked.data
    rng = np.random.default_rng(schedule.seed)
    with reproducible(schedule.seed):
        catalog = Catalog(np.bincount(items, minlength=n_items), factors, schedule)
        history = Table(n_items, factors)
        tower, shift = new_weights(factors, factors), constants(0.0, factors)

        def states_of(summed: Tensor) -> Tensor:
            return torch.tanh(torch.nn.functional.linear(summed, tower, shift))

        def loss_of_all(numbers: Int64Array) -> Tensor:
            mine = torch.from_numpy(liked[numbers].toarray())
            lengths = torch.linalg.vector_norm(mine, dim=1, keepdim=True)
            everything = np.arange(n_items, dtype=np.int64)
            states = states_of(dropped(mine / lengths, schedule.dropout) @ history.read(everything))
            lesson = catalog.lesson(NOTHING, NOTHING)
            return multinomial_loss(states, lesson.vectors, lesson.biases, (mine > 0).float())

        def loss_of_some(numbers: Int64Array) -> Tensor:
            mine = ragged_positions(starts[numbers], lengths[numbers])
            owners = np.repeat(np.arange(len(numbers)), lengths[numbers])
            values = weights[mine]
            total = np.sqrt(np.bincount(owners, values**2, minlength=len(numbers)))
            # What is left counts for more, so that a whole history is of the same size when asked.
            left = rng.random(len(mine)) >= schedule.dropout
            read = values * left / (total[owners] * (1 - schedule.dropout))
            known, places = np.unique(items[mine], return_inverse=True)
            summed = torch.nn.functional.embedding_bag(
                torch.from_numpy(places),
                history.read(known),
                torch.from_numpy(np.cumsum(lengths[numbers]) - lengths[numbers]),
                mode="sum",
                per_sample_weights=torch.from_numpy(read.astype(np.float32)),
            )
            lesson = catalog.lesson(NOTHING, items[mine])
            return softmax_loss(states_of(summed), lesson, torch.from_numpy(owners))

        loss_of = loss_of_all if catalog.whole else loss_of_some
        tables = [catalog.table, history]
        optimise([tower, shift], tables, loss_of, lengths, schedule, on_epoch)
        vectors, biases = catalog.learned()
        return TowerModel(
            item_vectors=vectors,
            item_biases=biases,
            history_vectors=history.learned(),
            tower_weights=array_of(tower),
            tower_biases=array_of(shift),
        )
