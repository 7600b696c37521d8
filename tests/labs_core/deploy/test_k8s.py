from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from labs_core.bundle import format

SCHEMA = json.loads((Path(__file__).parent / "schemas" / "kubernetes-1.37.json").read_bytes())
KINDS = {
    "Deployment",
    "Service",
    "HorizontalPodAutoscaler",
    "PodDisruptionBudget",
    "NetworkPolicy",
}
Manifests = dict[str, dict[str, Any]]


@pytest.fixture
def manifests(colour_bundle: Path, deployed: Callable[..., Path]) -> Manifests:
    """What `kubectl apply -k` would apply, by kind."""
    folder = deployed(
        colour_bundle, "k8s", lab="week5", version="3", tag="registry.example/team/week5"
    )
    kustomization = yaml.safe_load((folder / "k8s" / "kustomization.yaml").read_text())
    files = kustomization["resources"]
    assert {*files, "kustomization.yaml"} == {path.name for path in (folder / "k8s").iterdir()}
    listed = [yaml.safe_load((folder / "k8s" / file).read_text()) for file in files]
    return {manifest["kind"]: manifest for manifest in listed}


def faults(manifest: dict[str, Any]) -> list[str]:
    """What Kubernetes' own definition of the kind has against the manifest."""
    validator = Draft202012Validator({**SCHEMA, "$ref": f"#/$defs/{manifest['kind']}"})
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(manifest)]


def test_every_manifest_is_what_kubernetes_defines(manifests: Manifests) -> None:
    assert set(manifests) == KINDS
    assert {kind: faults(manifest) for kind, manifest in manifests.items()} == {
        kind: [] for kind in KINDS
    }


def test_the_definitions_would_find_a_fault(manifests: Manifests) -> None:
    manifest = manifests["Deployment"]
    pod = manifest["spec"]["template"]["spec"]
    pod["containers"][0]["livenessProbe"]["httpGet"]["prot"] = "http"
    assert len(faults(manifest)) == 1
    assert "'prot' was unexpected" in faults(manifest)[0]


def test_everything_is_about_the_same_pods(manifests: Manifests) -> None:
    labels = manifests["Deployment"]["spec"]["template"]["metadata"]["labels"]
    selectors = [
        manifests["Deployment"]["spec"]["selector"]["matchLabels"],
        manifests["Service"]["spec"]["selector"],
        manifests["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        manifests["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
    ]
    for selector in selectors:
        assert selector == selectors[0]
        assert selector.items() <= labels.items()
    scaled = manifests["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    assert scaled["name"] == manifests["Deployment"]["metadata"]["name"]


def test_the_pod_may_do_nothing_but_answer(manifests: Manifests) -> None:
    pod = manifests["Deployment"]["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"requests", "limits"} <= set(container["resources"])


def test_probes_ask_the_addresses_that_the_service_has(manifests: Manifests) -> None:
    (container,) = manifests["Deployment"]["spec"]["template"]["spec"]["containers"]
    paths = {
        probe: container[probe]["httpGet"]["path"]
        for probe in ("startupProbe", "readinessProbe", "livenessProbe")
    }
    assert paths == {
        "startupProbe": "/readyz",
        "readinessProbe": "/readyz",
        "livenessProbe": "/healthz",
    }
    (port,) = container["ports"]
    assert (port["name"], port["containerPort"]) == ("http", 8000)
    assert manifests["Service"]["spec"]["ports"][0]["targetPort"] == "http"


def test_there_is_time_to_finish_what_has_begun(manifests: Manifests) -> None:
    pod = manifests["Deployment"]["spec"]["template"]["spec"]
    pause = pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    assert pause == ["sleep", "5"]
    assert pod["terminationGracePeriodSeconds"] > 5 + 10, "of the pause and of the service"


def test_the_image_and_the_model_are_named(manifests: Manifests) -> None:
    template = manifests["Deployment"]["spec"]["template"]
    assert template["spec"]["containers"][0]["image"] == "registry.example/team/week5:3"
    assert template["metadata"]["labels"]["app.kubernetes.io/version"] == "3"
    assert template["metadata"]["annotations"]["labs/run-id"] == "0123456789abcdef"
    assert "replicas" not in manifests["Deployment"]["spec"], "it is the autoscaler's"


@pytest.mark.parametrize("name", ["null", "true", "on", "1e3"])
def test_a_name_is_a_text_whatever_yaml_makes_of_such_words(
    name: str, price_bundle: Path, tmp_path: Path, deployed: Callable[..., Path]
) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(price_bundle, bundle)
    manifest = format.parse((bundle / format.FILE).read_bytes())
    renamed = dataclasses.replace(manifest, name=name)
    (bundle / format.FILE).write_text(renamed.to_json(), encoding="utf-8")
    for file in (deployed(bundle, "k8s", version=name) / "k8s").glob("[!k]*.yaml"):
        assert faults(yaml.safe_load(file.read_text())) == [], file.name
