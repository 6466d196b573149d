"""The loop that all networks are trained by, and their loss. PyTorch is imported when it is used."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from recommender.engine.neural.batches import Sampler, shuffled_batches
from recommender.engine.types import Float32Array, Int64Array

if TYPE_CHECKING:
    from torch import Tensor

WARM_UP = 0.05
"""Share of the steps in which the learning rate rises."""

TABLE_RATE = 10.0
"""A line is changed in few of the steps, a weight in all: so much larger is a line's change."""

ADAM = (0.9, 0.999)
"""How much of the mean gradient, and of its mean square, a step keeps."""

OnEpoch = Callable[[int, float], None]


@dataclass(frozen=True, slots=True)
class Schedule:
    """How a network is trained.

    Attributes
    ----------
    epochs : int
        Passes over the training part; more where they come to fewer than `min_steps` steps.
    batch_size : int
        Histories in a step.
    learning_rate : float
        Its peak; it rises from 0 and falls to 0 again, both linearly.
    dropout : float in 0..1
    negatives : int
        Items that a step is held against. A catalog of up to twice as many is used whole.
    negative_exponent : float
        Of an item's popularity, when these are drawn.
    min_steps : int
        A small shop's epoch is a handful of steps, and no network learns from a handful.
    max_steps : int or None
        However much there is to learn from: it bounds what a fit costs, and by no clock, so that
        it is the same on a slow machine. What is left out of the last pass is so by chance.
    seed : int
    """

    epochs: int
    batch_size: int
    learning_rate: float
    dropout: float
    negatives: int
    negative_exponent: float = 0.75
    min_steps: int = 300
    max_steps: int | None = None
    seed: int = 0


@contextmanager
def reproducible(seed: int) -> Iterator[None]:
    """One thread and a seed of its own for PyTorch: the same numbers, on the same machine.

    Threads add up in whatever order they end, so several would give other last digits each time.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(threads)


def new_weights(*shape: int) -> Tensor:
    """Weights of a linear layer that keeps the length of what it is given, about."""
    import torch

    return torch.nn.init.xavier_uniform_(torch.empty(*shape)).requires_grad_()


def constants(value: float, n: int) -> Tensor:
    """Numbers that begin equal, to be learned."""
    import torch

    return torch.full((n,), value).requires_grad_()


def array_of(tensor: Tensor) -> Float32Array:
    """What was learned."""
    return np.ascontiguousarray(tensor.detach().numpy(), np.float32)


class Table:
    """A line of numbers for every item, of which a step reads and changes only a few.

    Adam over the whole table would cost more than all the rest of a step in a large catalog. So a
    line has its own moments and its own count of steps, and one that wasn't read stays as it is.

    Parameters
    ----------
    n, width : int
    zeros : int
        So many of the last columns begin at 0; the others are random, of length about 1 together.
    """

    def __init__(self, n: int, width: int, *, zeros: int = 0) -> None:
        import torch

        self._lines = torch.zeros(n, width)
        self._lines[:, : width - zeros] = torch.randn(n, width - zeros) / np.sqrt(width - zeros)
        self._first = torch.zeros(n, width)
        self._second = torch.zeros(n, width)
        self._steps = torch.zeros(n, 1)
        self._rows: Tensor | None = None
        self._read: Tensor | None = None

    def read(self, rows: Int64Array) -> Tensor:
        """Some lines, each at most once; a gradient that reaches them is used by `step`."""
        import torch

        self._rows = torch.from_numpy(rows)
        self._read = self._lines.index_select(0, self._rows).requires_grad_()
        return self._read

    def step(self, rate: float) -> None:
        """One step of Adam for what was read last."""
        rows, read = self._rows, self._read
        assert rows is not None
        assert read is not None
        gradient = read.grad
        decay_1, decay_2 = ADAM
        steps = self._steps.index_select(0, rows).add_(1)
        first = self._first.index_select(0, rows).lerp_(gradient, 1 - decay_1)
        second = self._second.index_select(0, rows).mul_(decay_2)
        second.addcmul_(gradient, gradient, value=1 - decay_2)
        for table, lines in ((self._steps, steps), (self._first, first), (self._second, second)):
            table.index_copy_(0, rows, lines)
        size = second.div_(1 - decay_2**steps).sqrt_().add_(1e-8)
        change = first.mul_(rate / (1 - decay_1**steps)).div_(size)
        self._lines.index_copy_(0, rows, read.detach() - change)

    def learned(self) -> Float32Array:
        """All lines as they are now."""
        return array_of(self._lines)


@dataclass(frozen=True, slots=True)
class Lesson:
    """The items that a step reads or is held against; all positions are lines of `vectors`.

    Attributes
    ----------
    vectors, biases : Tensor of float32[k, d], float32[k]
    read : Tensor of int64, or None
        Any shape.
    targets : Tensor of int64[t]
    drawn : Tensor of int64[negatives], or None
        None: the targets are held against all items, and `vectors` holds all.
    rarity : Tensor of float32[k], or None
        The logarithm of how often each is drawn.
    """

    vectors: Tensor
    biases: Tensor
    read: Tensor
    targets: Tensor
    drawn: Tensor | None = None
    rarity: Tensor | None = None


class Catalog:
    """The vectors and biases of all items, while they are learned.

    Parameters
    ----------
    counts : int[m]
        Interactions of every item.
    factors : int
        Length of the vectors.
    schedule : Schedule
        A catalog of more than twice its `negatives` is held against drawn items.
    """

    def __init__(self, counts: npt.NDArray[np.integer], factors: int, schedule: Schedule) -> None:
        self.table = Table(len(counts), factors + 1, zeros=1)
        self._factors = factors
        self._all = np.arange(len(counts), dtype=np.int64)
        self._sampler: Sampler | None = None
        if len(counts) > 2 * schedule.negatives:
            self._sampler = Sampler(
                np.maximum(counts, 1),
                size=schedule.negatives,
                exponent=schedule.negative_exponent,
                seed=schedule.seed,
            )

    @property
    def whole(self) -> bool:
        """Whether every step is held against all items."""
        return self._sampler is None

    def lesson(self, read: Int64Array, targets: Int64Array) -> Lesson:
        """What a step needs that reads and foresees these items."""
        import torch

        d = self._factors
        if self._sampler is None:
            lines = self.table.read(self._all)
            given = torch.from_numpy(np.ascontiguousarray(read)), torch.from_numpy(targets)
            return Lesson(lines[:, :d], lines[:, d], *given)
        groups = (read.reshape(-1), targets, self._sampler.draw())
        rows, places = np.unique(np.concatenate(groups), return_inverse=True)
        ends = np.cumsum([len(group) for group in groups])
        lines = self.table.read(rows)
        mine, right, drawn = (torch.from_numpy(part) for part in np.split(places, ends[:-1]))
        rarity = torch.from_numpy(self._sampler.log_expected[rows])
        return Lesson(lines[:, :d], lines[:, d], mine.view(read.shape), right, drawn, rarity)

    def learned(self) -> tuple[Float32Array, Float32Array]:
        """Vectors and biases as they are now."""
        lines = self.table.learned()
        return np.ascontiguousarray(lines[:, :-1]), np.ascontiguousarray(lines[:, -1])


def optimise(
    weights: Sequence[Tensor],
    tables: Sequence[Table],
    loss_of: Callable[[Int64Array], Tensor],
    lengths: Int64Array,
    schedule: Schedule,
    on_epoch: OnEpoch | None = None,
) -> None:
    """Change weights and tables until what they foresee is what followed, by Adam.

    Parameters
    ----------
    weights : tensors that require a gradient
    tables : tables that every loss reads
    loss_of : function of the numbers of some histories
    lengths : int64[n]
        Of all histories: alike ones share a batch.
    schedule : Schedule
    on_epoch : function or None
        Told the number of the epoch, from 1, and its mean loss.

    Notes
    -----
    D. Kingma, J. Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015.
    """
    import torch

    optimiser: Any = torch.optim.Adam(weights, lr=0.0, betas=ADAM)
    rng = np.random.default_rng(schedule.seed)
    n_batches = -(-len(lengths) // schedule.batch_size)
    epochs = max(schedule.epochs, -(-schedule.min_steps // n_batches))
    total, step, epoch = epochs * n_batches, 0, 0
    if schedule.max_steps is not None:
        total = min(total, max(schedule.max_steps, 1))
    while step < total:
        epoch += 1
        losses: list[float] = []
        for numbers in shuffled_batches(lengths, batch_size=schedule.batch_size, rng=rng):
            step += 1
            rate = schedule.learning_rate * _share(step / total)
            optimiser.param_groups[0]["lr"] = rate
            optimiser.zero_grad(set_to_none=True)
            loss = loss_of(numbers)
            loss.backward()
            optimiser.step()
            for table in tables:
                table.step(TABLE_RATE * rate)
            losses.append(float(loss.detach()))
            if step == total:
                break
        if on_epoch is not None:
            on_epoch(epoch, float(np.mean(losses)))


def _share(progress: float) -> float:
    """Of the peak learning rate, after this share of the steps."""
    return min(progress / WARM_UP, (1 - progress) / (1 - WARM_UP))
