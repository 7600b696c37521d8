from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from labs_core.data import dvc_cache
from labs_core.data.digest import combine, hash_files
from labs_core.paths import ROOT

STAGES = """
stages:
  fetch:
    foreach: [toy]
    do:
      cmd: python make.py
      outs:
        - data/${item}
"""
MAKE = """
from pathlib import Path
Path("data/toy/deep").mkdir(parents=True)
Path("data/toy/a").write_bytes(b"1")
Path("data/toy/deep/b").write_bytes(b"2")
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose data set `toy` DVC has made, put into its cache and pushed to its remote."""
    from dvc.repo import Repo

    root = tmp_path_factory.mktemp("project")
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    with Repo.init(str(root)) as repo:
        (root / "dvc.yaml").write_text(STAGES, encoding="utf-8")
        (root / "make.py").write_text(MAKE, encoding="utf-8")
        with repo.config.edit() as config:
            config["core"]["analytics"] = False
            config["remote"]["store"] = {"url": str(root / "remote")}
            config["core"]["remote"] = "store"
    for command in ("repro", "push"):
        subprocess.run([sys.executable, "-m", "dvc", command, "-q"], cwd=root, check=True)
    return root


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Path:
    root = tmp_path / "project"
    shutil.copytree(made, root, symlinks=True)
    config = root / ".dvc" / "config"
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace(str(made), str(root)), encoding="utf-8")
    return root


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "target"
    folder.mkdir()
    return folder


def test_the_pinned_hash_is_the_one_in_dvc_lock_and_that_of_the_folder(project):
    assert dvc_cache.pinned("toy", project) == combine(hash_files(project / "data" / "toy"))


def test_a_data_set_that_was_never_locked_has_no_pinned_hash(project, tmp_path):
    assert dvc_cache.pinned("other", project) == ""
    assert dvc_cache.pinned("toy", tmp_path) == ""


def test_it_comes_from_the_cache(project, target):
    digest = dvc_cache.pinned("toy", project)
    shutil.rmtree(project / "remote")
    assert dvc_cache.has(digest, project)
    assert dvc_cache.checkout("toy", digest, target, project)
    assert (target / "a").read_bytes() == b"1"
    assert (target / "deep" / "b").read_bytes() == b"2"


def test_it_comes_from_the_remote_when_the_cache_is_empty(project, target):
    digest = dvc_cache.pinned("toy", project)
    shutil.rmtree(project / ".dvc" / "cache")
    assert not dvc_cache.has(digest, project)
    assert dvc_cache.checkout("toy", digest, target, project)
    assert combine(hash_files(target)) == digest


def test_a_remote_that_is_away_is_no_error(project, target):
    digest = dvc_cache.pinned("toy", project)
    shutil.rmtree(project / ".dvc" / "cache")
    shutil.rmtree(project / "remote")
    assert not dvc_cache.checkout("toy", digest, target, project)
    assert list(target.iterdir()) == []


def test_a_damaged_cache_is_not_used(project, target):
    digest = dvc_cache.pinned("toy", project)
    for file in (project / ".dvc" / "cache" / "files").rglob("*"):
        if file.is_file() and file.suffix != ".dir":
            file.chmod(0o644)
            file.write_bytes(b"9\n")
    assert not dvc_cache.checkout("toy", digest, target, project)
    assert list(target.iterdir()) == []


def listed(project: Path, content: bytes) -> str:
    """Put a listing into the cache; returns its hash."""
    digest = hashlib.md5(content).hexdigest() + ".dir"
    file = project / ".dvc" / "cache" / "files" / "md5" / digest[:2] / digest[2:]
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content)
    return digest


ONE = hashlib.md5(b"1").hexdigest()  # the content of the file `a`, which the cache has


@pytest.mark.parametrize("content", [b"[{", b"3", b"[1]", b'[{"md5": "1"}]', b"\xff"])
def test_a_listing_that_is_none_is_not_used(project, target, content):
    assert not dvc_cache.checkout("toy", listed(project, content), target, project)
    assert list(target.iterdir()) == []


def test_a_listing_with_another_hash_than_its_name_is_not_used(project, target):
    digest = dvc_cache.pinned("toy", project)
    file = project / ".dvc" / "cache" / "files" / "md5" / digest[:2] / digest[2:]
    file.chmod(0o644)
    file.write_bytes(json.dumps([{"md5": ONE, "relpath": "../evil"}]).encode())
    assert not dvc_cache.checkout("toy", digest, target, project)
    assert not (target.parent / "evil").exists()


@pytest.mark.parametrize(
    "name", ["../evil", "deep/../../evil", "ABSOLUTE", "..\\evil", "C:evil", ""]
)
def test_a_name_that_leads_out_of_the_folder_is_never_written(project, target, name):
    name = name.replace("ABSOLUTE", str(target.parent / "evil"))
    entries = [{"md5": ONE, "relpath": "a"}, {"md5": ONE, "relpath": name}]
    digest = listed(project, json.dumps(entries).encode())
    before = sorted(target.parent.iterdir())
    assert not dvc_cache.checkout("toy", digest, target, project)
    assert sorted(target.parent.iterdir()) == before
    assert list(target.iterdir()) == []


def test_a_remote_that_cannot_be_read_is_no_error(project, target):
    digest = dvc_cache.pinned("toy", project)
    shutil.rmtree(project / ".dvc" / "cache")
    shutil.rmtree(project / "remote")
    (project / "remote").write_text("a file in the place of the folder", encoding="utf-8")
    assert not dvc_cache.checkout("toy", digest, target, project)
    assert list(target.iterdir()) == []


def test_a_folder_without_dvc_has_no_cache(tmp_path, target):
    assert not dvc_cache.has("0" * 32 + ".dir", tmp_path)
    assert not dvc_cache.checkout("toy", "0" * 32 + ".dir", target, tmp_path)


def test_every_fetched_data_set_has_a_stage():
    import yaml

    from labs_core.catalog import data_sets

    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    named = {name for name, card in data_sets().items() if card.splits}
    assert set(stages["fetch"]["foreach"]) == named


def test_every_lab_has_a_stage_on_its_starter_data():
    import yaml

    from labs_core.catalog import labs

    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    stages = stages["run"]["foreach"]
    assert {n: (s["folder"], s["data"]) for n, s in stages.items()} == {
        name: (lab.folder, lab.data[0]) for name, lab in labs().items()
    }


def test_dvc_lock_belongs_to_the_files_that_are_checked_in():
    # Whoever edits a data set's file or its list of official files must run `dvc repro fetch@NAME`.
    import yaml

    from labs_core.data.digest import file_hash

    stages = yaml.safe_load((ROOT / "dvc.lock").read_text(encoding="utf-8"))["stages"]
    pinned = {name: stage for name, stage in stages.items() if name.startswith("fetch@")}
    assert len(pinned) >= 7
    for stage in pinned.values():
        for dep in stage["deps"]:
            assert dep["md5"] == file_hash(ROOT / dep["path"]), dep["path"]
        for path, values in stage["params"].items():
            card = yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))["card"]
            assert values == {"card.files": card["files"]}, path
