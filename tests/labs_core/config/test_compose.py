"""Composition: what the user typed is what the run gets, or one error that names the key."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from typing import Any

import pytest
from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf

from labs_core import catalog
from labs_core.config.compose import compose, compose_again, options
from labs_core.config.schema import TrackingConfig, TrainerConfig
from labs_core.errors import LabsError
from labs_core.paths import ROOT

LABS = list(catalog.labs())


def test_the_labs_own_room_and_the_shared_rooms_are_both_found() -> None:
    config = compose("week5", ["model=vit", "optimizer=sgd"]).config
    assert config.model._target_.startswith("labs.week05_cnn.networks")
    assert config.optimizer._target_ == "torch.optim.SGD"


def test_the_users_word_is_the_last() -> None:
    smoke = compose("week5", [], "smoke").config
    mine = compose("week5", ["trainer.max_epochs=7"], "smoke").config
    assert smoke.trainer.max_epochs != 7
    assert mine.trainer.max_epochs == 7


def test_seed_zero_is_a_seed() -> None:
    assert compose("week5").config.seed == 0
    assert compose("week5", ["seed=0"]).config.seed == 0


def test_choices_say_which_option_each_group_took() -> None:
    composed = compose("week5", ["model=vit"], "smoke")
    assert composed.choices["model"] == "vit"
    assert composed.choices["profile"] == "smoke"
    assert "hydra" not in " ".join(composed.choices)


def test_hydra_leaves_no_trace_in_the_configuration() -> None:
    assert "hydra" not in compose("week5").config


@pytest.mark.parametrize(
    ("overrides", "profile", "what", "remedy"),
    [
        (["model=resnet81"], None, "week5 has no model 'resnet81'", "Did you mean 'resnet18'?"),
        (["data=texture"], None, "week5 has no data 'texture'", "Did you mean 'textures'?"),
        ([], "smok", "week5 has no profile 'smok'", "Did you mean 'smoke'?"),
        (["trainer=cpuu"], None, "week5 has no trainer 'cpuu'", "Did you mean 'cpu'?"),
        (["optimizer.lrr=1"], None, "no setting 'optimizer.lrr'", "'optimizer.lr'?"),
        (["trainer.max_epoch=1"], None, "no setting 'trainer.max_epoch'", "'trainer.max_epochs'?"),
        (["sed=1"], None, "no setting 'sed'", "Did you mean 'seed'?"),
        (["lr=0.1"], None, "no setting 'lr'", "Did you mean 'optimizer.lr'?"),
        (["optimizer.lr=fast"], None, "optimizer.lr=fast is a text", "a number"),
        (["trainer.max_epochs=1.5"], None, "trainer.max_epochs=1.5 is a number", "a whole number"),
        (["trainer.max_epochs=many"], None, "trainer.max_epochs=many is a text", "a whole number"),
        (["optimizer.lr=true"], None, "optimizer.lr=true is true or false", "a number"),
        (["seed=[1,2]"], None, "seed=[1,2] is a list", "a whole number"),
        (["seed=1,2"], None, "'seed=1,2' names several values", "one of them"),
        (["lr==3"], None, "'lr==3' cannot be read", "key=value"),
        (["vit"], None, "'vit' cannot be read", "key=value"),
    ],
)
def test_a_mistake_is_named_with_its_remedy(
    overrides: list[str], profile: str | None, what: str, remedy: str
) -> None:
    with pytest.raises(LabsError) as error:
        compose("week5", overrides, profile)
    assert what in str(error.value)
    assert remedy in error.value.remedy


def test_an_argument_that_the_file_leaves_out_can_be_added() -> None:
    config = compose("week5", ["+optimizer.betas=[0.8,0.9]"]).config
    assert list(config.optimizer.betas) == [0.8, 0.9]


@pytest.mark.parametrize(
    "path",
    ["/tmp/my photos/été (1)", "./a,b/[c]", "D:\\my photos\\new", "/tmp/it's", "../x=y/z"],
)
def test_a_path_is_taken_as_it_is(path: str) -> None:
    assert compose("week5", ["data=folder", f"data.root={path}"]).config.data.root == path


def test_a_whole_number_is_a_number() -> None:
    assert compose("week5", ["optimizer.lr=1"]).config.optimizer.lr == 1


def test_options_are_those_that_exist_for_this_lab() -> None:
    assert "resnet18" in options("week5")["model"]
    assert "method" not in options("week5")
    assert {"cpu", "gpu", "auto", "ddp"} <= set(options("week1")["trainer"])


# Every key that is declared is consumed


@cache
def _choices(lab: str) -> list[tuple[list[str], DictConfig]]:
    """Every option of every group of the lab, one at a time, and what it makes of the lab."""
    choices = [[]] + [[f"{g}={name}"] for g, names in options(lab).items() for name in names]
    return [(overrides, compose(lab, overrides).config) for overrides in choices]


def _targets(node: Any, key: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every part of a configuration that names the class it is for, references left unresolved."""
    if isinstance(node, dict):
        if "_target_" in node:
            yield key, node
        for name, value in node.items():
            yield from _targets(value, f"{key}.{name}" if key else name)


def _arguments(made: Any) -> set[str]:
    """The arguments by name; a class's `**options` are those of the class that it hands them to."""
    classes = made.__mro__[:-1] if inspect.isclass(made) else ()
    functions = [c.__init__ for c in classes if "__init__" in c.__dict__]
    functions = functions or [made]  # a function, or a named tuple
    names: set[str] = set()
    for function in functions:
        arguments = inspect.signature(function).parameters.values()
        names |= {argument.name for argument in arguments}
        if not any(argument.kind is argument.VAR_KEYWORD for argument in arguments):
            return names
    assert not functions, f"{made} would swallow a misspelt key"
    return names


@pytest.mark.parametrize("lab", LABS)
def test_every_key_of_a_class_is_an_argument_of_it(lab: str) -> None:
    # Instantiation adds these.
    ours = {"_target_", "_partial_", "card"}
    for overrides, composed in _choices(lab):
        config = OmegaConf.to_container(composed, resolve=False)
        for key, node in _targets(config):
            unknown = set(node) - ours - _arguments(get_object(node["_target_"]))
            assert not unknown, f"{lab} {overrides}: {key} declares {unknown}"


@pytest.mark.parametrize("lab", LABS)
def test_every_other_room_is_read_by_interpolation(lab: str) -> None:
    """Rooms without a class of their own (transfer …) are arguments of module or loaders."""
    platform = {
        "seed",
        "trainer",
        "tracking",
        "lab",
        "monitor",
        "mode",
        "data",
        "module",
        "datamodule",
        "prepare",
    }
    text = OmegaConf.to_yaml(compose(lab).config, resolve=False)
    for overrides, config in _choices(lab):
        for name in config:
            node = config._get_node(name)
            if name in platform or f"${{{name}}}" in text:
                continue
            keys = [str(k) for k in node] if isinstance(node, DictConfig) else []
            unread = [k for k in keys if f"${{{name}.{k}}}" not in text]
            assert keys, f"{lab} {overrides}: nothing reads {name}"
            assert not unread, f"{lab} {overrides}: nothing reads {name}.{unread}"


@pytest.mark.parametrize("schema", [TrainerConfig, TrackingConfig])
def test_every_field_of_the_schema_is_read_by_the_platform(schema: type) -> None:
    read = {
        node.attr
        for path in (ROOT / "src" / "labs_core" / "train").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)
    }
    assert {field.name for field in fields(schema)} <= read


def test_a_lab_takes_the_data_sets_that_it_names() -> None:
    assert options("week2")["data"] == ["mnist", "mnist5k"]
    with pytest.raises(LabsError, match="week2 has no data 'california'"):
        compose("week2", ["data=california"])


@pytest.mark.parametrize(
    ("lab", "overrides", "profile"),
    [
        ("week1", ["method=momentum", "method.momentum=0.5", "penalty.ridge=2"], "smoke"),
        ("week2", ["module.hidden=[32,16]", "method=adam", "method.lr=1e-3", "seed=4"], None),
        ("week3", ["optimizer.lr=0.1", "model=mlp", "trainer.max_epochs=3"], "starter"),
        ("week3", ["+optimizer.eps=1e-6", "trainer.threads=1", "profile=full"], None),
        ("week5", ["data.limit=null", "tracking=off"], "smoke"),
    ],
)
def test_composing_again_gives_the_same_in_less_time(
    lab: str, overrides: list[str], profile: str | None
) -> None:
    for _ in range(2):  # with and without what was kept
        whole, again = compose(lab, overrides, profile), compose_again(lab, overrides, profile)
        assert OmegaConf.to_yaml(again.config) == OmegaConf.to_yaml(whole.config)
        assert OmegaConf.to_yaml(again.config, resolve=True) == OmegaConf.to_yaml(
            whole.config, resolve=True
        )
        assert (again.choices, again.overrides) == (whole.choices, whole.overrides)


def test_composing_again_refuses_what_composing_does() -> None:
    compose_again("week2", ["method.lr=0.1"])
    for wrong in ("method.lrr=0.1", "method.lr=abc", "method=adamm", "trainer.threads=1.5"):
        with pytest.raises(LabsError):
            compose_again("week2", [wrong])
    assert compose_again("week2", []).config.method.lr == 0.05
