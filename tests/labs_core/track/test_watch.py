from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from labs_core.track.registry import find
from labs_core.track.watch import Watch, is_pinned

Publish = Callable[[Any, str], int]


@pytest.fixture
def publish() -> Publish:
    """Register a bundle that holds one word as the next version of week5; returns its number."""

    def publish(client: Any, word: str) -> int:
        experiment = client.get_experiment_by_name("week5")
        number = experiment.experiment_id if experiment else client.create_experiment("week5")
        run = client.create_run(number, run_name=word).info
        client.log_text(run.run_id, f'"{word}"', "bundle/bundle.json")
        if not client.search_registered_models("name = 'labs-week5'"):
            client.create_registered_model("labs-week5")
        made = client.create_model_version(
            "labs-week5", f"{run.artifact_uri}/bundle", run.run_id, tags={"labs.label": word}
        )
        return int(made.version)

    return publish


@pytest.fixture
def local(client: Any, runs: Path, publish: Publish) -> Any:
    """A client of a local store where week5 has two versions, and version 1 is the champion."""
    client.create_experiment("week5", artifact_location=(runs / "artifacts").as_uri())
    publish(client, "one")
    publish(client, "two")
    crown(client, 1)
    return client


def crown(client: Any, version: int) -> None:
    client.set_registered_model_alias("labs-week5", "champion", str(version))


def watching(*names: str, uri: str | None = None) -> Watch:
    return Watch(names, [find(name, uri) for name in names], uri)


def moved(watch: Watch) -> list[tuple[int, int, str]]:
    """Of each name that has moved: its place, the version and what the bundle holds."""
    return [
        (move.place, move.version.version, (move.bundle / "bundle.json").read_text().strip('"'))
        for move in watch.poll()
    ]


def test_names_follow_the_champion_and_the_latest_and_pinned_ones_stay(
    local: Any, publish: Publish
) -> None:
    names = ("week5", "week5@champion", "week5@latest", "week5/1", "week5/two")
    watch = watching(*names)
    assert moved(watch) == []
    crown(local, 2)
    assert moved(watch) == [(0, 2, "two"), (1, 2, "two")]
    assert moved(watch) == [], "told once"
    publish(local, "three")
    assert moved(watch) == [(2, 3, "three")]
    crown(local, 1)
    publish(local, "two")  # another run with the label of a pinned one
    assert moved(watch) == [(0, 1, "one"), (1, 1, "one"), (2, 4, "two")]


def test_without_a_champion_a_lab_is_its_latest_version(local: Any, publish: Publish) -> None:
    local.delete_registered_model_alias("labs-week5", "champion")
    watch = watching("week5")
    publish(local, "three")
    assert moved(watch) == [(0, 3, "three")]
    crown(local, 1)
    assert moved(watch) == [(0, 1, "one")], "the first champion"


def test_folders_and_pinned_names_are_never_asked_for(home: Path) -> None:
    watch = Watch(["bundles/mine", "price"], [None, None], None)
    assert watch.poll() == []
    assert not home.exists()
    assert is_pinned("week5/3")
    assert not is_pinned("week5@champion")


def test_an_idle_local_store_is_not_even_opened(
    local: Any, runs: Path, caplog: pytest.LogCaptureFixture
) -> None:
    watch = watching("week5")
    files = [file for file in runs.glob("mlflow.db*") if not file.name.endswith("-shm")]
    for file in files:
        os.utime(file, (1, 1))
    assert watch.poll() == []
    kept = {file: file.read_bytes() for file in files}
    for file, content in kept.items():
        file.write_bytes(b"?" * len(content))
        os.utime(file, (1, 1))
    assert watch.poll() == [], "nobody has read the nonsense"
    assert caplog.text == ""

    for file, content in kept.items():
        file.write_bytes(content)
    crown(local, 2)
    assert moved(watch) == [(0, 2, "two")]


def test_a_change_in_the_same_moment_as_a_look_is_not_missed(local: Any, runs: Path) -> None:
    watch = watching("week5")
    for version in (2, 1, 2, 1):  # faster than the file's time is fine
        crown(local, version)
        assert [version for _, version, _ in moved(watch)] == [version]


def test_a_store_that_is_gone_is_told_once_and_found_again(
    local: Any, runs: Path, caplog: pytest.LogCaptureFixture
) -> None:
    watch = watching("week5", "week5/2")
    crown(local, 2)
    away = runs.with_name("away")
    runs.rename(away)
    assert watch.poll() == []
    assert watch.poll() == []
    assert caplog.messages == [
        "week5: version 1 goes on, for The lab 'week5' has no registered model yet"
    ]
    shutil.rmtree(runs, ignore_errors=True)
    away.rename(runs)
    assert moved(watch) == [(0, 2, "two")]
    assert caplog.messages[1:] == ["week5 can be watched again"]


def test_a_bundle_that_cannot_be_had_is_told_once_and_asked_for_again(
    local: Any, runs: Path, caplog: pytest.LogCaptureFixture
) -> None:
    watch = watching("week5")
    hidden = runs.with_name("hidden")
    (runs / "artifacts").rename(hidden)
    crown(local, 2)
    assert watch.poll() == []
    assert watch.poll() == []
    assert len(caplog.messages) == 1
    assert "bundle of week5/2" in caplog.text
    hidden.rename(runs / "artifacts")
    assert moved(watch) == [(0, 2, "two")]


@pytest.fixture
def remote(server: Any, home: Path) -> Iterator[Any]:
    """A client of a real MLflow server that runs."""
    from mlflow import MlflowClient

    server.start()
    yield MlflowClient(server.uri, server.uri)
    server.kill()


@pytest.mark.slow
def test_a_server_is_asked_its_bundles_are_fetched_and_its_absence_is_no_end(
    server: Any, remote: Any, home: Path, publish: Publish, caplog: pytest.LogCaptureFixture
) -> None:
    publish(remote, "one")
    watch = watching("week5", uri=server.uri)
    assert moved(watch) == []
    publish(remote, "two")
    assert moved(watch) == [(0, 2, "two")]
    assert list((home / "downloads").iterdir()), "on this disk"

    crown(remote, 1)
    server.kill()
    assert watch.poll() == []
    assert watch.poll() == []
    assert len(caplog.messages) == 1
    assert f"week5: version 2 goes on, for The tracking store {server.uri} does not" in caplog.text
    server.start()
    assert moved(watch) == [(0, 1, "one")]
    assert caplog.messages[1:] == ["week5 can be watched again"]
