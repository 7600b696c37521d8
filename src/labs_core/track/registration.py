"""Registering a run's bundle: a model version and, where it earned it, the alias `champion`.

There is no alias `latest` to set: MLflow reserves the word for the version with the highest number.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from labs_core.track.journal import Event
from labs_core.track.mlflow_setup import RUN_TAG

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

CHAMPION = "champion"
LABEL_TAG = "labs.label"  # the run's readable name
# Tags of a version that decide about the champion.
METRIC, VALUE, DATA, PASSED = "labs.metric", "labs.value", "labs.data_hash", "labs.passed"


def register_version(client: MlflowClient, run_id: str, event: Event, lock: Path) -> None:
    """Make the run's artifacts under `dest` a version of the model; again, it updates its tags.

    `lock` keeps two runs of this machine from choosing a champion at the same moment.
    """
    name = event["model_name"]
    run = client.get_run(run_id)
    tags = {
        **event["tags"],
        RUN_TAG: run.data.tags.get(RUN_TAG, ""),
        LABEL_TAG: run.info.run_name,
        METRIC: event["metric"],
        VALUE: repr(event["value"]),
        DATA: event["data_hash"],
        PASSED: str(event["passed"]).lower(),
    }
    with FileLock(lock):
        _ensure_model(client, name)
        version = _version_of_run(client, name, run_id)
        if version is None:
            source = f"{run.info.artifact_uri}/{event['dest']}"
            version = client.create_model_version(name, source, run_id, tags=tags)
        else:
            for key, value in tags.items():
                client.set_model_version_tag(name, version.version, key, value)
        if event["passed"] and _beats(event, _champion(client, name)):
            client.set_registered_model_alias(name, CHAMPION, version.version)


def _champion(client: MlflowClient, name: str) -> ModelVersion | None:
    version = client.get_registered_model(name).aliases.get(CHAMPION)
    return None if version is None else client.get_model_version(name, version)


def _beats(event: Event, champion: ModelVersion | None) -> bool:
    """Whether the run's metric is better than the champion's on the same data.

    On other data, or by another metric, nothing can be said: the champion stays.
    """
    if champion is None:
        return True
    tags = champion.tags
    if (tags.get(METRIC), tags.get(DATA)) != (event["metric"], event["data_hash"]):
        return False
    mine, best = float(event["value"]), float(tags[VALUE])
    return mine > best if event["mode"] == "max" else mine < best


def _ensure_model(client: MlflowClient, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _version_of_run(client: MlflowClient, name: str, run_id: str) -> ModelVersion | None:
    found = client.search_model_versions(f"name='{name}' and run_id='{run_id}'")
    return found[0] if found else None
