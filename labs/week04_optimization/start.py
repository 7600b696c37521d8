"""Where this lab starts from: a run of week 3, whose settings are ours but for what is added.

A run of week 4 is composed of its own configuration and, for all that is not said there, of that of
week 3's registered model. So the comparison is fair by construction: the same network, the same
pictures, as many epochs. What was found is written into the configuration, so a resumed run starts
from the same model, even if there is another champion by then.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from labs_core.bundle import format
from labs_core.config.compose import Composed, compose
from labs_core.errors import LabsError
from labs_core.track import registry

LAB = "week3"
THEIRS = ("model", "loss", "datamodule")  # rooms that are week 3's and nothing else
EITHER = ("optimizer", "scheduler")  # groups in which `week3` means: as it was there
WITHOUT = "Or do without one: labs run week4 start=scratch."


def prepare(composed: Composed) -> DictConfig:
    """The lab's configuration, with week 3's in the places that it leaves open.

    Raises:
        LabsError: there is no such model, or it has learnt from other data; or what is week 3's was
            to be changed here.
    """
    config = composed.config.copy()
    for room in THEIRS:
        if config[room] is not None:
            raise LabsError(
                f"{room} is week 3's, and cannot be chosen here",
                "with another one there would be nothing to compare",
                f"Train it there: labs run {LAB} {room}={config[room]}. Then start from it: "
                f"labs run week4 start.model={LAB}@latest.",
            )
    typed = [text.lstrip("+") for text in composed.overrides]
    if config.start.model is None:
        theirs = _by_default(config, typed, composed.choices["profile"])
        found = {}
    else:
        theirs, found = _registered(config)
    with open_dict(config):
        for room in theirs:
            if config.get(room) is None:
                config[room] = theirs[room]
        for group in EITHER:
            if composed.choices[group] == LAB:
                ours = {k: v for k, v in config[group].items() if v is not None}
                config[group] = OmegaConf.merge(theirs[group], ours)
        config.data = _with_typed(theirs.data, config.data, typed)
        if OmegaConf.is_missing(config.trainer, "max_epochs"):
            config.trainer.max_epochs = theirs.trainer.max_epochs
        if found:
            same = config.data == theirs.data
            same = same and config.trainer.max_epochs == theirs.trainer.max_epochs
            config.start.found = {**found, "comparable": same and not config.start.weights}
    return config


def _by_default(config: DictConfig, typed: Iterable[str], profile: str) -> DictConfig:
    """Week 3's configuration without any run of it."""
    data = [text for text in typed if text.startswith("data.")]
    return compose(LAB, [f"data={config.data.name}", *data], profile).config


def _registered(config: DictConfig) -> tuple[DictConfig, dict[str, Any]]:
    """The configuration of the run that a registered model comes from; what it is and came to."""
    uri = config.tracking.uri if config.tracking.enabled else None
    lab = str(config.start.model).partition("@")[0].partition("/")[0]
    if lab != LAB:
        raise LabsError(
            f"start.model={config.start.model} is no model of {LAB}",
            "this lab builds on that one",
            f"Name one of its runs: start.model={LAB}@champion, {LAB}@latest, {LAB}/RUN.",
        )
    try:
        version = registry.find(config.start.model, uri)
    except LabsError as error:
        remedy = f"{error.remedy.rstrip('.')}. {WITHOUT}"
        raise LabsError(error.what, error.why, remedy) from None
    theirs = OmegaConf.create(registry.configuration(version, uri))
    assert isinstance(theirs, DictConfig)
    if theirs.data.name != config.data.name:
        raise LabsError(
            f"{config.start.model} has learnt from {theirs.data.name}, and this run would be on "
            f"{config.data.name}",
            "their results could not be compared",
            f"Add data={theirs.data.name}, or start from one that has learnt from "
            f"{config.data.name}: start.model={LAB}/RUN.",
        )
    bundle = registry.resolve(f"{LAB}/{version.version}", uri)
    manifest = format.parse((bundle / format.FILE).read_bytes())
    return theirs, {
        "version": version.version,
        "run": version.run,
        "run_id": version.run_id,
        "bundle": str(bundle),
        "acc": manifest.metrics["test/acc"],
        "epochs": theirs.trainer.max_epochs,
    }


def _with_typed(theirs: DictConfig, ours: DictConfig, typed: Iterable[str]) -> DictConfig:
    """Week 3's settings of the data set, but for those that the user has typed."""
    data = theirs.copy()
    for text in typed:
        key = text.partition("=")[0]
        if key.startswith("data."):
            name = key.removeprefix("data.")
            OmegaConf.update(data, name, OmegaConf.select(ours, name))
    return data
