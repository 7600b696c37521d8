from __future__ import annotations

import json
from pathlib import Path

import pytest

from labs_core.errors import LabsError
from labs_core.track.registry import configuration, find, model_name, registered, resolve
from labs_core.track.tracker import Tracker


@pytest.fixture
def run(runs: Path):
    """Track a run that registers a bundle; returns its MLflow id."""

    def run(
        name: str,
        value: float,
        *,
        passed: bool = True,
        data: str = "textures",
        metric: str = "test/acc",
        mode: str = "max",
    ) -> str:
        folder = runs / name
        (folder / "bundle").mkdir(parents=True, exist_ok=True)
        (folder / "bundle" / "bundle.json").write_text(json.dumps(name), encoding="utf-8")
        tracker = Tracker(folder, None, "week5", f"label of {name}")
        tracker.artifact(folder / "bundle", "bundle")
        tracker.register(
            model_name("week5"), "bundle", metric, mode, value=value, data_hash=data, passed=passed
        )
        run_id = tracker.finish(timeout=60).run_id
        assert run_id
        return run_id

    return run


def bundle(name: str) -> str:
    """Whose bundle a name leads to."""
    return json.loads((resolve(name) / "bundle.json").read_text(encoding="utf-8"))


def test_the_champion_is_the_best_run_that_passed_on_the_same_data(run) -> None:
    run("failed", 0.99, passed=False)
    assert [version.aliases for version in registered("week5")] == [()]
    assert bundle("week5") == "failed", "no champion yet: the latest"
    with pytest.raises(LabsError, match="no model 'week5@champion'"):
        resolve("week5@champion")

    steps = [
        ("first", {"value": 0.6}, "first"),
        ("worse", {"value": 0.5}, "first"),
        ("equal", {"value": 0.6}, "first"),
        ("better", {"value": 0.7}, "better"),
        ("better but failed", {"value": 0.9, "passed": False}, "better"),
        ("on other data", {"value": 0.9, "data": "mnist"}, "better"),
        ("by another metric", {"value": 0.9, "metric": "test/f1"}, "better"),
        ("not a number", {"value": float("nan")}, "better"),
        ("best", {"value": 0.8}, "best"),
    ]
    for name, result, champion in steps:
        run(name, **result)
        assert bundle("week5@champion") == champion, name
        assert bundle("week5") == champion, name
        assert bundle("week5@latest") == name


def test_where_less_is_better_the_smaller_value_wins(run) -> None:
    for name, value, champion in [("a", 3.0, "a"), ("b", 4.0, "a"), ("c", 2.0, "c")]:
        run(name, value, metric="test/rmse", mode="min")
        assert bundle("week5@champion") == champion


def test_a_run_that_registers_twice_has_one_version(run) -> None:
    first = run("a", 0.5)
    assert run("a", 0.5) == first
    [version] = registered("week5")
    assert (version.version, version.run_id, version.aliases) == (1, first, ("champion",))


def test_versions_run_names_labels_and_ids_lead_to_bundles(run) -> None:
    run("a", 0.5)
    run_id = run("b", 0.4)
    assert bundle("week5/1") == "a"
    assert bundle("week5/2") == "b"
    assert bundle("week5/b") == "b"
    assert bundle(f"week5/{run_id}") == "b"
    assert [version.label for version in registered("week5")] == ["label of b", "label of a"]
    assert find("week5").version == 1


def test_a_folder_with_a_bundle_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "bundle.json").write_text("{}", encoding="utf-8")
    assert resolve(str(tmp_path)) == tmp_path


@pytest.mark.parametrize(
    "name",
    [
        "..",
        "../week5",
        "week5/..",
        "week5/../week1",
        "week5/a/b",
        "week5/",
        "/etc/passwd",
        "week5@",
        "week5@a@b",
        "week5 ",
        "week5\n",
        "week5/..hidden",
        "wееk5",  # with two Cyrillic letters
        "week5/٣",  # an Arabic three
        "",
        "week5\0",
        "C:\\week5",
        "runs:/x",
    ],
)
def test_a_name_that_is_none_is_refused(home: Path, name: str) -> None:
    with pytest.raises(LabsError, match="neither the name of a model nor a folder"):
        resolve(name)
    assert not home.exists(), "asking creates nothing"


def test_an_unknown_lab_is_named_with_the_nearest(home: Path) -> None:
    with pytest.raises(LabsError, match="no lab 'weak5'") as caught:
        resolve("weak5")
    assert "week5" in caught.value.remedy


def test_a_lab_without_a_model_says_how_to_make_one(home: Path) -> None:
    with pytest.raises(LabsError, match="no registered model") as caught:
        resolve("week5")
    assert "labs run week5" in caught.value.remedy
    assert not home.exists()


@pytest.mark.parametrize("name", ["week5/9", "week5@best", "week5/nobody"])
def test_an_unknown_version_says_what_there_is(run, name: str) -> None:
    run("a", 0.5)
    with pytest.raises(LabsError, match=f"no model '{name}'") as caught:
        resolve(name)
    assert "week5/1 (a @champion)" in caught.value.remedy


def test_a_bundle_that_was_deleted_is_an_error_that_says_where_it_was(run, runs: Path) -> None:
    import shutil

    run("a", 0.5)
    shutil.rmtree(runs / "artifacts")
    with pytest.raises(LabsError, match=r"bundle of week5/1 .* cannot be had from file:"):
        resolve("week5")


def test_the_configuration_is_that_of_the_versions_run(runs: Path) -> None:
    folder = runs / "a"
    (folder / "bundle").mkdir(parents=True)
    (folder / "bundle" / "bundle.json").write_text("{}", encoding="utf-8")
    (folder / "config.yaml").write_text("model: {width: 7}\nnetwork: ${model}\n", encoding="utf-8")
    with Tracker(folder, None, "week5", "a") as tracker:
        tracker.artifact(folder / "config.yaml")
        tracker.artifact(folder / "bundle", "bundle")
        tracker.register(
            model_name("week5"), "bundle", "test/acc", "max", value=1.0, data_hash="d", passed=True
        )
    (folder / "config.yaml").unlink()  # the store has its own
    settings = configuration(find("week5@champion"))
    assert settings == {"model": {"width": 7}, "network": "${model}"}


def test_a_run_without_its_configuration_is_told_with_the_remedy(run) -> None:
    run("a", 0.5)
    with pytest.raises(LabsError, match="configuration of week5/1") as caught:
        configuration(find("week5"))
    assert "labs run week5" in caught.value.remedy
