"""docs/clusters.md: its commands compose, its manifests are what they say they are."""

from __future__ import annotations

import re
import shlex
import subprocess

import yaml
from typer.main import get_command

from labs_core.cli import app
from labs_core.config.compose import compose
from labs_core.paths import ROOT
from labs_core.tune.space import read

PAGE = (ROOT / "docs" / "clusters.md").read_text(encoding="utf-8")
OPTIONS = ("--launcher", "--ray-address", "--trials")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def labs_commands() -> list[list[str]]:
    """The words after `labs`, whoever starts it."""
    text = "\n".join(blocks("bash")).replace("\\\n", " ")
    lines = [shlex.split(line, comments=True) for line in text.splitlines()]
    return [words[words.index("labs") + 1 :] for words in lines if "labs" in words]


def test_every_command_is_one() -> None:
    commands = labs_commands()
    commands += [
        container["command"][1:]
        for manifest in manifests()
        if manifest["kind"] == "Job"
        for container in manifest["spec"]["template"]["spec"]["containers"]
    ]
    known = get_command(app).commands  # type: ignore[attr-defined]
    assert len(commands) >= 8
    for command, lab, *arguments in commands:
        names = {option for each in known[command].params for option in each.opts}
        assert {each for each in arguments if each.startswith("--")} <= names
        settings = [each for each in arguments if "=" in each]
        if command == "run":
            compose(lab, settings)
        else:
            read(lab, settings, None)


def manifests() -> list[dict]:
    return [document for block in blocks("yaml") for document in yaml.safe_load_all(block)]


def test_the_pods_find_the_first_by_the_services_name() -> None:
    service, job, cluster = manifests()
    assert [each["kind"] for each in (service, job, cluster)] == ["Service", "Job", "RayCluster"]
    pod = job["spec"]["template"]["spec"]
    name = job["metadata"]["name"]
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["selector"] == {"job-name": name}
    assert pod["subdomain"] == service["metadata"]["name"]
    [container] = pod["containers"]
    values = {each["name"]: each.get("value") for each in container["env"]}
    assert values["MASTER_ADDR"] == f"{name}-0.{pod['subdomain']}"
    assert f"trainer.num_nodes={job['spec']['completions']}" in container["command"]
    version = re.search(r"^ray==(.+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert version
    assert cluster["spec"]["rayVersion"] == version[1]


def test_the_batch_script_is_a_shells() -> None:
    [script] = [block for block in blocks("bash") if block.startswith("#!/bin/bash")]
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
