"""The heavy part of a run: everything that needs torch, Lightning and MLflow."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytorch_lightning as pl
import torch
from omegaconf import DictConfig

from labs_core import catalog
from labs_core.paths import runs_dir
from labs_core.track import provenance
from labs_core.track.lightning import JournalLogger
from labs_core.track.shipper import deliver_pending_in_background
from labs_core.track.tracker import Status, Tracker
from labs_core.train import bundling, figures
from labs_core.train.build import build_data, build_module
from labs_core.train.checkpoints import Checkpoints, load_best
from labs_core.train.folder import RunFolder, reference_of
from labs_core.train.machine import peak_memory_mb
from labs_core.train.progress import EpochProgress
from labs_core.train.report import Report, errors_left, grade
from labs_core.train.run import Stopped
from labs_core.train.trainer import end_workers, fit, make_evaluator, make_trainer, quiet


def work(folder: RunFolder, config: DictConfig, resumed: bool) -> Report:
    """Train, test, grade, export and log one run; see docs/architecture.md for the steps."""
    quiet()
    data = build_data(config)
    module: Any = build_module(config, data)  # with export and figures, where the lab has them
    deliver_pending_in_background(runs_dir())
    tracker = _open_tracker(folder, config)
    checkpoints = Checkpoints(folder, tracker, config.monitor, config.mode)
    callbacks = [EpochProgress(), checkpoints]
    status: Status = "FAILED"
    try:
        trainer = make_trainer(config.trainer, JournalLogger(tracker), callbacks)
        _describe(tracker, folder, config, data)

        fit(trainer, module, data, folder)
        load_best(folder, module)

        evaluator = make_evaluator(config.trainer)
        metrics = _test(evaluator, module, data)
        if checkpoints.best is not None:
            metrics[f"{config.monitor}_best"] = checkpoints.best
        metrics |= errors_left(metrics, data.baseline())
        predictions = _predict(evaluator, module, data)
        np.savez(folder.path / "test_predictions.npz", **predictions)
        verdicts = grade(catalog.get_lab(config.lab.name).targets_on(config.data.name), metrics)

        bundle = _export(folder, config, module, data, predictions, metrics, tracker)
        if hasattr(module, "figures"):
            figures.save(module.figures(data), folder.path / "figures")

        report = Report(
            lab=config.lab.name,
            run_id=tracker.run_id,
            run=folder.name,
            profile=folder.read()["profile"],
            data={"name": config.data.name, "hash": data.fingerprint()},
            metrics=metrics,
            baseline=data.baseline(),
            targets=verdicts,
            passed=bool(verdicts) and all(verdict.met for verdict in verdicts),
            seconds={"total": _seconds_alive(), "fit": checkpoints.fit_seconds},
            peak_memory_mb=peak_memory_mb(),
            bundle=str(bundle) if bundle else None,
            resumed=resumed,
            mine=folder.mine.is_dir(),
            reference=_reference(folder),
        )
        _log(tracker, folder, config, report, step=trainer.global_step)
        status = "FINISHED"
    except Stopped:
        status = "KILLED"
        end_workers(trainer)
        raise
    finally:
        delivery = tracker.finish(status, config.tracking.timeout_s)
        folder.update(run_id=delivery.run_id)
    return replace(
        report,
        run_id=delivery.run_id,
        pending=delivery.pending,
        seconds={**report.seconds, "total": _seconds_alive()},
    )


def _reference(folder: RunFolder) -> dict[str, Any] | None:
    """For a run with the learner's exercises: what the reference's came to."""
    other = reference_of(folder) if folder.mine.is_dir() else None
    return {"run": other.name, "metrics": other.read()["report"]["metrics"]} if other else None


def help_fit(folder: RunFolder, config: DictConfig) -> None:
    """The part of a rank other than 0 in `trainer=ddp`: fit, and leave the rest to rank 0."""
    quiet()
    data = build_data(config)
    module = build_module(config, data)
    with Tracker(folder.path, None, "", "", enabled=False) as nobody:
        checkpoints = Checkpoints(folder, nobody, config.monitor, config.mode)
        trainer = make_trainer(config.trainer, False, [checkpoints])
        fit(trainer, module, data, folder)


def _open_tracker(folder: RunFolder, config: DictConfig) -> Tracker:
    record, git = folder.read(), provenance.git()
    tags = {
        "lab": config.lab.name,
        "profile": record["profile"],
        "data": config.data.name,
        "exercises": "mine" if folder.mine.is_dir() else "reference",
        **git.tags(),
    }
    uri, enabled = config.tracking.uri, config.tracking.enabled
    return Tracker(
        folder.path, uri, config.lab.name, record["label"], tags, enabled=enabled, locked=True
    )


def _describe(tracker: Tracker, folder: RunFolder, config: DictConfig, data: Any) -> None:
    """Everything that one needs to know to repeat the run."""
    record = folder.read()
    typed = dict(text.lstrip("+").split("=", 1) for text in record["overrides"] if "=" in text)
    tracker.params(
        {**record["choices"], "seed": config.seed, "epochs": config.trainer.max_epochs, **typed}
    )
    card = catalog.get_data_set(config.data.name)
    tracker.dataset(config.data.name, data.fingerprint(), card.homepage, card.splits)
    tracker.artifact(folder.path / "config.yaml")
    if folder.mine.is_dir():
        tracker.artifact(folder.mine, "mine")
    provenance.write(folder.path / "provenance")
    tracker.artifact(folder.path / "provenance", "provenance")


def _test(evaluator: pl.Trainer, module: pl.LightningModule, data: Any) -> dict[str, float]:
    [metrics] = evaluator.test(module, dataloaders=data.test_dataloader(), verbose=False) or [{}]
    return {name: float(value) for name, value in metrics.items()}


def _predict(evaluator: pl.Trainer, module: pl.LightningModule, data: Any) -> dict[str, Any]:
    """The module's answers to the whole test split, in the data set's order."""
    batches = evaluator.predict(module, dataloaders=data.test_dataloader())
    assert batches
    return {name: torch.cat([b[name] for b in batches]).cpu().numpy() for name in batches[0]}


def _export(
    folder: RunFolder,
    config: DictConfig,
    module: Any,
    data: Any,
    predictions: dict[str, Any],
    metrics: dict[str, float],
    tracker: Tracker,
) -> Path | None:
    """The bundle, where the lab gives one."""
    if not hasattr(module, "export"):
        return None
    lineage = _lineage(folder, config, data, tracker)
    return bundling.export(folder, config, module, data, predictions, metrics, lineage)


def _lineage(folder: RunFolder, config: DictConfig, data: Any, tracker: Tracker) -> dict[str, Any]:
    """Where a bundle comes from."""
    record = folder.read()
    return {
        "lab": config.lab.name,
        "run": folder.name,
        "run_id": tracker.run_id,
        "profile": record["profile"],
        "choices": record["choices"],
        "seed": config.seed,
        "data": {"name": config.data.name, "hash": data.fingerprint()},
        "git_commit": provenance.git().commit,
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record["created"])),
    }


def _log(
    tracker: Tracker, folder: RunFolder, config: DictConfig, report: Report, step: int
) -> None:
    """What the run came to."""
    tracker.metrics(
        {
            **report.metrics,
            **{f"baseline/{name}": value for name, value in report.baseline.items()},
            "seconds/total": report.seconds["total"],
            "seconds/fit": report.seconds["fit"],
            "memory/peak_mb": report.peak_memory_mb,
        },
        step,
    )
    tracker.tags(
        {
            "passed": str(report.passed).lower(),
            **{f"target.{v.metric}": f"{v.op} {v.value:g}: {_met(v.met)}" for v in report.targets},
        }
    )
    tracker.artifact(folder.path / "test_predictions.npz")
    if (folder.path / "figures").exists():
        tracker.artifact(folder.path / "figures", "figures")
    if report.bundle:
        tracker.artifact(folder.bundle, "bundle")
        metric, mode = _deciding(report, config)
        if metric in report.metrics:
            tracker.register(
                f"labs-{report.lab}",
                "bundle",
                metric,
                mode,
                value=report.metrics[metric],
                data_hash=report.data["hash"],
                passed=report.passed,
            )


def _deciding(report: Report, config: DictConfig) -> tuple[str, Any]:
    """The metric by which champions are told from challengers: the first target's."""
    if report.targets:
        first = report.targets[0]
        return first.metric, "max" if first.op in (">=", ">") else "min"
    return f"{config.monitor}_best", config.mode


def _met(met: bool) -> str:
    return "met" if met else "missed"


def _seconds_alive() -> float:
    """Since the process started, imports included: what the user waits for."""
    return time.time() - psutil.Process().create_time()
