"""A search space

Optuna asks your function for the settings of each trial; the function asks the trial for one
parameter after another, and so says what may be tried. What it says decides what can be found.

Scale. A learning rate of 0.01 differs from 0.02 as 0.1 does from 0.2. Drawn evenly from 0.001 … 1,
nine of ten are above 0.1, and the small ones are hardly ever tried. What acts by its order of
magnitude is drawn evenly in its logarithm: learning rates, penalties, and numbers of rows in a
leaf, of which 1 and 2 differ more than 41 and 42. Shares between 0 and 1 and depths act linearly.

Integers. A depth of 3.7 means nothing. Rounding it yourself would hide that from the sampler.

Conditions. A parameter is asked for only where it plays a part: the width of the third layer only
where there is a third layer. Otherwise the sampler learns from parameters that had no effect. And
one name has one range throughout a study: so each kind of model has names of its own.

The space of this exercise (`log`: evenly in the logarithm):

    model                       forest, boosting or network

    forest.most                 0.1 … 1.0       share of the features that a split looks at
    forest.min_samples_leaf     1 … 50          integer, log
    forest.criterion            gini or entropy

    boosting.learning_rate      0.01 … 0.5      log
    boosting.max_depth          2 … 8           integer
    boosting.min_samples_leaf   1 … 100         integer, log
    boosting.subsample          0.5 … 1.0

    network.layers              1 … 3           integer
    network.width_1 …           8 … 128         integer, log; one for each layer, counted from 1
    network.activation          relu or tanh
    network.learning_rate       0.0001 … 0.1    log
    network.dropout             0.0 … 0.5       only with two layers or more

What the functions return are the settings without the prefix; of a network, `widths` is the list of
its layers' widths, in place of layers and width_1 ….
---
minutes: 25
difficulty: 1
hints:
  - >-
    trial.suggest_float(name, low, high, log=True), trial.suggest_int(name, low, high, log=True) and
    trial.suggest_categorical(name, choices) are all that is needed. Each returns the value.
  - >-
    The number of layers is asked for first; a loop then asks for as many widths. What the trial
    has been asked for before can decide what it is asked for next: plain Python `if` and `for`.
  - >-
    widths = [trial.suggest_int(f"network.width_{i}", 8, 128, log=True) for i in range(1, layers +
    1)]; and if layers > 1: settings["dropout"] = trial.suggest_float("network.dropout", 0.0, 0.5)
reading:
  - "Akiba et al.: Optuna: a next-generation hyperparameter optimization framework (2019)"
  - "Bergstra, Bengio: Random search for hyper-parameter optimization (2012)"
"""

from __future__ import annotations

from typing import Any

from optuna.trial import BaseTrial

Settings = dict[str, Any]


def suggest_forest(trial: BaseTrial) -> Settings:
    """-> {"most", "min_samples_leaf", "criterion"}"""
    # solution
    return {
        "most": trial.suggest_float("forest.most", 0.1, 1.0),
        "min_samples_leaf": trial.suggest_int("forest.min_samples_leaf", 1, 50, log=True),
        "criterion": trial.suggest_categorical("forest.criterion", ["gini", "entropy"]),
    }
    # end of solution


def suggest_boosting(trial: BaseTrial) -> Settings:
    """-> {"learning_rate", "max_depth", "min_samples_leaf", "subsample"}"""
    # solution
    return {
        "learning_rate": trial.suggest_float("boosting.learning_rate", 0.01, 0.5, log=True),
        "max_depth": trial.suggest_int("boosting.max_depth", 2, 8),
        "min_samples_leaf": trial.suggest_int("boosting.min_samples_leaf", 1, 100, log=True),
        "subsample": trial.suggest_float("boosting.subsample", 0.5, 1.0),
    }
    # end of solution


def suggest_network(trial: BaseTrial) -> Settings:
    """-> {"widths": [of the first layer, …], "activation", "learning_rate"}, and "dropout" where
    there are two layers or more
    """
    # solution
    layers = trial.suggest_int("network.layers", 1, 3)
    widths = [
        trial.suggest_int(f"network.width_{layer}", 8, 128, log=True)
        for layer in range(1, layers + 1)
    ]
    settings = {
        "widths": widths,
        "activation": trial.suggest_categorical("network.activation", ["relu", "tanh"]),
        "learning_rate": trial.suggest_float("network.learning_rate", 1e-4, 0.1, log=True),
    }
    if layers > 1:
        settings["dropout"] = trial.suggest_float("network.dropout", 0.0, 0.5)
    return settings
    # end of solution


def suggest(trial: BaseTrial) -> Settings:
    """A kind of model, and its settings alone. -> {"model": its name, and those settings}"""
    # solution
    model = trial.suggest_categorical("model", ["forest", "boosting", "network"])
    of_model = {
        "forest": suggest_forest,
        "boosting": suggest_boosting,
        "network": suggest_network,
    }
    return {"model": model, **of_model[model](trial)}
    # end of solution
