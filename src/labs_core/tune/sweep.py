"""The life of a sweep: read → plan → trials → report. Only this process knows of all trials."""

from __future__ import annotations

import contextlib
import math
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import SQLAlchemyError

from labs_core import catalog, ray_cluster
from labs_core.config.compose import Composed
from labs_core.errors import LabsError, did_you_mean
from labs_core.paths import runs_dir
from labs_core.track import provenance
from labs_core.track.mlflow_setup import RUN_TAG
from labs_core.track.outbox import JOURNAL
from labs_core.track.shipper import deliver_pending, deliver_pending_in_background
from labs_core.track.tracker import Status, Tracker
from labs_core.train.machine import cores
from labs_core.train.run import ensure_data, refuse_password
from labs_core.tune import plan as plans
from labs_core.tune import storage as storages
from labs_core.tune.launcher import Ended, Launcher, Lost, Reported, TrialResult, TrialSpec
from labs_core.tune.plan import Plan
from labs_core.tune.report import Summary, write
from labs_core.tune.space import Choice, Range, Space, read
from labs_core.tune.study import Study

SAMPLERS = ("grid", "random", "tpe", "cmaes")
PRUNERS = ("none", "median", "hyperband")
LAUNCHERS = ("local", "ray")
PRUNE_FROM = 5  # epochs: in shorter trials there is little to save
ATTEMPTS = 2  # at a trial whose worker dies


class Stopped(BaseException):
    """Ctrl-C or SIGTERM.

    Args:
        signal_name: such as SIGINT.
        sweep: its name, to be resumed by.
    """

    def __init__(self, signal_name: str, sweep: str) -> None:
        super().__init__(signal_name)
        self.sweep = sweep


@dataclass(frozen=True)
class Wishes:
    """What was typed beside the overrides; None: the default."""

    trials: int | None = None
    sampler: str | None = None
    pruner: str | None = None
    seed: int | None = None
    storage: str | None = None
    timeout_s: float | None = None
    workers: int | None = None
    launcher: str = "local"
    ray_address: str | None = None


def start(lab: str, overrides: Sequence[str], profile: str | None, wishes: Wishes) -> Summary:
    """Sweep a lab anew.

    Raises:
        LabsError: whatever the user can mend, before anything is made or anything heavy imported.
        Stopped: Ctrl-C; the sweep can be resumed.
    """
    lab = catalog.get_lab(lab).name
    _check_names(wishes)
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
    workers, threads = _share(wishes, composed)
    address = storages.address(wishes.storage) if wishes.storage else None
    sampler = _sampler(wishes, space)
    proposed = Plan(
        name="",
        lab=lab,
        profile=profile,
        overrides=tuple(overrides),
        trials=_count(wishes.trials, sampler, space),
        sampler=sampler,
        pruner=_pruner(wishes, sampler, config.trainer.max_epochs),
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
    _check_names(wishes)
    if wishes.sampler or wishes.pruner or wishes.seed is not None:
        raise LabsError(
            "A resumed sweep keeps its sampler, pruner and seed",
            remedy="Give --trials, --workers, --timeout or --storage, or start a new sweep.",
        )
    plan = plans.resumable(lab, name)
    space, composed = read(lab, plan.overrides, plan.profile)
    workers, threads = _share(wishes, composed)
    if wishes.trials is not None:
        _count(wishes.trials, plan.sampler, space)
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


def _check_names(wishes: Wishes) -> None:
    for kind, name, names in (
        ("sampler", wishes.sampler, SAMPLERS),
        ("pruner", wishes.pruner, PRUNERS),
        ("launcher", wishes.launcher, LAUNCHERS),
    ):
        if name is not None and name not in names:
            raise LabsError(f"There is no {kind} '{name}'", remedy=did_you_mean(name, names))
    for option, number in (
        ("--trials", wishes.trials),
        ("--workers", wishes.workers),
        ("--timeout", wishes.timeout_s),
    ):
        if number is not None and not number > 0:
            raise LabsError(f"{option} is {number:g}", remedy="Give a number above 0.")


def _share(wishes: Wishes, composed: Sequence[Composed]) -> tuple[int | None, int]:
    """Workers, and threads of each: together as many as there are cores, never more.

    How many a Ray cluster has is known when it is joined; whether there is one, now.
    """
    asked = max(int(each.config.trainer.threads or 1) for each in composed)
    if wishes.launcher == "ray":
        ray_cluster.require(wishes.ray_address)
        return wishes.workers, asked
    there, workers = cores(), wishes.workers
    if workers is None:
        workers = max(there // asked, 1)
    elif workers > 1 and workers * asked > there:
        raise LabsError(
            f"{workers} workers of {asked} {'thread' if asked == 1 else 'threads'} are more than "
            f"the {there} cores of this machine",
            remedy=f"Give --workers {max(there // asked, 1)}, or leave it out.",
        )
    return workers, max(there // workers, 1)


def _sampler(wishes: Wishes, space: Space) -> str:
    """The one that was named, if it can do this space; else a grid where there is one."""
    endless = [axis.key for axis in space.axes if isinstance(axis, Range) and axis.step is None]
    choices = [axis.key for axis in space.axes if isinstance(axis, Choice)]
    sampler = wishes.sampler or ("tpe" if endless else "grid")
    if sampler == "grid" and endless:
        raise LabsError(
            f"A grid needs values, and {endless[0]} is a range without steps",
            remedy=f"Name values, such as {endless[0]}=1,2,3 or range(1,4,1); or --sampler tpe.",
        )
    if sampler == "cmaes" and choices:
        raise LabsError(
            f"CMA-ES varies numbers only, and {choices[0]} is a choice",
            remedy="Fix it, write range(…) or interval(…), or take --sampler tpe.",
        )
    return sampler


def _count(trials: int | None, sampler: str, space: Space) -> int:
    """How many trials there are to be."""
    there = space.combinations()
    if sampler != "grid":
        if trials is None:
            raise LabsError(
                "How many trials? --trials is missing",
                "only a grid has a number of its own",
                "Add --trials 20, for example.",
            )
        return trials
    assert there
    if trials is not None and trials > there:
        raise LabsError(
            f"--trials {trials} is more than the {there} combinations of the grid",
            remedy="Leave --trials out: each is run once.",
        )
    return trials or there


def _pruner(wishes: Wishes, sampler: str, epochs: int) -> str:
    """Median where trials are long enough, and where nobody waits for the value of each."""
    prunes = sampler in ("tpe", "random") and epochs >= PRUNE_FROM
    return wishes.pruner or ("median" if prunes else "none")


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
            loop = _Loop(plan, space, config, study, launcher, _answered(tracker, config))
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
            delivery = tracker.finish(status, config.tracking.timeout_s)
        replace(plan, state="finished").save()
    return replace(summary, run_id=delivery.run_id)


class _Loop:
    """Hands trials to workers and takes what they say, until all have ended."""

    def __init__(
        self,
        plan: Plan,
        space: Space,
        config: DictConfig,
        study: Study,
        launcher: Launcher,
        parent: str | None,
    ) -> None:
        self.plan, self.space, self.config = plan, space, config
        self.study, self.launcher, self.parent = study, launcher, parent
        self.running: dict[int, TrialSpec] = {}
        self.waiting: deque[TrialSpec] = deque()  # begun in an earlier session, or to be retried
        ended = study.results().values()
        self.ended = len(ended)
        self.best: float | None = None
        for _, result in ended:
            self._improves(result)

    def run(self) -> None:
        """Until every trial has ended."""
        for number, chosen in self.study.begun():
            trial = self._specification(number, chosen)
            ended = plans.read_result(Path(trial.folder))
            if ended:  # it had ended, and nobody was there to hear it
                self._end(trial, ended)
            else:
                self.waiting.append(trial)
        while True:
            while self.launcher.free() and (following := self._next()):
                self.running[following.number] = following
                self.launcher.submit(following)
            if not self.running:
                return
            match self.launcher.next_event(patience=1.0):
                case Reported(number, epoch, value):
                    self._hear(number, epoch, value)
                case Ended(result):
                    self._end(self.running.pop(result.number), result)
                case Lost(number, reason, again):
                    self._lose(self.running.pop(number), reason, again)

    def mark_killed(self) -> None:
        """Say in MLflow that what still runs was stopped; it is resumed there, too."""
        self.launcher.close()
        journals = [Path(trial.folder) / JOURNAL for trial in self.running.values()]
        deliver_pending(runs_dir(), [path for path in journals if path.is_file()])

    def _next(self) -> TrialSpec | None:
        if self.waiting:
            return self.waiting.popleft()
        proposed = self.study.ask()
        return self._specification(*proposed) if proposed else None

    def _specification(self, number: int, chosen: dict[str, str]) -> TrialSpec:
        return TrialSpec(
            number=number,
            lab=self.plan.lab,
            overrides=self.space.overrides(chosen),
            profile=self.plan.profile,
            folder=str(self.plan.folder.trial(number)),
            sweep=f"sweeps/{self.plan.name}",
            experiment=experiment(self.plan.lab),
            parent=self.parent,
            chosen=chosen,
            answered=self.plan.pruner != "none",
            timeout_s=self.plan.timeout_s,
        )

    def _hear(self, number: int, epoch: int, value: float) -> None:
        """Without a pruner nobody asks for a value on the way, unless it is the last one."""
        if self.running[number].answered:
            self.launcher.answer(number, self.study.report(number, epoch, value))
        elif not math.isfinite(value):
            self.study.report(number, epoch, value)

    def _lose(self, trial: TrialSpec, reason: str, again: bool) -> None:
        if again and self.study.lose(trial.number) < ATTEMPTS:
            _say(f"trial {trial.number}: {reason}; it is tried once more, from its last checkpoint")
            self.waiting.append(trial)
            return
        result = TrialResult(
            trial.number, "failed", None, None, 0, 0.0, None, f"{reason}{', twice' * again}"
        )
        _close_record(trial, self.config, result.error)
        self._end(trial, result)

    def _end(self, trial: TrialSpec, result: TrialResult) -> None:
        self.study.tell(result)
        self.ended += 1
        count = f"{self.ended}/{self.plan.trials}"
        settings = " ".join(f"{key}={text}" for key, text in trial.chosen.items())
        if result.value is None:
            log = Path(trial.folder) / "output.txt"
            more = f" (see {log})" if result.outcome == "failed" and log.is_file() else ""
            _say(f"{count}  trial {result.number} {result.outcome}: {result.error}{more}")
            _say(f"{' ' * len(count)}  {settings}")
            return
        better = "  ← best so far" if self._improves(result) else ""
        pruned = f" pruned after epoch {result.epochs}" if result.outcome == "pruned" else ""
        value = f"{self.plan.monitor} {result.value:.5g}"
        _say(
            f"{count}  trial {result.number}{pruned}  {value}  {result.seconds:.1f} s  "
            f"{settings}{better}"
        )

    def _improves(self, result: TrialResult) -> bool:
        if result.outcome != "finished" or result.value is None:
            return False
        sign = 1 if self.plan.mode == "max" else -1
        better = self.best is None or sign * result.value > sign * self.best
        self.best = result.value if better else self.best
        return better


def experiment(lab: str) -> str:
    """The MLflow experiment of a lab's sweeps: beside its runs, which `labs compare` shows."""
    return f"{lab}-sweeps"


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
    _say(
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
        _say("The tracking store does not answer: the trials will stand beside the sweep in MLflow")
    return run_id


def _close_record(trial: TrialSpec, config: DictConfig, error: str) -> None:
    """End the MLflow run of a trial whose worker cannot do so any more."""
    if not (Path(trial.folder) / JOURNAL).is_file():
        return
    with contextlib.suppress(LabsError):
        tracker = Tracker(
            Path(trial.folder),
            config.tracking.uri,
            trial.experiment,
            f"trial {trial.number}",
            enabled=config.tracking.enabled,
        )
        tracker.tags({"sweep.outcome": "failed", "sweep.error": error})
        tracker.finish("FAILED", config.tracking.timeout_s)


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


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
