"""From `labs run week5 model=vit optimizer.lr=3e-4` to one configuration, or one clear error.

The lab's `lab.yaml` is Hydra's primary config. Its own folder comes first on the search path and
the shared `configs/` second, so `model=` finds the lab's models and `optimizer=` the shared ones.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from labs_core.catalog import get_lab
from labs_core.config.schema import SCHEMA
from labs_core.errors import LabsError, did_you_mean
from labs_core.paths import CONFIGS

ConfigStore.instance().store("schema", SCHEMA)


@dataclass(frozen=True)
class Composed:
    """A lab's configuration and how it came about."""

    config: DictConfig
    choices: dict[str, str]  # group -> option, in the order of the lab's defaults list
    overrides: tuple[str, ...]  # what the user typed


def compose(lab: str, overrides: Sequence[str] = (), profile: str | None = None) -> Composed:
    """The lab's configuration with the profile and the user's overrides on top.

    Raises:
        LabsError: an unknown lab, profile, group option or key (with the nearest one), a value of
            another type than the key has, or text that is not `key=value`.
    """
    lab = get_lab(lab).name
    if profile is not None:
        overrides = [f"profile={profile}", *overrides]
    parsed = _parse(overrides)
    groups = _groups(lab)
    choices = [o for o in parsed if o.key_or_group in groups]
    values = [o for o in parsed if o.key_or_group not in groups]
    for choice in choices:
        _check_option(choice, groups[choice.key_or_group], lab)
    after = _compose(lab, [str(o.input_line) for o in choices])
    if values:
        before = _without_hydra(after)
        for value in values:
            _check_value(value, before, lab, groups)
        after = _compose(lab, [str(o.input_line) for o in parsed])
    taken = after.hydra.runtime.choices
    return Composed(
        config=_without_hydra(after),
        choices={group: str(taken[group]) for group in groups},
        overrides=tuple(overrides),
    )


def compose_again(lab: str, overrides: Sequence[str], profile: str | None = None) -> Composed:
    """As `compose`, for a process that does it often: a lab's groups are composed once, in 0.1 s,
    and the values are put in, as Hydra does. Files that change meanwhile are not seen.
    """
    lab = get_lab(lab).name
    if profile is not None:
        overrides = [f"profile={profile}", *overrides]
    parsed = _parse(overrides)
    groups = options(lab)
    values = [o for o in parsed if o.key_or_group not in groups]
    if not all(o.type == OverrideType.CHANGE and o.package is None for o in values):
        return compose(lab, overrides)
    base = _composed_once(lab, tuple(str(o.input_line) for o in parsed if o not in values))
    config = base.config.copy()
    for value in values:
        _check_value(value, base.config, lab, groups)
        _put(value, config)
    return Composed(config, base.choices, tuple(overrides))


_composed_once = functools.lru_cache(maxsize=64)(compose)


def options(lab: str) -> dict[str, list[str]]:
    """What there is to choose from in this lab: group -> options."""
    return {group: sorted(names) for group, names in sorted(_groups(lab).items())}


def data_rooms(config: DictConfig) -> Iterator[DictConfig]:
    """`data`, and wherever else a lab has put a data set."""
    for name in config:
        node = config._get_node(name)
        if isinstance(node, DictConfig) and not node._is_none() and not node._is_interpolation():
            if "card" in node:
                yield node
            else:
                yield from data_rooms(node)


def parse(text: str) -> Override:
    """One override in Hydra's grammar; it may name several values, for a sweep.

    Raises LabsError where it cannot be read.
    """
    override = _parse_one(text)
    if override is None:
        raise LabsError(
            f"'{text}' cannot be read",
            remedy="Write settings as key=value, such as optimizer.lr=0.01 or model=vit; "
            "quote a value with special characters: data.root=\"'my photos'\".",
        )
    return override


def check(overrides: Iterable[Override], composed: Composed) -> None:
    """Hold more overrides, each alone, against a configuration, without composing it anew.

    Raises LabsError: see `compose`.
    """
    lab = composed.config.lab.name
    groups = _groups(lab)
    for override in overrides:
        if override.key_or_group in groups:
            _check_option(override, groups[override.key_or_group], lab)
            continue
        _check_value(override, composed.config, lab, groups)
        if override.type == OverrideType.CHANGE:
            _put(override, composed.config.copy())


def _put(override: Override, config: DictConfig) -> None:
    """Change one value, where the platform's own types allow it."""
    try:
        OmegaConf.update(config, override.key_or_group, override.value(), merge=True)
    except OmegaConfBaseException as error:
        raise LabsError(
            f"{override.input_line!s} does not fit", str(error).splitlines()[0]
        ) from None


def _parse(overrides: Sequence[str]) -> list[Override]:
    parsed = [parse(text) for text in overrides]
    for override in parsed:
        if override.is_sweep_override():
            raise LabsError(
                f"'{override.input_line}' names several values", remedy="A run takes one of them."
            )
    return parsed


def _parse_one(text: str) -> Override | None:
    """One override, None where Hydra's grammar does not have it.

    In that grammar commas, brackets and accents mean something or nothing. In the name of a file
    they are letters: a value with a slash is taken as it is.
    """
    parser = OverridesParser.create()
    try:
        override = parser.parse_override(text)
        if not override.is_sweep_override():
            return override
    except HydraException:
        override = None
    key, _, value = text.partition("=")
    if "/" in value or "\\" in value:
        quoted = value.replace("\\", "\\\\").replace("'", "\\'")
        with contextlib.suppress(HydraException):
            return parser.parse_override(f"{key}='{quoted}'")
    return override


def _groups(lab: str) -> dict[str, set[str]]:
    """The groups that the lab's defaults list has, each with its options in both rooms.

    Of the data sets those that the lab names.
    """
    found: dict[str, set[str]] = {group: set() for group in _defaults(lab)}
    for room in (CONFIGS, CONFIGS / "labs" / lab):
        for file in room.glob("*/*.yaml"):
            if file.parent.name in found:
                found[file.parent.name].add(file.stem)
    if "data" in found:
        found["data"] &= set(get_lab(lab).data)  # no other is of the kind that the lab takes
    return found


def _defaults(lab: str) -> Iterator[str]:
    """The groups in the order of the lab's defaults list, then those of run.yaml."""
    for path in (CONFIGS / "labs" / lab / "lab.yaml", CONFIGS / "run.yaml"):
        for entry in yaml.safe_load(path.read_text(encoding="utf-8"))["defaults"]:
            if isinstance(entry, dict):
                yield from (str(key).removeprefix("override /") for key in entry)


def _check_option(choice: Override, names: set[str], lab: str) -> None:
    name = str(choice.value())
    if name not in names:
        group = choice.key_or_group
        raise LabsError(f"{lab} has no {group} '{name}'", remedy=did_you_mean(name, names))


def _check_value(override: Override, config: DictConfig, lab: str, groups: dict[str, Any]) -> None:
    """Hydra would accept `optimizer.lr=abc`, as YAML has no types: hold it to the default's."""
    key, is_new = override.key_or_group, override.is_add() or override.is_force_add()
    plain = OmegaConf.to_container(config, resolve=False)
    assert isinstance(plain, dict)
    known = dict(_settings(plain))
    if key not in known:
        parent = key.rpartition(".")[0]
        if is_new and isinstance(known.get(parent), dict):
            return  # an argument that the class takes and the file leaves at its default
        inside = [k for k in known if k.startswith(f"{parent}.")] if parent else []
        same = sorted((k for k in known if k.endswith(f".{key}")), key=len)[:1]  # lr: optimizer.lr
        near = did_you_mean(key, inside or {k for k in known if "." not in k} | {*groups})
        near = f"Did you mean '{same[0]}'?" if same else near
        raise LabsError(f"{lab} has no setting '{key}'", remedy=f"{near} See: labs config {lab}")
    if override.is_delete():
        return
    old, new = known[key], override.value()
    if not _same_type(old, new):
        raise LabsError(
            f"{override.input_line!s} is {_type_name(new)}",
            remedy=f"{key} is {_type_name(old)}, {old!r} by default.",
        )


def _compose(lab: str, overrides: Sequence[str]) -> DictConfig:
    room = CONFIGS / "labs" / lab
    shared = f"hydra.searchpath=[{_file_url(CONFIGS)}]"
    try:
        with initialize_config_dir(str(room), version_base="1.3"):
            return hydra_compose("lab", [shared, *overrides], return_hydra_config=True)
    except (HydraException, OmegaConfBaseException, yaml.YAMLError) as error:
        cause = error.__cause__ or error
        raise LabsError(f"The configuration of {lab} does not compose", str(cause)) from error


def _without_hydra(config: DictConfig) -> DictConfig:
    config = config.copy()
    with open_dict(config):
        del config["hydra"]
    return config


def _file_url(folder: Path) -> str:
    # Quoted for Hydra's grammar; not as_uri(), which percent-encodes what Hydra does not decode.
    path = folder.as_posix().replace("'", "\\'")
    return f"'file://{path}'"


def _settings(room: dict[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every key with its value, and the keys within; references are left as they are written."""
    for name, value in room.items():
        key = f"{prefix}{name}"
        yield key, value
        if isinstance(value, dict):
            yield from _settings(value, f"{key}.")


def _same_type(old: Any, new: Any) -> bool:
    if old is None or new is None or (isinstance(old, str) and old.startswith(("${", "???"))):
        return True
    if isinstance(old, bool) or isinstance(new, bool):
        return isinstance(old, bool) and isinstance(new, bool)
    if isinstance(old, float):
        return isinstance(new, int | float)
    if isinstance(old, str):
        return not isinstance(new, list | dict)  # 10 is a fine folder name
    return isinstance(new, type(old))


def _type_name(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int):
        return "a whole number"
    if isinstance(value, float):
        return "a number"
    if isinstance(value, list):
        return "a list"
    return "a text" if not isinstance(value, dict) else "a group of settings"
