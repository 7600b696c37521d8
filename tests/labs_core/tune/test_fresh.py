"""A process after a trial is as it was before."""

from __future__ import annotations

import os
import random
import sys
import warnings

import numpy as np
import pytest
import torch

from labs_core.tune.fresh import as_if_new


def state() -> list[object]:
    return [
        random.getstate(),
        np.random.get_state()[1].tolist(),
        torch.get_rng_state().tolist(),
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
        torch.are_deterministic_algorithms_enabled(),
        np.geterr(),
        dict(os.environ),
        os.getcwd(),
        list(sys.path),
        len(warnings.filters),
    ]


def test_whatever_a_trial_leaves_behind_is_undone(tmp_path):
    before = state()

    def trial() -> None:
        random.random()
        np.random.seed(3)
        torch.manual_seed(3)
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        torch.use_deterministic_algorithms(True)
        np.seterr(all="ignore")
        os.environ["LEFT_BEHIND"] = "1"
        os.environ.pop("PATH", None)
        os.chdir(tmp_path)
        sys.path.insert(0, "somewhere")
        warnings.simplefilter("ignore")
        assert state() != before
        raise KeyError

    with pytest.raises(KeyError), as_if_new():
        trial()
    assert state() == before
