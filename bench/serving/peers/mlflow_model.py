"""MLflow: torch in a model of the kind python_function, for `mlflow models serve`.

python mlflow_model.py FOLDER saves it there; MLflow then runs this file to load it.
"""

import sys

import mlflow.pyfunc
from mlflow.models import ModelSignature, set_model
from mlflow.types.schema import ColSpec, DataType, Schema

from bench.serving.peers.network import Classifier


class Pictures(mlflow.pyfunc.PythonModel):
    """A table with a column `image`, which MLflow has decoded from base64 -> answers."""

    def load_context(self, context):
        self.classifier = Classifier()

    def predict(self, context, model_input, params=None):
        return [self.classifier(picture) for picture in model_input["image"]]


if __name__ == "__main__":
    mlflow.pyfunc.save_model(
        sys.argv[1],
        python_model=__file__,
        signature=ModelSignature(Schema([ColSpec(DataType.binary, "image")])),
        pip_requirements=[],  # it is served where it was saved
    )
else:
    set_model(Pictures())
