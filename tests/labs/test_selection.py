"""What a run chooses (the best epoch, and so the weights) it chooses without the test split.

A run of each lab is watched until its weights are chosen; every operation of torch or NumPy that
reads a value of a test split is seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from labs_core import catalog
from labs_core.train import run, work

HARMLESS = {"__get__", "__len__", "size", "dim"}  # __get__: shape, dtype, device


class Watched(torch.Tensor):
    """A tensor that tells of each operation on it."""

    seen: list[str] = []  # noqa: RUF012 - tensors are made by torch: there is no place in each

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func.__name__ not in HARMLESS:
            cls.seen.append(func.__name__)
        with torch._C.DisableTorchFunctionSubclass():
            return func(*args, **kwargs or {})


class WatchedArray(np.ndarray):
    """The same of NumPy."""

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        Watched.seen.append(ufunc.__name__)
        plain = [np.asarray(x) if isinstance(x, WatchedArray) else x for x in inputs]
        return getattr(ufunc, method)(*plain, **kwargs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        Watched.seen.append(func.__name__)
        return super().__array_function__(func, types, args, kwargs)

    def __getitem__(self, index: Any) -> Any:
        Watched.seen.append("__getitem__")
        return np.asarray(self)[index]


class WeightsChosenError(Exception):
    """The run has come to the end of what is watched."""


def data_sets_in(data: Any) -> Iterator[pl.LightningDataModule]:
    """The data set itself, or those that a lab's datamodule is made of."""
    if "splits" in vars(data):
        yield data
    for part in vars(data).values():
        if isinstance(part, pl.LightningDataModule):
            yield from data_sets_in(part)


def watch_split(split: Any) -> Any:
    """The same split, its tensors or arrays watched."""
    parts = [
        part.as_subclass(Watched) if isinstance(part, torch.Tensor) else part.view(WatchedArray)
        for part in split
    ]
    return type(split)(*parts) if hasattr(split, "_fields") else tuple(parts)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The data of the next run, its test splits watched; the run ends with its choice."""
    built: list[Any] = []
    build_data = work.build_data

    def watch(config: Any) -> Any:
        data = build_data(config)
        for part in data_sets_in(data):
            part.splits["test"] = watch_split(part.splits["test"])
            built.append(part)
        Watched.seen.clear()
        return data

    def end(config: Any) -> Any:
        raise WeightsChosenError

    monkeypatch.setattr(work, "build_data", watch)
    monkeypatch.setattr(work, "make_evaluator", end)
    return built


@pytest.mark.parametrize("lab", list(catalog.labs()))
def test_the_weights_are_chosen_without_the_test_split(
    lab: str, watched: list[Any], home: Path
) -> None:
    with pytest.raises(WeightsChosenError):
        run.start(lab, ["tracking=off"], "smoke")

    assert list(home.rglob("best.ckpt")), "an epoch was chosen"
    assert Watched.seen == []

    for batch in watched[0].test_dataloader():
        assert [len(part[:1]) for part in batch]
    assert Watched.seen, "the watch sees a reader of the test split"
