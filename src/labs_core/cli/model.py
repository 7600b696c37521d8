"""From the name of a model on the command line to its bundle."""

from __future__ import annotations

from pathlib import Path

HELP = "week5, week5@champion, week5/3 (a version), week5/RUN, or a bundle's folder."


def locate(model: str) -> tuple[Path, str | None]:
    """The folder of the bundle that `model` means, and its version in the registry, if it has one.

    Raises:
        LabsError: there is no such model.
    """
    if (Path(model) / "bundle.json").is_file():
        return Path(model).resolve(), None

    from labs_core.track import registry

    chosen = registry.find(model)
    # By version, lest an alias moves between the two questions.
    return registry.resolve(f"{chosen.lab}/{chosen.version}"), str(chosen.version)
