"""The trials of a sweep, from the first to the last: who runs, who waits, what each comes to."""

from __future__ import annotations

import contextlib
import math
import sys
from collections import deque
from pathlib import Path

from omegaconf import DictConfig

from labs_core.errors import LabsError
from labs_core.paths import runs_dir
from labs_core.track.outbox import JOURNAL
from labs_core.track.shipper import deliver_pending
from labs_core.track.tracker import Tracker
from labs_core.tune.launcher import Ended, Launcher, Lost, Reported, TrialResult, TrialSpec
from labs_core.tune.plan import Plan, read_result
from labs_core.tune.space import Space
from labs_core.tune.study import Study

ATTEMPTS = 2  # at a trial whose worker dies


class Loop:
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
            ended = read_result(Path(trial.folder))
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
            say(f"trial {trial.number}: {reason}; it is tried once more, from its last checkpoint")
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
            say(f"{count}  trial {result.number} {result.outcome}: {result.error}{more}")
            say(f"{' ' * len(count)}  {settings}")
            return
        better = "  ← best so far" if self._improves(result) else ""
        pruned = f" pruned after epoch {result.epochs}" if result.outcome == "pruned" else ""
        value = f"{self.plan.monitor} {result.value:.5g}"
        say(
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


def say(text: str) -> None:
    """Tell it at once; results go to stdout, at the end."""
    print(text, file=sys.stderr, flush=True)
