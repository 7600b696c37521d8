"""Batches of data that lies in memory: the whole batch is indexed and augmented at once.

Reading one example at a time in Python is what makes small data sets slow; here a batch is one
indexing operation on a tensor. `bench/loader.py` measures the difference.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Generator, Tensor
from torch import distributed as dist

Augment = Callable[[Tensor, Generator], Tensor]  # (B, …) -> (B, …)


class EpochSampler:
    """The order of the examples in each epoch, a function of the seed and the epoch alone.

    Lightning calls `set_epoch` before each epoch. With several processes (torch.distributed) each
    takes every world-size-th example when shuffling, all of them as many, which training needs, by
    repeating a few. Unshuffled data is not divided: every process sees each example once, so that
    validation and test metrics are exact without any exchange.
    """

    def __init__(self, count: int, seed: int, shuffle: bool) -> None:
        self.count, self.seed, self.shuffle = count, seed, shuffle
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order comes next."""
        self.epoch = epoch

    def indices(self) -> Tensor:
        """This process' examples in their order: int64 (n,)."""
        if not self.shuffle:
            return torch.arange(self.count)
        rank, world = _rank(), _world()
        order = torch.randperm(self.count, generator=generator(self.seed, self.epoch))
        missing = -self.count % world
        return torch.cat([order, order[:missing]])[rank::world]

    def __iter__(self) -> Iterator[int]:
        return iter(self.indices().tolist())

    def __len__(self) -> int:
        return math.ceil(self.count / _world()) if self.shuffle else self.count


class BatchLoader:
    """Iterates over tuples of batches of tensors that share their first axis.

    Args:
        tensors: each (N, …), such as pixels uint8 (N, C, H, W) and labels int64 (N,).
        batch_size: examples a batch; the last batch holds what is left. None: all in one batch.
        seed: of the order and of the augmentation.
        shuffle: a new order in each epoch; otherwise the data set's own.
        augment: applied one after the other to the first tensor's batch. The random numbers they
            get depend on seed, epoch, batch and process alone, so a resumed run sees the same.
    """

    batch_sampler = None  # where Lightning looks for one, as in a DataLoader

    def __init__(
        self,
        tensors: Sequence[Tensor],
        batch_size: int | None,
        seed: int = 0,
        shuffle: bool = False,
        augment: Sequence[Augment] = (),
    ) -> None:
        self.tensors = tuple(tensors)
        self.sampler = EpochSampler(len(self.tensors[0]), seed, shuffle)
        self.batch_size = batch_size or max(1, self.sampler.count)
        self.augment = tuple(augment)

    def __len__(self) -> int:
        return math.ceil(len(self.sampler) / self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        for number, ids in enumerate(torch.split(self.sampler.indices(), self.batch_size)):
            # Not tensor[ids]: that copies one element at a time, and is 15 times slower on bytes.
            first, *others = (tensor.index_select(0, ids) for tensor in self.tensors)
            if self.augment:
                random = generator(self.sampler.seed, self.sampler.epoch, number, _rank())
                for step in self.augment:
                    first = step(first, random)
            yield (first, *others)


def generator(*numbers: int) -> Generator:
    """A random generator whose stream depends on all of these numbers (each 0 or more).

    Not seed + epoch: then epoch 1 of seed 0 would be epoch 0 of seed 1.
    """
    key = (len(numbers), *numbers)  # NumPy takes (1, 0) for (1,)
    state = np.random.SeedSequence(key).generate_state(1, np.uint64)[0]
    return Generator().manual_seed(int(state))


def _rank() -> int:
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def _world() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1
