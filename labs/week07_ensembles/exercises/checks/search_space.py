"""The ranges that a trial is asked for, and the draws of many random trials."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FixedTrial

from labs_core.learn.tutor import Tutor, show

FOREST = {
    "forest.most": FloatDistribution(0.1, 1.0),
    "forest.min_samples_leaf": IntDistribution(1, 50, log=True),
    "forest.criterion": CategoricalDistribution(["gini", "entropy"]),
}
BOOSTING = {
    "boosting.learning_rate": FloatDistribution(0.01, 0.5, log=True),
    "boosting.max_depth": IntDistribution(2, 8),
    "boosting.min_samples_leaf": IntDistribution(1, 100, log=True),
    "boosting.subsample": FloatDistribution(0.5, 1.0),
}
NETWORK = {
    "network.layers": IntDistribution(1, 3),
    **{f"network.width_{i}": IntDistribution(8, 128, log=True) for i in (1, 2, 3)},
    "network.activation": CategoricalDistribution(["relu", "tanh"]),
    "network.learning_rate": FloatDistribution(1e-4, 0.1, log=True),
    "network.dropout": FloatDistribution(0.0, 0.5),
}
MODELS = {"forest": FOREST, "boosting": BOOSTING, "network": NETWORK}


class Asked(FixedTrial):
    """A trial with given values, which a failed check can show."""

    def __repr__(self) -> str:
        return "trial with " + ", ".join(f"{k}={v!r}" for k, v in self._params.items())

    def __deepcopy__(self, memo: object) -> Asked:
        return self


def ask(tutor: Tutor, name: str, values: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The settings, and the ranges that the trial was asked for."""
    trial = Asked(values)
    got = tutor.ask(name, trial)
    tutor.holds(isinstance(got, dict), "a dict of settings", show(got))
    return got, trial.distributions


def check_forest(tutor: Tutor) -> None:
    """suggest_forest: what the trial says, under the names of the settings"""
    values = {
        "forest.most": 0.4,
        "forest.min_samples_leaf": 3,
        "forest.criterion": "entropy",
    }
    got, asked = ask(tutor, "suggest_forest", values)
    _same_settings(tutor, got, {"most": 0.4, "min_samples_leaf": 3, "criterion": "entropy"})
    _same_ranges(tutor, asked, FOREST, list(values))


def check_boosting(tutor: Tutor) -> None:
    """suggest_boosting: what the trial says, under the names of the settings"""
    values = {
        "boosting.learning_rate": 0.05,
        "boosting.max_depth": 4,
        "boosting.min_samples_leaf": 20,
        "boosting.subsample": 0.75,
    }
    got, asked = ask(tutor, "suggest_boosting", values)
    right = {name.removeprefix("boosting."): value for name, value in values.items()}
    _same_settings(tutor, got, right)
    _same_ranges(tutor, asked, BOOSTING, list(values))


def check_network(tutor: Tutor) -> None:
    """suggest_network: a width for each layer, and dropout with two or more"""
    for widths in ([16], [32, 8], [100, 64, 9]):
        values: dict[str, Any] = {"network.layers": len(widths)}
        values |= {f"network.width_{i}": 11 * i for i in (1, 2, 3)}
        values |= {f"network.width_{i}": width for i, width in enumerate(widths, start=1)}
        values |= {
            "network.activation": "tanh",
            "network.learning_rate": 0.002,
            "network.dropout": 0.3,
        }
        got, asked = ask(tutor, "suggest_network", values)
        right = {"widths": widths, "activation": "tanh", "learning_rate": 0.002}
        if len(widths) > 1:
            right["dropout"] = 0.3
        wanted = [
            name
            for name in values
            if not (name.startswith("network.width_") and int(name[-1]) > len(widths))
            and not (name == "network.dropout" and len(widths) == 1)
        ]
        extra = sorted(set(asked) - set(wanted))
        tutor.holds(
            not extra,
            f"with {len(widths)} layers only {', '.join(wanted)}",
            f"also {', '.join(extra)}",
            "it has no effect in this trial, and the sampler would learn from it all the same",
        )
        _same_settings(tutor, got, right)
        _same_ranges(tutor, asked, NETWORK, wanted)


def check_suggest(tutor: Tutor) -> None:
    """suggest: a kind of model, and its own parameters alone"""
    values: dict[str, Any] = {
        "forest.most": 0.5,
        "forest.min_samples_leaf": 2,
        "forest.criterion": "gini",
        "boosting.learning_rate": 0.1,
        "boosting.max_depth": 3,
        "boosting.min_samples_leaf": 7,
        "boosting.subsample": 0.9,
        "network.layers": 1,
        "network.width_1": 50,
        "network.activation": "relu",
        "network.learning_rate": 0.01,
    }
    settings: dict[str, dict[str, Any]] = {
        "forest": {"most": 0.5, "min_samples_leaf": 2, "criterion": "gini"},
        "boosting": {
            "learning_rate": 0.1,
            "max_depth": 3,
            "min_samples_leaf": 7,
            "subsample": 0.9,
        },
        "network": {"widths": [50], "activation": "relu", "learning_rate": 0.01},
    }
    for model, right in settings.items():
        got, asked = ask(tutor, "suggest", {"model": model, **values})
        others = sorted(n for n in asked if not n.startswith(("model", f"{model}.")))
        tutor.holds(
            not others,
            f"for the model {model} its own parameters alone",
            f"also {', '.join(others)}",
            "ask for the model first, and then only for what belongs to it",
        )
        _same_settings(tutor, got, {"model": model, **right})
        wanted = ["model", *(name for name in values if name.startswith(f"{model}."))]
        every = {"model": CategoricalDistribution([*MODELS]), **MODELS[model]}
        _same_ranges(tutor, asked, every, wanted)


def _same_settings(tutor: Tutor, got: dict[str, Any], right: dict[str, Any]) -> None:
    cause = ""
    if missing := sorted(set(right) - set(got)):
        cause = f"{missing[0]} is missing"
        if any("." in name for name in got):
            cause = "without the prefix: the settings have the names of the model's own arguments"
    elif extra := sorted(set(got) - set(right)):
        cause = f"{extra[0]} does not belong to it"
    else:
        wrong = [name for name in right if got[name] != right[name]]
        cause = f"{wrong[0]} is not what the trial said" if wrong else ""
    tutor.holds(got == right, show(right), show(got), cause)


def _same_ranges(
    tutor: Tutor, asked: dict[str, Any], ranges: dict[str, Any], wanted: list[str]
) -> None:
    for name in wanted:
        cause = "a name of another kind of model must not have another range: use the prefix"
        tutor.holds(
            name in asked, f"the trial is asked for '{name}'", f"only for {sorted(asked)}", cause
        )
        tutor.holds(
            asked[name] == ranges[name],
            f"{name}: {ranges[name]}",
            f"{asked[name]}",
            _why_other(asked[name], ranges[name]),
        )


def _why_other(mine: Any, right: Any) -> str:
    if isinstance(right, CategoricalDistribution):
        return "other choices, or in another order"
    if isinstance(mine, CategoricalDistribution):
        return "a list of choices has no order for the sampler: give it the range"
    if type(mine) is not type(right):
        whole = isinstance(right, IntDistribution)
        return "a whole number: suggest_int" if whole else "a real number: suggest_float"
    if mine.log != right.log:
        return (
            "it acts by its order of magnitude: log=True"
            if right.log
            else "it acts linearly: no log"
        )
    if (mine.low, mine.high) != (right.low, right.high):
        return "the ends of the range"
    return "a step leaves out what lies between"


@cache
def settings_drawn(suggest: Any) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """What 600 random trials get, and what they were asked for."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
        trials = [study.ask() for _ in range(600)]
        return [(suggest(trial), trial.params) for trial in trials]
    finally:
        optuna.logging.set_verbosity(verbosity)


def check_many_trials(tutor: Tutor) -> None:
    """suggest: in many random trials of one study, as often below as above the middle"""
    name = "600 times suggest(trial)"
    drawn = tutor.call(name, lambda: settings_drawn(tutor.mine.suggest))
    models = [settings["model"] for settings, _ in drawn]
    for model in MODELS:
        share = models.count(model) / len(models)
        tutor.holds(
            abs(share - 1 / 3) < 0.09, f"{model} in a third of the trials", f"in {share:.0%}"
        )
    for parameter, middle, why in [
        ("boosting.learning_rate", (0.01 * 0.5) ** 0.5, "in the logarithm"),
        ("network.learning_rate", (1e-4 * 0.1) ** 0.5, "in the logarithm"),
        ("forest.most", 0.55, "evenly"),
        ("boosting.subsample", 0.75, "evenly"),
        ("boosting.max_depth", 5, "evenly, whole numbers"),
    ]:
        values = np.array([params[parameter] for _, params in drawn if parameter in params])
        share = float(np.mean(values < middle) + np.mean(values == middle) / 2)
        tutor.holds(
            abs(share - 0.5) < 0.14,
            f"{parameter} is below {middle:.3g} in half of its trials: it is drawn {why}",
            f"in {share:.0%}",
        )
    networks = [settings for settings, _ in drawn if settings["model"] == "network"]
    layers = [len(settings["widths"]) for settings in networks]
    tutor.equal(sorted(set(layers)), [1, 2, 3], what="the numbers of layers that occur")
    tutor.holds(
        all(("dropout" in each) == (len(each["widths"]) > 1) for each in networks),
        "dropout with two layers or more, and only there",
        "another choice",
    )
