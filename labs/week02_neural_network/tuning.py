"""How the learning rates in `configs/labs/week2/method/` were found.

    python -m labs.week02_neural_network.tuning [key=value …] [--seeds 3] [--picture FILE]

trains the lab's network with each method at a ladder of rates, a few seeds each, and prints the
mean cross-entropy on the validation split at the end. Each method gets the rate where that is
lowest. The test split is not read: what was chosen by a split cannot be judged by it.

Three seeds and 500 digits do not tell rates apart whose losses differ by less than 5 %. Of such,
the validation split of MNIST decides, which has 5,000: data=mnist --methods sgd --factors 1 2.

That is done for two lengths of training, that of the run and that of the figure which compares the
methods. The best rate depends on the length, so a comparison is fair at the length that the rates
were tuned for.
"""

from __future__ import annotations

import argparse
import copy
import math
from collections.abc import Sequence

import numpy as np

from labs.week02_neural_network.methods import Method
from labs.week02_neural_network.model import DigitReader
from labs_core.config.compose import compose
from labs_core.data.store import ensure
from labs_core.train.build import build_data, build_module

METHODS = ["sgd", "momentum", "rmsprop", "adam"]
FACTORS = [1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8]  # of the rate in the method's file
ALIKE = 1.05  # times the lowest loss: so near to it, rates cannot be told apart
Ladder = dict[float, float]  # learning rate -> validation loss; ∞ where it diverges


def main() -> None:
    """Print a table for each length; draw the ladders."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("settings", nargs="*", help="key=value, as for labs run week2")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--factors", type=float, nargs="+", default=FACTORS)
    parser.add_argument("--picture", metavar="FILE", help="where to draw the losses by the rates")
    arguments = parser.parse_args()
    config = compose("week2", arguments.settings).config
    ensure(config.data.name)
    lengths = {
        "figure": config.comparison.updates,
        "run": config.module.updates * config.trainer.max_epochs,
    }
    found: dict[str, dict[str, Ladder]] = {}
    for length, updates in lengths.items():
        title = f"{updates} updates (the {length})"
        print(f"\n{title}: validation loss by learning rate, mean of {arguments.seeds} seeds\n")
        print(f"| method | {' | '.join(f'×{f:g}' for f in arguments.factors)} | best |")
        print("|---" * (len(arguments.factors) + 2) + "|", flush=True)
        found[title] = {}
        for method in arguments.methods:
            rates = ladder(method, arguments.settings, arguments.factors, updates, arguments.seeds)
            found[title][method] = rates
            print(row(method, rates), flush=True)
    if arguments.picture:
        from labs.week02_neural_network import figures

        figures.learning_rates(found).savefig(arguments.picture, dpi=120)


def ladder(
    method: str, settings: Sequence[str], factors: Sequence[float], updates: int, seeds: int
) -> Ladder:
    """The mean validation loss for some rates, `factors` times that of the method's file."""
    losses: dict[float, list[float]] = {}
    for seed in range(seeds):
        config = compose("week2", [*settings, f"method={method}", f"seed={seed}"]).config
        data = build_data(config)
        module = build_module(config, data)
        assert isinstance(module, DigitReader)
        for factor in factors:
            candidate: Method = copy.copy(module.recipe.method)
            candidate.lr *= factor
            loss = validation_loss(module, candidate, data.splits, updates)
            losses.setdefault(candidate.lr, []).append(loss)
    return {lr: float(np.mean(each)) for lr, each in losses.items()}


def validation_loss(module: DigitReader, method: Method, splits: dict, updates: int) -> float:
    """The loss on the validation split after so many updates; ∞ where they diverge."""
    train, val = (tuple(tensor.numpy() for tensor in splits[name]) for name in ("train", "val"))
    with np.errstate(over="ignore", invalid="ignore"):
        for theta, _ in module.train_alone(method, *train, updates):
            if not np.isfinite(theta).all():
                return math.inf
        loss, _, _ = module.recipe.evaluate(theta, *val)
    return loss if math.isfinite(loss) else math.inf


def row(method: str, rates: Ladder) -> str:
    """A line of the table: the losses, and the best rates; it says where these reach the end."""
    cells = [f"{lr:.3g}: {loss:.4f}" for lr, loss in rates.items()]
    best = [lr for lr, loss in rates.items() if loss <= ALIKE * min(rates.values())]
    at_the_end = min(rates) in best or max(rates) in best
    found = " or ".join(f"{lr:.3g}" for lr in best) + (", the end: go on" if at_the_end else "")
    return f"| {method} | {' | '.join(cells)} | {found} |"


if __name__ == "__main__":
    main()
