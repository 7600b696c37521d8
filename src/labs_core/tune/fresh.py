"""Each trial finds its process as the first one did, though many have been there before it."""

from __future__ import annotations

import gc
import os
import random
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def as_if_new() -> Iterator[None]:
    """Undo what a trial changes in its process: random states, switches, environment, garbage.

    Weights, order and augmentation need none of this: they are drawn from the trial's own seed. It
    is for what a lab draws or sets without being asked.
    """
    environment, folder, path = dict(os.environ), os.getcwd(), list(sys.path)
    chance = random.getstate(), np.random.get_state(), torch.get_rng_state()
    dtype, errors = torch.get_default_dtype(), np.geterr()
    gradients = torch.is_grad_enabled()
    exact = torch.are_deterministic_algorithms_enabled()
    exact_or_warn = torch.is_deterministic_algorithms_warn_only_enabled()
    benchmark = torch.backends.cudnn.benchmark
    try:
        with warnings.catch_warnings():
            yield
    finally:
        random.setstate(chance[0])
        np.random.set_state(chance[1])
        torch.set_rng_state(chance[2])
        torch.set_default_dtype(dtype)
        np.seterr(**errors)
        torch.set_grad_enabled(gradients)
        torch.use_deterministic_algorithms(exact, warn_only=exact_or_warn)
        torch.backends.cudnn.benchmark = benchmark
        _restore_environment(environment)
        os.chdir(folder)
        sys.path[:] = path
        gc.collect()
        gc.freeze()  # what is left stays: the next collection need not look through all of torch
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            torch.cuda.empty_cache()


def _restore_environment(before: dict[str, str]) -> None:
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    for name, value in before.items():
        if os.environ.get(name) != value:
            os.environ[name] = value
