"""Our entry: a tuned ensemble that knows how many seconds it has.

1. Divide the rows into k folds, and fit the encoders without each.
2. Take one candidate after another: first some that have done well elsewhere, of all kinds, then
   others that Optuna draws near those that did well here. Each trains k times without a fold, in
   steps, until the loss of its answers out of fold has not fallen for a while.
3. When the time is up, weigh the candidates so that the blend of their answers out of fold has the
   lowest loss.

A new row is answered by all k models of a candidate, their mean. So nothing is trained again at the
end, and no time need be kept for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from labs.week07_ensembles.blending import simplex_weights
from labs.week07_ensembles.encoding import Encoder
from labs.week07_ensembles.exercises.search_space import suggest_boosting
from labs.week07_ensembles.learner import Array, Learner, State, step_seed
from labs.week07_ensembles.lightgbm_rounds import LightGBM
from labs.week07_ensembles.linear import Linear
from labs.week07_ensembles.scikit_forest import ScikitForest
from labs.week07_ensembles.search import lightgbm_settings, sampler_of
from labs.week07_ensembles.setting import Part, Setting
from labs.week07_ensembles.stacking import folds_of
from labs.week07_ensembles.xgboost_rounds import XGBoost
from labs_core.data.columns import Columns
from labs_core.data.frames import FrameSpec
from labs_core.errors import LabsError

FOLDS = ((3000, 5), (10_000, 4))  # up to so many rows, so many folds
FOLDS_OF_MANY = 3
ROWS_OF_A_FOREST = 5000  # with more, the time is better spent on boosting
MOST_STEPS, PATIENCE = 100, 3
TO_WEIGH = 0.2  # seconds


@dataclass(frozen=True)
class Candidate:
    """A learner and what came of it.

    Attributes:
        name: of its kind.
        learner: with its settings.
        encoding: of its rows.
        states: one a fold.
        answers: out of fold, for each row.
        loss: of these.
    """

    name: str
    learner: Learner
    encoding: str
    states: list[State]
    answers: Array
    loss: float


@dataclass
class TunedEnsemble:
    """Fitted by `fit`; `predict` answers rows.

    Args:
        spec: of the table.
        seconds: the budget of `fit`.
        seed: of folds and learners.
        threads: of a fit.
    """

    spec: FrameSpec
    seconds: float
    seed: int = 0
    threads: int = 1
    candidates: list[Candidate] = field(default_factory=list)
    weights: Array = field(default_factory=lambda: np.zeros(0))

    def fit(self, rows: Columns) -> TunedEnsemble:
        """Spend the budget: a candidate is given up, or taken as it is, when it is over.

        Raises:
            LabsError: it was over before the first candidate had made its first step.
        """
        self._deadline = time.monotonic() + self.seconds - TO_WEIGH
        self._longest = 0.0  # seconds that a learner's step has taken
        # Trees need no columns of zeros and ones, which take seven times as long; a sum does.
        self._settings = {
            name: Setting(self.spec, partial(Encoder, categories=name), self.seed)
            for name in ("ordinal", "one-hot")
        }
        setting = self._settings["ordinal"]
        folds = next((k for most, k in FOLDS if len(rows.target) <= most), FOLDS_OF_MANY)
        self.fold = folds_of(rows, folds, setting)
        for name, learner, tell in self._proposals(len(rows.target)):
            candidate = self._train(name, learner, rows)
            if candidate:
                self.candidates.append(candidate)
                tell(candidate.loss)
            if not self._time_is_left():
                break
        if not self.candidates:
            raise LabsError(
                f"{self.seconds:g} s are not enough for {len(rows.target)} rows",
                remedy="Give it more.",
            )
        answers = np.stack([each.answers for each in self.candidates])
        self.weights = simplex_weights(answers, setting.judge.learnt(rows.target))
        self._rows = rows
        return self

    def predict(self, rows: Columns) -> Array:
        """Probabilities (N, K), or numbers (N,) as they are learnt."""
        answers = []
        used = [(w, each) for w, each in zip(self.weights, self.candidates, strict=True) if w > 0]
        for number in range(self.fold.max() + 1):
            encoded = {
                name: self._part(name, self._rows, number).encoder.transform(rows)
                for name in {each.encoding for _, each in used}
            }
            answers += [
                weight * each.learner.predict(each.states[number], encoded[each.encoding])
                for weight, each in used
            ]
        return np.sum(answers, axis=0) / (self.fold.max() + 1)

    def _part(self, encoding: str, rows: Columns, number: int) -> Part:
        """The rows without a fold."""
        inside, outside = np.flatnonzero(self.fold != number), np.flatnonzero(self.fold == number)
        return self._settings[encoding].part(rows, f"without {number}", inside, outside)

    def _time_is_left(self) -> bool:
        """Whether another step would end in time, however long it takes."""
        return time.monotonic() + self._longest < self._deadline

    def _proposals(self, count: int) -> Iterator[tuple[str, Learner, Callable[[float], None]]]:
        """Learners to try, each with whom to tell its loss."""
        threads = self.threads
        fixed: list[tuple[str, Learner]] = [
            ("LightGBM", LightGBM(25, 0.08, 15, 10, 0.8, 0.5, 1.0, threads)),
            ("linear", Linear(1.0)),
            ("XGBoost", XGBoost(25, 0.08, 4, 1.0, 0.8, 0.5, 1.0, threads)),
            ("linear", Linear(30.0)),
        ]
        if count <= ROWS_OF_A_FOREST:
            fixed += [
                ("extra trees", ScikitForest(100, None, 2, 0.5, True, threads)),
                ("forest", ScikitForest(100, None, 2, "sqrt", False, threads)),
            ]
        fixed += [("XGBoost", XGBoost(25, 0.04, 3, 2.0, 0.6, 0.3, 3.0, threads))]
        for name, learner in fixed:
            yield name, learner, lambda loss: None
        study = sampler_of(self.seed)
        while True:
            trial = study.ask()
            settings = lightgbm_settings(suggest_boosting(trial))
            learner = LightGBM(25, columns=0.5, l2=1.0, threads=threads, **settings)
            yield "LightGBM", learner, partial(study.tell, trial)

    def _train(self, name: str, learner: Learner, rows: Columns) -> Candidate | None:
        """Grow in all folds together until the loss out of fold has not fallen for a while."""
        judge, count = self._settings["ordinal"].judge, len(rows.target)
        y = judge.learnt(rows.target)
        encoding = "one-hot" if isinstance(learner, Linear) else "ordinal"
        steps = 1 if isinstance(learner, Linear | ScikitForest) else MOST_STEPS
        states: list[State] = [{} for _ in range(self.fold.max() + 1)]
        best: Candidate | None = None
        since = 0
        for _ in range(steps):
            answers = np.zeros((count, judge.classes) if judge.classes else count)
            for number, state in enumerate(states):
                if not self._time_is_left():
                    return best
                begun = time.monotonic()
                _, problem, held_out = self._part(encoding, rows, number)
                states[number] = learner.grow(state, problem, step_seed(self.seed, number))
                answers[self.fold == number] = learner.predict(states[number], held_out.X)
                self._longest = max(self._longest, time.monotonic() - begun)
            loss = judge.loss(y, answers)
            since = 0 if best is None or loss < best.loss else since + 1
            if since == 0:
                best = Candidate(name, learner, encoding, list(states), answers, loss)
            if since >= PATIENCE:
                break
        return best
