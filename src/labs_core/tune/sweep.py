"""The life of a sweep: read → plan → trials → report. Only this process knows of all trials."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import SQLAlchemyError

from labs_core import catalog
from labs_core.errors import LabsError
from labs_core.paths import runs_dir
from labs_core.track import provenance
from labs_core.track.mlflow_setup import RUN_TAG
from labs_core.track.shipper import deliver_pending_in_background
from labs_core.track.tracker import Status, Tracker
from labs_core.train.run import ensure_data, refuse_password
from labs_core.tune import plan as plans
from labs_core.tune import storage as storages
from labs_core.tune.launcher import Launcher
from labs_core.tune.loop import Loop, experiment, say
from labs_core.tune.plan import Plan
from labs_core.tune.report import Summary, write
from labs_core.tune.space import Space, read
from labs_core.tune.study import Study
from labs_core.tune.wishes import Wishes, check_names, count_of, pruner_of, sampler_of, share


class Stopped(BaseException):
    """Ctrl-C or SIGTERM.

    Args:
        signal_name: such as SIGINT.
        sweep: its name, to be resumed by.
    """

    def __init__(self, signal_name: str, sweep: str) -> None:
        super().__init__(signal_name)
        self.sweep = sweep


def start(lab: str, overrides: Sequence[str], profile: str | None, wishes: Wishes) -> Summary:
    """Sweep a lab anew.

    Raises:
        LabsError: whatever the user can mend, before anything is made or anything heavy imported.
        Stopped: Ctrl-C; the sweep can be resumed.
    """
    lab = catalog.get_lab(lab).name
    check_names(wishes)
    space, composed = read(lab, overrides, profile)
    config = composed[0].config
    for each in composed:
        refuse_password(each.config)
        if each.config.trainer.strategy != "auto":
            raise LabsError(
                "A trial of a local sweep is one process",
                f"trainer.strategy is {each.config.trainer.strategy}",
                "Leave trainer=ddp out: the sweep itself keeps all cores busy.",
            )
    workers, threads = share(wishes, composed)
    address = storages.address(wishes.storage) if wishes.storage else None
    sampler = sampler_of(wishes, space)
    proposed = Plan(
        name="",
        lab=lab,
        profile=profile,
        overrides=tuple(overrides),
        trials=count_of(wishes.trials, sampler, space),
        sampler=sampler,
        pruner=pruner_of(wishes, sampler, config.trainer.max_epochs),
        seed=config.seed if wishes.seed is None else wishes.seed,
        monitor=config.monitor,
        mode=config.mode,
        epochs=config.trainer.max_epochs,
        storage=storages.without_password(address) if address else None,
        timeout_s=wishes.timeout_s,
        created=time.time(),
    )
    for each in composed:
        ensure_data(each.config)
    if address:
        storages.connect(address, Path())  # whether it answers, before anything is made
    plan = replace(proposed, name=plans.new_name(lab))
    plan.save()
    with plan.folder.locked():
        return _live(plan, space, config, address, wishes, workers, threads, resumed=False)


def resume(lab: str, name: str | None, wishes: Wishes) -> Summary:
    """Go on with a sweep that was stopped or killed, or give a finished one more trials."""
    lab = catalog.get_lab(lab).name
    check_names(wishes)
    if wishes.sampler or wishes.pruner or wishes.seed is not None:
        raise LabsError(
            "A resumed sweep keeps its sampler, pruner and seed",
            remedy="Give --trials, --workers, --timeout or --storage, or start a new sweep.",
        )
    plan = plans.resumable(lab, name)
    space, composed = read(lab, plan.overrides, plan.profile)
    workers, threads = share(wishes, composed)
    if wishes.trials is not None:
        count_of(wishes.trials, plan.sampler, space)
        if wishes.trials < plan.trials:
            raise LabsError(
                f"The sweep {plan.name} has {plan.trials} trials",
                remedy=f"Give it more: --trials {plan.trials + 10}.",
            )
        plan = replace(plan, trials=wishes.trials)
    if wishes.timeout_s is not None:
        plan = replace(plan, timeout_s=wishes.timeout_s)
    given = wishes.storage or plan.storage
    address = storages.address(given) if given else None
    if (storages.without_password(address) if address else None) != plan.storage:
        raise LabsError(
            f"The trials of {plan.name} are kept in {plan.storage or 'its own folder'}",
            remedy="Give that address, with its password.",
        )
    with plan.folder.locked():
        replace(plan, state="running").save()
        config = composed[0].config
        return _live(plan, space, config, address, wishes, workers, threads, resumed=True)


def _live(
    plan: Plan,
    space: Space,
    config: DictConfig,
    address: Any,
    wishes: Wishes,
    workers: int | None,
    threads: int,
    resumed: bool,
) -> Summary:
    begun = time.monotonic()
    with contextlib.ExitStack() as stack:
        stack.enter_context(_signals(plan))
        launcher = _launch(plan, config, wishes, workers, threads)
        stack.callback(launcher.close)
        deliver_pending_in_background(runs_dir())
        tracker = _open_tracker(plan, config)
        status: Status = "KILLED"
        try:
            tracker.params(_described(plan))
            study = Study(plan, space, storages.connect(address, plan.folder.path), resumed)
            loop = Loop(plan, space, config, study, launcher, _answered(tracker, config))
            stack.callback(loop.mark_killed)
            loop.run()
            summary = write(plan, study, time.monotonic() - begun, tracker)
            status = "FINISHED" if summary.best else "FAILED"
        except (SQLAlchemyError, StorageInternalError) as error:
            replace(plan, state="stopped").save()
            raise storages.unreachable(
                address or storages.in_folder(plan.folder.path), error
            ) from None
        except BaseException:
            replace(plan, state="stopped").save()
            raise
        finally:
            launcher.close()  # first: a store that is away may take its time
            delivery = tracker.finish(status, config.tracking.timeout_s)
        replace(plan, state="finished").save()
    return replace(summary, run_id=delivery.run_id)


def _launch(
    plan: Plan, config: DictConfig, wishes: Wishes, workers: int | None, threads: int
) -> Launcher:
    launcher: Launcher
    if wishes.launcher == "ray":
        from labs_core.tune.ray_launcher import RayLauncher

        gpus = 1 if config.trainer.accelerator == "gpu" else 0
        launcher = RayLauncher(
            wishes.ray_address, workers, threads, gpus, plan.folder.path, plan.trials
        )
    else:
        from labs_core.tune.local import LocalLauncher

        assert workers
        launcher = LocalLauncher(min(workers, plan.trials), threads)
    count = launcher.workers
    say(
        f"{plan.name}: {plan.trials} trials by {plan.sampler}, {plan.mode} {plan.monitor}, "
        f"{count} {'worker' if count == 1 else 'workers'} of {threads} "
        f"{'thread' if threads == 1 else 'threads'}"
    )
    return launcher


def _open_tracker(plan: Plan, config: DictConfig) -> Tracker:
    tags = {
        RUN_TAG: f"sweeps/{plan.name}",
        "lab": plan.lab,
        "data": config.data.name,
        "sweep": f"sweeps/{plan.name}",
        **provenance.git().tags(),
    }
    tracking = config.tracking
    return Tracker(
        plan.folder.path,
        tracking.uri,
        experiment(plan.lab),
        plan.name,
        tags,
        enabled=tracking.enabled,
    )


def _described(plan: Plan) -> Mapping[str, Any]:
    typed = dict(text.lstrip("+").split("=", 1) for text in plan.overrides if "=" in text)
    return {"sampler": plan.sampler, "pruner": plan.pruner, "sweep.seed": plan.seed, **typed}


def _answered(tracker: Tracker, config: DictConfig) -> str | None:
    """The MLflow run id of the sweep, under which its trials are."""
    run_id = tracker.wait_for_run_id()
    if run_id is None and config.tracking.enabled:
        say("The tracking store does not answer: the trials will stand beside the sweep in MLflow")
    return run_id


@contextmanager
def _signals(plan: Plan) -> Iterator[None]:
    """Ctrl-C and SIGTERM end the sweep through `Stopped`, so that everything is left in order."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: Any) -> None:
        for each in numbers:  # a second one must not disturb the tidying up
            signal.signal(each, signal.SIG_IGN)
        raise Stopped(signal.Signals(number).name, plan.name)

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
