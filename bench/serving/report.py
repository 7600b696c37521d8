"""Figures of all rounds, as a table for people and as JSON."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from bench.serving.load import find_wrk
from bench.serving.servers import CORES, SERVERS
from bench.serving.turn import Turn

OUR_PACKAGES = ("fastapi", "httptools", "numpy", "onnxruntime", "pillow", "uvicorn", "uvloop")

Turns = Mapping[str, Sequence[Turn]]  # server -> one a round


def machine() -> dict[str, Any]:
    """What it was measured on."""
    return {
        "processor": _processor(),
        "cores": CORES,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "wrk": subprocess.run([find_wrk(), "-v"], capture_output=True, text=True).stdout.split()[1],
        "load_before": round(os.getloadavg()[0], 2),
        "ours": {name: importlib.metadata.version(name) for name in OUR_PACKAGES},
    }


def summary(turns: Turns) -> dict[str, Any]:
    """Medians over the rounds, and how many times as fast ours is as each peer.

    Ratios are taken round by round, so that a machine that slows down in between does not spoil
    them.
    """
    servers = {
        name: {
            "ready_s": median(turn.ready_s for turn in mine),
            "rss_mb": median(turn.memory_mb["rss"] for turn in mine),
            "pss_mb": median(turn.memory_mb["pss"] for turn in mine),
            "loads": {scenario: _load(mine, scenario) for scenario in mine[0].loads},
        }
        for name, mine in turns.items()
    }
    return {"servers": servers, "ratios": _ratios(turns)}


def show(found: Mapping[str, Any]) -> str:
    """The table."""
    about, servers = found["machine"], found["servers"]
    lines = [
        f"{about['processor']}, {about['cores']} cores, {about['system']}, "
        f"Python {about['python']}, wrk {about['wrk']}",
        f"ours:  {_versions(about['ours'])}",
        f"peers: {_versions(about['peers'])}",
        f"medians of {found['rounds']} rounds of {found['seconds']:g} s; "
        f"load of the machine before: {about['load_before']}",
        "CPU ms: of one core, for one answer, in all processes of the server",
    ]
    for name, why in found["missing"].items():
        lines.append(f"not measured: {name} ({why.splitlines()[0]})")
    width = max(len(SERVERS[name].title) for name in servers)
    for scenario in next(iter(servers.values()))["loads"]:
        head = f"{'requests/s':>11} {'p50 ms':>8} {'p99 ms':>8} {'CPU ms':>7} {'ours is':>8}"
        lines += ["", f"{scenario:{width}} {head}"]
        for name, server in servers.items():
            load = server["loads"][scenario]
            ratio = found["ratios"].get(scenario, {}).get(name)
            lines.append(
                f"{SERVERS[name].title:{width}} {load['rate']:11,.0f} {load['p50_ms']:8.1f} "
                f"{load['p99_ms']:8.1f} {load['processor_ms']:7.2f} "
                f"{f'{ratio:.2f} ×' if ratio else '':>8}{_trouble(load)}"
            )
    lines += ["", f"{'':{width}} {'ready s':>11} {'RSS MB':>8} {'PSS MB':>8}"]
    for name, server in servers.items():
        lines.append(
            f"{SERVERS[name].title:{width}} {server['ready_s']:11.2f} {server['rss_mb']:8.0f} "
            f"{server['pss_mb']:8.0f}"
        )
    return "\n".join([*lines, "", *_verdicts(found)])


def as_json(turns: Turns) -> dict[str, Any]:
    """Every round, for whoever wants other statistics."""
    return {name: [asdict(turn) for turn in mine] for name, mine in turns.items()}


def _load(turns: Sequence[Turn], scenario: str) -> dict[str, float]:
    loads = [turn.loads[scenario] for turn in turns]
    return {
        "rate": median(load.rate for load in loads),
        "p50_ms": median(load.p50_ms for load in loads),
        "p99_ms": median(load.p99_ms for load in loads),
        "processor_ms": median(turn.processor_ms[scenario] for turn in turns),
        "refused": sum(load.refused for load in loads),
        "broken": sum(load.broken for load in loads),
    }


def _ratios(turns: Turns) -> dict[str, dict[str, float]]:
    """Scenario -> peer -> ours / peer, requests a second."""
    if "ours" not in turns:
        return {}
    peers = [name for name in turns if not SERVERS[name].ours]
    return {
        scenario: {
            name: median(
                ours.loads[scenario].rate / max(theirs.loads[scenario].rate, 1e-9)
                for ours, theirs in zip(turns["ours"], turns[name], strict=True)
            )
            for name in peers
        }
        for scenario in turns["ours"][0].loads
    }


def _verdicts(found: Mapping[str, Any]) -> list[str]:
    lines = []
    for scenario, ratios in found["ratios"].items():
        if not ratios:
            continue
        best = min(ratios, key=ratios.__getitem__)
        ours, theirs = (found["servers"][name]["loads"][scenario] for name in ("ours", best))
        lines.append(
            f"{scenario}: {ratios[best]:.2f} × the best peer's requests/s ({SERVERS[best].title}), "
            f"p99 {ours['p99_ms']:.1f} ms against {theirs['p99_ms']:.1f} ms"
        )
    return lines


def _trouble(load: Mapping[str, float]) -> str:
    if not load["refused"] + load["broken"]:
        return ""
    return f"  {load['refused']:.0f} refused, {load['broken']:.0f} broken"


def _versions(packages: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in packages.items()) or "none"


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
