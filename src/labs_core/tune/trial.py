"""One trial of a sweep: a run that is trained and validated, and no more.

It has a folder like any run, with its configuration, its checkpoints and its journal, and
`result.json` once it has ended. It is not tested, drawn, exported or registered: a sweep chooses by
the validation split, and what it has chosen is then run by `labs run`.

Whoever launches workers calls `run_trial` in them, in one process trial after trial.
"""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from omegaconf import DictConfig, OmegaConf

from labs_core import catalog
from labs_core.config.compose import compose_again
from labs_core.errors import LabsError
from labs_core.track import provenance
from labs_core.track.lightning import JournalLogger
from labs_core.track.mlflow_setup import RUN_TAG
from labs_core.track.tracker import Status, Tracker
from labs_core.train.build import build_data, build_module
from labs_core.train.checkpoints import Checkpoints
from labs_core.train.folder import RunFolder, write_atomically
from labs_core.train.run import ensure_data, prepared
from labs_core.train.trainer import make_trainer, quiet
from labs_core.tune.launcher import Outcome, TrialResult, TrialSpec
from labs_core.tune.plan import read_result, write_result

PATIENCE = 30.0  # seconds that a worker of an earlier session may take to notice its sweep's death

Say = Callable[[int, float], bool]  # (epoch, value) -> whether to end here


class Reports(pl.Callback):
    """Says the monitored metric after every epoch, and ends the fit where it is told to.

    It comes after `Checkpoints`: what is said has been saved.
    """

    def __init__(self, monitor: str, say: Say) -> None:
        self.monitor, self.say = monitor, say
        self.outcome: Outcome = "finished"
        self.error = ""

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Say it. A metric that is not finite ends the trial: no weight recovers from NaN."""
        logged = trainer.callback_metrics.get(self.monitor)
        if logged is None:
            return
        value, epoch = float(logged), trainer.current_epoch
        ended = self.say(epoch, value)
        if not math.isfinite(value):
            self.outcome = "diverged"
            self.error = f"{self.monitor} is {value} after epoch {epoch + 1}"
        elif ended:
            self.outcome = "pruned"
        trainer.should_stop = self.outcome != "finished"


def run_trial(trial: TrialSpec, threads: int, say: Say) -> TrialResult:
    """Train one trial; a trial that was begun goes on, one that has ended only answers.

    Never raises for what the trial does wrong: that is in its result.

    Args:
        trial: what to train.
        threads: of torch, where the trial's configuration does not say.
        say: hears the monitored metric after each epoch.
    """
    folder = RunFolder(Path(trial.folder))
    folder.path.mkdir(parents=True, exist_ok=True)
    try:
        with folder.locked(PATIENCE):
            result = read_result(folder.path)
            if result is None:
                result = _attempt(trial, folder, threads, say)
                write_result(folder.path, result)
            folder.last.unlink(missing_ok=True)  # there is nothing to resume
            return result
    except LabsError as error:  # somebody else is at it, and will write what comes of it
        return _failed(trial, folder, str(error), 0.0)


def _attempt(trial: TrialSpec, folder: RunFolder, threads: int, say: Say) -> TrialResult:
    """Train; what it does wrong becomes its result."""
    begun = time.monotonic()
    try:
        return _train(trial, folder, threads, say, begun)
    except LabsError as error:
        words = f"{error}. {error.remedy}".rstrip(". ")
    except Exception as error:
        text = (str(error).strip().splitlines() or [""])[0]
        words = f"{type(error).__name__}: {text}".rstrip(": ")
        traceback.print_exception(error)  # into the trial's own log
    return _failed(trial, folder, words, time.monotonic() - begun)


def _train(
    trial: TrialSpec, folder: RunFolder, threads: int, say: Say, begun: float
) -> TrialResult:
    quiet()
    config = _configuration(trial, folder)
    ensure_data(config)
    data = build_data(config)
    module = build_module(config, data)
    tracker = _open_tracker(trial, folder, config)
    checkpoints = Checkpoints(folder, tracker, config.monitor, config.mode)
    reports = Reports(config.monitor, say)
    status: Status = "FAILED"
    try:
        _describe(tracker, trial, folder, config, data)
        settings = config.trainer.copy()
        settings.threads = settings.threads or threads
        trainer = make_trainer(settings, JournalLogger(tracker), [checkpoints, reports])
        trainer.fit(
            module, datamodule=data, ckpt_path=str(folder.last) if folder.last.exists() else None
        )
        if checkpoints.best is None and reports.outcome == "finished":
            raise LabsError(f"{config.monitor} was never a number")
        metrics = {"seconds/fit": checkpoints.fit_seconds}
        if checkpoints.best is not None:
            metrics[f"{config.monitor}_best"] = checkpoints.best
        tracker.metrics(metrics, trainer.global_step)
        status = "FAILED" if reports.outcome == "diverged" else "FINISHED"
    except BaseException:
        reports.outcome = "failed"
        raise
    finally:
        tracker.tags({"sweep.outcome": reports.outcome})
        run_id = tracker.finish(status, config.tracking.timeout_s).run_id
        folder.update(state=reports.outcome, run_id=run_id)
    return TrialResult(
        number=trial.number,
        outcome=reports.outcome,
        value=None if reports.outcome == "diverged" else checkpoints.best,
        epoch=checkpoints.best_epoch,
        epochs=trainer.current_epoch,
        seconds=time.monotonic() - begun,
        run_id=run_id,
        error=reports.error,
    )


def _configuration(trial: TrialSpec, folder: RunFolder) -> DictConfig:
    """Composed and completed once: a trial that goes on has its answer."""
    kept = folder.path / "config.yaml"
    if kept.is_file() and folder.read():
        config = OmegaConf.load(kept)
        assert isinstance(config, DictConfig)
        return config
    composed = prepared(compose_again(trial.lab, trial.overrides, trial.profile))
    write_atomically(kept, OmegaConf.to_yaml(composed.config).encode())
    folder.update(
        lab=trial.lab,
        sweep=trial.sweep,
        trial=trial.number,
        profile=composed.choices["profile"],
        choices=composed.choices,
        overrides=list(trial.overrides),
        created=time.time(),
        state="running",
    )
    return composed.config


def _open_tracker(trial: TrialSpec, folder: RunFolder, config: DictConfig) -> Tracker:
    tags = {
        RUN_TAG: f"{trial.sweep}/{folder.name}",
        "lab": trial.lab,
        "profile": folder.read()["profile"],
        "data": config.data.name,
        "sweep": trial.sweep,
        "sweep.trial": str(trial.number),
        **provenance.git().tags(),
    }
    if trial.parent:
        tags["mlflow.parentRunId"] = trial.parent
    return Tracker(
        folder.path,
        config.tracking.uri,
        trial.experiment,
        f"trial {trial.number}",
        tags,
        enabled=config.tracking.enabled,
        locked=True,
    )


def _describe(
    tracker: Tracker, trial: TrialSpec, folder: RunFolder, config: DictConfig, data: Any
) -> None:
    typed = dict(text.lstrip("+").split("=", 1) for text in trial.overrides if "=" in text)
    choices = folder.read()["choices"]
    tracker.params({**choices, "seed": config.seed, "epochs": config.trainer.max_epochs, **typed})
    card = catalog.get_data_set(config.data.name)
    tracker.dataset(config.data.name, data.fingerprint(), card.homepage, card.splits)
    tracker.artifact(folder.path / "config.yaml")


def _failed(trial: TrialSpec, folder: RunFolder, words: str, seconds: float) -> TrialResult:
    return TrialResult(
        number=trial.number,
        outcome="failed",
        value=None,
        epoch=None,
        epochs=0,
        seconds=seconds,
        run_id=folder.read().get("run_id"),
        error=words,
    )
