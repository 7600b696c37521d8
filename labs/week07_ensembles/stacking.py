"""A stack: several learners, and one more that learns how far to trust each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from onnx import helper

from labs.week07_ensembles.exercises.stacking import fold_numbers, out_of_fold
from labs.week07_ensembles.graph import Nodes, constant, of_learner
from labs.week07_ensembles.learner import Array, Learner, Problem, State, step_seed
from labs.week07_ensembles.linear import Linear
from labs.week07_ensembles.setting import ENCODER, Setting, to_json
from labs.week07_ensembles.states import below, part
from labs_core.data.columns import Columns
from labs_core.errors import LabsError

LEAST = 0.01  # of a probability, for its log-odds: a forest may say 0 and 1, and knows less
META = "meta"


@dataclass(frozen=True)
class Stacking:
    """The members' answers, weighed by a linear model that has learnt from answers out of fold.

    It grows as one: in each step every member grows by its rounds, k times without a fold and once
    on all rows; then the meta-learner is fitted anew. So there is a loss to watch after each step,
    and the stack ends where it is best, not where each member is.

    The encoder is fitted k + 1 times, too, each time by the rows that the members then see: it has
    medians, levels and perhaps means of the target, and these are learnt.

    Args:
        members: learners by name.
        folds: k.
        l2: of the meta-learner, see `Linear`.
    """

    members: Mapping[str, Learner]
    folds: int = 5
    l2: float = 1.0

    def __post_init__(self) -> None:
        if not self.members or self.folds < 2:
            raise LabsError("A stack needs members, and two folds or more")

    def grow(self, state: State, rows: Columns, setting: Setting) -> State:
        """Each member's next step, without each fold and on all rows; then the meta-learner."""
        fold = folds_of(rows, self.folds, setting)
        whole = setting.part(rows)
        grown: State = {ENCODER: to_json(whole.encoder)}
        signals = []
        for number, (name, learner) in enumerate(self.members.items()):
            seed = step_seed(setting.seed, number)
            grown |= below(name, learner.grow(part(state, name), whole.problem, seed))
            answers, states = self._out_of_fold(state, name, seed, rows, fold, setting)
            signals.append(signal(answers))
            grown |= states
        problem = Problem(np.hstack(signals), whole.problem.y, setting.judge.classes)
        return grown | below(META, Linear(self.l2).grow({}, problem, setting.seed))

    def _out_of_fold(
        self, state: State, name: str, seed: int, rows: Columns, fold: Array, setting: Setting
    ) -> tuple[Array, State]:
        """A member's next step without each fold: its answers to that fold, and its states."""
        grown: State = {}

        def fit(inside: Array, _: Array) -> Callable[[Array], Array]:
            """`inside` are the numbers of the rows to learn from."""
            [left_out] = set(range(self.folds)) - set(fold[inside].tolist())
            outside = np.flatnonzero(fold == left_out)
            rest = setting.part(rows, f"without {left_out} of {self.folds}", inside, outside)
            key = f"without{left_out}.{name}"
            own = self.members[name].grow(part(state, key), rest.problem, seed)
            grown.update(below(key, own))
            return lambda outside: self.members[name].predict(own, rest.held_out.X)

        return out_of_fold(fit, np.arange(len(fold)), rows.target, fold), grown

    def predict(self, state: State, rows: Columns, setting: Setting) -> Array:
        """Probabilities (N, K), or numbers (N,)."""
        X = setting.encoded(state, rows)
        signals = [
            signal(learner.predict(part(state, name), X)) for name, learner in self.members.items()
        ]
        return Linear(self.l2).predict(part(state, META), np.hstack(signals))

    def nodes(self, state: State, rows: str, answer: str) -> Nodes:
        """The same as a graph, behind the encoder."""
        found, signals = [], []
        outputs = len(part(state, META)["bias"])
        for name, learner in self.members.items():
            member, own = f"{answer}.{name}", f"{answer}.{name}.signal"
            found += of_learner(learner, part(state, name), rows, member)
            found += signal_nodes(member, outputs, own)
            signals.append(own)
        joined = f"{answer}.signals"
        found.append(helper.make_node("Concat", signals, [joined], axis=1))
        return found + Linear(self.l2).nodes(part(state, META), joined, answer)


def folds_of(rows: Columns, folds: int, setting: Setting) -> Array:
    """The fold of each row, the classes in like shares, (N,)."""
    rng = np.random.default_rng(step_seed(setting.seed))
    kinds = rows.target if setting.judge.classes else np.zeros(len(rows.target), int)
    fold = np.zeros(len(kinds), int)
    for kind in np.unique(kinds):
        fold[kinds == kind] = fold_numbers(int((kinds == kind).sum()), folds, rng)
    if len(np.unique(fold)) < folds:
        raise LabsError(
            f"{len(kinds)} training rows cannot be divided into {folds} folds",
            remedy="Use fewer folds, or more rows: data.limit=null",
        )
    return fold


def signal(answer: Array) -> Array:
    """What the meta-learner sees of a member's answer.

    Of probabilities ln p_k − ln p_0 for each class but the first, (N, K − 1): in these a logistic
    regression can say again what a member says, with weight 1. Of numbers the numbers, (N, 1).
    """
    if answer.ndim == 1:
        return answer[:, None]
    logs = np.log(np.clip(answer, LEAST, 1))
    return logs[:, 1:] - logs[:, :1]


def signal_nodes(member: str, outputs: int, answer: str) -> Nodes:
    """`signal` as a graph: (N, K) -> (N, K − 1), or (N,) -> (N, 1) where outputs is 1."""
    if outputs == 1:
        axis = f"{answer}.axis"
        unsqueeze = helper.make_node("Unsqueeze", [member, axis], [answer])
        return [constant(axis, [1], np.int64), unsqueeze]
    low, high, clipped, logs = (f"{answer}.{name}" for name in ("low", "high", "clipped", "logs"))
    first, others, zero, rest = (f"{answer}.{name}" for name in ("first", "others", "zero", "rest"))
    return [
        constant(low, LEAST),
        constant(high, 1.0),
        helper.make_node("Clip", [member, low, high], [clipped]),
        helper.make_node("Log", [clipped], [logs]),
        constant(zero, [0], np.int64),
        constant(rest, range(1, outputs), np.int64),
        helper.make_node("Gather", [logs, zero], [first], axis=1),
        helper.make_node("Gather", [logs, rest], [others], axis=1),
        helper.make_node("Sub", [others, first], [answer]),
    ]
