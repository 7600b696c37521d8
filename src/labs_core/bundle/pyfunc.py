"""A bundle as MLflow's python_function model; MLflow imports this by the name in MLmodel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labs_core.bundle.bundle import Bundle
from labs_core.bundle.load import load
from labs_core.tasks.task import Answer


class BundleModel:
    """What MLflow calls to predict."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle

    def predict(self, model_input: Any, params: Mapping[str, Any] | None = None) -> list[Answer]:
        """One answer for each item, as `Bundle.predict` gives it.

        Args:
            model_input: a pandas DataFrame, a list of items or of dicts, or an array with one item
                a row. A row of a table has a column a feature; a picture (encoded bytes, base64
                text or uint8 array) is in the column `image`.
            params: not used; MLflow passes it.
        """
        return self.bundle.predict(_items(model_input, self.bundle.task.field))


def _load_pyfunc(path: str) -> BundleModel:
    return BundleModel(load(path))


def _items(model_input: Any, field: str | None) -> list[Any]:
    if hasattr(model_input, "to_dict"):  # a DataFrame; pandas is not imported for this
        model_input = model_input.to_dict(orient="records")
    return [
        item[field] if field is not None and isinstance(item, Mapping) and field in item else item
        for item in model_input
    ]
