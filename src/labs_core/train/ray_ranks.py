"""`labs run … trainer=ddp --launcher ray`: the run's process is rank 0, further ranks are actors.

Each rank is a process with one device, on whichever node of the cluster has room. What they do is
what they would do under torchrun (see `ranks.py`): Ray only starts them.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from omegaconf import DictConfig, OmegaConf

from labs_core import ray_cluster
from labs_core.errors import LabsError

STARTS_WITHIN = 300.0  # seconds; a node may have to fetch the data set


class Rank:
    """The actor of one rank other than 0."""

    def __init__(self, environment: dict[str, str]) -> None:
        os.environ.update(environment)

    def prepare(self, config: str) -> None:
        """Load what is needed and make sure of the data: whoever fails, fails before rank 0 waits.

        `config` is the run's, as YAML.
        """
        import labs_core.train.work  # noqa: F401
        from labs_core.train.run import ensure_data

        made = OmegaConf.create(config)
        assert isinstance(made, DictConfig)
        ensure_data(made)

    def fit(self) -> None:
        """Fit what rank 0 says."""
        from labs_core.train.run import help_with_run

        help_with_run()


def spread(trainer: DictConfig) -> None:
    """Make every process of the trainer a node of its own, which Ray may put anywhere.

    Raises LabsError where the trainer is for one process.
    """
    ranks = trainer.devices * trainer.num_nodes
    if trainer.strategy == "auto" or ranks < 2:
        raise LabsError(
            "--launcher ray is for several processes, and the trainer is for one",
            remedy="Give trainer=ddp trainer.devices=PROCESSES, or leave --launcher out.",
        )
    trainer.devices, trainer.num_nodes = 1, ranks


@contextmanager
def helped(address: str | None, config: DictConfig) -> Iterator[None]:
    """Further ranks help this process, which becomes rank 0, as long as the block lasts.

    Args:
        address: of the Ray cluster, HOST:PORT; None starts one on this machine.
        config: the run's, its trainer as `spread` leaves it.
    """
    helpers = config.trainer.num_nodes - 1
    with ray_cluster.connected(address) as ray:
        there = ray_cluster.cpus(ray)
        if helpers + (address is None) > there:  # rank 0 is none of Ray's processes
            raise LabsError(
                f"{helpers + 1} processes are more than the Ray cluster's {there} processors",
                remedy="Give fewer with trainer.devices, or add nodes: ray start --address=…",
            )
        meeting = {
            "MASTER_ADDR": ray.util.get_node_ip_address(),
            "MASTER_PORT": str(_free_port()),
            "LOCAL_RANK": "0",
        }
        actors = _start(ray, helpers, ray_cluster.shared_settings() | meeting, config)
        os.environ.update(meeting, NODE_RANK="0")
        try:
            yield
        finally:
            for actor in actors:
                ray.kill(actor)
            for name in (*meeting, "NODE_RANK"):
                del os.environ[name]


def _start(ray: Any, helpers: int, environment: dict[str, str], config: DictConfig) -> list[Any]:
    gpus = 1 if config.trainer.accelerator == "gpu" else 0
    kind = ray.remote(num_cpus=1, num_gpus=gpus, scheduling_strategy="SPREAD")(Rank)
    actors = [kind.remote({**environment, "NODE_RANK": str(rank + 1)}) for rank in range(helpers)]
    text = OmegaConf.to_yaml(config)
    try:
        ray.get([actor.prepare.remote(text) for actor in actors], timeout=STARTS_WITHIN)
    except ray.exceptions.GetTimeoutError:
        raise LabsError(
            f"The Ray cluster did not start {helpers} processes within {STARTS_WITHIN:.0f} s",
            remedy="Its processors may be taken by others: look at `ray status`.",
        ) from None
    except ray.exceptions.RayError as error:
        raise LabsError(
            "A process of this run does not start on the Ray cluster",
            str(error).strip().splitlines()[-1],
            "All nodes need this checkout, at the same place, its packages and the data set.",
        ) from None
    for actor in actors:
        actor.fit.remote()
    return actors


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])
