"""A blend: several learners, and a weight for each that rows they have not seen decide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from sklearn.model_selection import train_test_split

from labs.week07_ensembles.graph import Nodes, of_learner, weighted_sum
from labs.week07_ensembles.learner import Array, Learner, State, step_seed
from labs.week07_ensembles.scores import LEAST
from labs.week07_ensembles.setting import ENCODER, Setting, to_json
from labs.week07_ensembles.states import below, part
from labs_core.data.columns import Columns
from labs_core.errors import LabsError


@dataclass(frozen=True)
class Blending:
    """ŷ = Σ w_m ŷ_m with w_m ≥ 0 and Σ w_m = 1, chosen on rows held out from the training split.

    The members never see those rows, neither does the encoder. What the weights cost is that the
    members learn from fewer rows: a stack does without, at the price of one fit a fold.

    Args:
        members: learners by name.
        held_out: the share of the training rows that decides the weights.
    """

    members: Mapping[str, Learner]
    held_out: float = 0.2

    def __post_init__(self) -> None:
        if not self.members or not 0 < self.held_out < 1:
            raise LabsError("A blend needs members, and held_out between 0 and 1")

    def grow(self, state: State, rows: Columns, setting: Setting) -> State:
        """Each member's next step, then the weights anew."""
        inside, outside = self._divide(rows, setting)
        encoder, problem, held_out = setting.part(rows, "blend", inside, outside)
        grown: State = {ENCODER: to_json(encoder)}
        answers = []
        for number, (name, learner) in enumerate(self.members.items()):
            seed = step_seed(setting.seed, number)
            own = learner.grow(part(state, name), problem, seed)
            grown |= below(name, own)
            answers.append(learner.predict(own, held_out.X))
        grown["weights"] = simplex_weights(np.stack(answers), held_out.y)
        return grown

    def predict(self, state: State, rows: Columns, setting: Setting) -> Array:
        """Probabilities (N, K), or numbers (N,)."""
        X = setting.encoded(state, rows)
        answers = [each.predict(part(state, name), X) for name, each in self.members.items()]
        return np.tensordot(state["weights"], np.stack(answers), axes=1)

    def nodes(self, state: State, rows: str, answer: str) -> Nodes:
        """The same as a graph, behind the encoder."""
        found, answers = [], []
        for name, learner in self.members.items():
            answers.append(f"{answer}.{name}")
            found += of_learner(learner, part(state, name), rows, answers[-1])
        return found + weighted_sum(answers, state["weights"], answer)

    def _divide(self, rows: Columns, setting: Setting) -> tuple[Array, Array]:
        """Numbers of the rows to learn from and of those held out, the classes in like shares."""
        return train_test_split(
            np.arange(len(rows.target)),
            test_size=self.held_out,
            random_state=step_seed(setting.seed),
            stratify=rows.target if setting.judge.classes else None,
        )


def simplex_weights(answers: Array, y: Array) -> Array:
    """The w with w ≥ 0, Σw = 1 and the lowest loss of the blend: −ln p, or the squared error.

    Both are convex in w, so there is one lowest value.

    Args:
        answers: of each member for each row, (M, N, K) or (M, N).
        y: classes (N,), or numbers (N,).
    """
    is_number = answers.ndim == 2
    of_y = answers if is_number else answers[:, np.arange(len(y)), y]  # (M, N)

    def loss_and_slope(w: Array) -> tuple[float, Array]:
        mixed = w @ of_y
        if is_number:
            return float(np.mean((mixed - y) ** 2)), 2 * of_y @ (mixed - y) / len(y)
        mixed = np.maximum(mixed, LEAST)
        return float(-np.log(mixed).mean()), -(of_y / mixed).mean(axis=1)

    found = minimize(
        loss_and_slope,
        np.full(len(answers), 1 / len(answers)),
        jac=True,
        method="SLSQP",
        bounds=[(0, 1)] * len(answers),
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": np.ones_like},
        options={"ftol": 1e-10},
    )
    weights = np.clip(found.x, 0, None)
    return weights / weights.sum()
