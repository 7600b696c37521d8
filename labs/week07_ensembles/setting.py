"""What does not change during a run: the table, how it is judged, how its rows become numbers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from labs.week07_ensembles.encoding import Encoder, Level
from labs.week07_ensembles.learner import Array, Problem, State, as_bytes
from labs.week07_ensembles.scores import Judge
from labs_core.data.columns import Columns
from labs_core.data.frames import FrameSpec

ENCODER = "encoder"  # its key in a state
REMEMBERED = 8  # encoded rows: those of the splits, and the last ones beside them


class Part(NamedTuple):
    """Some training rows, encoded by what these rows alone tell, and others that are held out."""

    encoder: Encoder
    problem: Problem
    held_out: Problem
    """Encoded as new rows are. Without rows, where none are held out."""


@dataclass
class Setting:
    """Of one run. It remembers what it has encoded: a run asks for the same rows in every epoch.

    Attributes:
        spec: of the table.
        features: an encoder that is yet to be fitted, for a table.
        seed: of all that is drawn.
    """

    spec: FrameSpec
    features: Callable[[FrameSpec], Encoder]
    seed: int
    _parts: dict[tuple[int, str], tuple[Columns, Part]] = field(default_factory=dict, repr=False)
    _encoded: dict[tuple[int, bytes], tuple[Columns, Array]] = field(
        default_factory=dict, repr=False
    )

    @property
    def judge(self) -> Judge:
        """How answers are judged."""
        classes = self.spec.classes
        return Judge(len(classes) if classes is not None else None, self.spec.log)

    def part(
        self,
        rows: Columns,
        name: str = "all",
        inside: Array | None = None,
        outside: Array | None = None,
    ) -> Part:
        """These rows (or those with the numbers `inside`), encoded.

        Nothing of any other row is in it: no median, no level, no mean of the target.

        Args:
            rows: of the training split.
            name: stands for the two lists of numbers that follow, which need no comparison then.
            inside: numbers of the rows to learn from. None: all.
            outside: numbers of the rows to hold out. None: none.
        """
        key = (id(rows.numbers), name)
        if key not in self._parts:
            own = rows if inside is None else rows.take(inside)
            others = rows.take(np.zeros(0, np.int64) if outside is None else outside)
            y, encoder = self.judge.learnt(own.target), self.features(self.spec)
            problem = Problem(encoder.fit_transform(own, y), y, self.judge.classes)
            unseen = self.judge.learnt(others.target)
            held_out = Problem(encoder.transform(others), unseen, self.judge.classes)
            self._parts[key] = rows, Part(encoder, problem, held_out)  # rows: so that its id stays
        return self._parts[key][1]

    def encoder(self, state: State) -> Encoder:
        """The encoder that a state holds."""
        return from_json(self.features(self.spec), state[ENCODER].tobytes())

    def encoded(self, state: State, rows: Columns) -> Array:
        """Rows as the learners of this state take them, float32 (N, D)."""
        key = (id(rows.numbers), state[ENCODER].tobytes())
        if key not in self._encoded:
            while len(self._encoded) >= REMEMBERED:
                del self._encoded[next(iter(self._encoded))]
            self._encoded[key] = rows, self.encoder(state).transform(rows)
        return self._encoded[key][1]


def to_json(encoder: Encoder) -> Array:
    """What an encoder has been fitted to, uint8 (bytes,): JSON keeps each float64 as it is."""
    levels = [
        {
            "name": level.name,
            "levels": level.levels,
            "table": level.table.tolist(),
            "outputs": level.outputs,
        }
        for level in encoder.levels
    ]
    content = {
        "medians": encoder.medians.tolist(),
        "flagged": encoder.flagged,
        "levels": levels,
        "names": encoder.names,
    }
    return as_bytes(json.dumps(content).encode())


def from_json(encoder: Encoder, text: bytes) -> Encoder:
    """Fit an encoder to what `to_json` has kept."""
    content = json.loads(text)
    encoder.medians = np.array(content["medians"])
    encoder.flagged = content["flagged"]
    encoder.levels = [
        Level(
            level["name"],
            tuple(level["levels"]),
            np.array(level["table"]).reshape(len(level["levels"]) + 1, -1),
            tuple(level["outputs"]),
        )
        for level in content["levels"]
    ]
    encoder.names = tuple(content["names"])
    return encoder
