import json
import os

import numpy as np
import pytest

from labs_core.bundle.load import load
from labs_core.bundle.write import write
from labs_core.errors import LabsError


def listing(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_a_bundle_is_plain_files_and_nothing_is_left_beside_it(table, tmp_path):
    write(tmp_path / "deep" / "bundle", **table.arguments)
    assert listing(tmp_path / "deep") == [
        "bundle",
        "bundle/bundle.json",
        "bundle/golden",
        "bundle/golden/answers.json",
        "bundle/golden/rows.json",
        "bundle/model.onnx",
    ]


def test_the_same_run_writes_the_same_bytes(exported, tmp_path):
    for name in ("a", "b"):
        write(tmp_path / name, **exported.arguments)
    a, b = tmp_path / "a", tmp_path / "b"
    assert listing(a) == listing(b)
    for name in listing(a):
        assert (a / name).is_dir() or (a / name).read_bytes() == (b / name).read_bytes()


def test_golden_answers_are_the_bundles_own(table, tmp_path):
    bundle = write(tmp_path / "bundle", **table.arguments)
    answers = json.loads((tmp_path / "bundle/golden/answers.json").read_text(encoding="utf-8"))
    assert answers == bundle.predict(table.items[:5])


def test_a_bundle_that_was_there_is_replaced(table, pictures, tmp_path):
    write(tmp_path / "bundle", **pictures.arguments)
    bundle = write(tmp_path / "bundle", **table.arguments)
    assert bundle.name == "labs-week1"
    assert "bundle/golden/0000.png" not in listing(tmp_path)
    assert os.listdir(tmp_path) == ["bundle"]


def test_a_bundle_that_cannot_be_replaced_stays(table, pictures, tmp_path, monkeypatch):
    write(tmp_path / "bundle", **pictures.arguments)
    before, replace = listing(tmp_path), os.replace

    def held_open(source, target):  # as on Windows, by a virus scanner that reads the new files
        if str(source).endswith(".new"):
            raise PermissionError("in use")
        replace(source, target)

    monkeypatch.setattr(os, "replace", held_open)
    with pytest.raises(PermissionError):
        write(tmp_path / "bundle", **table.arguments)
    assert listing(tmp_path) == before
    assert load(tmp_path / "bundle").name == pictures.bundle.name


def test_a_folder_of_something_else_is_left_alone(table, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("precious", encoding="utf-8")
    with pytest.raises(LabsError, match="not a bundle"):
        write(tmp_path / "thesis", **table.arguments)
    assert listing(tmp_path) == ["thesis", "thesis/chapter.txt"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"name": "../escape"}, "cannot be called"),
        ({"task": "tabula"}, "no task"),
        ({"params": {"features": []}}, "features"),
        ({"golden_items": []}, "no golden items"),
        ({"golden_items": [{"age": np.nan, "bmi": 1, "bp": 1}]}, "NaN"),
        ({"graphs": {"model": b"no model"}}, "model.onnx"),
    ],
)
def test_what_could_not_be_loaded_is_not_written(table, tmp_path, change, reason):
    with pytest.raises(LabsError, match=reason):
        write(tmp_path / "bundle", **{**table.arguments, **change})
    assert listing(tmp_path) == []


def test_two_graphs_can_be_in_one_bundle(table, tmp_path):
    graphs = {"model": table.onnx, "decoder": table.onnx}
    bundle = write(tmp_path / "bundle", **{**table.arguments, "graphs": graphs})
    rows = np.ones((2, 3), np.float32)
    assert bundle.run({"features": rows}, graph="decoder")["prediction"].shape == (2,)


def test_a_graph_cannot_be_called_like_a_path(table, tmp_path):
    graphs = {"model": table.onnx, "../escape": table.onnx}
    with pytest.raises(LabsError, match="plain relative file name"):
        write(tmp_path / "bundle", **{**table.arguments, "graphs": graphs})
    assert listing(tmp_path) == []
