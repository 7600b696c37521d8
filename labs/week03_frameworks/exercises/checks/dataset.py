"""The data set against the tensors that it was made of, and torch's DataLoader on both."""

from __future__ import annotations

from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from labs_core.learn.tutor import Tutor, show

VIEW = "pixels[index] is a view of the memory that all share: hand out a copy"


def check_length(tutor: Tutor) -> None:
    """how many pictures there are"""
    for count in (1, 3, 0):
        pixels, labels = pictures(count, channels=2)
        dataset = tutor.ask("PictureDataset", pixels, labels)
        tutor.equal(
            tutor.call(f"with {_many(count)}, dataset.__len__", dataset.__len__),
            count,
            causes={
                "the first axis of the pixels counts pictures, the second channels": lambda: 2,
                "one less: this is the number of the last one": lambda c=count: c - 1,
                "the numbers of all pixels: count pictures": lambda p=pixels: p.numel(),
            },
        )


def check_example(tutor: Tutor) -> None:
    """each picture with its label"""
    for count, channels in [(1, 1), (2, 1), (3, 2)]:
        pixels, labels = pictures(count, channels)
        dataset = tutor.ask("PictureDataset", pixels, labels)
        for index in range(count):
            name = f"with {_many(count)}, dataset.__getitem__"
            got = _pair(tutor, tutor.call(name, dataset.__getitem__, index))
            _require(
                tutor,
                got,
                (pixels[index], labels[index]),
                {
                    "another picture than was asked for": lambda p=pixels, i=index: p[i - 1],
                    "a batch of one; the picture itself is (C, H, W)": (
                        lambda p=pixels, i=index: p[[i]]
                    ),
                    "the channels stay first: (C, H, W)": (
                        lambda p=pixels, i=index: p[i].permute(1, 2, 0)
                    ),
                    "the pixels stay 0 … 255: scaling is left to the network": (
                        lambda p=pixels, i=index: p[i] / 255
                    ),
                },
            )


def check_end(tutor: Tutor) -> None:
    """`for picture, label in dataset` comes to an end"""
    pixels, labels = pictures(3)
    dataset = tutor.ask("PictureDataset", pixels, labels)
    cause = "let the tensor's own IndexError pass: no try, no index % N"
    try:
        seen = len([*islice(iter(dataset[i] for i in range(99)), 99)])
    except IndexError:
        seen = 3
    except Exception as error:
        tutor.fail("an IndexError from dataset[3] of 3 pictures", repr(error), cause)
    tutor.holds(seen == 3, "an IndexError from dataset[3] of 3 pictures", "a picture", cause)


def check_batch(tutor: Tutor) -> None:
    """the examples of a batch, in the order that is asked for"""
    for count, indices in [(1, [0]), (3, [2]), (3, [2, 1]), (4, [2, 0, 2]), (5, [4, 3, 1])]:
        pixels, labels = pictures(count)
        dataset = tutor.ask("PictureDataset", pixels, labels)
        name = f"with {_many(count)}, dataset.__getitems__"
        got = _pairs(tutor, tutor.call(name, dataset.__getitems__, indices), len(indices))
        first = [*range(len(indices))]
        _require(
            tutor,
            (torch.stack([p for p, _ in got]), torch.stack([torch.as_tensor(t) for _, t in got])),
            (pixels[indices], labels[indices]),
            {
                "the first pictures, whatever is asked for": lambda p=pixels, f=first: p[f],
                "in order: keep the order that is asked for": (
                    lambda p=pixels, i=indices: p[sorted(i)]
                ),
                "the first one again and again": lambda p=pixels, i=indices: p[[i[0]] * len(i)],
            },
            what="all of them stacked, ",
        )


def check_augmented(tutor: Tutor) -> None:
    """the pictures are augmented, one by one and in a batch"""
    pixels, labels = pictures(3)
    shapes: list[tuple[int, ...]] = []

    def brighten(batch: Tensor) -> Tensor:
        shapes.append(tuple(batch.shape))
        return batch + 100

    dataset = tutor.ask("PictureDataset", pixels, labels, augment=brighten)
    early = "made once and for all: it is to be another one each time"
    tutor.holds(not shapes, "no augmentation before a picture is asked for", "one", early)
    for index in (0, 2):
        got = tutor.call("dataset.__getitem__", dataset.__getitem__, index)
        if shapes and len(shapes[-1]) != 4:
            cause = "`augment` takes a batch: make one of a single picture, and unpack it again"
            tutor.fail("augment called with (1, 1, 2, 2)", f"called with {shapes[-1]}", cause)
        _require(
            tutor, _pair(tutor, got), (pixels[index] + 100, labels[index]), _causes(pixels[index])
        )
    got = tutor.call("dataset.__getitems__", dataset.__getitems__, [2, 0])
    for (picture, label), index in zip(_pairs(tutor, got, 2), [2, 0], strict=True):
        _require(
            tutor,
            (picture, label),
            (pixels[index] + 100, labels[index]),
            _causes(pixels[index]),
            what=f"of picture {index}, ",
        )


def check_at_once(tutor: Tutor) -> None:
    """a batch is augmented in one call, anew each time"""
    pixels, labels = pictures(6)
    calls: list[tuple[int, ...]] = []

    def numbered(batch: Tensor) -> Tensor:
        """Adds how often it was called."""
        calls.append(tuple(batch.shape))
        return batch + len(calls)

    dataset = tutor.ask("PictureDataset", pixels, labels, augment=numbered)
    for time in (1, 2, 3):
        got = tutor.call("dataset.__getitems__", dataset.__getitems__, [5, 0, 1, 4])
        if len(calls) != time:
            cause = "one call for each picture is slow: pick the batch, then augment it"
            if len(calls) < time:
                cause = "the last batch's answer again: draw anew each time"
            tutor.fail("one call of augment, with (4, 1, 2, 2)", f"calls with {calls}", cause)
        tutor.equal(calls[-1], (4, 1, 2, 2), what="augment called with a batch of the shape")
        for (picture, label), index in zip(_pairs(tutor, got, 4), [5, 0, 1, 4], strict=True):
            _require(tutor, (picture, label), (pixels[index] + time, labels[index]), {})


def check_unchanged(tutor: Tutor) -> None:
    """the pictures in memory stay as they are, whoever writes into what was handed out"""

    def darken(batch: Tensor) -> Tensor:
        return batch.zero_()

    for augment in (None, darken):
        pixels, labels = pictures(3)
        before = pixels.clone(), labels.clone()
        dataset = tutor.ask("PictureDataset", pixels, labels, augment=augment)
        who = "the caller" if augment is None else "augment"
        for name, index in [("__getitem__", 1), ("__getitems__", [0, 2]), ("__getitems__", [1])]:
            got = tutor.call(f"dataset.{name}", getattr(dataset, name), index)
            for picture, _ in [got] if name == "__getitem__" else _pairs(tutor, got, len(index)):
                if augment is None:
                    picture.zero_()
            for place, (picture, was) in enumerate(zip(pixels, before[0], strict=True)):
                tutor.holds(
                    torch.equal(picture, was),
                    f"pixels[{place}] as it was: {show(was)}",
                    show(picture),
                    f"{who} wrote into a picture that was handed out. {VIEW}",
                )
            tutor.equal(labels, before[1], what="the labels as they were,")


def check_shared(tutor: Tutor) -> None:
    """the pictures are in memory once"""
    pixels, labels = pictures(3)
    dataset = tutor.ask("PictureDataset", pixels, labels)
    pixels[1] = 7
    got, _ = _pair(tutor, tutor.call("dataset.__getitem__", dataset.__getitem__, 1))
    cause = "a second copy of all pictures: CIFAR-10 would be in memory twice"
    tutor.equal(
        got,
        pixels[1],
        causes={cause: lambda: pictures(3)[0][1]},
        what="after pixels[1] = 7, the picture",
    )


def check_validation(tutor: Tutor) -> None:
    """no augmentation leaks into a second data set, even of the same pictures"""

    def darken(batch: Tensor) -> Tensor:
        return batch.zero_()

    pixels, labels = pictures(4)
    right = pixels.clone()
    before = tutor.ask("PictureDataset", pixels, labels)
    training = tutor.ask("PictureDataset", pixels, labels, augment=darken)
    after = tutor.ask("PictureDataset", pixels, labels)
    shared = "`augment` belongs to each data set: keep it in self, not in the class"
    for _ in range(2):
        got = tutor.call("training.__getitems__", training.__getitems__, [0, 1, 2, 3])
        for picture, _ in _pairs(tutor, got, 4):
            tutor.holds(
                not picture.any(),
                "black pictures, as augment makes them",
                show(picture),
                "`augment` was lost when another data set was made without: keep it in self",
            )
        for validation in (before, after):
            for index in range(4):
                got = tutor.call("validation.__getitem__", validation.__getitem__, index)
                tutor.equal(
                    _pair(tutor, got)[0],
                    right[index],
                    causes={shared: lambda i=index: 0 * right[i]},
                    what="without augment,",
                )


def check_plain(tutor: Tutor) -> None:
    """plain() is a second data set without augmentation, and the first goes on"""

    def brighten(batch: Tensor) -> Tensor:
        return batch + 100

    pixels, labels = pictures(3)
    training = tutor.ask("PictureDataset", pixels, labels, augment=brighten)
    plain = tutor.call("training.plain", training.plain)
    if not isinstance(plain, tutor.mine.PictureDataset):
        cause = "is there a `return`?" if plain is None else ""
        tutor.fail("a PictureDataset", type(plain).__name__, cause)
    tutor.equal(tutor.call("training.plain().__len__", plain.__len__), 3)
    for index in range(3):
        got = tutor.call("training.plain().__getitem__", plain.__getitem__, index)
        _require(
            tutor,
            _pair(tutor, got),
            (pixels[index], labels[index]),
            {"it still augments": lambda i=index: pixels[i] + 100},
        )
        got = tutor.call("and after plain(), training.__getitem__", training.__getitem__, index)
        _require(
            tutor,
            _pair(tutor, got),
            (pixels[index] + 100, labels[index]),
            {
                "plain() has ended the training's augmentation: make a second data set": (
                    lambda i=index: pixels[i]
                )
            },
        )
    pixels[0] = 7
    got, _ = _pair(tutor, tutor.call("training.plain().__getitem__", plain.__getitem__, 0))
    cause = "it has copied all pictures: let both share the tensors"
    tutor.equal(
        got,
        pixels[0],
        causes={cause: lambda: pictures(3)[0][0]},
        what="after pixels[0] = 7, the picture",
    )


def check_loader(tutor: Tutor) -> None:
    """torch's DataLoader makes the batches that it makes of a TensorDataset"""
    pixels, labels = pictures(7, channels=3)
    dataset = tutor.ask("PictureDataset", pixels, labels)
    theirs = TensorDataset(pixels, labels)
    for shuffle in (False, True):
        expected = _batches(theirs, shuffle)
        for _ in range(2):
            got = tutor.call(
                "the batches of DataLoader(dataset, …)",
                lambda batch_size, shuffle: _batches(dataset, shuffle, batch_size),
                batch_size=3,
                shuffle=shuffle,
            )
            tutor.equal(len(got), len(expected), what="the number of batches")
            for number, (mine, right) in enumerate(zip(got, expected, strict=True)):
                _require(tutor, tuple(mine), right, {}, what=f"of batch {number}, ")


def pictures(count: int, channels: int = 1) -> tuple[Tensor, Tensor]:
    """Pictures of 2 × 2 pixels, of which no two are alike, and their labels."""
    pixels = torch.arange(count * channels * 4).view(count, channels, 2, 2) + 10
    return pixels.to(torch.uint8), torch.arange(count) * 7 % 5


def _many(count: int) -> str:
    return "1 picture" if count == 1 else f"{count} pictures"


def _batches(dataset: Any, shuffle: bool, batch_size: int = 3) -> list[Any]:
    generator = torch.Generator().manual_seed(0)
    return [*DataLoader(dataset, batch_size, shuffle=shuffle, generator=generator)]


def _pair(tutor: Tutor, got: Any) -> tuple[Any, Any]:
    """Require a picture and a label."""
    if not (isinstance(got, tuple) and len(got) == 2):
        cause = "is there a `return`?" if got is None else "return picture, label"
        what = show(got) if isinstance(got, Tensor) else repr(got)
        tutor.fail("a pair: the picture and its label", what, cause)
    return got


def _pairs(tutor: Tutor, got: Any, count: int) -> list[Any]:
    """Require a list with a picture and a label for each example."""
    wanted = f"[(picture, label), …], as many as asked for: {count}"
    if not isinstance(got, list):
        cause = "a pair for each example: list(zip(pixels, labels))"
        if got is None:
            cause = "is there a `return`?"
        elif hasattr(got, "__next__"):
            cause = "zip can be read only once, and not be counted: make a list of it"
        tutor.fail(wanted, f"a {type(got).__name__}: {show(got)}", cause)
    fits = len(got) == count and all(isinstance(each, tuple) and len(each) == 2 for each in got)
    if not fits:
        lengths = [len(each) for each in got if hasattr(each, "__len__")]
        cause = "one pair for each example that is asked for, not all pictures and all labels"
        tutor.fail(wanted, f"a list of {len(got)}, whose members have {lengths} members", cause)
    return got


def _causes(picture: Tensor) -> dict[str, Any]:
    return {
        "it is not augmented": lambda: picture,
        "it is augmented twice": lambda: picture + 200,
    }


def _require(
    tutor: Tutor, got: tuple[Any, Any], right: tuple[Tensor, Tensor], causes: Any, what: str = ""
) -> None:
    """Require this picture, uint8, and this label."""
    picture, label = got
    tutor.equal(picture, right[0], causes=causes, what=f"{what}the picture")
    kind = getattr(picture, "dtype", type(picture).__name__)
    cause = "pixels stay bytes, a quarter of float32's memory: the network converts them"
    tutor.holds(kind == torch.uint8, "a picture of torch.uint8", f"one of {kind}", cause)
    tutor.equal(
        label,
        right[1],
        causes={"the label of another picture": lambda: label},  # the picture was right
        what=f"{what}the label",
    )
