"""What of a journal the store has, and how the next events get there.

Every event may be sent again after a kill, so each is sent in a way that a second time changes
nothing: runs are found by the journal's id, metric points are equal in key, step, time and value
(MLflow keeps one), artifacts overwrite themselves, model versions are found by their run.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from labs_core.track.journal import Event, Line, read
from labs_core.track.mlflow_setup import artifact_location, connect, local_uri, reason, shown
from labs_core.track.registration import register_version

if TYPE_CHECKING:
    from mlflow import MlflowClient

JOURNAL, DELIVERED = "journal.jsonl", "delivered.json"
JOURNAL_TAG = "labs.journal"
MAX_METRICS = 1000  # limits of MLflow's log-batch request
MAX_PAIRS = 100
BATCHED = ("params", "metrics", "tags")
REFUSALS = ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST")

T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass
class Progress:
    """What the store has; kept in `delivered.json` beside the journal."""

    uri: str  # the store that this is about
    run_id: str | None = None
    offset: int = 0  # bytes of the journal
    ended: bool = False  # the last event there is the run's end

    @classmethod
    def read(cls, folder: Path) -> Progress | None:
        """Of the run in `folder`; None where nothing is delivered yet, or it is unreadable."""
        try:
            return cls(**json.loads((folder / DELIVERED).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None  # sending all of it again is harmless

    def complete(self, folder: Path) -> bool:
        """Whether the store has the folder's whole journal and the run has ended.

        Reads no line of it. Raises OSError where the journal is gone.
        """
        return self.ended and self.offset >= (folder / JOURNAL).stat().st_size


class Outbox:
    """Sends the journal in a run's folder to its store, batch by batch.

    Args:
        folder: the run's folder.
        runs: the folder of the local store.
        uri: the tracking URI; None is the local store.
    """

    def __init__(self, folder: Path, runs: Path, uri: str | None) -> None:
        self._folder, self._journal = folder, folder / JOURNAL
        self._runs, self._uri = runs, uri
        self._store = uri or local_uri(runs)
        self._client: MlflowClient | None = None
        self.progress = Progress(self._store)
        self.refresh()

    def __str__(self) -> str:
        """The store, for messages: without a password that its URI may hold."""
        return shown(self._store)

    def refresh(self) -> None:
        """Read again how far the delivery is: another process may have been at it."""
        progress = Progress.read(self._folder)
        if progress and progress.uri == self._store:
            self.progress = progress

    def pending(self) -> int:
        """How many events on disk the store does not have."""
        return sum(1 for _ in read(self._journal, self.progress.offset))

    def complete(self) -> bool:
        """Whether the store has the whole journal and the run has ended; reads no line of it."""
        return self.progress.complete(self._folder)

    def send_next(self) -> int:
        """Send the next batch; returns how many events it held, 0 where nothing is left.

        Raises what MLflow raises where the store is away: nothing is lost, call it again later.
        What the store refuses for good (a name it does not allow, a run that was deleted there) is
        dropped with a warning, so that it does not hold up the rest.
        """
        client = self._client = self._client or self._connect()
        lines = list(itertools.islice(read(self._journal, self.progress.offset), MAX_METRICS))
        if not lines:
            return 0
        batch = _leading_batch(lines)
        try:
            self._send(client, [line.event for line in batch])
        except Exception as error:
            if not _is_refusal(error):
                raise
            for event in _singles(batch):  # find the guilty ones
                self._send_or_drop(client, event)
        self._save(batch[-1])
        return len(batch)

    def _connect(self) -> MlflowClient:
        client = connect(self._uri, self._runs)
        if self.progress.run_id and not _exists(client, self.progress.run_id):
            self.progress = Progress(self._store)  # the store was deleted or replaced: start again
        return client

    def _send(self, client: MlflowClient, batch: list[Event]) -> None:
        event = batch[0]
        match event["event"]:
            case "open":
                self.progress.run_id = self._open(client, event)
            case "params" | "metrics" | "tags":
                _log_batch(client, self._run_id, batch)
            case "dataset":
                _log_dataset(client, self._run_id, event)
            case "artifact":
                path = self._folder / event["path"]
                _log_artifact(client, self._run_id, path, event["dest"])
            case "register":
                register_version(client, self._run_id, event, lock=self._runs / "registry.lock")
            case "finish":
                client.set_terminated(self._run_id, event["status"], event["time"])
            case kind:
                log.warning("%s: an event of kind '%s' is skipped", self._journal, kind)

    def _send_or_drop(self, client: MlflowClient, event: Event) -> None:
        kind = event["event"]
        try:
            self._send(client, [event])
        except Exception as error:
            if not _is_refusal(error) or kind == "open":
                raise
            log.warning("%s refused %s of %s: %s", self, kind, self._journal, reason(error))

    @property
    def _run_id(self) -> str:
        assert self.progress.run_id, "the first event of a journal opens the run"
        return self.progress.run_id

    def _open(self, client: MlflowClient, event: Event) -> str:
        """Create the run, or go on with it where this journal has one in the store already."""
        experiment_id = self._experiment(client, event["experiment"])
        found = client.search_runs([experiment_id], f"tags.`{JOURNAL_TAG}` = '{event['id']}'")
        if found:
            run_id = str(found[0].info.run_id)
            client.update_run(run_id, status="RUNNING")
        else:
            tags = {**event["tags"], JOURNAL_TAG: event["id"]}
            run = client.create_run(experiment_id, event["time"], tags, event["name"])
            run_id = str(run.info.run_id)
        return run_id

    def _experiment(self, client: MlflowClient, name: str) -> str:
        from mlflow.exceptions import MlflowException

        experiment = client.get_experiment_by_name(name)
        if experiment is None:
            location = artifact_location(self._uri, self._runs, name)
            try:
                return str(client.create_experiment(name, location))
            except MlflowException:  # another run has just created it, or the store is away
                experiment = client.get_experiment_by_name(name)
                if experiment is None:
                    raise
        if experiment.lifecycle_stage == "deleted":
            client.restore_experiment(experiment.experiment_id)
        return str(experiment.experiment_id)

    def _save(self, last: Line) -> None:
        self.progress.offset = last.end
        self.progress.ended = last.event["event"] == "finish"
        delivered = self._folder / DELIVERED
        temporary = delivered.with_suffix(".tmp")
        try:
            temporary.write_text(json.dumps(asdict(self.progress)), encoding="utf-8")
            os.replace(temporary, delivered)
        except OSError as error:  # a full disk: after a kill, some events are sent again
            log.debug("%s cannot be written: %s", delivered, error)


def _leading_batch(lines: list[Line]) -> list[Line]:
    """As many events from the front as one request takes: some logs, or one of another kind."""
    batch: list[Line] = []
    metrics = 0
    for line in lines:
        metrics += len(line.event.get("metrics", ()))
        if line.event["event"] not in BATCHED or (batch and metrics > MAX_METRICS):
            break
        batch.append(line)
    return batch or lines[:1]


def _singles(batch: list[Line]) -> Iterator[Event]:
    """The events of a batch in their smallest parts: of those that have several keys, one each."""
    for event in (line.event for line in batch):
        kind = event["event"]
        if kind in BATCHED:
            yield from ({**event, kind: {key: value}} for key, value in event[kind].items())
        else:
            yield event


def _param_name(key: str) -> str:
    """A name that MLflow takes: `+optimizer.eps` -> `optimizer.eps`, `a@b` -> `a_b`."""
    return re.sub(r"[^/\w.\- ]", "_", key.lstrip("+"))


def _log_batch(client: MlflowClient, run_id: str, events: list[Event]) -> None:
    from mlflow.entities import Metric, Param, RunTag

    metrics = [
        Metric(key, value, event["time"], event["step"])
        for event in events
        for key, value in event.get("metrics", {}).items()
    ]
    params = [
        Param(_param_name(key), value)
        for event in events
        for key, value in event.get("params", {}).items()
    ]
    tags = [RunTag(*pair) for event in events for pair in event.get("tags", {}).items()]
    for points in _chunks(metrics, MAX_METRICS):
        client.log_batch(run_id, metrics=points)
    for pairs in _chunks(params, MAX_PAIRS):
        client.log_batch(run_id, params=pairs)
    for labels in _chunks(tags, MAX_PAIRS):
        client.log_batch(run_id, tags=labels)


def _log_dataset(client: MlflowClient, run_id: str, event: Event) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    is_url = event["source"].startswith(("http://", "https://"))
    dataset = Dataset(
        name=event["name"],
        digest=event["digest"][:16],  # MLflow takes 36 at most; the bundle has the whole hash
        source_type="http" if is_url else "local",
        source=json.dumps({"url" if is_url else "uri": event["source"]}),
        profile=json.dumps({"num_rows": sum(event["counts"].values()), **event["counts"]}),
    )
    context = InputTag("mlflow.data.context", "training")
    client.log_inputs(run_id, [DatasetInput(dataset, [context])])


def _log_artifact(client: MlflowClient, run_id: str, path: Path, dest: str) -> None:
    if path.is_dir():
        client.log_artifacts(run_id, str(path), dest or None)
    elif path.is_file():
        client.log_artifact(run_id, str(path), dest or None)
    else:
        log.warning("The artifact %s is gone, so it cannot be sent", path)


def _exists(client: MlflowClient, run_id: str) -> bool:
    from mlflow.exceptions import MlflowException

    try:
        client.get_run(run_id)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return False
        raise
    return True


def _is_refusal(error: Exception) -> bool:
    """Whether the store understood and said no, so that asking again is of no use."""
    return getattr(error, "error_code", None) in REFUSALS


def _chunks(items: list[T], size: int) -> list[list[T]]:
    return [items[i : i + size] for i in range(0, len(items), size)]
