"""The far end of `--launcher ray`: an actor on some node, with a warm process that runs trials.

The trial is not run in the actor itself but in a process of the local launcher, so that all is as
on one machine: its own log, its time limit, and a crash that ends the trial and not the actor.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path

from labs_core.tune.launcher import Event, TrialSpec
from labs_core.tune.local import LocalLauncher


class Worker:
    """A place for one trial at a time.

    Args:
        threads: of torch.
        environment: variables of the sweep's process to be set here.
        folder: the sweep's; both sides must see it.
    """

    def __init__(self, threads: int, environment: Mapping[str, str], folder: str) -> None:
        os.environ.update(environment)
        self._threads, self._folder = threads, Path(folder)

    def look(self) -> tuple[str, bool]:
        """The machine's name, and whether the sweep's folder can be seen from it; then it begins
        to warm up."""
        sees = (self._folder / "sweep.json").is_file()
        if sees:
            self._pool = LocalLauncher(1, self._threads)
        return socket.gethostname(), sees

    def submit(self, trial: TrialSpec) -> None:
        """Begin a trial."""
        self._pool.submit(trial)

    def answer(self, number: int, prune: bool) -> None:
        """Answer its last report."""
        self._pool.answer(number, prune)

    def next_event(self, patience: float) -> Event | None:
        """What happened next; None where nothing did for so many seconds."""
        return self._pool.next_event(patience)
