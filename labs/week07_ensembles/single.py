"""One learner on encoded rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from labs.week07_ensembles.graph import Nodes, of_learner
from labs.week07_ensembles.learner import Array, Learner, State
from labs.week07_ensembles.setting import ENCODER, Setting, to_json
from labs.week07_ensembles.states import below, part
from labs_core.data.columns import Columns


class Model(Protocol):
    """From raw rows to answers: an encoder and one learner or several, growing step by step."""

    def grow(self, state: State, rows: Columns, setting: Setting) -> State:
        """The state after one more step; {} is the state before the first one."""
        ...

    def predict(self, state: State, rows: Columns, setting: Setting) -> Array:
        """Probabilities (N, K), or numbers (N,) as they are learnt."""
        ...

    def nodes(self, state: State, rows: str, answer: str) -> Nodes:
        """The same as a graph, from the name of the encoded rows to that of the answer."""
        ...


@dataclass(frozen=True)
class Single:
    """The encoder, and one learner behind it."""

    learner: Learner

    def grow(self, state: State, rows: Columns, setting: Setting) -> State:
        """The learner's next step."""
        encoder, problem, _ = setting.part(rows)
        grown = self.learner.grow(part(state, "learner"), problem, setting.seed)
        return {ENCODER: to_json(encoder), **below("learner", grown)}

    def predict(self, state: State, rows: Columns, setting: Setting) -> Array:
        """Probabilities (N, K), or numbers (N,)."""
        return self.learner.predict(part(state, "learner"), setting.encoded(state, rows))

    def nodes(self, state: State, rows: str, answer: str) -> Nodes:
        """The same as a graph, behind the encoder."""
        return of_learner(self.learner, part(state, "learner"), rows, answer)
