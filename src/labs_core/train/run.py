"""The life of a run: compose → data → fit → test → targets → export → log → report."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from omegaconf import DictConfig, OmegaConf

from labs_core import catalog
from labs_core.config.compose import Composed, compose
from labs_core.train import folder as run_folders
from labs_core.train.folder import RunFolder
from labs_core.train.report import Report


class Stopped(BaseException):
    """Ctrl-C or SIGTERM. Not a KeyboardInterrupt, which Lightning turns into an exit of its own."""


def start(lab: str, overrides: Sequence[str], profile: str | None) -> Report:
    """Run a lab anew.

    Raises:
        LabsError: whatever the user can mend; before anything heavy is imported where possible.
        Stopped: Ctrl-C; the run can be resumed.
    """
    composed = compose(lab, overrides, profile)
    _ensure_data(composed.config)
    folder = _worker_folder() or _new_folder(lab, composed)
    return _live(folder, composed.config, resumed=False)


def resume(lab: str, name: str | None) -> Report:
    """Go on with an unfinished run, with the configuration that it was started with."""
    folder = run_folders.resumable(catalog.get_lab(lab).name, name)
    config = OmegaConf.load(folder.path / "config.yaml")
    assert isinstance(config, DictConfig)
    _ensure_data(config)
    return _live(folder, config, resumed=True)


def _ensure_data(config: DictConfig) -> None:
    from labs_core.data import store

    if catalog.get_data_set(config.data.name).splits:  # the user's own folder has nothing to fetch
        store.ensure(config.data.name)


def _new_folder(lab: str, composed: Composed) -> RunFolder:
    ours = {"trainer", "tracking", "profile", "scheduler", "optimizer"}
    chosen = [option for group, option in composed.choices.items() if group not in ours]
    label = "-".join([*chosen, f"seed{composed.config.seed}"])
    folder = run_folders.create(f"{lab}-{label}")
    OmegaConf.save(composed.config, folder.path / "config.yaml")
    folder.update(
        lab=lab,
        label=label,
        profile=composed.choices["profile"],
        choices=composed.choices,
        overrides=list(composed.overrides),
        created=time.time(),
        state="running",
    )
    os.environ[_WORKER_FOLDER] = str(folder.path)  # for the other processes of trainer=ddp
    return folder


_WORKER_FOLDER = "LABS_RUN_FOLDER"


def _worker_folder() -> RunFolder | None:
    """The run that this process helps with: Lightning starts the command again for each rank."""
    from pathlib import Path

    if int(os.environ.get("LOCAL_RANK", 0)) == 0:
        return None
    return RunFolder(Path(os.environ[_WORKER_FOLDER]))


def _live(folder: RunFolder, config: DictConfig, resumed: bool) -> Report:
    if int(os.environ.get("LOCAL_RANK", 0)) > 0:
        from labs_core.train.work import help_fit

        help_fit(folder, config)
        sys.exit(0)
    with folder.locked(), _signals():
        folder.update(state="running")
        from labs_core.train.work import work

        try:
            report = work(folder, config, resumed)
        except Stopped:
            folder.update(state="killed")
            raise
        except BaseException:
            folder.update(state="failed")
            raise
        folder.update(
            state="finished", passed=report.passed, run_id=report.run_id, report=report.to_json()
        )
        return report


@contextmanager
def _signals() -> Iterator[None]:
    """Ctrl-C and SIGTERM end the run through `Stopped`, so that everything is left in order."""

    def stop(number: int, frame: Any) -> None:
        for each in numbers:  # a second one must not disturb the tidying up
            signal.signal(each, signal.SIG_IGN)
        raise Stopped(signal.Signals(number).name)

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
