"""Which process of several this is, and what rank 0 tells the others."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from labs_core.errors import LabsError
from labs_core.train import ranks
from labs_core.train.folder import RunFolder
from tests.ports import free_port

VARIABLES = (
    *("RANK", "WORLD_SIZE", "LOCAL_RANK", "GROUP_RANK", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT"),
    *("TORCHELASTIC_RUN_ID", "TORCHELASTIC_USE_AGENT_STORE", "TORCHELASTIC_RESTART_COUNT"),
    *("SLURM_NTASKS", "SLURM_PROCID", "SLURM_JOB_NAME"),
)
TORCHRUN = {"TORCHELASTIC_RUN_ID": "none", "LOCAL_RANK": "0", "WORLD_SIZE": "2"}
SLURM = {"SLURM_NTASKS": "2", "SLURM_JOB_NAME": "week5"}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Any:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)

    def put(**variables: object) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, str(value))

    return put


def trainer(devices: int, nodes: int, strategy: str = "ddp") -> DictConfig:
    return OmegaConf.create({"devices": devices, "num_nodes": nodes, "strategy": strategy})


@pytest.mark.parametrize(
    ("variables", "first"),
    [
        ({}, True),
        ({"LOCAL_RANK": 1}, False),
        ({"NODE_RANK": 1}, False),
        ({"NODE_RANK": 0, "LOCAL_RANK": 0}, True),
        (TORCHRUN | {"RANK": 0}, True),
        (TORCHRUN | {"RANK": 1, "GROUP_RANK": 1}, False),
        (SLURM | {"SLURM_PROCID": 0}, True),
        (SLURM | {"SLURM_PROCID": 1}, False),
        # torchrun inside of Slurm: torchrun's numbers count
        (TORCHRUN | SLURM | {"RANK": 1, "SLURM_PROCID": 0}, False),
        # the variables of an interactive shell are nobody's rank
        (SLURM | {"SLURM_PROCID": 1, "SLURM_JOB_NAME": "interactive"}, True),
    ],
)
def test_rank_0_is_told_by_who_started_it(
    environment: Any, variables: dict[str, object], first: bool
) -> None:
    environment(**variables)
    assert ranks.is_first() is first


@pytest.mark.parametrize(
    ("variables", "config", "what"),
    [
        (TORCHRUN, trainer(1, 1, "auto"), "torchrun started 2 processes, and the trainer is for 1"),
        (TORCHRUN, trainer(2, 2), "torchrun started 2 processes, and the trainer is for 4"),
        (SLURM, trainer(1, 3), "Slurm started 2 processes, and the trainer is for 3"),
        ({}, trainer(1, 2), "NODE_RANK is not set"),
        ({"NODE_RANK": 1}, trainer(1, 2), "MASTER_ADDR is not set"),
        ({"NODE_RANK": 1, "MASTER_ADDR": "a"}, trainer(1, 2), "MASTER_PORT is not set"),
        (TORCHRUN | {"WORLD_SIZE": "two"}, trainer(1, 2), "WORLD_SIZE is 'two'"),
    ],
)
def test_processes_that_are_not_there_are_not_waited_for(
    environment: Any, variables: dict[str, object], config: DictConfig, what: str
) -> None:
    environment(**variables)
    with pytest.raises(LabsError, match=what):
        ranks.require_all(config)


@pytest.mark.parametrize(
    ("variables", "config"),
    [
        ({}, trainer(1, 1, "auto")),
        ({}, trainer(4, 1)),
        (TORCHRUN, trainer(2, 1)),
        (SLURM, trainer(1, 2)),
        ({"NODE_RANK": 0, "MASTER_ADDR": "a", "MASTER_PORT": 1}, trainer(1, 2)),
    ],
)
def test_as_many_as_the_trainer_is_for_are_fine(
    environment: Any, variables: dict[str, object], config: DictConfig
) -> None:
    environment(**variables)
    ranks.require_all(config)


def test_the_others_get_what_they_need_of_the_run_and_no_more(
    environment: Any, tmp_path: Path
) -> None:
    environment(NODE_RANK=0, MASTER_ADDR="127.0.0.1", MASTER_PORT=free_port())
    told = {
        "config.yaml": b"seed: 0\n",
        "run.json": b"{}",
        "mine/gradients.py": b"def gradient(): ...\n",
        "checkpoints/last.ckpt": bytes(range(256)) * 40_000,  # 10 MB: more than one message
    }
    for name, content in (told | {"checkpoints/best.ckpt": b"", "journal.jsonl": b""}).items():
        (tmp_path / "run" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "run" / name).write_bytes(content)

    with ranks.telling(RunFolder(tmp_path / "run")):
        folder = ranks.ask(tmp_path / "other")

    assert folder.last.is_file()
    files = [path for path in folder.path.rglob("*") if path.is_file()]
    heard = {path.relative_to(folder.path).as_posix(): path.read_bytes() for path in files}
    assert heard == told


def test_a_rank_0_that_does_not_answer_is_given_up(
    environment: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    environment(NODE_RANK=1, MASTER_ADDR="127.0.0.1", MASTER_PORT=port)
    monkeypatch.setattr(ranks, "PATIENCE", timedelta(seconds=1))
    with pytest.raises(LabsError, match=f"Rank 0 at 127.0.0.1:{port} does not answer"):
        ranks.ask(tmp_path)
