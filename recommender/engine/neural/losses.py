"""What every step of training computes beside the network itself, and most of its cost."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from recommender.engine.neural.training import Lesson
from recommender.engine.selection import ragged_positions
from recommender.engine.types import Int64Array

if TYPE_CHECKING:
    from torch import Tensor

NEVER = -1e9
"""A score whose share is 0."""

BYTE = 256


def softmax_loss(states: Tensor, lesson: Lesson, owners: Tensor | None = None) -> Tensor:
    """How surprised a model is of what followed, on average: ``-log softmax(scores)[target]``.

    With drawn items the sum below the line is estimated: the target as it is, and of the drawn ones
    ``exp(score) / how often it is drawn``, so that popular items, which are drawn more often, aren't
    pushed down for it. Costs O(states * negatives * d).

    Parameters
    ----------
    states : Tensor of float32[s, d]
    lesson : Lesson
    owners : Tensor of int64[t] or None
        The state that a target belongs to; None: one target per state, in their order.

    Notes
    -----
    Y. Bengio, J. Senécal, "Adaptive Importance Sampling to Accelerate Training of a Neural
    Probabilistic Language Model", IEEE Transactions on Neural Networks 19 (4), 2008. TensorFlow's
    ``sampled_softmax_loss`` divides the target's part too: the loss of a rare one is then small
    before anything is learned.
    """
    import torch

    vectors, biases, targets = lesson.vectors, lesson.biases, lesson.targets
    own = states if owners is None else states.index_select(0, owners)
    right = (own * vectors.index_select(0, targets)).sum(dim=1) + biases[targets]
    if lesson.drawn is None or lesson.rarity is None:
        below = log_sums(states, vectors, biases)
        return ((below if owners is None else below[owners]) - right).mean()
    drawn, rarity = lesson.drawn, lesson.rarity
    # A target among the drawn would be held against itself. A state of several targets has one sum.
    out = None if owners is not None else _equal_pairs(targets.numpy(), drawn.numpy())
    below = log_sums(states, vectors.index_select(0, drawn), biases[drawn] - rarity[drawn], out)
    if owners is not None:
        below = below[owners]
    return (torch.logaddexp(right, below) - right).mean()


def log_sums(
    states: Tensor,
    vectors: Tensor,
    biases: Tensor,
    left_out: tuple[Int64Array, Int64Array] | None = None,
) -> Tensor:
    """``logsumexp(states @ vectors.T + biases)`` of every state.

    PyTorch's own steps write the table of all scores six times; here it is written twice, and its
    gradient never.

    Parameters
    ----------
    states : Tensor of float32[s, d]
    vectors, biases : Tensor of float32[k, d], float32[k]
    left_out : (int64[p], int64[p]) or None
        Lines and columns of the table that are not summed.

    Returns
    -------
    Tensor of float32[s]
    """
    import torch

    lines, columns = (None, None) if left_out is None else map(torch.from_numpy, left_out)
    found: Tensor = _log_sums_function()(states, vectors, biases, lines, columns)
    return found


def multinomial_loss(states: Tensor, vectors: Tensor, biases: Tensor, wanted: Tensor) -> Tensor:
    """`softmax_loss` over a whole catalog, for states of many targets each: one table, no list.

    Parameters
    ----------
    states : Tensor of float32[s, d]
    vectors, biases : Tensor of float32[m, d], float32[m]
    wanted : Tensor of float32[s, m]
        1 at the targets of a state, 0 elsewhere; at least one 1.
    """
    found: Tensor = _multinomial_function()(states, vectors, biases, wanted)
    return found


def dropped(numbers: Tensor, share: float) -> Tensor:
    """Numbers of which a random share is 0, the others larger for it, so that a sum stays.

    The share is rounded to 256ths: one byte is drawn for each number. PyTorch draws eight times as
    much, which costs more than the layer behind it.
    """
    import torch

    lost = round(BYTE * share)
    if lost <= 0:
        return numbers
    n = numbers.numel()
    words = torch.empty(-(-n // 8), dtype=torch.int64).random_(-(2**63), None)
    drawn = words.view(torch.uint8)[:n].view(numbers.shape)
    return numbers * (drawn >= lost).to(numbers.dtype).mul_(BYTE / max(BYTE - lost, 1))


def _equal_pairs(left: Int64Array, right: Int64Array) -> tuple[Int64Array, Int64Array]:
    """All i, j with ``left[i] == right[j]``.

    Examples
    --------
    >>> [found.tolist() for found in _equal_pairs(np.array([5, 7, 2]), np.array([2, 5, 2, 9]))]
    [[0, 2, 2], [1, 0, 2]]
    """
    order = np.argsort(right, kind="stable")
    ordered = right[order]
    first = np.searchsorted(ordered, left, side="left")
    n = np.searchsorted(ordered, left, side="right") - first
    return np.repeat(np.arange(len(left)), n), order[ragged_positions(first, n)]


@cache
def _log_sums_function() -> Any:
    """Its forward and backward pass, as PyTorch wants them."""
    import torch

    class LogSums(torch.autograd.Function):  # type: ignore[misc]  # no stubs without the extra
        @staticmethod
        def forward(
            ctx: Any,
            states: Tensor,
            vectors: Tensor,
            biases: Tensor,
            lines: Tensor | None,
            columns: Tensor | None,
        ) -> Tensor:
            scores = torch.addmm(biases, states, vectors.T)
            if lines is not None and columns is not None:
                scores[lines, columns] = NEVER
            shares = torch.softmax(scores, dim=1)
            ctx.save_for_backward(states, vectors, shares)
            # The largest share is exp(largest score - the sum's logarithm), and never 0.
            return scores.amax(dim=1) - shares.amax(dim=1).log_()

        @staticmethod
        def backward(ctx: Any, slope: Tensor) -> Any:
            states, vectors, shares = ctx.saved_tensors
            by_state = slope[:, None] * (shares @ vectors)
            return by_state, shares.T @ (slope[:, None] * states), shares.T @ slope, None, None

    return LogSums.apply


@cache
def _multinomial_function() -> Any:
    """Its forward and backward pass, as PyTorch wants them."""
    import torch

    class Multinomial(torch.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(
            ctx: Any, states: Tensor, vectors: Tensor, biases: Tensor, wanted: Tensor
        ) -> Tensor:
            scores = torch.addmm(biases, states, vectors.T)
            targets = wanted.sum(dim=1)
            right = torch.dot(scores.view(-1), wanted.view(-1))
            shares = torch.softmax(scores, dim=1)
            below = scores.amax(dim=1) - shares.amax(dim=1).log_()
            n = targets.sum()
            # What a score is too high by; a gradient is a product with it.
            error = shares.mul_(targets[:, None]).sub_(wanted).div_(n)
            ctx.save_for_backward(states, vectors, error)
            return (torch.dot(targets, below) - right) / n

        @staticmethod
        def backward(ctx: Any, slope: Tensor) -> Any:
            states, vectors, error = ctx.saved_tensors
            by_state = slope * (error @ vectors)
            return by_state, slope * (error.T @ states), slope * error.sum(dim=0), None

    return Multinomial.apply
