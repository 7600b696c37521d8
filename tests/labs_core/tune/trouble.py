"""Week 1's module with misfortunes: what a trial does is said by its ridge penalty.

`module._target_=tests.labs_core.tune.trouble.Trouble` puts it in. Its metric is val/own, the ridge
plus 1/epoch. Every epoch that is trained is a line `ridge epoch pid` in LABS_RUNS/epochs.txt.
"""

from __future__ import annotations

import math
import os
import signal
import time
from pathlib import Path

import torch

from labs.week01_linear_regression.model import LinearRegression
from labs_core.errors import LabsError
from labs_core.paths import runs_dir

SLOW = 0.05  # seconds an epoch


class Trouble(LinearRegression):
    def on_train_epoch_start(self) -> None:
        super().on_train_epoch_start()
        with (runs_dir() / "epochs.txt").open("a") as file:
            file.write(f"{self.ridge:g} {self.current_epoch} {os.getpid()}\n")
        befall(int(self.ridge), self.current_epoch)

    def on_validation_epoch_end(self) -> None:
        wrong = int(self.ridge) == 104 and self.current_epoch > 0
        self.log("val/own", math.nan if wrong else self.ridge + 1 / (1 + self.current_epoch))


def befall(kind: int, epoch: int) -> None:
    match kind:
        case 101 if epoch == 1:
            raise LabsError("The sky fell", "it was old", "Look up.")
        case 102 if epoch == 1:
            print("before the end", flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        case 103 if epoch == 1:
            time.sleep(600)
        case 105:
            raise RuntimeError("a fault\nof two lines")
        case 106 if epoch == 2 and not (once := Path(runs_dir() / "once")).exists():
            once.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        case 107:
            os.environ["LEFT_BEHIND"] = "1"
            torch.set_default_dtype(torch.float64)
            torch.manual_seed(epoch)
        case low if low < 100:
            time.sleep(SLOW)
