"""A Ray cluster of two nodes on this machine: what is done on it, and what when one is killed."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from labs_core.config.compose import compose
from labs_core.errors import LabsError
from labs_core.paths import ROOT
from labs_core.train.folder import RunFolder
from labs_core.train.run import Launch, start
from labs_core.train.work import help_fit
from labs_core.tune.launcher import Ended, Lost, Reported, TrialSpec
from labs_core.tune.ray_launcher import RayLauncher
from labs_core.tune.ray_worker import Worker
from tests.labs_core.tune.conftest import TROUBLE

pytest.importorskip("ray", reason="Ray is not installed (the extra `ray`)")
pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="Ray has clusters of several nodes on Linux only"
)

EPOCHS = 60  # of 0.05 s: long enough to be killed in the middle
TINY = (
    *("model=mlp", "augmentation=none", "data.limit=192", "optimizer=sgd", "optimizer.lr=0.01"),
    *("trainer.max_epochs=3", "trainer.threads=1", "baseline.epochs=1", "tracking=off"),
)  # week 3 without what differs between one process and two; see ../train/test_ddp.py
# Ray takes 127.0.0.1 for the machine's outer address, unless it is told that there is no cluster
# beyond this machine.
LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}


@pytest.fixture(scope="module")
def two_nodes() -> Iterator[tuple[str, Callable[[], None]]]:
    """The address of a cluster of two nodes of one processor; and what kills the second."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in LOOPBACK.items():
            patch.setenv(name, value)
        from ray.cluster_utils import Cluster

        node = {"num_cpus": 1, "object_store_memory": 80 * 10**6, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args=node)
        try:
            second = cluster.add_node(**node)
            [raylet] = second.all_processes["raylet"]
            yield cluster.address, lambda: kill_all(psutil.Process(raylet.process.pid))
        finally:
            cluster.shutdown()


def kill_all(raylet: psutil.Process) -> None:
    """All that runs on a node, as when it loses its power: without a raylet, a worker would go on
    for seconds."""
    for process in [raylet, *raylet.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


@pytest.mark.slow
def test_ranks_on_two_nodes_end_as_one_process(two_nodes: Any, home: Path, tmp_path: Path) -> None:
    address, _ = two_nodes
    overrides = [*TINY, "trainer=ddp", "trainer.accelerator=cpu", "data.batch_size=32"]
    report = start("week3", overrides, "smoke", launch=Launch("ray", address))

    alone = compose("week3", [*TINY, "trainer=cpu", "data.batch_size=64"], "smoke").config
    help_fit(RunFolder(tmp_path), alone)
    ours, theirs = (
        torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for folder in (home / report.run, tmp_path)
    )
    assert max((ours[name] - theirs[name]).abs().max().item() for name in theirs) <= 1e-6
    assert "NODE_RANK" not in os.environ


@pytest.mark.slow
def test_more_workers_than_processors_are_refused(two_nodes: Any, home: Path) -> None:
    with pytest.raises(LabsError, match="3 workers of 1 threads are more than the 2 processors"):
        RayLauncher(two_nodes[0], 3, 1, 0, home, 4)


@pytest.mark.slow
def test_a_node_that_is_killed_costs_no_trial(two_nodes: Any, home: Path) -> None:
    home.mkdir()
    address, kill_second = two_nodes
    command = ["sweep", "week1", *TROUBLE, "penalty.ridge=1,2,3,4", f"trainer.max_epochs={EPOCHS}"]
    options = ["--profile", "smoke", "--json", "--launcher", "ray", "--ray-address", address]
    sweep = subprocess.Popen(
        [sys.executable, "-m", "labs", *command, *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_for(lambda: len(trained(home)) == 2, sweep)  # one on each node
        kill_second()
        out, err = sweep.communicate(timeout=120)
    finally:
        sweep.kill()
    assert sweep.returncode == 0, err
    assert "its worker or node is gone; it is tried once more" in err
    results = [json.loads(path.read_text()) for path in home.glob("sweeps/*/trials/*/result.json")]
    assert [result["outcome"] for result in results] == ["finished"] * 4
    assert json.loads(out)["best"], "Ray's own messages are not among the results"
    # The lost trial continued: hardly an epoch was trained twice.
    epochs = [line.split()[:2] for line in (home / "epochs.txt").read_text().splitlines()]
    twice = len(epochs) - len({tuple(epoch) for epoch in epochs})
    assert len({tuple(epoch) for epoch in epochs}) == 4 * EPOCHS
    assert twice <= 1


def trained(home: Path) -> set[str]:
    """The trials that have begun."""
    with contextlib.suppress(FileNotFoundError):
        return {line.split()[0] for line in (home / "epochs.txt").read_text().splitlines()}
    return set()


def wait_for(happened: Callable[[], bool], sweep: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 120
    while not happened():
        assert sweep.poll() is None, sweep.communicate()
        assert time.monotonic() < until
        time.sleep(0.1)


@pytest.mark.slow
def test_a_cluster_of_this_machine_for_one_sweep(home: Path) -> None:
    """Pruning's answers, a time limit, and nothing left behind."""
    home.mkdir()
    before = cluster_processes()
    launcher = RayLauncher(None, 1, 1, 0, sweep_folder(home), 2)
    try:
        launcher.submit(specification(home, 0, 1, answered=True))
        for prune in (False, True):
            assert isinstance(next_event(launcher), Reported)
            launcher.answer(0, prune)
        end = next_event(launcher)
        assert isinstance(end, Ended)
        assert (end.result.outcome, end.result.epochs) == ("pruned", 2)

        assert launcher.free() == 1
        launcher.submit(specification(home, 1, 103, timeout_s=2.0))
        assert isinstance(next_event(launcher), Reported)
        lost = next_event(launcher)
        assert lost == Lost(1, "it ran for more than 2 s", again=False)
    finally:
        launcher.close()
    assert cluster_processes() == before


def test_a_machine_that_does_not_see_the_folder_says_so(home: Path) -> None:
    assert Worker(1, {}, str(home / "nowhere")).look()[1] is False


def cluster_processes() -> set[int]:
    """Of all clusters that this process has started."""
    children = psutil.Process().children(recursive=True)
    return {child.pid for child in children if child.name() in ("raylet", "gcs_server")}


def sweep_folder(home: Path) -> Path:
    (home / "sweep.json").write_text("{}")
    return home


def specification(home: Path, number: int, ridge: int, **rest: Any) -> TrialSpec:
    return TrialSpec(
        number=number,
        lab="week1",
        overrides=(*TROUBLE, "trainer.max_epochs=3", f"penalty.ridge={ridge}"),
        profile="smoke",
        folder=str(home / "trials" / str(number)),
        sweep="sweeps/ray",
        experiment="week1-sweeps",
        parent=None,
        chosen={"penalty.ridge": str(ridge)},
        **{"answered": False, **rest},
    )


def next_event(launcher: Any) -> Any:
    until = time.monotonic() + 120
    while (event := launcher.next_event(5.0)) is None:
        assert time.monotonic() < until
    return event
