"""Importing this makes a process warm: it has loaded what every trial needs.

It is what the fork server imports, once, before it makes a worker in a few milliseconds. So nothing
here may start a thread of Python's or of OpenMP's, which a forked process would not have. (Arrow,
which MLflow loads, has one of jemalloc's, which looks after itself in a fork.)
"""

from __future__ import annotations

import gc

from labs_core.track.mlflow_setup import prepare_environment

prepare_environment()  # before MLflow's first import

import mlflow.store.tracking.sqlalchemy_store  # noqa: E402
import mlflow.tracking  # noqa: E402, F401
import threadpoolctl  # type: ignore[import-untyped]  # noqa: E402, F401

import labs_core.tune.fresh  # noqa: E402
import labs_core.tune.trial  # noqa: E402, F401

gc.collect()
gc.freeze()  # the pages of what is loaded stay shared between the workers
