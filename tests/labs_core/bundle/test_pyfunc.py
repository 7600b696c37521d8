import base64
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from labs_core.bundle.pyfunc import _load_pyfunc
from labs_core.tasks import InvalidInput


def test_rows_of_a_table_come_in_each_of_mlflows_forms(table):
    model, expected = _load_pyfunc(str(table.bundle.path)), table.bundle.predict(table.items)
    frame = pd.DataFrame(table.items)
    for given in (frame, frame[["bp", "age", "bmi"]], table.items, frame.to_numpy()):
        assert model.predict(given) == expected
    assert model.predict(frame, params={"unused": 1}) == expected


def test_a_column_of_whole_numbers_is_fine(table):
    frame = pd.DataFrame({"age": [50, 60], "bmi": [20, 30], "bp": [90, 100]})
    answers = _load_pyfunc(str(table.bundle.path)).predict(frame)
    assert answers == table.bundle.predict(frame.to_numpy().tolist())


def test_pictures_come_as_bytes_base64_or_arrays(pictures):
    model, expected = (
        _load_pyfunc(str(pictures.bundle.path)),
        pictures.bundle.predict(pictures.items),
    )
    params = pictures.bundle.params
    content = list(pictures.bundle.task.dump_inputs(pictures.items, params).values())
    text = [base64.b64encode(png).decode() for png in content]
    for given in (
        pd.DataFrame({"image": content}),
        pd.DataFrame({"image": text}),
        [{"image": png} for png in content],
        text,
        np.stack(pictures.items),
    ):
        assert model.predict(given) == expected


def test_a_bad_cell_is_named(table):
    frame = pd.DataFrame({"age": [50.0, np.nan], "bmi": [20.0, 30.0], "bp": [90.0, 100.0]})
    with pytest.raises(InvalidInput, match="Item 1, field 'age': NaN"):
        _load_pyfunc(str(table.bundle.path)).predict(frame)


def test_the_loader_imports_no_torch_and_no_mlflow(table):
    code = (
        "import sys\nfrom labs_core.bundle.pyfunc import _load_pyfunc\n"
        "_load_pyfunc(sys.argv[1]).predict([[50, 20, 90]])\n"
        "assert not {'torch', 'mlflow', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(table.bundle.path)], check=True)
