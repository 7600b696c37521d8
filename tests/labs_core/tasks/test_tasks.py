import subprocess
import sys

import pytest

from labs_core.errors import LabsError
from labs_core.tasks import TASKS, get_task


@pytest.mark.parametrize("name", TASKS)
def test_each_task_knows_its_own_name(name):
    assert get_task(name).name == name


def test_an_unknown_task_is_refused_with_the_nearest_one():
    with pytest.raises(LabsError, match="no task 'tabula'") as caught:
        get_task("tabula")
    assert caught.value.remedy == "Did you mean 'tabular'?"


def test_a_task_without_its_library_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    for module in ("tokens", "translation"):
        monkeypatch.delitem(sys.modules, f"labs_core.tasks.{module}", raising=False)
    with pytest.raises(LabsError, match="needs tokenizers, which is not installed") as caught:
        get_task("translation")
    assert caught.value.remedy == "Run: pip install tokenizers"


def test_the_registry_imports_a_task_only_when_it_is_asked_for():
    code = (
        "import sys, labs_core.tasks as t; assert 'PIL' not in sys.modules\n"
        "t.get_task('image-classification'); assert 'PIL' in sys.modules\n"
        "assert not {'torch', 'mlflow', 'onnxruntime'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
