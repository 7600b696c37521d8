"""The lab's LightningModule: NumPy does the mathematics, Lightning runs, saves and resumes it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from labs.week01_linear_regression import reference
from labs.week01_linear_regression.descent import Memory, Method
from labs.week01_linear_regression.regression import (
    Array,
    LeastSquares,
    in_original_units,
    r2_score,
    standardise,
)
from labs_core.bundle.export import Export, Graph
from labs_core.data.tables import TableSpec
from labs_core.errors import LabsError
from labs_core.train.numpy_steps import (
    NumpyOptimizer,
    require_one_batch,
    require_one_cpu_process,
)

Batch = tuple[Tensor, Tensor]  # features (B, F) in their own units, targets (B,); float64


class LinearRegression(pl.LightningModule):
    """ŷ = b + Σ wᵢ zᵢ over standardised features z, fitted by one of the methods of `descent`.

    One training step takes the whole training split and makes the method's updates of one epoch, so
    that Lightning's cost per step, about that of a hundred updates, is paid once.

    Args:
        spec: names, means and spreads of the training split's columns.
        method: how to find the optimum.
        ridge, lasso: the penalties' strengths, scikit-learn's `alpha`.
    """

    def __init__(self, spec: TableSpec, method: Method, ridge: float, lasso: float) -> None:
        super().__init__()
        if ridge < 0 or lasso < 0:
            raise LabsError("A penalty below 0 would reward large weights", remedy="Use 0 or more.")
        self.automatic_optimization = False  # there is no autograd here
        self.spec, self.method, self.ridge, self.lasso = spec, method, ridge, lasso
        self.mean, self.std = np.array(spec.mean), np.array(spec.std)

        # The arrays that descent moves are seen by torch as one parameter and some buffers on the
        # same memory: whatever saves and loads a module's state saves and loads them.
        theta = np.zeros(1 + len(spec.features))
        self.register_parameter("theta", nn.Parameter(torch.from_numpy(theta), requires_grad=False))
        memory = method.memory(theta)
        for name, array in memory.items():
            self.register_buffer(name, torch.from_numpy(array))
        self._remembered = tuple(memory)
        self.register_buffer("optimum", torch.from_numpy(np.zeros_like(theta)))  # scikit-learn's θ

    @property
    def coefficients(self) -> Array:
        """(b, w) in the data's own units, (1 + F,)."""
        return in_original_units(self._theta, self.mean, self.std)

    @property
    def _theta(self) -> Array:
        return self.theta.numpy()  # shares the parameter's memory

    @property
    def _memory(self) -> Memory:
        return {name: self.get_buffer(name).numpy() for name in self._remembered}

    def problem(self, features: Tensor, targets: Tensor) -> LeastSquares:
        """The cost over these rows."""
        X = standardise(features.numpy(), self.mean, self.std)
        return LeastSquares(X, targets.numpy(), self.ridge, self.lasso)

    # -- the run ---------------------------------------------------------------------------------

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Only to count the steps."""
        return NumpyOptimizer([self.theta])

    def on_fit_start(self) -> None:
        """NumPy computes on one processor."""
        require_one_cpu_process(self)

    def on_train_epoch_start(self) -> None:
        """A step is an epoch here, so it must get all rows."""
        remedy = "Set data.batch_size=null; method.batch_size is the size of a mini-batch."
        require_one_batch(self, remedy)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One epoch of the method's updates, and how far the cost then is from scikit-learn's."""
        problem = self.problem(*batch)
        if self.current_epoch == 0:
            self.optimum.copy_(torch.from_numpy(reference.fit(problem)))

        updates = self.method.updates(problem, self._theta, self._memory)
        with np.errstate(over="ignore", invalid="ignore"):  # told below, in words
            self.optimizers().step(lambda: deque(updates, maxlen=0))
            cost = problem.cost(self._theta)
        if not cost < 1e6 * problem.cost(np.zeros_like(self._theta)):
            limit = self.method.lr_limit(problem)
            raise LabsError(
                f"The descent diverged: the cost is {cost:.3g}",
                "each step lands further from the optimum than it began",
                f"Set method.lr below {limit:.3g}, the limit here, or to null for a good one.",
            )
        gap = cost - problem.cost(self.optimum.numpy())
        self.log("train/loss", _number(cost), on_step=False, on_epoch=True, batch_size=1)
        self.log("train/gap", _number(gap), on_step=False, on_epoch=True, batch_size=1)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """R² and its like need all rows at once."""
        self._keep(batch, batch_idx)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """As in validation."""
        self._keep(batch, batch_idx)

    def _keep(self, batch: Batch, batch_idx: int) -> None:
        if batch_idx == 0:
            self._seen: list[Batch] = []
        self._seen.append(batch)

    def on_validation_epoch_end(self) -> None:
        """The cost and R² on the validation split."""
        problem = self.problem(*_joined(self._seen))
        self.log("val/loss", _number(problem.cost(self._theta)))
        self.log("val/r2", _number(r2_score(problem.y, problem.X @ self._theta)))

    def on_test_epoch_end(self) -> None:
        """How good the line is, and how close to scikit-learn's."""
        problem = self.problem(*_joined(self._seen))
        optimum = self.optimum.numpy()
        prediction = problem.X @ self._theta
        r2 = r2_score(problem.y, prediction)
        r2_sklearn = r2_score(problem.y, problem.X @ optimum)
        coef_error = reference.largest_difference(
            self.coefficients, in_original_units(optimum, self.mean, self.std)
        )
        metrics = {
            "test/coef_error": coef_error,
            "test/r2": r2,
            "test/r2_sklearn": r2_sklearn,
            "test/r2_gap": abs(r2 - r2_sklearn) / abs(r2_sklearn),
            "test/rmse": float(np.sqrt(np.mean((problem.y - prediction) ** 2))),
        }
        self.log_dict({name: _number(value) for name, value in metrics.items()})

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """(B, F) -> the predictions (B,)."""
        z = standardise(batch[0].numpy(), self.mean, self.std)
        return {"prediction": torch.from_numpy(z @ self._theta).float()}

    # -- what comes of it ------------------------------------------------------------------------

    def export(self) -> Export:
        """The bundle: features in their own units -> the prediction in the target's."""
        spec = self.spec
        columns = zip(spec.features, spec.mean, spec.minimum, spec.maximum, strict=True)
        params: dict[str, Any] = {
            "features": [
                {"name": name, "mean": mean, "min": low, "max": high}
                for name, mean, low, high in columns
            ],
            "target": {"name": spec.target},
            "labels": None,
        }
        example = {"features": torch.tensor([spec.mean], dtype=torch.float32)}
        graph = Graph(Line(self.mean, self.std, self._theta), example, ("prediction",))
        return Export(task="tabular", graphs={"model": graph}, params=params)

    def figures(self, datamodule: pl.LightningDataModule) -> Iterator[tuple[str, Figure]]:
        """The figures of the guide, for this run."""
        from labs.week01_linear_regression import figures

        train = self.problem(*_joined(datamodule.train_dataloader()))
        test = self.problem(*_joined(datamodule.test_dataloader()))
        yield "cost_convergence", figures.cost_convergence(train, self.optimum.numpy(), self.method)
        yield "coefficients", figures.coefficients(self._theta, self.optimum.numpy(), self.spec)
        yield "residuals", figures.residuals(test, self._theta, self.spec)
        yield "conditioning", figures.conditioning(train, self.spec)


class Line(nn.Module):
    """The fitted line for ONNX: it standardises in the graph, and in float64 as NumPy does."""

    def __init__(self, mean: Array, std: Array, theta: Array) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("std", torch.tensor(std))
        self.register_buffer("theta", torch.tensor(theta))

    def forward(self, features: Tensor) -> Tensor:
        """(N, F) -> (N,)"""
        z = (features.double() - self.mean) / self.std
        return (z @ self.theta[1:] + self.theta[0]).float()


def _joined(batches: Any) -> Batch:
    features, targets = zip(*batches, strict=True)
    return torch.cat(features), torch.cat(targets)


def _number(value: float) -> Tensor:
    """For the log, with all digits: Lightning would make it float32."""
    return torch.tensor(value, dtype=torch.float64)
