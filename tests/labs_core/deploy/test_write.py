from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from labs_core.bundle import format
from labs_core.bundle.load import load
from labs_core.deploy.plan import TARGETS
from labs_core.deploy.write import write
from labs_core.errors import LabsError

SERVICES = [name for name in TARGETS if name != "space"]


@pytest.fixture
def from_somewhere(tmp_path: Path, price_bundle: Path) -> Callable[..., Path]:
    """A bundle whose lineage says something else; bundles may come from anywhere."""

    def change(**lineage: str) -> Path:
        folder = tmp_path / "from-somewhere"
        shutil.copytree(price_bundle, folder)
        manifest = format.parse((folder / format.FILE).read_bytes())
        changed = dataclasses.replace(manifest, lineage={**manifest.lineage, **lineage})
        (folder / format.FILE).write_text(changed.to_json(), encoding="utf-8")
        return folder

    return change


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_has_the_bundle_and_a_readme(
    target: str, price_bundle: Path, deployed: Callable[..., Path]
) -> None:
    folder = deployed(price_bundle, target)
    assert load(folder / "bundle").golden == load(price_bundle).golden
    for name in ("README.md", "requirements.txt", "LICENSE"):
        assert (folder / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("target", SERVICES)
def test_a_readme_has_no_gap_and_names_the_model(
    target: str, price_bundle: Path, deployed: Callable[..., Path]
) -> None:
    folder = deployed(price_bundle, target, lab="week1", version="3")
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert "Model: price, version 3, of run fedcba9876543210; bundle " in text
    assert f"labs deploy week1 --to {target}" in text
    assert "{{" not in text
    assert "None" not in text
    assert "\n\n\n" not in text
    assert text.count("```") % 2 == 0


@pytest.mark.parametrize("target", SERVICES)
def test_the_example_is_of_the_golden_batch(
    target: str, price_bundle: Path, deployed: Callable[..., Path]
) -> None:
    items = json.loads((deployed(price_bundle, target) / "example.json").read_bytes())["items"]
    assert items == [{"size": 45.5, "age of the house": 3.25}], "the shorter of the two"


@pytest.mark.parametrize("target", TARGETS)
def test_the_same_bundle_gives_the_same_bytes(
    target: str, colour_bundle: Path, tmp_path: Path
) -> None:
    first, second = (
        write(colour_bundle, target, tmp_path / name).folder / "deploy.json" for name in "ab"
    )
    assert first.read_bytes() == second.read_bytes()


def test_no_file_knows_where_it_was_written(price_bundle: Path, tmp_path: Path) -> None:
    for target in TARGETS:
        folder = write(price_bundle, target, tmp_path / "a-place-of-its-own" / target).folder
        for file in folder.rglob("*"):
            assert not file.is_file() or b"a-place-of-its-own" not in file.read_bytes(), file


def test_the_record_lists_every_file(price_bundle: Path, deployed: Callable[..., Path]) -> None:
    folder = deployed(price_bundle, "docker", lab="week1", version="3", run_id="f00", tag="me/w:1")
    record = json.loads((folder / "deploy.json").read_bytes())
    files = record.pop("files")
    assert record == {
        "target": "docker",
        "lab": "week1",
        "model": "price",
        "version": "3",
        "run_id": "f00",
        "bundle_sha256": hashlib.sha256((price_bundle / "bundle.json").read_bytes()).hexdigest(),
        "image": "me/w:1",
    }
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert set(files) == there - {"deploy.json"}
    assert files["bundle/model.onnx"] == (
        hashlib.sha256((price_bundle / "model.onnx").read_bytes()).hexdigest()
    )


def test_by_default_the_folder_is_named_after_lab_and_target(
    price_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert write(price_bundle, "procfile").folder == tmp_path / "deploy" / "price-procfile"
    assert write(price_bundle, "procfile", lab="week1").folder.name == "week1-procfile"


def test_a_damaged_bundle_is_not_deployed(
    tmp_path: Path, price_bundle: Path, deployed: Callable[..., Path]
) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(price_bundle, damaged)
    (damaged / "model.onnx").write_bytes((damaged / "model.onnx").read_bytes()[:-1] + b"\0")
    with pytest.raises(LabsError, match=r"model\.onnx was changed"):
        deployed(damaged, "docker")
    assert not (tmp_path / "out").exists()


def test_only_what_the_bundle_lists_is_copied(
    tmp_path: Path, price_bundle: Path, deployed: Callable[..., Path]
) -> None:
    fuller = tmp_path / "fuller"
    shutil.copytree(price_bundle, fuller)
    (fuller / "notes.txt").write_text("not part of it")
    assert not (deployed(fuller, "docker") / "bundle" / "notes.txt").exists()


@pytest.mark.parametrize("target", SERVICES)
def test_a_bundle_cannot_write_into_the_files_around_it(
    target: str, from_somewhere: Callable[..., Path], deployed: Callable[..., Path], tmp_path: Path
) -> None:
    bundle = from_somewhere(lab="week1\nUSER root")
    with pytest.raises(LabsError, match=r"lab 'week1\\nUSER root' cannot be written"):
        deployed(bundle, target)
    assert not (tmp_path / "out").exists()


def test_a_run_that_is_no_word_is_refused(
    from_somewhere: Callable[..., Path], deployed: Callable[..., Path]
) -> None:
    with pytest.raises(LabsError, match="The model's run_id"):
        deployed(from_somewhere(run_id="'; rm -r ~; '"), "procfile")


def test_the_lab_is_what_the_bundle_says(
    from_somewhere: Callable[..., Path], deployed: Callable[..., Path]
) -> None:
    folder = deployed(from_somewhere(lab="week1"), "procfile")
    assert '"name": "week1"' in (folder / "Procfile").read_text()
