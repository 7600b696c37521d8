"""From the name of a model on the command line to its bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labs_core.track.registry import Registered

HELP = "week5, week5@champion, week5/3 (a version), week5/RUN, or a bundle's folder."


def locate(model: str, tracking: str) -> tuple[Path, Registered | None]:
    """The folder of the bundle that `model` means, and what the registry knows of it, if anything.

    Args:
        model: see HELP.
        tracking: whose registry to ask, `local` or `server`.

    Raises:
        LabsError: there is no such model.
    """
    if (Path(model) / "bundle.json").is_file():
        return Path(model).resolve(), None

    from labs_core.track import registry
    from labs_core.track.mlflow_setup import tracking_uri

    uri = tracking_uri(tracking)
    chosen = registry.find(model, uri)
    # By version, lest an alias moves between the two questions.
    return registry.resolve(f"{chosen.lab}/{chosen.version}", uri), chosen
