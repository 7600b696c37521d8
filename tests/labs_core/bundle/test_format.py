import json
import math

import pytest

from labs_core.bundle.format import (
    MAX_JSON_BYTES,
    FileEntry,
    GraphEntry,
    Manifest,
    entry_of,
    parse,
)
from labs_core.errors import LabsError

EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"  # FIPS 180-4
FILE = FileEntry(EMPTY_SHA256, 0)
MANIFEST = Manifest(
    name="labs-week5",
    task="tabular",
    graphs={"model": GraphEntry("model.onnx", ("features",), ("prediction",))},
    params={"labels": None, "title": "Größe"},
    lineage={"lab": "week5"},
    metrics={"test/acc": 0.5},
    files={"golden/answers.json": FILE, "golden/rows.json": FILE, "model.onnx": FILE},
)


def changed(*path, to):
    """bundle.json with the value at `path` set to `to`, or left out where it is None."""
    fields = json.loads(MANIFEST.to_json())
    inner = fields
    for key in path[:-1]:
        inner = inner[key]
    if to is None:
        del inner[path[-1]]
    else:
        inner[path[-1]] = to
    return json.dumps(fields)


def test_a_manifest_is_read_back_as_it_was_written():
    assert parse(MANIFEST.to_json()) == MANIFEST
    assert parse(MANIFEST.to_json().encode()) == MANIFEST
    assert entry_of(b"") == FILE


def test_a_metric_that_is_no_number_is_written_as_null():
    text = Manifest(**{**vars(MANIFEST), "metrics": {"a": math.nan, "b": math.inf, "c": 1.0}})
    assert parse(text.to_json()).metrics == {"a": None, "b": None, "c": 1.0}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        ("[" * 100_000, "nested too deeply"),
        ('{"format": NaN}', "NaN"),
        ("[]", "not an object"),
        (changed("name", to=None), "'name'"),
        (changed("name", to=""), "'name'"),
        (changed("task", to=3), "'task'"),
        (changed("graphs", to=[]), "'graphs'"),
        (changed("graphs", to={}), "no graph 'model'"),
        (changed("graphs", "model", to=[]), "graph 'model'"),
        (changed("graphs", "model", "file", to=None), "'file'"),
        (changed("graphs", "model", "file", to="other.onnx"), "does not list other.onnx"),
        (changed("graphs", "model", "inputs", to="pixels"), "'inputs'"),
        (changed("graphs", "model", "outputs", to=[1]), "inputs and outputs"),
        (changed("params", to=None), "'params'"),
        (changed("lineage", to="x"), "'lineage'"),
        (changed("metrics", to={"test/acc": "high"}), "metric 'test/acc'"),
        (changed("files", to=None), "'files'"),
        (changed("files", "golden/answers.json", to=None), "does not list golden/answers.json"),
        (changed("files", "model.onnx", to=3), "file 'model.onnx'"),
        (changed("files", "model.onnx", "sha256", to="abc"), "no SHA-256"),
        (changed("files", "model.onnx", "bytes", to=-1), "no size"),
        (changed("files", "model.onnx", "bytes", to=True), "no size"),
    ],
)
def test_each_kind_of_damage_is_named(text, reason):
    with pytest.raises(LabsError, match=r"bundle\.json is damaged") as caught:
        parse(text)
    assert reason in str(caught.value)
    assert caught.value.remedy


@pytest.mark.parametrize("version", [0, 2, "1", [1], {"a": 1}])
def test_another_format_is_refused_with_its_number(version):
    with pytest.raises(LabsError, match="this version of labs reads 1"):
        parse(changed("format", to=version))


def test_a_huge_file_is_not_parsed():
    with pytest.raises(LabsError, match="larger than 32 MiB"):
        parse(" " * (MAX_JSON_BYTES + 1))


@pytest.mark.parametrize(
    "name",
    [
        "../model.onnx",
        "golden/../../model.onnx",
        "/etc/passwd",
        "C:/model.onnx",
        "C:model.onnx",
        "..\\model.onnx",
        "\\\\server\\share",
        "golden//x",
        "./x",
        "golden/",
        ".hidden",
        "",
        "a\0b",
        "a\nb",
        "nul:",
    ],
)
def test_a_name_that_could_leave_the_folder_is_refused(name):
    for text in (
        changed("files", name, to={"sha256": EMPTY_SHA256, "bytes": 0}),
        changed("graphs", "model", "file", to=name),
    ):
        with pytest.raises(LabsError, match=r"bundle\.json is damaged"):
            parse(text)


@pytest.mark.parametrize("name", ["..", "a/b", "../x", "a..b", ".x", "x.", "a b", "a\n", "é"])
def test_a_bundle_cannot_be_called_like_a_path(name):
    with pytest.raises(LabsError, match="cannot be called"):
        Manifest(**{**vars(MANIFEST), "name": name})
    with pytest.raises(LabsError, match="cannot be called"):
        parse(changed("name", to=name))
