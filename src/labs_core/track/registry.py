"""Registered models by the names that people type: week5, week5@champion, week5/3, week5/RUN."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from labs_core import catalog
from labs_core.errors import LabsError
from labs_core.paths import runs_dir
from labs_core.track.mlflow_setup import RUN_TAG, connect, connect_to_read, reason
from labs_core.track.registration import CHAMPION, LABEL_TAG

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

LATEST = "latest"  # not an alias: MLflow's word for the version with the highest number
NAME = re.compile(r"(?P<lab>[A-Za-z0-9_-]+)(?:@(?P<alias>[\w-]+)|/(?P<version>[\w.-]+))?", re.ASCII)


@dataclass(frozen=True)
class Registered:
    """One version of a lab's model."""

    lab: str
    version: int
    aliases: tuple[str, ...]
    run_id: str
    run: str  # the name of its folder
    label: str  # its readable name, which other runs may have too
    source: str  # URI of the bundle among the run's artifacts


def model_name(lab: str) -> str:
    """The registered model of a lab."""
    return f"labs-{lab}"


def resolve(name: str, uri: str | None = None) -> Path:
    """The folder of the bundle that `name` means; a server's is downloaded and kept.

    Args:
        name: what `find` takes, or the path of a folder with a bundle.json.
        uri: the tracking URI; None is the local store.

    Raises:
        LabsError: no such name, with what there is; or the store does not answer.
    """
    if (Path(name) / "bundle.json").is_file():
        return Path(name).resolve()
    return _bundle_folder(find(name, uri), uri)


def find(name: str, uri: str | None = None) -> Registered:
    """The registered version that `name` means.

    Args:
        name: `week5` (the champion, else the latest), `week5@champion`, `week5@latest`,
            `week5/3` (a version) or `week5/RUN` (the run's folder name, label or MLflow id).
        uri: the tracking URI; None is the local store.

    Raises:
        LabsError: no such name, with what there is; or the store does not answer.
    """
    wanted = NAME.fullmatch(name)
    if wanted is None or ".." in name:
        raise LabsError(
            f"'{name}' is neither the name of a model nor a folder with a bundle.json",
            remedy="Write LAB, LAB@champion, LAB@latest, LAB/VERSION, LAB/RUN or a folder.",
        )
    lab = catalog.get_lab(wanted["lab"]).name
    versions = registered(lab, uri)
    if not versions:
        raise LabsError(
            f"The lab '{lab}' has no registered model yet", remedy=f"Make one: labs run {lab}"
        )
    chosen = _choose(versions, wanted["alias"], wanted["version"])
    if chosen is None:
        options = ", ".join(_label(version) for version in versions[:10])
        raise LabsError(f"There is no model '{name}'", remedy=f"There is: {options}.")
    return chosen


def configuration(version: Registered, uri: str | None = None) -> dict[str, Any]:
    """The whole configuration of the run that a version comes from, its references unresolved.

    Raises:
        LabsError: it was not delivered to the store, or the store does not answer.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            client = connect(uri, runs_dir())
            file = client.download_artifacts(version.run_id, "config.yaml", folder)
            settings: dict[str, Any] = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
        except Exception as error:  # each artifact store has its own
            raise LabsError(
                f"The configuration of {_label(version)} cannot be had from its run",
                reason(error),
                f"Make a new one: labs run {version.lab}",
            ) from error
    return settings


def registered(lab: str, uri: str | None = None) -> list[Registered]:
    """The versions of a lab's model, the latest first; empty where none is registered."""
    client = connect_to_read(uri, runs_dir())
    if client is None:
        return []
    name = model_name(lab)
    found = client.search_registered_models(f"name='{name}'")
    if not found:
        return []
    aliases: dict[int, list[str]] = {}
    for alias, number in sorted(found[0].aliases.items()):
        aliases.setdefault(int(number), []).append(alias)
    versions = client.search_model_versions(f"name='{name}'")
    listed = [_registered(lab, version, aliases) for version in versions]
    return sorted(listed, key=lambda version: -version.version)


def _registered(lab: str, version: ModelVersion, aliases: dict[int, list[str]]) -> Registered:
    number = int(version.version)
    return Registered(
        lab=lab,
        version=number,
        aliases=tuple(aliases.get(number, ())),
        run_id=str(version.run_id),
        run=version.tags.get(RUN_TAG, ""),
        label=version.tags.get(LABEL_TAG, ""),
        source=str(version.source),
    )


def _choose(
    versions: list[Registered], alias: str | None, version_or_run: str | None
) -> Registered | None:
    if version_or_run is not None:
        return next(
            (
                version
                for version in versions
                if version_or_run
                in (str(version.version), version.run_id, version.run, version.label)
            ),
            None,
        )
    if alias == LATEST:
        return versions[0]
    champion = next((v for v in versions if (alias or CHAMPION) in v.aliases), None)
    return champion or (versions[0] if alias is None else None)


def _label(version: Registered) -> str:
    aliases = "".join(f" @{alias}" for alias in version.aliases)
    return f"{version.lab}/{version.version} ({version.run}{aliases})"


def _bundle_folder(version: Registered, uri: str | None) -> Path:
    from mlflow.artifacts import download_artifacts

    try:
        if uri is None:  # the local store's artifacts lie on this disk: this is their own folder
            folder = Path(download_artifacts(artifact_uri=version.source))
        else:
            folder = _cached(version, uri)
    except Exception as error:
        raise LabsError(
            f"The bundle of {_label(version)} cannot be had from {version.source}",
            reason(error),
            f"Make a new one: labs run {version.lab}",
        ) from error
    return folder


def _cached(version: Registered, uri: str) -> Path:
    """Download a server's bundle once; again when its bundle.json is another (a resumed run)."""
    from mlflow.artifacts import download_artifacts

    cache = runs_dir() / "downloads"
    cache.mkdir(parents=True, exist_ok=True)
    folder = cache / f"{version.run_id}-{version.version}"
    with tempfile.TemporaryDirectory(dir=cache) as temporary:
        manifest = f"{version.source}/bundle.json"
        fresh = Path(download_artifacts(manifest, tracking_uri=uri, dst_path=temporary))
        kept = folder / "bundle.json"
        if not kept.is_file() or kept.read_bytes() != fresh.read_bytes():
            new = download_artifacts(version.source, tracking_uri=uri, dst_path=temporary)
            shutil.rmtree(folder, ignore_errors=True)
            os.replace(new, folder)
    return folder
