from __future__ import annotations

import json

from labs_core.catalog import data_sets
from labs_core.data import dvc_cache

COLUMNS = {"name", "title", "licence", "homepage", "size_mb", "splits", "source"}


def test_list_names_every_data_set_with_its_licence_and_splits(labs_cli):
    code, stdout, _ = labs_cli("data", "list", "--json")
    rows = {row["name"]: row for row in json.loads(stdout)}
    assert code == 0
    assert rows.keys() == data_sets().keys()
    assert all(row.keys() >= COLUMNS for row in rows.values())
    assert rows["mnist"]["splits"] == {"train": 55000, "val": 5000, "test": 10000}
    assert rows["mnist"]["licence"].startswith("CC BY-SA")


def test_list_is_a_table_for_people(labs_cli):
    code, stdout, _ = labs_cli("data", "list", env={"COLUMNS": "160"})
    assert code == 0
    assert "6,600 / 1,400 / 2,000" in stdout
    assert "scikit-image" in stdout


def test_fetch_verify_status(labs_cli, tmp_path):
    env = {"LABS_DATA": str(tmp_path / "data"), "LABS_DATA_MIRROR": ""}

    def status() -> dict[str, str]:
        rows = json.loads(labs_cli("data", "status", "--json", env=env).stdout)
        return {row["name"]: row["where"] for row in rows}

    assert status()["diabetes"] in ("library", "DVC cache")
    assert labs_cli("data", "verify", "diabetes", env=env).code == 2

    code, stdout, _ = labs_cli("data", "fetch", "diabetes", env=env)
    assert code == 0
    assert dvc_cache.pinned("diabetes") in stdout
    assert status()["diabetes"] == "present"
    assert status()["cifar10_official"] == "official URL"

    changed = tmp_path / "data" / "diabetes" / "val.csv"
    changed.write_text(changed.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    code, _, stderr = labs_cli("data", "verify", env=env)
    assert code == 2
    assert "data/diabetes/val.csv was changed" in stderr
    assert "labs data fetch diabetes --force" in stderr
    assert status()["diabetes"] == "changed"

    assert labs_cli("data", "fetch", "diabetes", "--force", env=env).code == 0
    code, stdout, _ = labs_cli("data", "verify", env=env)
    assert code == 0
    assert "diabetes" in stdout


def test_a_misspelt_data_set_stops_before_anything_is_fetched(labs_cli, tmp_path):
    env = {"LABS_DATA": str(tmp_path / "data")}
    code, stdout, stderr = labs_cli("data", "fetch", "diabetes", "minst", env=env)
    assert code == 2
    assert stdout == ""
    assert "There is no data set 'minst'" in stderr
    assert "Did you mean 'mnist'?" in stderr
    assert not (tmp_path / "data" / "diabetes").exists()
