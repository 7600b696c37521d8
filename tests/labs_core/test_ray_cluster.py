"""A cluster that is not there is said at once, and costs nothing."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labs_core import ray_cluster
from labs_core.errors import LabsError
from tests.ports import free_port


@pytest.mark.parametrize(
    ("address", "what"),
    [
        ("10.1", "'10.1' is not the address of a Ray cluster"),
        ("head:", "'head:' is not the address of a Ray cluster"),
        ("ray://head:10001", "is the address of a Ray client"),
        ("127.0.0.1:99999999", "No Ray cluster answers at"),
        ("no-such-host.invalid:6379", "No Ray cluster answers at"),
    ],
)
def test_an_address_that_leads_nowhere_is_refused(address: str, what: str) -> None:
    pytest.importorskip("ray")
    with pytest.raises(LabsError, match=what):
        ray_cluster.require(address)


@pytest.mark.parametrize(
    "command",
    [
        ("run", "week3", "trainer=ddp"),
        ("sweep", "week1", "seed=1,2"),
    ],
)
def test_where_nothing_listens_nothing_is_begun(
    command: tuple[str, ...], home: Path, labs_cli: Callable[..., Any]
) -> None:
    pytest.importorskip("ray")
    address = f"127.0.0.1:{free_port()}"
    code, out, err = labs_cli(*command, "--launcher", "ray", env={"RAY_ADDRESS": address})
    assert (code, out) == (2, "")
    assert f"No Ray cluster answers at {address}" in err
    assert not home.exists() or not list(home.rglob("*.json"))


def test_one_process_needs_no_cluster(home: Path, labs_cli: Callable[..., Any]) -> None:
    pytest.importorskip("ray")
    code, _, err = labs_cli("run", "week3", "--launcher", "ray")
    assert code == 2
    assert "--launcher ray is for several processes, and the trainer is for one" in err


def test_without_ray_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(LabsError, match="Ray is not installed") as caught:
        ray_cluster.require(None)
    assert "[ray]" in caught.value.remedy
