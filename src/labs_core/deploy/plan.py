"""What a target is asked to write."""

from __future__ import annotations

import importlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from labs_core.errors import LabsError, did_you_mean


class Target(NamedTuple):
    """A kind of host.

    Attributes:
        module: its `write(plan)` adds the target's files to the plan's folder.
        about: what it is for, in a few words.
        image: whether its folder has a Dockerfile.
    """

    module: str
    about: str
    image: bool = False


TARGETS = {
    "docker": Target("labs_core.deploy.docker", "an image for any container host", True),
    "compose": Target("labs_core.deploy.compose", "one machine, with MLflow and PostgreSQL", True),
    "k8s": Target("labs_core.deploy.k8s", "manifests for a Kubernetes cluster", True),
    "procfile": Target("labs_core.deploy.procfile", "a host that reads a Procfile"),
    "serverless": Target("labs_core.deploy.serverless", "containers that scale to zero", True),
    "space": Target("labs_core.deploy.space", "a hosted demo page, a Gradio app"),
}

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
# What image registries take: [host[:port]/]path[:tag], the path in lower case.
_HOST = r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?"
_PART = r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*"
_TAG = re.compile(rf"({_HOST}/)?{_PART}(/{_PART})*(?P<tag>:[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?")


@dataclass(frozen=True)
class Plan:
    """One folder to write.

    A bundle may come from anywhere, and these fields go into files that others run: all texts are
    plain (letters, digits, `.`, `_`, `-`), so they need no quotes anywhere.

    Attributes:
        folder: where to; it holds `bundle/` already, and nothing else. It gets another name when
            all is written, so no file in it may contain its path.
        lab: what addresses and people call the model: its lab's name, such as week5, or the
            bundle's name where no lab made it.
        name: of the image, the service and the resources: the bundle's name as a DNS label, such
            as labs-week5.
        bundle: the bundle that was copied to `folder / "bundle"`.
        task: the bundle's task.
        digest: SHA-256 of bundle.json, in hexadecimal; it lists the hashes of all other files.
        tag: what the image is called, such as labs-week5:3.
        version: in the registry, if known.
        run_id: the run that made the model, if known.
    """

    folder: Path
    lab: str
    name: str
    bundle: Path
    task: str
    digest: str
    tag: str
    version: str | None = None
    run_id: str | None = None

    def __post_init__(self) -> None:
        for field in ("lab", "name", "task", "version", "run_id"):
            text = getattr(self, field)
            if text is not None and not _PLAIN.fullmatch(text):
                raise LabsError(
                    f"The model's {field} {text[:80]!r} cannot be written into a deployment",
                    "it has other characters than letters, digits, '.', '_' and '-'",
                    "Export the model again with `labs run`.",
                )

    def announcement(self, bundle: str) -> str:
        """The JSON for `python -m serving --model`.

        Args:
            bundle: the bundle's folder as the service will see it.
        """
        known = {"name": self.lab, "version": self.version, "run_id": self.run_id}
        return json.dumps({"bundle": bundle, **{k: v for k, v in known.items() if v}})


def get_target(name: str) -> Target:
    """The target of this name; raises LabsError with the nearest one where there is none."""
    if name not in TARGETS:
        raise LabsError(f"There is no target '{name}'", remedy=did_you_mean(name, TARGETS))
    return TARGETS[name]


def write_target(name: str, plan: Plan) -> None:
    """Add the target's files to the plan's folder."""
    importlib.import_module(get_target(name).module).write(plan)


def label_of(name: str) -> str:
    """The name as a DNS label: at most 63 lower-case letters, digits and hyphens."""
    label = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return (label if label[:1].isalpha() else f"m-{label}")[:63].rstrip("-")


def full_tag(tag: str | None, name: str, version: str) -> str:
    """The image's whole name: `tag`, or else `name`, with `:version` where it has none.

    Raises:
        LabsError: `tag` is not a name that image registries take.
    """
    tag = tag or name
    match = _TAG.fullmatch(tag)
    if match is None or len(tag) > 255:
        raise LabsError(
            f"An image cannot be called '{tag[:80]}'",
            remedy="Write NAME:TAG or HOST/PATH/NAME:TAG in lower case, such as registry.example/"
            f"team/{name}:{version}.",
        )
    return tag if match["tag"] else f"{tag}:{version}"
