"""From a bundle to a ready folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from labs_core.bundle import format
from labs_core.bundle.load import load
from labs_core.deploy import folder as folders
from labs_core.deploy.plan import Plan, full_tag, get_target, label_of, write_target
from labs_core.errors import LabsError


def write(
    bundle: Path,
    target: str,
    folder: Path | None = None,
    lab: str | None = None,
    version: str | None = None,
    run_id: str | None = None,
    tag: str | None = None,
    force: bool = False,
) -> Plan:
    """Write the folder for one model on one kind of host.

    Args:
        bundle: the bundle's folder; it is loaded, checked and copied.
        target: one of TARGETS.
        folder: where to; by default deploy/LAB-TARGET.
        lab: the lab's name; by default what the bundle says.
        version: the model's version in the registry, if known.
        run_id: the run that made it; by default what the bundle says.
        tag: the image's name, by default the bundle's with its version or the start of its hash.
        force: also where files of ours have been changed since.

    Raises:
        LabsError: there is no such target; the bundle is damaged; the tag cannot be; the folder
            holds something else.
    """
    get_target(target)
    source = load(bundle)
    manifest = (source.path / format.FILE).read_bytes()
    digest = format.entry_of(manifest).sha256
    lab = lab or str(source.lineage.get("lab") or source.name)
    name = label_of(source.name)
    found = source.lineage.get("run_id")
    place = (folder or Path("deploy") / f"{label_of(lab)}-{target}").resolve()
    plan = Plan(
        folder=place,
        lab=lab,
        name=name,
        bundle=source.path,
        task=source.manifest.task,
        digest=digest,
        tag=full_tag(tag, name, version or digest[:12]),
        version=version,
        run_id=run_id or (str(found) if found else None),
    )
    with folders.replaced(place, force) as new:
        _copy_bundle(source.path, manifest, new / "bundle")
        write_target(target, replace(plan, folder=new))
        folders.record(new, _about(plan, target))
    return plan


def _copy_bundle(source: Path, manifest: bytes, place: Path) -> None:
    """Copy what bundle.json lists, and check it once more: the source may change at any time."""
    for name, entry in format.parse(manifest).files.items():
        content = (source / name).read_bytes()
        if format.entry_of(content) != entry:
            raise LabsError(f"{source / name} has just been changed", "", "Run the command again.")
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(content)
    (place / format.FILE).write_bytes(manifest)


def _about(plan: Plan, target: str) -> dict[str, str | None]:
    """The head of deploy.json."""
    return {
        "target": target,
        "lab": plan.lab,
        "model": plan.name,
        "version": plan.version,
        "run_id": plan.run_id,
        "bundle_sha256": plan.digest,
        "image": plan.tag if get_target(target).image else None,
    }
