"""The lab's LightningModule: a step of training is a few trees or rounds more."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from matplotlib.figure import Figure
from onnx import helper
from torch import Tensor, nn

from labs.week07_ensembles import yardstick
from labs.week07_ensembles.encoding import Encoder
from labs.week07_ensembles.graph import ENCODED, bundle_graph
from labs.week07_ensembles.learner import Array, State
from labs.week07_ensembles.search import search, with_settings
from labs.week07_ensembles.setting import Setting
from labs.week07_ensembles.single import Model
from labs.week07_ensembles.states import below, from_tensors, part, to_tensors
from labs_core.bundle.export import Export
from labs_core.data.columns import Columns
from labs_core.data.frames import FrameSpec
from labs_core.errors import LabsError
from labs_core.train.numpy_steps import NumpyOptimizer, require_one_cpu_process


class Ensemble(pl.LightningModule):
    """Trees that grow in number, validated after each step.

    The training ends when the validation loss has not improved for some epochs. What is tested is
    the state of the epoch with the lowest one: the best round.

    Args:
        spec: the table's columns.
        model: what grows: one learner, a stack or a blend.
        features: an encoder that is yet to be fitted, for a table.
        patience: epochs without a lower validation loss after which the training ends.
        search: of the settings before the training: `trials` (0: none), `folds`, `steps`.
        comparison: our forest and scikit-learn's at the test: `trees` (0: none), `most_rows`.
        seed: of all that is drawn.
    """

    def __init__(
        self,
        spec: FrameSpec,
        model: Model,
        features: Callable[[FrameSpec], Encoder],
        patience: int,
        search: Mapping[str, Any],
        comparison: Mapping[str, Any],
        seed: int,
    ) -> None:
        super().__init__()
        if patience < 1:
            raise LabsError(f"patience={patience} makes no sense", "it is 1 or more")
        self.automatic_optimization = False  # there is no autograd here
        self.setting = Setting(spec, features, seed)
        self.model, self.patience = model, patience
        self.search, self.comparison = search, comparison
        self.trials: list[dict[str, Any]] = []  # of the search
        self.state: State = {}  # a dictionary of arrays; each step makes a new one
        self.yardstick: State = {}  # the forests of the comparison
        self.history: list[dict[str, float]] = []  # an entry an epoch
        self._epoch: dict[str, float] = {}
        # Lightning and the checkpoints want a parameter; the trees are in the extra state.
        self.steps = nn.Parameter(torch.zeros((), dtype=torch.int64), requires_grad=False)

    @property
    def spec(self) -> FrameSpec:
        """The table's columns."""
        return self.setting.spec

    def get_extra_state(self) -> dict[str, Tensor]:
        """The trees, for whatever saves a module's state: a checkpoint, the best epoch."""
        return to_tensors({**below("model", self.state), **below("yardstick", self.yardstick)})

    def set_extra_state(self, state: dict[str, Tensor]) -> None:
        """Take them back."""
        everything = from_tensors(state)
        self.state, self.yardstick = part(everything, "model"), part(everything, "yardstick")

    # -- the run ---------------------------------------------------------------------------------

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Only to count the steps."""
        return NumpyOptimizer([self.steps])

    def on_fit_start(self) -> None:
        """Trees grow on one processor."""
        require_one_cpu_process(self)

    def on_train_start(self) -> None:
        """A run that had ended early and is resumed has nothing left to train."""
        self._end_if_no_better()

    def training_step(self, batch: Columns, batch_idx: int) -> None:
        """One step of the model, on all training rows; before the first one, what comes once."""
        if self.current_epoch == 0:
            if self.search["trials"]:
                self._use(search(self.model, batch, self.setting, **self.search))
            if self.comparison["trees"]:
                self.yardstick = yardstick.grow(batch, self.setting, **self.comparison)
        state = self.model.grow(self.state, batch, self.setting)
        self.optimizers().step(lambda: self._keep(state))
        y = self.setting.judge.learnt(batch.target)
        learnt = self.model.predict(self.state, batch, self.setting)
        self._epoch = {"train/loss": self.setting.judge.loss(y, learnt)}
        self._log(self._epoch)

    def _use(self, trials: list[dict[str, Any]]) -> None:
        """Go on with the settings of the best trial."""
        self.trials = trials
        best = min(trials, key=lambda trial: trial["loss"])
        self.model = with_settings(self.model, best["settings"])

    def _keep(self, state: State) -> None:
        self.state = state
        self.steps.add_(1)

    def validation_step(self, batch: Columns, batch_idx: int) -> None:
        """The loss and its like; the split comes whole."""
        metrics = self._measure(batch, "val")
        self._log(metrics)
        self.history.append({**self._epoch, **metrics})
        self._end_if_no_better()

    def _end_if_no_better(self) -> None:
        losses = [epoch["val/loss"] for epoch in self.history]
        if losses and len(losses) - 1 - int(np.argmin(losses)) >= self.patience:
            self.trainer.should_stop = True

    def test_step(self, batch: Columns, batch_idx: int) -> None:
        """As in validation; and our forest beside scikit-learn's."""
        self._log(self._measure(batch, "test"))
        if self.yardstick:
            found = yardstick.compare(self.yardstick, batch, self.setting)
            self._log({f"test/{name}": value for name, value in found.items()})

    def _measure(self, batch: Columns, split: str) -> dict[str, float]:
        y = self.setting.judge.learnt(batch.target)
        learnt = self.model.predict(self.state, batch, self.setting)
        metrics = self.setting.judge.metrics(y, learnt)
        return {f"{split}/{name}": value for name, value in metrics.items()}

    def _log(self, metrics: Mapping[str, float]) -> None:
        # With all digits: Lightning would make float32 of them.
        values = {name: torch.tensor(v, dtype=torch.float64) for name, v in metrics.items()}
        self.log_dict(values, on_step=False, on_epoch=True, batch_size=1)

    def predict_step(self, batch: Columns, batch_idx: int) -> dict[str, Tensor]:
        """Probabilities of the classes (B, K), or predictions (B,) in the target's units."""
        answer = self.answer(batch)
        name = "prediction" if self.spec.classes is None else "probabilities"
        return {name: torch.from_numpy(answer.astype(np.float32))}

    def answer(self, rows: Columns) -> Array:
        """What the bundle answers, float64."""
        learnt = self.model.predict(self.state, rows, self.setting)
        return self.setting.judge.answer(learnt)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The course of the run so far, for patience and figures; and what the search found."""
        checkpoint["history"] = self.history
        checkpoint["trials"] = self.trials

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with it."""
        self.history = list(checkpoint["history"])
        if checkpoint["trials"]:
            self._use(list(checkpoint["trials"]))

    # -- what comes of it ------------------------------------------------------------------------

    def export(self) -> Export:
        """The bundle: a raw row -> probabilities, or the prediction in the target's units."""
        classes = self.setting.judge.classes
        answer = "probabilities" if classes else "prediction"
        learnt = f"{answer}.learnt" if self.spec.log else answer
        nodes = self.model.nodes(self.state, ENCODED, learnt)
        if self.spec.log:
            nodes.append(helper.make_node("Exp", [learnt], [answer]))
        graph = bundle_graph(self.setting.encoder(self.state), nodes, answer, classes or 0)
        return Export(task="tabular", graphs={"model": graph}, params=self.spec.params)

    def figures(self, datamodule: pl.LightningDataModule) -> Iterator[tuple[str, Figure | str]]:
        """The figures of the guide, for this run."""
        from labs.week07_ensembles import figures

        yield from figures.draw(self, datamodule)
