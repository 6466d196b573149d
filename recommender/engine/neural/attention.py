"""A causal transformer over sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from recommender.engine.errors import EmptyInputError, InvalidInputError
from recommender.engine.neural.batches import pieces_of
from recommender.engine.neural.forward import LAYER_NORM_EPSILON, AttentionModel, Block, Norm
from recommender.engine.neural.losses import dropped, softmax_loss
from recommender.engine.neural.training import (
    Catalog,
    OnEpoch,
    Schedule,
    array_of,
    constants,
    new_weights,
    optimise,
    reproducible,
)
from recommender.engine.types import Int64Array

if TYPE_CHECKING:
    from torch import Tensor

Layer = dict[str, "Tensor"]


def fit_attention(
    offsets: Int64Array,
    places: npt.ArrayLike,
    *,
    n_places: int,
    factors: int,
    blocks: int,
    heads: int,
    max_length: int,
    schedule: Schedule,
    on_epoch: OnEpoch | None = None,
) -> AttentionModel:
    """Learn a transformer that foresees every click of every session from those before it.

    Its loss is the cross-entropy over all items, or over drawn ones in a large catalog, instead of
    the one drawn item per click of the paper, which makes a model too sure of itself. Costs
    O(epochs * clicks * (blocks * (d² + max_length * d) + negatives * d)).

    Parameters
    ----------
    offsets : int64[n_sessions + 1]
    places : int64[n_clicks]
        Items as 0..n_places - 1.
    n_places : int
    factors : int
        d, the length of vectors and state; a multiple of `heads`.
    blocks, heads : int
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
    W. Kang, J. McAuley, "Self-Attentive Sequential Recommendation", ICDM 2018.
    """
    import torch

    if heads < 1 or factors % heads:
        raise InvalidInputError(f"{heads} heads don't divide vectors of length {factors}")
    pieces = pieces_of(offsets, places, max_length=max_length)
    if not len(pieces):
        raise EmptyInputError("no session has two clicks to learn from")
    counts = np.bincount(pieces.places, minlength=n_places)
    with reproducible(schedule.seed):
        catalog = Catalog(counts, factors, schedule)
        positions = new_weights(max_length, factors)
        layers = [_new_layer(factors) for _ in range(blocks)]
        last = {"scale": constants(1.0, factors), "shift": constants(0.0, factors)}

        def loss_of(numbers: Int64Array) -> Tensor:
            read, following, there = pieces.batch(numbers)
            lesson = catalog.lesson(read, following[there])
            clicks = torch.nn.functional.embedding(lesson.read, lesson.vectors)
            clicks = dropped(clicks + positions[: read.shape[1]], schedule.dropout)
            for layer in layers:
                clicks = _block(clicks, layer, heads, schedule.dropout)
            states = clicks[torch.from_numpy(there)]
            return softmax_loss(_normed(states, last["scale"], last["shift"]), lesson)

        weights = [positions, *last.values()]
        weights += [tensor for layer in layers for tensor in layer.values()]
        optimise(weights, [catalog.table], loss_of, pieces.lengths, schedule, on_epoch)
        vectors, biases = catalog.learned()
        return AttentionModel(
            item_vectors=vectors,
            item_biases=biases,
            position_vectors=array_of(positions),
            blocks=tuple(_exported(layer) for layer in layers),
            last_norm=Norm(array_of(last["scale"]), array_of(last["shift"])),
            heads=heads,
        )


def _new_layer(d: int) -> Layer:
    """A block before it has learned anything, by the names of `Block`."""
    layer = {name: new_weights(d, d) for name in ("query", "key", "value", "output")}
    layer |= {name: new_weights(d, d) for name in ("inner_weights", "outer_weights")}
    layer |= {name: constants(0.0, d) for name in ("inner_biases", "outer_biases")}
    for norm in ("attention", "network"):
        layer |= {f"{norm}_scale": constants(1.0, d), f"{norm}_shift": constants(0.0, d)}
    return layer


def _block(clicks: Tensor, layer: Layer, heads: int, dropout: float) -> Tensor:
    """One block over a batch of sessions; a click never sees the ones after it, nor the padding."""
    import torch
    from torch.nn import functional

    batch, length, d = clicks.shape
    normed = _normed(clicks, layer["attention_scale"], layer["attention_shift"])
    query, key, value = (
        (normed @ layer[name].T).view(batch, length, heads, d // heads).transpose(1, 2)
        for name in ("query", "key", "value")
    )
    found = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
    found = found.transpose(1, 2).reshape(batch, length, d) @ layer["output"].T
    clicks = clicks + dropped(found, dropout)
    normed = _normed(clicks, layer["network_scale"], layer["network_shift"])
    inner = functional.linear(normed, layer["inner_weights"], layer["inner_biases"])
    outer = functional.linear(
        dropped(torch.relu(inner), dropout),
        layer["outer_weights"],
        layer["outer_biases"],
    )
    return clicks + dropped(outer, dropout)


def _normed(clicks: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    from torch.nn import functional

    return functional.layer_norm(clicks, scale.shape, scale, shift, LAYER_NORM_EPSILON)


def _exported(layer: Layer) -> Block:
    arrays = {name: array_of(tensor) for name, tensor in layer.items()}
    norms = {
        f"{norm}_norm": Norm(arrays.pop(f"{norm}_scale"), arrays.pop(f"{norm}_shift"))
        for norm in ("attention", "network")
    }
    return Block(
        attention_norm=norms["attention_norm"], network_norm=norms["network_norm"], **arrays
    )
