"""The record of a run: everything goes to a journal on disk, a thread ships it to MLflow."""

from __future__ import annotations

import contextlib
import os
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from filelock import FileLock, Timeout

from labs_core.errors import LabsError
from labs_core.paths import runs_dir
from labs_core.track.journal import Event, Journal, read
from labs_core.track.mlflow_setup import RUN_TAG, shown
from labs_core.track.outbox import JOURNAL, Outbox
from labs_core.track.shipper import UNUSABLE, Shipper, run_lock

Status = Literal["FINISHED", "FAILED", "KILLED"]
Mode = Literal["max", "min"]

FLUSH_EVERY = 1.0  # seconds: what a kill can cost at most


@dataclass(frozen=True)
class Delivery:
    """What reached the store: the MLflow run id (None: it never answered); events left on disk."""

    run_id: str | None
    pending: int


class Tracker:
    """Tracks one run. No method waits for the store (`finish` apart), and none fails because of it.

    Args:
        folder: the run's folder; where it holds a journal, that run goes on (the same MLflow run).
        uri: the MLflow tracking URI; None is the local store in `runs_dir()`.
        experiment: the MLflow experiment, named by the lab.
        name: the run's readable name.
        tags: tags of the run from its start.
        enabled: False records nothing and touches nothing: for `tracking=off`, and for the
            processes that help rank 0 of a distributed run.
        locked: whether the caller holds the folder's `run_lock` already, and keeps it until the run
            is finished; otherwise the tracker takes it.

    Raises:
        LabsError: another live process tracks into this folder, or it cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        uri: str | None,
        experiment: str,
        name: str,
        tags: Mapping[str, str] | None = None,
        *,
        enabled: bool = True,
        locked: bool = False,
    ) -> None:
        self.folder = folder.resolve()
        self._finished = threading.Event()
        self._params: set[str] = set()
        self._steps: dict[str, set[int]] = defaultdict(set)  # metric -> steps that are recorded
        self._journal: Journal | None = None
        self._lock: FileLock | None = None if locked else run_lock(self.folder)
        if enabled:
            self._open(uri, experiment, name, _texts(tags or {}))

    def _open(self, uri: str | None, experiment: str, name: str, tags: dict[str, str]) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if self._lock:
                self._lock.acquire(timeout=2)  # a later command may hold it for a moment
            past = [line.event for line in read(self.folder / JOURNAL)]
            self._journal = Journal(self.folder / JOURNAL)
        except Timeout:
            raise LabsError(
                f"The run '{self.folder.name}' is in progress in another process",
                remedy="Wait until it ends, or start a new run.",
            ) from None
        except UNUSABLE as error:
            self._unlock()
            raise LabsError(
                f"The run's folder {self.folder} cannot be written", str(error)
            ) from None

        for event in past:
            self._remember(event)
        self._record(
            "open",
            id=next((event["id"] for event in past if "id" in event), uuid.uuid4().hex),
            uri=uri,
            experiment=experiment,
            name=name,
            tags={RUN_TAG: self.folder.name, **tags},
        )
        self._journal.flush()

        self._outbox = Outbox(self.folder, runs_dir(), uri)
        self._shipper = Shipper(self.folder, self._outbox)
        self._shipper.start()
        threading.Thread(target=self._keep_flushing, name="journal", daemon=True).start()

    @property
    def run_id(self) -> str | None:
        """The MLflow run id, None until the store has answered."""
        return self._outbox.progress.run_id if self._journal else None

    def wait_for_run_id(self, patience: float = 60.0) -> str | None:
        """The MLflow run id, for which the store may take so many seconds; for runs below this one.

        None where it has not answered by then, and where nothing is recorded.
        """
        until = time.monotonic() + patience
        while self._journal and self.run_id is None and time.monotonic() < until:
            time.sleep(0.05)
        return self.run_id

    def params(self, values: Mapping[str, Any]) -> None:
        """Record parameters. The first value of a key stays, as in MLflow."""
        new = {key: value for key, value in values.items() if key not in self._params}
        if new:
            self._params.update(new)
            self._record("params", params=_texts(new))

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Record metrics at a step; non-finite values too.

        A (key, step) that is recorded already is left as it is: after a resume, the same steps come
        again with the same values.
        """
        new = {}
        for key, value in values.items():
            steps = self._steps[key]
            if step not in steps:
                steps.add(step)
                new[key] = float(value)
        if new:
            self._record("metrics", step=step, metrics=new)

    def tags(self, values: Mapping[str, str]) -> None:
        """Record tags. The last value of a key stays."""
        self._record("tags", tags=_texts(values))

    def dataset(self, name: str, digest: str, source: str, counts: Mapping[str, int]) -> None:
        """Record the data set that the run trains on; `counts`: split -> number of examples."""
        self._record("dataset", name=name, digest=digest, source=source, counts=dict(counts))

    def artifact(self, path: Path, dest: str = "") -> None:
        """Record a file, or what a folder holds, under `dest`. It must stay until delivered."""
        self._record("artifact", path=self._portable(path), dest=dest)

    def register(
        self,
        model_name: str,
        dest: str,
        metric: str,
        mode: Mode,
        *,
        value: float,
        data_hash: str,
        passed: bool,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Record a version of `model_name`, made of the run's artifacts under `dest`.

        A run that has `passed` its targets becomes `champion` where there is none, or where its
        `metric`, `value`, is better than the champion's on the same data.
        """
        self._record(
            "register",
            model_name=model_name,
            dest=dest,
            metric=metric,
            mode=mode,
            value=float(value),
            data_hash=data_hash,
            passed=bool(passed),
            tags=_texts(tags or {}),
        )

    def flush(self) -> None:
        """Write to disk what was recorded so far: no kill can take it away."""
        if self._journal:
            self._journal.flush()
            self._shipper.wake()

    def finish(self, status: Status = "FINISHED", timeout: float = 60.0) -> Delivery:
        """End the run; wait for the store while it makes progress, at most `timeout` seconds.

        What is still pending then stays on disk, and a later command sends it. A second call only
        answers again.
        """
        if self._journal is None:
            return Delivery(None, 0)
        if not self._finished.is_set():
            self._finished.set()
            self._record("finish", status=status)
            self._journal.close()
            try:
                self._shipper.end(timeout)
            finally:
                self._unlock()
        return Delivery(self.run_id, self._outbox.pending())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.finish("FINISHED" if kind is None else "FAILED")

    def _unlock(self) -> None:
        if self._lock:
            self._lock.release()

    def _record(self, event: str, **fields: Any) -> None:
        if self._journal:
            self._journal.append(event, **fields)

    def _keep_flushing(self) -> None:
        while not self._finished.wait(FLUSH_EVERY):
            self.flush()

    def _remember(self, event: Event) -> None:
        self._params.update(event.get("params", ()))
        for key in event.get("metrics", ()):
            self._steps[key].add(event["step"])

    def _portable(self, path: Path) -> str:
        """Relative to the run's folder where it lies there, so that the folder may be moved."""
        absolute = Path(os.path.abspath(path))
        with contextlib.suppress(ValueError):
            return absolute.relative_to(self.folder).as_posix()
        return str(absolute)


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    """As MLflow stores them; a setting such as tracking.uri must not carry its password there."""
    return {key: shown(str(value)) for key, value in values.items()}
