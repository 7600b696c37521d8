"""Where things are. Labs works on a checkout: code, configs and state lie in one tree."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / "configs"


def data_dir() -> Path:
    """Where the data sets lie, one folder each. `LABS_DATA` moves it."""
    return Path(os.environ.get("LABS_DATA") or ROOT / "data").resolve()


def runs_dir() -> Path:
    """Where runs and the local MLflow store lie. `LABS_RUNS` moves it."""
    return Path(os.environ.get("LABS_RUNS") or ROOT / "runs").resolve()
