import dataclasses
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from labs_core.bundle import format
from labs_core.bundle.load import load
from labs_core.errors import LabsError
from labs_core.tasks import InvalidInput


def relist(folder, *names):
    """Write the present sizes and hashes of `names` into bundle.json: a forger who is thorough."""
    manifest = format.parse((folder / "bundle.json").read_bytes())
    files = {**manifest.files, **{n: format.entry_of((folder / n).read_bytes()) for n in names}}
    text = dataclasses.replace(manifest, files=files).to_json()
    (folder / "bundle.json").write_text(text, encoding="utf-8")


def refusal(folder):
    """The error that loading gives; it must say what to do."""
    with pytest.raises(LabsError) as caught:
        load(folder)
    assert caught.value.remedy
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_bundle_loads_with_all_that_it_was_written_with(table):
    bundle = load(table.bundle.path)
    assert bundle.name == "labs-week1"
    assert bundle.task.name == "tabular"
    assert bundle.params == table.arguments["params"]
    assert bundle.lineage == {"lab": "week1", "seed": 0}
    assert bundle.metrics == {"test/r2": 0.5}
    assert bundle.path == table.bundle.path
    assert bundle.golden.items == table.items[:5]
    assert bundle.examples() == table.items[:2]


def test_a_process_that_loads_and_predicts_imports_no_torch_and_no_mlflow(exported, tmp_path):
    expected = exported.bundle.predict(exported.bundle.golden.items)
    code = (
        "import json, sys\n"
        "from labs_core.bundle.load import load\n"
        "bundle = load(sys.argv[1])\n"
        "print(json.dumps(bundle.predict(bundle.golden.items)))\n"
        "heavy = {'torch', 'pytorch_lightning', 'mlflow', 'onnx', 'pandas', 'hydra'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    command = [sys.executable, "-c", code, str(exported.bundle.path)]
    out = subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path)
    assert out.stderr == ""
    assert json.loads(out.stdout) == expected


# Prediction


def test_batches_of_any_size_give_the_same_answers(pictures):
    whole = pictures.bundle.predict(pictures.items, batch_size=len(pictures.items))
    assert len(whole) == len(pictures.items) > 64
    for size in (1, 7, 64):
        answers = pictures.bundle.predict(pictures.items, batch_size=size)
        assert [a["label"] for a in answers] == [a["label"] for a in whole]
        for got, expected in zip(answers, whole, strict=True):
            assert got["probabilities"] == pytest.approx(expected["probabilities"], abs=1e-6)


def test_no_items_give_no_answers(exported):
    assert exported.bundle.predict([]) == []


def test_a_bad_item_is_named_by_its_place_in_the_whole_request(table):
    items = [*table.items, {"age": 1, "bmi": "x", "bp": 2}]
    with pytest.raises(InvalidInput) as caught:
        table.bundle.predict(items, batch_size=3)
    assert (caught.value.index, caught.value.field) == (20, "bmi")


def test_threads_share_a_bundle(pictures):
    expected = pictures.bundle.predict(pictures.items[:8])
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: pictures.bundle.predict(pictures.items[:8]), range(40)))
    assert all(result == expected for result in results)


def test_outputs_that_the_task_does_not_read_can_be_asked_for(pictures):
    inputs = pictures.bundle.task.preprocess(pictures.items[:3], pictures.bundle.params)
    assert pictures.bundle.run(inputs, outputs=["cam"])["cam"].shape == (3, 4, 8, 8)
    assert set(pictures.bundle.run(inputs)) == {"probabilities", "cam"}


def test_an_unknown_graph_or_output_is_refused_with_the_nearest_one(pictures):
    inputs = pictures.bundle.task.preprocess(pictures.items[:1], pictures.bundle.params)
    with pytest.raises(LabsError, match="no graph 'modell'") as caught:
        pictures.bundle.run(inputs, graph="modell")
    assert caught.value.remedy == "Did you mean 'model'?"
    with pytest.raises(LabsError, match="no output 'cams'") as caught:
        pictures.bundle.run(inputs, outputs=["cams"])
    assert caught.value.remedy == "Did you mean 'cam'?"


# Damage


def test_what_is_no_bundle_is_refused(tmp_path):
    assert "no bundle at" in refusal(tmp_path / "nothing")
    assert "has no bundle.json" in refusal(tmp_path)


def test_each_missing_file_is_named(exported, tmp_path):
    for number, name in enumerate(exported.bundle.manifest.files):
        folder = exported.copy(tmp_path / str(number))
        (folder / name).unlink()
        assert f"{folder / name} is missing" in refusal(folder)


def test_each_truncated_or_changed_file_is_named(exported, tmp_path):
    for number, name in enumerate(exported.bundle.manifest.files):
        folder = exported.copy(tmp_path / str(number))
        content = bytearray((folder / name).read_bytes())
        (folder / name).write_bytes(content[:-1])
        assert f"{folder / name} is cut off or was changed" in refusal(folder)
        content[len(content) // 2] ^= 1
        (folder / name).write_bytes(content)
        message = refusal(folder)
        assert f"{folder / name} was changed" in message
        assert "SHA-256" in message


def test_a_huge_manifest_is_not_read(table, tmp_path):
    folder = table.copy(tmp_path / "bundle")
    with (folder / "bundle.json").open("r+b") as file:
        file.truncate(2**36)  # sparse: takes no room
    assert "too large" in refusal(folder)


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_a_link_that_leaves_the_folder_is_refused(table, tmp_path):
    folder = table.copy(tmp_path / "bundle")
    model = folder / "model.onnx"
    outside = tmp_path / "model.onnx"
    model.rename(outside)
    model.symlink_to(outside)
    assert "links to a place outside" in refusal(folder)
    model.unlink()
    (folder / "kept.onnx").write_bytes(outside.read_bytes())
    model.symlink_to("kept.onnx")
    load(folder)


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_a_folder_that_is_a_link_itself_is_fine(table, tmp_path):
    (tmp_path / "link").symlink_to(table.bundle.path)
    load(tmp_path / "link")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes there")
def test_a_pipe_in_place_of_a_file_is_not_waited_for(table, tmp_path):
    folder = table.copy(tmp_path / "bundle")
    (folder / "model.onnx").unlink()
    os.mkfifo(folder / "model.onnx")
    assert "is missing" in refusal(folder)


def test_files_that_are_not_listed_are_never_read(exported, tmp_path):
    folder = exported.copy(tmp_path / "bundle")
    (folder / "golden" / ".DS_Store").write_bytes(b"junk")
    (folder / "golden" / "9999.png").write_bytes(b"junk")
    (folder / "code").mkdir()
    (folder / "code" / "labs_core.py").write_text("raise SystemExit('ran')", encoding="utf-8")
    assert load(folder).golden.answers == exported.bundle.golden.answers


# The golden batch


def test_a_changed_golden_answer_is_told_with_the_difference(table, tmp_path):
    folder = table.copy(tmp_path / "bundle")
    answers = json.loads((folder / format.ANSWERS).read_text(encoding="utf-8"))
    answers[2]["prediction"] *= 1.001
    (folder / format.ANSWERS).write_text(json.dumps(answers), encoding="utf-8")
    relist(folder, format.ANSWERS)
    message = refusal(folder)
    assert "does not give its golden answers" in message
    assert "0.000999 at [2].prediction" in message


def test_a_golden_answer_within_rounding_is_accepted(table, tmp_path):
    folder = table.copy(tmp_path / "bundle")
    answers = json.loads((folder / format.ANSWERS).read_text(encoding="utf-8"))
    answers[2]["prediction"] *= 1.00001
    (folder / format.ANSWERS).write_text(json.dumps(answers), encoding="utf-8")
    relist(folder, format.ANSWERS)
    load(folder)


def test_changed_weights_are_found_by_the_golden_batch(pictures, tmp_path):
    folder = pictures.copy(tmp_path / "bundle")
    model = onnx.load(folder / "model.onnx")
    weights = next(t for t in model.graph.initializer if t.name == "head.weight")
    values = np.frombuffer(weights.raw_data, np.float32)
    weights.raw_data = values[::-1].tobytes()
    onnx.save(model, folder / "model.onnx")
    relist(folder, "model.onnx")
    assert "does not give its golden answers" in refusal(folder)


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("golden/answers.json", "[]", "5 got"),
        ("golden/answers.json", "{}", "empty"),
        ("golden/answers.json", "[{]", "not JSON"),
        ("golden/rows.json", "[]", "empty"),
        ("golden/rows.json", "not JSON", "cannot be read"),
        ("golden/rows.json", '[{"age": 1}]', "Item 0, field 'bmi'"),
        ("golden/rows.json", "3", "empty"),
        ("golden/rows.json", "[" * 100_000, "cannot be read"),
    ],
)
def test_a_golden_batch_that_cannot_be_run_is_an_error(table, tmp_path, file, content, reason):
    folder = table.copy(tmp_path / "bundle")
    (folder / file).write_text(content, encoding="utf-8")
    relist(folder, file)
    assert reason in refusal(folder)


# The graph


def replace_model(exported, folder, content):
    folder = exported.copy(folder)
    (folder / "model.onnx").write_bytes(content)
    relist(folder, "model.onnx")
    return folder


def table_model(node, initializers=(), inputs="features", outputs="prediction", opsets=()):
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info(inputs, TensorProto.FLOAT, ["batch", 3])],
        [helper.make_tensor_value_info(outputs, TensorProto.FLOAT, ["batch"])],
        initializer=list(initializers),
    )
    opsets = [helper.make_opsetid("", 20), *opsets]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()


def total(inputs="features", outputs="prediction"):
    return helper.make_node("ReduceSum", [inputs, "axes"], [outputs], keepdims=0)


AXES = helper.make_tensor("axes", TensorProto.INT64, [1], [1])


def test_weights_in_another_file_are_refused(table, tmp_path):
    secret = tmp_path / "secret.bin"
    secret.write_bytes(np.array([1], np.int64).tobytes())
    for location in ("../secret.bin", str(secret), "weights.bin"):
        axes = TensorProto(name="axes", data_type=TensorProto.INT64, dims=[1])
        axes.data_location = TensorProto.EXTERNAL
        axes.external_data.add(key="location", value=location)
        model = table_model(total(), [axes])
        folder = replace_model(table, tmp_path / f"bundle{len(location)}", model)
        (folder / "weights.bin").write_bytes(secret.read_bytes())
        assert "'axes' lies in another file" in refusal(folder)


def test_an_operator_from_a_library_of_its_own_is_refused(table, tmp_path, capfd):
    node = helper.make_node("Evil", ["features"], ["prediction"], domain="my.ops")
    model = table_model(node, opsets=[helper.make_opsetid("my.ops", 1)])
    message = refusal(replace_model(table, tmp_path / "bundle", model))
    assert "cannot be run by onnxruntime" in message
    assert "my.ops" in message
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("content", [b"no model", b"", b"ORTM" * 20, b"\x00\x00\x00\x00ORTM"])
def test_what_is_no_onnx_is_refused(table, tmp_path, content):
    assert "model.onnx" in refusal(replace_model(table, tmp_path / "bundle", content))


def test_a_graph_with_other_inputs_or_outputs_than_listed_is_refused(table, tmp_path):
    model = table_model(total("rows"), [AXES], inputs="rows")
    message = refusal(replace_model(table, tmp_path / "a", model))
    assert "takes rows" in message
    assert "says features" in message
    model = table_model(total(outputs="sum"), [AXES], outputs="sum")
    assert "gives sum" in refusal(replace_model(table, tmp_path / "b", model))


# Task and parameters


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"task": "tabula"}, "no task 'tabula'"),
        ({"task": "image-classification"}, "labels"),
        ({"params": {}}, "features"),
    ],
)
def test_a_task_or_parameters_that_do_not_fit_are_refused(table, tmp_path, changes, reason):
    folder = table.copy(tmp_path / "bundle")
    manifest = dataclasses.replace(table.bundle.manifest, **changes)
    (folder / "bundle.json").write_text(manifest.to_json(), encoding="utf-8")
    with pytest.raises(LabsError, match=reason):
        load(folder)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda graphs: graphs.pop("step"), "has no graph 'step'"),
        (lambda graphs: graphs.update(step=graphs["model"]), "gives no 'attention'"),
        (lambda graphs: graphs.update(model=graphs["step"]), "gives no 'keys'"),
    ],
)
def test_a_task_of_several_graphs_needs_all_of_them(dictionary_bundle, tmp_path, change, reason):
    folder = Path(shutil.copytree(dictionary_bundle, tmp_path / "bundle"))
    manifest = load(folder).manifest
    change(manifest.graphs)
    (folder / "bundle.json").write_text(manifest.to_json(), encoding="utf-8")
    with pytest.raises(LabsError, match=reason):
        load(folder)


def test_a_graph_that_takes_something_else_than_its_task_gives_is_refused(
    dictionary_bundle, tmp_path
):
    folder = Path(shutil.copytree(dictionary_bundle, tmp_path / "bundle"))
    model = onnx.load(folder / "step.onnx")
    model.graph.input.append(helper.make_tensor_value_info("mood", TensorProto.FLOAT, ["N"]))
    (folder / "step.onnx").write_bytes(model.SerializeToString())
    manifest = load(dictionary_bundle).manifest
    step = manifest.graphs["step"]
    manifest.graphs["step"] = dataclasses.replace(step, inputs=(*step.inputs, "mood"))
    manifest.files["step.onnx"] = format.entry_of((folder / "step.onnx").read_bytes())
    (folder / "bundle.json").write_text(manifest.to_json(), encoding="utf-8")
    with pytest.raises(LabsError, match=r"'step' of the bundle 'dictionary' takes .*, mood"):
        load(folder)


def test_a_task_whose_output_the_graph_does_not_give_is_refused(table, tmp_path):
    folder = table.copy(tmp_path / "bundle")
    params = {**table.bundle.params, "labels": ["low", "high"]}
    manifest = dataclasses.replace(table.bundle.manifest, params=params)
    (folder / "bundle.json").write_text(manifest.to_json(), encoding="utf-8")
    assert "gives no 'probabilities'" in refusal(folder)
