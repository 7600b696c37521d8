"""What may be varied, and what is refused before anything is made."""

from __future__ import annotations

import itertools
import re
import shlex

import pytest
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser

from labs_core.errors import LabsError
from labs_core.paths import ROOT
from labs_core.tune.space import Choice, Range, read


def test_a_grid_is_what_hydras_own_sweeper_makes_of_it():
    typed = ["method=adam,sgd", "module.hidden=[16],[32,32]", "seed=range(1,8,3)", "data.limit=64"]
    parsed = OverridesParser.create().parse_overrides(typed)
    [theirs] = BasicSweeper.split_arguments(parsed, max_batch_size=None)
    space, _ = read("week2", typed, "smoke")
    ours = [set(space.overrides(chosen)) for chosen in space.grid()]
    assert ours == [set(job) for job in theirs]
    assert space.combinations() == 2 * 2 * 3


def test_each_form_of_the_grammar():
    space, composed = read(
        "week3",
        [
            "model=glob(*,exclude=mlp)",
            "optimizer.lr=tag(log,interval(1e-4,1e-1))",
            "data.batch_size=int(interval(8,64))",
            "trainer.gradient_clip_val=interval(0.5,2)",
            "trainer.max_epochs=range(1,4)",
            "seed=choice(3)",  # one value: for all
            "augmentation=none",
        ],
        "smoke",
    )
    assert space.axes == (
        Choice("model", ("cnn", "cnn_large")),
        Range("optimizer.lr", 1e-4, 1e-1, None, log=True, whole=False),
        Range("data.batch_size", 8, 64, None, log=False, whole=True),
        Range("trainer.gradient_clip_val", 0.5, 2.0, None, log=False, whole=False),
        Range("trainer.max_epochs", 1, 3, 1, log=False, whole=True),
    )
    assert space.fixed == ("seed=3", "augmentation=none")
    assert space.combinations() is None
    assert [each.choices["model"] for each in composed] == ["cnn", "cnn_large"]


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("method.lr=interval(1e-5,1)", 1 / 3),
        ("method.lr=interval(0.12345678,0.1234568)", 0.1234568),
    ],
)
def test_a_number_is_short_and_stays_in_its_range(typed: str, value: float):
    space, _ = read("week2", [typed], None)
    [axis] = space.axes
    assert isinstance(axis, Range)
    text = axis.text(value)
    assert axis.low <= float(text) <= axis.high
    assert float(text) == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize(
    ("typed", "what", "remedy"),
    [
        (["method.lrr=0.1,0.2"], "no setting 'method.lrr'", "Did you mean 'method.lr'?"),
        (["method=adamm,sgd"], "no method 'adamm'", "Did you mean 'adam'?"),
        (["method=adam,sgd", "activation=rule"], "no activation 'rule'", "relu"),
        (["method.lr=0.1,abc"], "method.lr=abc is a text", "is a number"),
        (["module.batch_size=interval(1,3)"], "1.0 is a number", "is a whole number"),
        (["trainer.threads=1,1.5"], "trainer.threads=1.5 does not fit", ""),
        (["method.lr=interval(1,1)"], "is an empty range", "lower end first"),
        (["method.lr=interval(2,1)"], "is an empty range: it goes from 2 to 1", "lower end"),
        (["seed=range(5,1)"], "is an empty range", "stop is not in it"),
        (["seed=range(1,5,0)"], "is an empty range", "stop is not in it"),
        (["method.lr=tag(log,interval(0,1))"], "has no logarithm at 0", "begin above 0"),
        (["method.lr=tag(lgo,interval(1,2))"], "unknown tag", "tag(log"),
        (["method.lr=tag(log,choice(1,2))"], "has the tag log", "for intervals"),
        (["seed=shuffle(range(0,5))"], "is shuffled", "random"),
        (["seed=1,1"], "names 1 twice", ""),
        (["seed=1,2", "seed=3"], "seed is given twice", "once"),
        (["activation=glob(x*)"], "matches no activation", "relu"),
        (["module.hidden=glob(*)"], "is for groups", "activation"),
        (["seed=interval(a,b)"], "cannot be read", "key=value"),
        (["seed=3"], "nothing to vary", "labs run"),
        ([], "nothing to vary", "labs run"),
    ],
)
def test_what_cannot_be_swept(typed: list[str], what: str, remedy: str):
    with pytest.raises(LabsError) as caught:
        read("week2", typed, "smoke")
    assert what in str(caught.value)
    assert remedy in caught.value.remedy


def test_a_setting_that_only_one_of_two_options_has_is_refused_for_the_other():
    with pytest.raises(LabsError, match=r"week1 has no setting 'method\.momentum'"):
        read("week1", ["method=momentum,svrg", "method.momentum=0.5,0.9"], "smoke")
    read("week1", ["method=momentum,batch_gd", "method.momentum=0.5,0.9"], "smoke")


def test_a_profile_is_given_once():
    with pytest.raises(LabsError, match="profile is given twice"):
        read("week2", ["profile=smoke,starter"], "smoke")
    space, composed = read("week2", ["profile=smoke,starter"], None)
    assert space.combinations() == 2
    assert [each.config.trainer.max_epochs for each in composed] == [2, 6]


def test_of_very_many_group_options_each_is_composed_once():
    groups = ["method=glob(*)", "activation=glob(*)", "init=glob(*)"]
    space, composed = read("week2", groups, "smoke")
    sizes = [len(axis.texts) for axis in space.axes if isinstance(axis, Choice)]
    assert space.combinations() == 4 * 3 * 2 == len(list(itertools.product(*map(range, sizes))))
    assert len(composed) == 4
    assert {each.choices["activation"] for each in composed} == {"relu", "sigmoid", "tanh"}


def test_every_sweep_that_the_guides_suggest_can_be_made():
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages).replace("\\\n", "")
    lines = re.findall(r"^labs sweep (week\d+ [^#\n]*)", text, re.MULTILINE)
    sweeps = [line for line in lines if "--resume" not in line]
    assert len(sweeps) > 3
    for line in sweeps:
        lab, *words = shlex.split(line)
        space, _ = read(lab, [word for word in words if "=" in word and word[0] != "-"], None)
        assert space.axes, line
