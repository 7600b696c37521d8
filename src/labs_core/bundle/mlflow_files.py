"""The files that make a bundle's folder an MLflow model as well.

Beside bundle.json come MLmodel, requirements.txt, python_env.yaml, input examples, and `code/`:
the few modules of labs_core that read a bundle, so that MLflow can serve it on a machine without
labs. Only MLflow runs that code, as it does for each model it loads; `labs_core.bundle.load`
neither reads these files nor needs them.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import labs_core
from labs_core.bundle.bundle import Bundle
from labs_core.tasks import tabular_rows
from labs_core.track.mlflow_setup import prepare_environment

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

NEEDED = ("mlflow", "numpy", "onnxruntime", "pillow")
NEEDED_BY = {"translation": ("tokenizers",)}  # beside them, by task
CODE = "code"
MODULES = (
    "__init__.py",
    "errors.py",
    "tasks/*.py",
    "bundle/__init__.py",
    "bundle/bundle.py",
    "bundle/compare.py",
    "bundle/external_data.py",
    "bundle/format.py",
    "bundle/load.py",
    "bundle/pyfunc.py",
    "bundle/session.py",
)


def write_mlflow_files(bundle: Bundle) -> None:
    """Make the bundle's folder an MLflow model; `mlflow models serve -m FOLDER` then serves it."""
    prepare_environment()
    import mlflow.pyfunc
    from mlflow.models import Model

    folder = bundle.path
    _copy_code(folder / CODE)
    needed = (*NEEDED, *NEEDED_BY.get(bundle.task.name, ()))
    pins = [f"{package}=={importlib.metadata.version(package)}" for package in needed]
    _write(folder / "requirements.txt", "".join(f"{pin}\n" for pin in pins))
    environment = {
        "python": platform.python_version(),
        "build_dependencies": ["pip"],
        "dependencies": ["-r requirements.txt"],
    }
    _write(folder / "python_env.yaml", json.dumps(environment) + "\n")  # JSON is YAML

    example = _split(bundle)
    _write(folder / "input_example.json", json.dumps(example) + "\n")
    _write(folder / "serving_input_example.json", json.dumps({"dataframe_split": example}) + "\n")
    model = Model(
        signature=_signature(bundle),
        saved_input_example_info={
            "artifact_path": "input_example.json",
            "type": "dataframe",
            "pandas_orient": "split",
            "serving_input_path": "serving_input_example.json",
        },
        metadata={"task": bundle.task.name, "lineage": bundle.lineage},
    )
    mlflow.pyfunc.add_to_model(
        model,
        loader_module="labs_core.bundle.pyfunc",
        code=CODE,
        python_env="python_env.yaml",
    )
    model.save(str(folder / "MLmodel"))


def _signature(bundle: Bundle) -> ModelSignature:
    from mlflow.models import ModelSignature
    from mlflow.types.schema import ColSpec, DataType, Map, Schema

    if bundle.task.field is None:
        inputs = Schema(
            [
                ColSpec(
                    DataType.double if tabular_rows.kind(feature) == "number" else DataType.string,
                    feature["name"],
                    required=not tabular_rows.may_be_absent(feature),
                )
                for feature in bundle.params["features"]
            ]
        )
    elif bundle.task.name == "translation":
        inputs = Schema([ColSpec(DataType.string, bundle.task.field)])
    else:
        # MLflow's server decodes the base64 text of a binary column before it calls the model.
        inputs = Schema([ColSpec(DataType.binary, bundle.task.field)])
    if bundle.task.name == "translation":
        score = ColSpec(DataType.double, "score")
        outputs = Schema([ColSpec(DataType.string, "translation"), score])
    elif bundle.params.get("labels") is None:
        outputs = Schema([ColSpec(DataType.double, "prediction")])
    else:
        probabilities = ColSpec(Map(DataType.double), "probabilities")
        outputs = Schema([ColSpec(DataType.string, "label"), probabilities])
    return ModelSignature(inputs, outputs)


def _split(bundle: Bundle) -> dict[str, Any]:
    """Golden items as a table: its columns, and its rows."""
    items = bundle.examples()
    if bundle.task.field is not None:
        return {"columns": [bundle.task.field], "data": [[item] for item in items]}
    return {"columns": list(items[0]), "data": [list(item.values()) for item in items]}


def _copy_code(code: Path) -> None:
    package = Path(labs_core.__file__).parent
    shutil.rmtree(code, ignore_errors=True)
    for pattern in MODULES:
        for source in package.glob(pattern):
            target = code / "labs_core" / source.relative_to(package)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)


def _write(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8", newline="\n")
