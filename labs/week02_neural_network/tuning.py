"""How the learning rates in `configs/labs/week2/method/` were found.

    python -m labs.week02_neural_network.tuning [key=value …] [--seeds 3]

trains the lab's network with each method at a ladder of rates, a few seeds each, and prints the
mean cross-entropy on the validation split at the end. Each method gets the rate where that is
lowest. The test split is not read: what was chosen by a split cannot be judged by it.

That is done for two lengths of training, that of the run and that of the figure which compares the
methods. The best rate depends on the length, so a comparison is fair at the length that the rates
were tuned for.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Iterator

import numpy as np

from labs.week02_neural_network.methods import Method
from labs.week02_neural_network.model import DigitReader
from labs_core.config.compose import compose
from labs_core.data.store import ensure
from labs_core.train.build import build_data, build_module

FACTORS = [1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8]  # of the rate in the method's file


def main() -> None:
    """Print a table for each length."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("settings", nargs="*", help="key=value, as for labs run week2")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--methods", nargs="+", default=["sgd", "momentum", "rmsprop", "adam"])
    arguments = parser.parse_args()
    config = compose("week2", arguments.settings).config
    ensure(config.data.name)
    lengths = {
        "the figure": config.comparison.updates,
        "the run": config.module.updates * config.trainer.max_epochs,
    }
    for name, updates in lengths.items():
        print(f"\n{name}: {updates} updates. Validation loss, mean of {arguments.seeds} seeds")
        for chosen in arguments.methods:
            found = ladder(chosen, arguments.settings, updates, arguments.seeds)
            cells = "   ".join(f"{lr:.3g}: {loss:.4f}" for lr, loss in found)
            print(f"{chosen:>9}   {cells}", flush=True)


def ladder(
    method: str, settings: list[str], updates: int, seeds: int
) -> Iterator[tuple[float, float]]:
    """(learning rate, validation loss) for rates around that of the method's file."""
    for factor in FACTORS:
        losses = []
        for seed in range(seeds):
            config = compose("week2", [*settings, f"method={method}", f"seed={seed}"]).config
            data = build_data(config)
            module = build_module(config, data)
            assert isinstance(module, DigitReader)
            candidate: Method = copy.copy(module.recipe.method)
            candidate.lr *= factor
            losses.append(validation_loss(module, candidate, data.splits, updates))
        yield candidate.lr, float(np.mean(losses))


def validation_loss(module: DigitReader, method: Method, splits: dict, updates: int) -> float:
    """The loss on the validation split after so many updates; ∞ where they diverge."""
    train, val = (tuple(tensor.numpy() for tensor in splits[name]) for name in ("train", "val"))
    with np.errstate(over="ignore", invalid="ignore"):
        for theta, _ in module.train_alone(method, *train, updates):  # noqa: B007
            pass
        loss, _, _ = module.recipe.evaluate(theta, *val)
    return loss if np.isfinite(loss) else float("inf")


if __name__ == "__main__":
    main()
