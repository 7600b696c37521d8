import importlib.metadata
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pandas as pd
import pytest

from labs_core.bundle.load import load
from labs_core.bundle.mlflow_files import write_mlflow_files
from labs_core.track.mlflow_setup import ENVIRONMENT, prepare_environment
from tests.ports import free_port

prepare_environment()

import mlflow  # noqa: E402
from mlflow.models import Model  # noqa: E402


@pytest.fixture(autouse=True)
def search_path(monkeypatch):
    """MLflow puts a model's code folder on the search path; it must not stay there."""
    monkeypatch.setattr(sys, "path", list(sys.path))


@pytest.fixture
def folder(exported, tmp_path):
    """A bundle's folder with MLflow's files in it."""
    write_mlflow_files(load(exported.copy(tmp_path / "bundle")))
    return tmp_path / "bundle"


def test_mlflow_loads_the_folder_and_predicts_the_same(exported, folder):
    model = mlflow.pyfunc.load_model(str(folder))
    bundle = exported.bundle
    field = bundle.task.field
    rows = bundle.examples(5)
    frame = pd.DataFrame({field: rows} if field else rows)
    assert model.predict(frame) == bundle.predict(exported.items[:5])


def test_mlflows_own_example_fits_the_signature_and_predicts(exported, folder):
    model = mlflow.pyfunc.load_model(str(folder))
    example = Model.load(str(folder)).load_input_example(str(folder))
    assert model.predict(example) == exported.bundle.predict(exported.items[:2])


def test_the_bundle_loads_as_before(exported, folder):
    assert load(folder).golden.answers == exported.bundle.golden.answers


def test_writing_again_changes_nothing_that_matters(folder):
    def contents():
        files = (path for path in folder.rglob("*") if path.is_file() and path.name != "MLmodel")
        return {path.relative_to(folder): path.read_bytes() for path in files}

    before = contents()
    write_mlflow_files(load(folder))
    assert contents() == before


def test_requirements_pin_what_is_installed_and_hold_no_torch(folder):
    lines = (folder / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines)
    assert set(pins) == {"mlflow", "numpy", "onnxruntime", "pillow"}
    assert all(importlib.metadata.version(package) == pin for package, pin in pins.items())


def test_no_file_of_it_is_a_pickle_or_tells_a_path_of_this_machine(folder):
    for path in folder.rglob("*"):
        assert path.suffix not in (".pkl", ".pickle", ".pt", ".ckpt")
        if path.suffix not in (".png", ".onnx") and path.is_file():
            text = path.read_text(encoding="utf-8")
            assert str(folder) not in text
            assert sys.prefix not in text


def test_the_code_beside_it_is_enough_on_a_machine_without_labs(exported, folder, tmp_path):
    code = (
        "import json, sys\n"
        # A machine without labs: neither the checkout nor what an editable install hooks in.
        "sys.meta_path = [f for f in sys.meta_path if 'editable' not in repr(f).lower()]\n"
        "sys.path = [p for p in sys.path if 'site-packages' in p or sys.base_prefix in p]\n"
        "sys.path = [p for p in sys.path if p not in sys.argv[2:]]\n"
        "import importlib.util\n"
        "assert importlib.util.find_spec('labs_core') is None\n"
        "import mlflow.pyfunc\n"
        "model = mlflow.pyfunc.load_model(sys.argv[1])\n"
        "example = model.metadata.load_input_example(sys.argv[1])\n"
        "print(json.dumps(model.predict(example)))\n"
        "assert sys.modules['labs_core'].__file__.startswith(sys.argv[1])\n"
        "assert 'torch' not in sys.modules\n"
    )
    script = tmp_path / "elsewhere.py"
    script.write_text(code, encoding="utf-8")
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    out = subprocess.run(
        [sys.executable, str(script), str(folder)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
    )
    assert out.returncode == 0, out.stderr
    assert json.loads(out.stdout) == exported.bundle.predict(exported.items[:2])


# MLflow's own server, started for real


@pytest.fixture
def server(folder, tmp_path):
    """The address of `mlflow models serve` over the bundle."""
    port = free_port()
    # MLflow starts its server by the interpreter's name, which it looks for on the path.
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(folder)]
    command += ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)]
    with (tmp_path / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=tmp_path,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, **ENVIRONMENT, "PATH": path},
        )
        try:
            wait_until_ready(f"http://127.0.0.1:{port}/ping", process, tmp_path / "server.log")
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(process.pid, signal.SIGTERM)  # its workers are in its process group
            process.wait(30)


def wait_until_ready(url, process, log):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text(encoding="utf-8")
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(log.read_text(encoding="utf-8"))


def invoke(address, body):
    request = urllib.request.Request(
        f"{address}/invocations",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)["predictions"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs process groups")
def test_mlflow_models_serve_answers_as_the_bundle_does(exported, folder, server):
    bundle, items = exported.bundle, exported.items[:20]
    expected = bundle.predict(items)
    field = bundle.task.field
    rows = [bundle.task.to_json(item, bundle.params) for item in items]
    records = [{field: row} for row in rows] if field else rows
    split = {"columns": list(records[0]), "data": [list(r.values()) for r in records]}
    assert invoke(server, {"dataframe_split": split}) == expected
    assert invoke(server, {"dataframe_records": records}) == expected
    example = json.loads((folder / "serving_input_example.json").read_text(encoding="utf-8"))
    assert invoke(server, example) == expected[:2]
    with pytest.raises(urllib.error.HTTPError) as caught:
        invoke(server, {"dataframe_records": [{"nonsense": 1}]})
    assert caught.value.code == 400


def test_mlflow_loads_a_translation_and_knows_its_texts(dictionary_bundle, tmp_path):
    folder = tmp_path / "bundle"
    shutil.copytree(dictionary_bundle, folder)
    bundle = load(folder)
    write_mlflow_files(bundle)
    model = mlflow.pyfunc.load_model(str(folder))
    signature = Model.load(str(folder)).signature
    assert signature.inputs.to_dict() == [{"type": "string", "name": "text", "required": True}]
    assert [output["name"] for output in signature.outputs.to_dict()] == ["translation", "score"]
    texts = bundle.golden.items
    assert model.predict(pd.DataFrame({"text": texts})) == bundle.predict(texts)
    example = Model.load(str(folder)).load_input_example(str(folder))
    assert model.predict(example) == bundle.predict(texts[:2])
    pins = (folder / "requirements.txt").read_text(encoding="utf-8")
    assert f"tokenizers=={importlib.metadata.version('tokenizers')}\n" in pins
