"""A small search for a network's architecture, by successive halving (Jamieson & Talwalkar 2016).

Many small networks train for a short time, the better third of them goes on for three times as
long, and so on until one is left. Who is better is said by rows that no candidate trains on. One
epoch of one candidate is one round, so that the search can be watched, stopped and resumed.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from onnx import helper
from sklearn.model_selection import train_test_split
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from labs.week07_ensembles.graph import Nodes, affine, softmax_or_number
from labs.week07_ensembles.learner import Array, Problem, State, step_seed
from labs_core.errors import LabsError

ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU}
OPERATORS = {nn.ReLU: "Relu", nn.Tanh: "Tanh", nn.GELU: "Gelu"}  # of ONNX
BETA1, BETA2, EPS = 0.9, 0.999, 1e-8  # Adam's


class Candidate(NamedTuple):
    """One architecture."""

    width: int
    depth: int
    activation: str

    def __str__(self) -> str:
        return f"{self.depth} × {self.width} {self.activation}"


@dataclass(frozen=True)
class ArchitectureSearch:
    """Finds a multilayer perceptron on the encoded columns, and trains it on the way.

    Args:
        rounds: epochs of candidates in one step of training.
        widths, depths, activations: what there is to choose from.
        candidates: drawn from these, without repetition.
        epochs: of each candidate in the first rung; each further rung has `halving` times as many.
        halving: a candidate in so many is kept.
        held_out: share of the training rows that judges, and does not train.
        batch_size, learning_rate, decay: of Adam, its decay decoupled.
    """

    rounds: int = 1
    widths: Sequence[int] = (16, 64, 256)
    depths: Sequence[int] = (1, 2, 3)
    activations: Sequence[str] = ("relu", "tanh", "gelu")
    candidates: int = 9
    epochs: int = 3
    halving: int = 3
    held_out: float = 0.2
    batch_size: int = 64
    learning_rate: float = 3e-3
    decay: float = 1e-2

    def __post_init__(self) -> None:
        unknown = set(self.activations) - set(ACTIVATIONS)
        if unknown:
            raise LabsError(
                f"There is no activation '{min(unknown)}'", remedy=f"Use {', '.join(ACTIVATIONS)}."
            )
        if self.candidates < 1 or self.halving < 2 or self.epochs < 1:
            raise LabsError("Successive halving needs candidates, epochs and halving ≥ 2")

    def space(self, seed: int) -> list[Candidate]:
        """The candidates of a run, in the order of their numbers."""
        every = [
            Candidate(*c) for c in itertools.product(self.widths, self.depths, self.activations)
        ]
        order = np.random.default_rng([seed, len(every)]).permutation(len(every))
        return [every[number] for number in order[: self.candidates]]

    def schedule(self) -> list[int]:
        """How many epochs each candidate of a rung trains there, rung after rung."""
        count, epochs, rungs = self.candidates, self.epochs, []
        while True:
            rungs.append(epochs)
            if count == 1:
                return rungs
            count, epochs = max(1, count // self.halving), epochs * self.halving

    @property
    def total(self) -> int:
        """Rounds until the search is over."""
        count, rounds = self.candidates, 0
        for epochs in self.schedule():
            rounds += count * epochs
            count = max(1, count // self.halving)
        return rounds

    def grow(self, state: State, problem: Problem, seed: int) -> State:
        """Some epochs of candidates more; at its end the search stays as it is."""
        search = _Search(self, problem, seed)
        state = dict(state) or search.beginning()
        for _ in range(self.rounds):
            if len(state["history"]) < self.total:
                search.one_epoch(state)
        return state

    def predict(self, state: State, X: Array) -> Array:
        """(N, D) -> probabilities (N, K), or numbers (N,); of the best candidate so far."""
        with torch.no_grad():
            answer = self.network(state)(torch.from_numpy(X))
        return answer.squeeze(1).double().numpy() if answer.shape[1] == 1 else answer.numpy()

    def network(self, state: State) -> Answering:
        """The best candidate so far, from encoded rows to the answer (N, K), or (N, 1)."""
        chosen = self.chosen(state)
        outputs = int(state["outputs"])
        net = perceptron(chosen, len(state["mean"]), outputs)
        vector_to_parameters(torch.from_numpy(state["best.theta"]), net.parameters())
        return Answering(net, state)

    def nodes(self, state: State, rows: str, answer: str) -> Nodes:
        """The same as a graph, from one name to another."""
        found: Nodes = []
        weights, bias = 1 / state["std"], -state["mean"] / state["std"]
        layers = list(self.network(state).net)
        name = rows
        for number, layer in enumerate(layers):
            before, name = name, f"{answer}.{number}"
            if not isinstance(layer, nn.Linear):
                found.append(helper.make_node(OPERATORS[type(layer)], [before], [name]))
                continue
            w, b = (each.detach().double().numpy() for each in (layer.weight, layer.bias))
            if number == 0:  # it standardises, too
                w, b = w * weights, b + w @ bias
            if number == len(layers) - 1 and len(b) == 1:  # in the target's units
                w, b = w * state["spread"], b * state["spread"] + state["low"]
            found += affine(before, w, b, name)
        return found + softmax_or_number(name, int(state["outputs"]), answer)

    def chosen(self, state: State) -> Candidate:
        """The best candidate so far."""
        width, depth, activation = state["best.candidate"].tolist()
        return Candidate(width, depth, list(ACTIVATIONS)[activation])


class Answering(nn.Module):
    """A network between the columns as they are and the answer as it is asked for."""

    def __init__(self, net: nn.Module, state: State) -> None:
        super().__init__()
        self.net = net
        for name in ("mean", "std", "low", "spread"):
            self.register_buffer(name, torch.from_numpy(np.asarray(state[name], np.float32)))

    def forward(self, encoded: Tensor) -> Tensor:
        """(N, D) -> (N, K) probabilities, or (N, 1)."""
        outputs = self.net((encoded - self.mean) / self.std)
        return outputs * self.spread + self.low if outputs.shape[1] == 1 else outputs.softmax(1)


def perceptron(candidate: Candidate, inputs: int, outputs: int) -> nn.Sequential:
    """A multilayer perceptron."""
    layers: list[nn.Module] = []
    for _ in range(candidate.depth):
        layers += [nn.Linear(inputs, candidate.width), ACTIVATIONS[candidate.activation]()]
        inputs = candidate.width
    return nn.Sequential(*layers, nn.Linear(inputs, outputs))


class _Search:
    """The parts of a search that follow from its problem and its seed."""

    def __init__(self, plan: ArchitectureSearch, problem: Problem, seed: int) -> None:
        self.plan, self.seed = plan, seed
        self.space = plan.space(seed)
        self.outputs = problem.classes or 1
        train, judge = train_test_split(
            np.arange(len(problem.y)),
            test_size=plan.held_out,
            random_state=step_seed(seed),
            stratify=None if problem.classes is None else problem.y,
        )
        X, y = problem.X, problem.y
        self.mean = X[train].mean(axis=0, dtype=float)
        std = X[train].std(axis=0, dtype=float)
        self.std = np.where(std > 0, std, 1.0)
        self.low, self.spread = 0.0, 1.0
        if problem.classes is None:
            self.low, self.spread = float(y[train].mean()), float(y[train].std()) or 1.0
        self.train, self.judge = (
            (self._inputs(X[ids]), self._targets(y[ids])) for ids in (train, judge)
        )

    def _inputs(self, X: Array) -> Tensor:
        return torch.from_numpy(((X - self.mean) / self.std).astype(np.float32))

    def _targets(self, y: Array) -> Tensor:
        if self.outputs > 1:
            return torch.from_numpy(y)
        return torch.from_numpy(((y - self.low) / self.spread).astype(np.float32))

    def beginning(self) -> State:
        """The state before the first round."""
        state: State = {
            "mean": self.mean,
            "std": self.std,
            "low": np.array(self.low),
            "spread": np.array(self.spread),
            "outputs": np.array(self.outputs),
            "alive": np.arange(len(self.space)),
            "rung": np.array(0),
            "history": np.zeros((0, 3)),  # candidate, its epoch, its loss: a row a round
        }
        for number, candidate in enumerate(self.space):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(step_seed(self.seed, number))
                net = perceptron(candidate, len(self.mean), self.outputs)
            theta = parameters_to_vector(net.parameters()).detach().numpy()
            state |= _below(number, theta, np.zeros_like(theta), np.zeros_like(theta))
        return state

    def one_epoch(self, state: State) -> None:
        """One epoch of the next candidate of the rung; at its end the worse ones are left."""
        history = state["history"]
        number = self._next(state)
        epoch = int((history[:, 0] == number).sum())
        theta, mean, square = (state[f"{number}.{name}"] for name in ("theta", "mean", "square"))
        net = perceptron(self.space[number], len(self.mean), self.outputs)
        theta, mean, square = self._adam(net, theta, mean, square, number, epoch)
        state |= _below(number, theta, mean, square)
        with torch.no_grad():
            loss = float(self._loss(net, *self.judge))
        if not len(history) or loss < history[:, 2].min():
            candidate = self.space[number]
            activation = list(ACTIVATIONS).index(candidate.activation)
            state["best.candidate"] = np.array([candidate.width, candidate.depth, activation])
            state["best.theta"] = theta
        state["history"] = np.vstack([history, [number, epoch, loss]])
        self._end_rung(state)

    def _next(self, state: State) -> int:
        """The first survivor that has not had all of the rung's epochs."""
        due = sum(self.plan.schedule()[: int(state["rung"]) + 1])
        for number in state["alive"]:
            if (state["history"][:, 0] == number).sum() < due:
                return int(number)
        raise AssertionError("a rung that is complete is ended")

    def _end_rung(self, state: State) -> None:
        alive, history = state["alive"], state["history"]
        due = sum(self.plan.schedule()[: int(state["rung"]) + 1])
        trained = [history[history[:, 0] == number] for number in alive]
        if any(len(rows) < due for rows in trained) or len(alive) == 1:
            return
        best = np.argsort([rows[:, 2].min() for rows in trained], kind="stable")
        kept = np.sort(alive[best[: max(1, len(alive) // self.plan.halving)]])
        for number in set(alive.tolist()) - set(kept.tolist()):
            for name in ("theta", "mean", "square"):
                del state[f"{number}.{name}"]
        state["alive"], state["rung"] = kept, state["rung"] + 1

    def _adam(
        self, net: nn.Module, theta: Array, mean: Array, square: Array, number: int, epoch: int
    ) -> tuple[Array, Array, Array]:
        """One pass over the training rows: week 2's Adam, on one vector."""
        x, y = self.train
        order = np.random.default_rng([self.seed, number, epoch]).permutation(len(y))
        batches = np.array_split(order, -(-len(order) // self.plan.batch_size))
        for step, ids in enumerate(batches, start=1 + epoch * len(batches)):
            vector_to_parameters(torch.from_numpy(theta), net.parameters())
            loss = self._loss(net, x[ids], y[ids])
            parameters = list(net.parameters())
            slope = parameters_to_vector(torch.autograd.grad(loss, parameters)).numpy()
            mean = BETA1 * mean + (1 - BETA1) * slope
            square = BETA2 * square + (1 - BETA2) * slope**2
            move = mean / (1 - BETA1**step) / (np.sqrt(square / (1 - BETA2**step)) + EPS)
            theta = theta - self.plan.learning_rate * (move + self.plan.decay * theta)
            theta = theta.astype(np.float32)
        vector_to_parameters(torch.from_numpy(theta), net.parameters())
        return theta, mean.astype(np.float32), square.astype(np.float32)

    def _loss(self, net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        outputs = net(x)
        return F.cross_entropy(outputs, y) if self.outputs > 1 else F.mse_loss(outputs[:, 0], y)


def _below(number: int, theta: Array, mean: Array, square: Array) -> dict[str, Any]:
    """A candidate's weights and Adam's memory."""
    return {f"{number}.theta": theta, f"{number}.mean": mean, f"{number}.square": square}
