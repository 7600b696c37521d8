"""A run whose processes somebody else starts: torchrun, Slurm, or a person on each machine.

All of them are the same command. The first (rank 0) makes the run and tells the others what it is,
through the store that torch.distributed meets at (MASTER_ADDR, MASTER_PORT); they need the same
code and the same data set, but none of its files. docs/clusters.md shows how to start them.
"""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from labs_core.errors import LabsError
from labs_core.train.folder import RunFolder

if TYPE_CHECKING:
    from torch.distributed.distributed_c10d import Store

PATIENCE = timedelta(minutes=30)  # as torch.distributed itself: rank 0 may be fetching data
_PART = 4 * 2**20  # bytes: the store takes 8 MiB at once
_TOLD = ("config.yaml", "run.json", "mine/*.py", "checkpoints/last.ckpt")


def is_first() -> bool:
    """Whether this process is rank 0: the one that makes, tests and exports the run.

    Told by the variables that Lightning goes by, in its order.
    """
    if _by_torchrun():
        return _number("RANK") == 0
    if _by_slurm():
        return _number("SLURM_PROCID") == 0
    return _node() == 0 and _number("LOCAL_RANK") == 0


def require_all(trainer: DictConfig) -> None:
    """Raises LabsError where not as many processes were started as the trainer waits for."""
    ours = trainer.devices * trainer.num_nodes if trainer.strategy != "auto" else 1
    by, started = (
        ("torchrun", _number("WORLD_SIZE"))
        if _by_torchrun()
        else ("Slurm", _number("SLURM_NTASKS"))
        if _by_slurm()
        else ("", ours)
    )
    if started != ours:
        raise LabsError(
            f"{by} started {started} process{'es' if started > 1 else ''}, "
            f"and the trainer is for {ours}",
            remedy="Give trainer=ddp trainer.num_nodes=NODES trainer.devices=PROCESSES_A_NODE.",
        )
    if trainer.num_nodes > 1 and not by:
        for name in ("NODE_RANK", "MASTER_ADDR", "MASTER_PORT"):
            if name not in os.environ:
                raise LabsError(
                    f"trainer.num_nodes={trainer.num_nodes} needs a process on each node",
                    f"{name} is not set",
                    "Start them with torchrun or srun; see docs/clusters.md.",
                )


@contextmanager
def telling(folder: RunFolder) -> Iterator[None]:
    """Rank 0: the others can ask what the run is, where there may be others that ask."""
    if not (_by_torchrun() or _by_slurm() or "NODE_RANK" in os.environ):
        yield
        return
    store = _store(first=True)
    content = _pack(folder)
    parts = [content[at : at + _PART] for at in range(0, len(content), _PART)]
    for number, part in enumerate(parts):
        store.set(str(number), part)  # type: ignore[arg-type]  # it takes bytes, too
    store.set("parts", str(len(parts)))
    yield


def ask(into: Path) -> RunFolder:
    """Another rank: the run as rank 0 tells it, in a folder of this process' own.

    Raises LabsError where rank 0 does not answer within `PATIENCE`.
    """
    from torch.distributed import DistError

    try:
        store = _store(first=False)
        parts = int(store.get("parts"))
        content = b"".join(store.get(str(number)) for number in range(parts))
    except DistError:
        raise LabsError(
            f"Rank 0 at {os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']} does not answer",
            f"waited {PATIENCE.seconds // 60} minutes",
            "Look at what it says; it may have failed before it began to train.",
        ) from None
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        packed.extractall(into)
    return RunFolder(into)


def _pack(folder: RunFolder) -> bytes:
    """What another rank needs of the run: its settings, the learner's code, where to go on."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for pattern in _TOLD:
            for file in sorted(folder.path.glob(pattern)):
                packed.write(file, file.relative_to(folder.path).as_posix())
    return buffer.getvalue()


def _store(first: bool) -> Store:
    """The store at MASTER_ADDR:MASTER_PORT, which torch.distributed opens once more later on.

    torchrun holds it itself; otherwise rank 0 does, and both of its uses share one.
    """
    from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]

    if _by_slurm() and not _by_torchrun():
        from lightning_fabric.plugins.environments.slurm import SLURMEnvironment

        slurm = SLURMEnvironment()  # knows the first node's name, and a port from the job's id
        host, port = slurm.main_address, slurm.main_port
    else:
        host, port = os.environ["MASTER_ADDR"], _number("MASTER_PORT")
    store = TCPStore(
        host,
        port,
        is_master=first and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True",
        wait_for_workers=False,
        timeout=PATIENCE,
        multi_tenant=True,
    )
    # Where torchrun starts all processes again, what the earlier ones were told is still there.
    return PrefixStore(f"labs/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)


def _by_torchrun() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ


def _by_slurm() -> bool:
    # In an interactive shell of Slurm's the variables are there, but one process is all there is.
    interactive = os.environ.get("SLURM_JOB_NAME") in ("bash", "interactive")
    return "SLURM_NTASKS" in os.environ and not interactive


def _node() -> int:
    return _number("NODE_RANK") if "NODE_RANK" in os.environ else _number("GROUP_RANK")


def _number(name: str) -> int:
    text = os.environ.get(name) or "0"
    if not text.isdecimal():
        raise LabsError(f"The variable {name} is '{text}'", "it must be a number")
    return int(text)
