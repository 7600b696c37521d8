"""Bundles: a model as it is served."""

import os

# onnxruntime would write a device's id into the user's cache as soon as it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
