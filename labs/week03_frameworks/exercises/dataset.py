"""A data set of your own

Between pictures in memory and a network stands a Dataset. It knows how many examples there are and
hands out any of them, each a picture with its label; torch's DataLoader draws the order, asks for
the examples of a batch, and stacks them.

Training pictures are changed a little each time they are handed out: moved, mirrored. That makes
many pictures of one, and it is for training only: what the network is measured with stays as it is.
In many a project it does not, because validation and training share one Dataset, or the arrays.

Asked for one example after the other, Python is slower than the network. So the DataLoader asks for
a whole batch at once where a Dataset has the method

    __getitems__(indices) = [self[i] for i in indices]

and you write it so that the pictures are picked in one indexing operation and changed in one call.
---
minutes: 25
difficulty: 2
hints:
  - >-
    An index into a tensor may be a number (one picture, a view of the same memory), or a list or a
    tensor of numbers (a batch, which is a copy). `augment` takes a batch and may write into what it
    gets: which of the two may it have?
  - >-
    Write __getitems__ first: pick pixels and labels, augment the pixels if there is something to
    augment with, and make a list of pairs: list(zip(pixels, labels)). One example is then a batch
    of one: its first pair.
  - >-
    pixels = self.pixels[indices]; if self.augment is not None: pixels = self.augment(pixels). And
    plain() makes a second data set from the same tensors: PictureDataset(self.pixels, self.labels).
    To set self.augment = None and return self would end the augmentation of the training, too.
reading:
  - "PyTorch documentation: torch.utils.data, map-style datasets"
  - "Shorten, Khoshgoftaar: A survey on image data augmentation for deep learning (2019)"
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.utils.data import Dataset


class PictureDataset(Dataset[tuple[Tensor, Tensor]]):
    """Pictures in memory with their labels. The tensors are never copied as a whole nor changed.

    Args:
        pixels: uint8 (N, C, H, W).
        labels: int64 (N,).
        augment: random changes to a batch of pictures, uint8 (B, C, H, W) -> (B, C, H, W); it may
            write into the batch that it gets. None: the pictures stay as they are.
    """

    def __init__(
        self, pixels: Tensor, labels: Tensor, augment: Callable[[Tensor], Tensor] | None = None
    ) -> None:
        # solution
        self.pixels, self.labels, self.augment = pixels, labels, augment
        # end of solution

    def __len__(self) -> int:
        """How many pictures there are, N."""
        # solution
        return len(self.labels)
        # end of solution

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """One picture, augmented, with its label: uint8 (C, H, W) and int64 ().

        It has memory of its own: whoever writes into it changes nothing here. Raises IndexError
        past the end, so that `for picture, label in dataset` comes to one.
        """
        # solution
        [example] = self.__getitems__([index])
        return example
        # end of solution

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
        """The examples of a batch in this order, picked at once and augmented at once."""
        # solution
        picked = torch.as_tensor(indices)
        # Copies; on bytes, index_select is 15 times as fast as pixels[picked]
        pixels, labels = self.pixels.index_select(0, picked), self.labels.index_select(0, picked)
        if self.augment is not None:
            pixels = self.augment(pixels)
        return list(zip(pixels, labels, strict=True))
        # end of solution

    def plain(self) -> PictureDataset:
        """A second data set of the same pictures as they are: to measure with, to look at.

        It shares the tensors; this one goes on augmenting.
        """
        # solution
        return PictureDataset(self.pixels, self.labels)
        # end of solution
