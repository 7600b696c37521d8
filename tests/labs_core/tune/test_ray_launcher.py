"""A Ray cluster of two nodes on this machine: what is done on it, and what when one is killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from labs_core.errors import LabsError
from labs_core.paths import ROOT
from labs_core.tune.launcher import Ended, Lost, Reported, TrialSpec
from tests.labs_core.tune.conftest import TROUBLE

pytest.importorskip("ray", reason="Ray is not installed (the extra `ray`)")

# Ray takes 127.0.0.1 for the machine's outer address, unless it is told that there is no cluster
# beyond this machine.
EPOCHS = 80  # of 0.05 s: a trial takes longer than it takes to notice that a node is gone
LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}


@contextlib.contextmanager
def two_nodes() -> Iterator[tuple[str, Callable[[], None]]]:
    """The address of a cluster of two nodes of one processor; and what kills the second."""
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": 80 * 10**6, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=node)
    try:
        second = cluster.add_node(**node)
        [raylet] = second.all_processes["raylet"]
        yield cluster.address, lambda: os.kill(raylet.process.pid, signal.SIGKILL)
    finally:
        cluster.shutdown()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="clusters of several nodes are for Linux")
def test_a_node_that_is_killed_costs_no_trial(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in LOOPBACK.items():
        monkeypatch.setenv(name, value)
    home.mkdir()
    with two_nodes() as (address, kill_second):
        command = [
            "sweep",
            "week1",
            *TROUBLE,
            "penalty.ridge=1,2,3,4",
            f"trainer.max_epochs={EPOCHS}",
        ]
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
@pytest.mark.skipif(sys.platform != "linux", reason="clusters of several nodes are for Linux")
def test_a_cluster_of_this_machine_for_one_sweep(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pruning's answers, a time limit, more than there is room for, and nothing left behind."""
    from labs_core.tune.ray_launcher import RayLauncher

    home.mkdir()
    monkeypatch.syspath_prepend(str(ROOT))
    with pytest.raises(LabsError, match="4000 workers of 1 threads are more than"):
        RayLauncher(None, 4000, 1, 0, home, 4000)
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
    import psutil

    left = [child.name() for child in psutil.Process().children(recursive=True)]
    assert not [name for name in left if name in ("raylet", "gcs_server")]


def test_a_machine_that_does_not_see_the_folder_is_refused(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from labs_core.tune.ray_worker import Worker

    worker = Worker(1, {}, str(home / "nowhere"))
    try:
        assert worker.look()[1] is False
    finally:
        worker._pool.close()


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
