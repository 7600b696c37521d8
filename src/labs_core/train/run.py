"""The life of a run: compose → data → fit → test → targets → export → log → report."""

from __future__ import annotations

import gc
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hydra.utils import get_method
from omegaconf import DictConfig, OmegaConf

from labs_core import catalog, ray_cluster
from labs_core.config.compose import Composed, compose, data_rooms
from labs_core.errors import LabsError, did_you_mean
from labs_core.learn.mine import keep, require_solved, use
from labs_core.track.mlflow_setup import shown
from labs_core.train import folder as run_folders
from labs_core.train import ranks, ray_ranks
from labs_core.train.folder import RunFolder
from labs_core.train.report import Report

LAUNCHERS = ("local", "ray")


class Stopped(BaseException):
    """Ctrl-C or SIGTERM. Not a KeyboardInterrupt, which Lightning turns into an exit of its own.

    Args:
        signal_name: such as SIGINT.
        run: the name of the run, to be resumed by.
    """

    def __init__(self, signal_name: str, run: str) -> None:
        super().__init__(signal_name)
        self.run = run


@dataclass(frozen=True)
class Launch:
    """Who starts the further processes of trainer=ddp."""

    launcher: str = "local"  # or ray; local: Lightning, or who started this process as well
    ray_address: str | None = None  # of the cluster, HOST:PORT; None: one on this machine

    def __post_init__(self) -> None:
        if self.launcher not in LAUNCHERS:
            raise LabsError(
                f"There is no launcher '{self.launcher}'",
                remedy=did_you_mean(self.launcher, LAUNCHERS),
            )


def start(
    lab: str,
    overrides: Sequence[str],
    profile: str | None,
    mine: bool = False,
    launch: Launch = Launch(),
) -> Report:
    """Run a lab anew; with `mine`, with the learner's own exercises.

    Raises:
        LabsError: whatever the user can mend; before anything heavy is imported where possible.
        Stopped: Ctrl-C; the run can be resumed.
    """
    _help_if_started_by_lightning()
    composed = compose(lab, overrides, profile)
    refuse_password(composed.config)
    _require_processes(composed.config, launch)
    if not ranks.is_first():
        ensure_data(composed.config)
        help_with_run()
        sys.exit(0)
    if mine:
        require_solved(lab)
    composed = prepared(composed)
    ensure_data(composed.config)
    with _helpers(composed.config, launch):
        folder = _new_folder(lab, composed, mine)
        return _live(folder, composed.config, resumed=False)


def resume(lab: str, name: str | None, launch: Launch = Launch()) -> Report:
    """Go on with an unfinished run, with the configuration that it was started with."""
    _help_if_started_by_lightning()
    if not ranks.is_first():
        help_with_run()
        sys.exit(0)
    folder = run_folders.resumable(catalog.get_lab(lab).name, name)
    config = _config_of(folder)
    _require_processes(config, launch)
    ensure_data(config)
    with _helpers(config, launch):
        return _live(folder, config, resumed=True)


def _require_processes(config: DictConfig, launch: Launch) -> None:
    """Raises LabsError where the trainer's processes will not be there."""
    if launch.launcher == "ray":
        ray_cluster.require(launch.ray_address)
        ray_ranks.spread(config.trainer)
    else:
        ranks.require_all(config.trainer)


@contextmanager
def _helpers(config: DictConfig, launch: Launch) -> Iterator[None]:
    if launch.launcher == "ray":
        with ray_ranks.helped(launch.ray_address, config):
            yield
    else:
        yield


def refuse_password(config: DictConfig) -> None:
    """The configuration is sent to the server, where everybody can read it."""
    tracking = OmegaConf.to_container(config.tracking, resolve=False)  # ${oc.env:…} tells nothing
    assert isinstance(tracking, dict)
    uri = str(tracking["uri"])
    if shown(uri) != uri:
        raise LabsError(
            "tracking.uri holds a password",
            "everybody who sees the run would see it",
            "Leave it out, and set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD.",
        )


def prepared(composed: Composed) -> Composed:
    """The configuration as the lab itself completes it, from an earlier lab's model say.

    `prepare` in a lab.yaml names the function. It is called once: a resumed run has its answer.
    """
    if "prepare" not in composed.config:
        return composed
    complete = get_method(composed.config.prepare)
    return replace(composed, config=complete(composed))


def ensure_data(config: DictConfig) -> None:
    """Bring the data sets of a run here where they are not; raises LabsError where that fails."""
    from labs_core.data import store

    for room in data_rooms(config):
        if catalog.get_data_set(room.name).splits:  # the user's own folder has nothing to fetch
            store.ensure(room.name)


def _new_folder(lab: str, composed: Composed, mine: bool) -> RunFolder:
    ours = {"trainer", "tracking", "profile", "scheduler", "optimizer"}
    chosen = [option for group, option in composed.choices.items() if group not in ours]
    label = "-".join([*(["mine"] if mine else []), *chosen, f"seed{composed.config.seed}"])
    folder = run_folders.create(f"{lab}-{label}")
    if mine:
        keep(lab, folder.mine)
    OmegaConf.save(composed.config, folder.path / "config.yaml")
    folder.update(
        lab=lab,
        label=label,
        profile=composed.choices["profile"],
        mine=mine,
        choices=composed.choices,
        overrides=list(composed.overrides),
        created=time.time(),
        state="running",
    )
    return folder


def _config_of(folder: RunFolder) -> DictConfig:
    """The configuration that the run was started with."""
    config = OmegaConf.load(folder.path / "config.yaml")
    assert isinstance(config, DictConfig)
    return config


_WORKERS_FOLDER = "LABS_RUN_FOLDER"


def _help_if_started_by_lightning() -> None:
    """Lightning starts the command again for each further process of trainer=ddp on a machine."""
    if _WORKERS_FOLDER in os.environ and int(os.environ.get("LOCAL_RANK", 0)) > 0:
        _fit_only(RunFolder(Path(os.environ[_WORKERS_FOLDER])))
        sys.exit(0)


def help_with_run() -> None:
    """What a process does that somebody else has started beside rank 0; see `ranks.py`."""
    with tempfile.TemporaryDirectory(prefix="labs-rank-") as own:
        folder = ranks.ask(Path(own))
        os.environ[_WORKERS_FOLDER] = own  # for those that Lightning starts here
        ensure_data(_config_of(folder))
        _fit_only(folder)


def _fit_only(folder: RunFolder) -> None:
    """The part of a rank other than 0. The rest is rank 0's."""
    # Stopping is the first process's business; it ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    from labs_core.train.work import help_fit

    _use_mine(folder)
    help_fit(folder, _config_of(folder))


def _live(folder: RunFolder, config: DictConfig, resumed: bool) -> Report:
    os.environ[_WORKERS_FOLDER] = str(folder.path)
    with folder.locked(), _signals(folder.name), ranks.telling(folder), _seldom_collecting():
        folder.update(state="running")
        _use_mine(folder)
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


def _use_mine(folder: RunFolder) -> None:
    if folder.mine.is_dir():
        use(folder.read()["lab"], folder.mine)


@contextmanager
def _seldom_collecting() -> Iterator[None]:
    """Look for cyclic garbage after many more objects than Python does by default.

    Each look goes through all of torch and Lightning, and their imports and the export make objects
    by the million: it is a seventh of a short run. What a training leaves behind has few cycles.
    """
    before = gc.get_threshold()
    gc.set_threshold(100_000, 50, 1000)
    try:
        yield
    finally:
        gc.set_threshold(*before)


@contextmanager
def _signals(run: str) -> Iterator[None]:
    """Ctrl-C and SIGTERM end the run through `Stopped`, so that everything is left in order."""

    def stop(number: int, frame: Any) -> None:
        for each in numbers:  # a second one must not disturb the tidying up
            signal.signal(each, signal.SIG_IGN)
        raise Stopped(signal.Signals(number).name, run)

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
