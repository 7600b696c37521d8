from __future__ import annotations

import hashlib
import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labs_core.deploy.plan import TARGETS
from labs_core.paths import ROOT

Run = Callable[..., Any]
NO_ENGINE = {"DOCKER_HOST": "tcp://127.0.0.1:9"}  # the port where nothing listens


@pytest.fixture
def week5(home: Path, colour_bundle: Path) -> str:
    """The run id of week5's only version, in the local store."""
    from labs_core.track.mlflow_setup import connect

    client = connect(None, home)
    artifacts = (home / "artifacts").as_uri()
    experiment = client.create_experiment("week5", artifact_location=artifacts)
    client.create_registered_model("labs-week5")
    run = client.create_run(experiment).info
    client.log_artifacts(run.run_id, str(colour_bundle), "bundle")
    client.create_model_version("labs-week5", f"{run.artifact_uri}/bundle", run.run_id)
    client.set_registered_model_alias("labs-week5", "champion", "1")
    return str(run.run_id)


def test_a_registered_model_is_deployed_with_its_version(
    labs_cli: Run, week5: str, colour_bundle: Path, tmp_path: Path
) -> None:
    code, out, err = labs_cli("deploy", "week5", "--to", "procfile", "--json", cwd=tmp_path)
    assert (code, err) == (0, "")
    folder = tmp_path / "deploy" / "week5-procfile"
    assert json.loads(out) == {
        "folder": str(folder),
        "lab": "week5",
        "model": {"name": "colours", "version": "1", "run_id": week5},
        "bundle_sha256": hashlib.sha256((colour_bundle / "bundle.json").read_bytes()).hexdigest(),
        "tag": None,
        "image": None,
    }
    announced = f'{{"bundle": "bundle", "name": "week5", "version": "1", "run_id": "{week5}"}}'
    assert announced in (folder / "Procfile").read_text()


def test_a_bundles_folder_is_deployed_and_the_way_there_shown(
    labs_cli: Run, price_bundle: Path, tmp_path: Path
) -> None:
    command = ("deploy", str(price_bundle), "--to", "docker", "--out", "here")
    code, out, err = labs_cli(*command, cwd=tmp_path)
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "price is ready in here",
        "README.md there says how to run it, call it and update it.",
    ]
    assert (tmp_path / "here" / "Dockerfile").is_file()
    assert labs_cli(*command, cwd=tmp_path).code == 0, "it may be repeated"


def test_the_image_is_called_what_one_likes(
    labs_cli: Run, price_bundle: Path, tmp_path: Path
) -> None:
    _, out, _ = labs_cli(
        *("deploy", str(price_bundle), "--to", "k8s", "--tag", "registry.example/team/price:1.0"),
        *("--json",),
        cwd=tmp_path,
    )
    found = json.loads(out)
    assert found["tag"] == "registry.example/team/price:1.0"
    manifest = (Path(found["folder"]) / "k8s" / "deployment.yaml").read_text()
    assert 'image: "registry.example/team/price:1.0"' in manifest


def test_without_an_engine_build_leaves_the_folder_and_says_so(
    labs_cli: Run, price_bundle: Path, tmp_path: Path
) -> None:
    command = ("deploy", str(price_bundle), "--to", "docker", "--tag", "price:1", "--build")
    code, out, err = labs_cli(*command, cwd=tmp_path, env=NO_ENGINE)
    folder = tmp_path / "deploy" / "price-docker"
    assert code == 2, "what was asked for was not done"
    assert out.startswith("price is ready in deploy")
    assert err.splitlines() == [
        "Error: No image was built: no Docker engine answers.",
        f"The folder is ready. Where an engine runs: docker build -t price:1 {folder}",
    ]
    assert (folder / "Dockerfile").is_file()

    code, out, _ = labs_cli(*command, "--json", cwd=tmp_path, env=NO_ENGINE)
    assert code == 2
    assert json.loads(out)["image"] is None
    assert json.loads(out)["folder"] == str(folder)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--to", "dokcer"], "There is no target 'dokcer'.\nDid you mean 'docker'?"),
        (["--to", "docker", "--tag", "My Image"], "An image cannot be called 'My Image'."),
        (["--to", "procfile", "--build"], "The target 'procfile' has no image."),
        (["--to", "procfile", "--tag", "a"], "The target 'procfile' has no image."),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_written(
    labs_cli: Run, price_bundle: Path, tmp_path: Path, arguments: list[str], says: str
) -> None:
    code, out, err = labs_cli("deploy", str(price_bundle), *arguments, cwd=tmp_path)
    assert (code, out) == (2, "")
    assert err.startswith(f"Error: {says}")
    assert not (tmp_path / "deploy").exists()


def test_a_lab_that_is_not_there_is_guessed(labs_cli: Run, tmp_path: Path) -> None:
    code, _, err = labs_cli("deploy", "wek5", "--to", "docker", cwd=tmp_path)
    assert code == 2
    assert "Did you mean 'week5'?" in err
    assert not (tmp_path / "deploy").exists()


def test_a_damaged_bundle_leaves_no_folder(
    labs_cli: Run, price_bundle: Path, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(price_bundle, damaged)
    (damaged / "golden" / "answers.json").write_text("[]")
    code, _, err = labs_cli("deploy", str(damaged), "--to", "docker", cwd=tmp_path)
    assert code == 2
    assert "answers.json is cut off or was changed" in err
    assert not (tmp_path / "deploy").exists()


def test_a_folder_of_somebody_else_is_left_alone(
    labs_cli: Run, price_bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter-1.txt").write_text("It was a dark night.")
    command = ("deploy", str(price_bundle), "--to", "docker", "--out", "thesis", "--force")
    code, _, err = labs_cli(*command, cwd=tmp_path)
    assert code == 2
    assert "labs deploy has not written it" in err
    assert [file.name for file in (tmp_path / "thesis").iterdir()] == ["chapter-1.txt"]


def test_a_changed_file_is_only_lost_with_force(
    labs_cli: Run, price_bundle: Path, tmp_path: Path
) -> None:
    command = ("deploy", str(price_bundle), "--to", "docker", "--out", "here")
    assert labs_cli(*command, cwd=tmp_path).code == 0
    dockerfile = tmp_path / "here" / "Dockerfile"
    written = dockerfile.read_text()
    dockerfile.write_text("FROM scratch\n")
    code, _, err = labs_cli(*command, cwd=tmp_path)
    assert code == 2
    assert "somebody has changed Dockerfile" in err
    assert dockerfile.read_text() == "FROM scratch\n"
    assert labs_cli(*command, "--force", cwd=tmp_path).code == 0
    assert dockerfile.read_text() == written


@pytest.mark.slow
def test_the_guides_commands_work(labs_cli: Run, week5: str, tmp_path: Path) -> None:
    text = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    commands = re.findall(r"^labs (deploy .*)$", text, re.MULTILINE)
    assert commands
    (tmp_path / "here").mkdir()
    for command in commands:
        code, _, err = labs_cli(*shlex.split(command), cwd=tmp_path / "here")
        assert code == 0, f"{command}: {err}"


def test_the_guide_lists_every_target() -> None:
    text = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == set(TARGETS)
