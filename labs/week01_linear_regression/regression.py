"""Linear regression: the cost, its slope, its curvature and the closed form. NumPy, float64."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from labs.week01_linear_regression.exercises.eigendecomposition import eigendecomposition
from labs.week01_linear_regression.exercises.gradients import mse_gradient
from labs.week01_linear_regression.exercises.matrix_multiplication import linear
from labs_core.errors import LabsError

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]  # indices of rows


@dataclass(frozen=True)
class LeastSquares:
    """Find θ = (b, w₁ … w_F) that minimises

        J(θ) = 1/(2n) ‖Xθ − y‖²  +  ridge/(2n) ‖w‖²  +  lasso ‖w‖₁

    Half the mean squared error, plus what large weights cost. The intercept b is never penalised: a
    shift of the target must shift the predictions and nothing else. `ridge` and `lasso` are
    scikit-learn's `alpha` of Ridge and of Lasso (which multiplies Ridge's by n).

    X: (n, 1 + F), the features standardised, the first column all ones. y: (n,).
    """

    X: Array
    y: Array
    ridge: float = 0.0
    lasso: float = 0.0

    def cost(self, theta: Array) -> float:
        """J(θ)."""
        residual = linear(self.X, theta) - self.y
        w = theta[1:]
        error = residual @ residual / (2 * len(self.y))
        return float(error + self.ridge / (2 * len(self.y)) * w @ w + self.lasso * np.abs(w).sum())

    def gradient(self, theta: Array, rows: Rows | None = None) -> Array:
        """∇J(θ) = 1/n Xᵀ(Xθ − y) + ridge/n (0, w), estimated on some of the rows only where asked.

        Without the lasso's part: |w| has no slope at 0, so `shrink` deals with it. -> (1 + F,)
        """
        X, y = (self.X, self.y) if rows is None else (self.X[rows], self.y[rows])
        slope = mse_gradient(X, y, theta)
        slope[1:] += self.ridge / len(self.y) * theta[1:]
        return slope

    def shrink(self, theta: Array, step: float) -> Array:
        """Soft threshold: each weight moves by `step · lasso` towards 0 and stops there.

        The proximal operator of the lasso's part: argmin_v ½‖v − θ‖² + step · lasso · ‖v_w‖₁. This
        is what makes weights exactly zero (Daubechies, Defrise & De Mol 2004). -> (1 + F,)
        """
        w = theta[1:]
        shrunk = np.sign(w) * np.maximum(np.abs(w) - step * self.lasso, 0.0)
        return np.concatenate([theta[:1], shrunk])

    def hessian(self) -> Array:
        """∇²J = 1/n (XᵀX + ridge · diag(0, 1 … 1)), the same at every θ. -> (1 + F, 1 + F)"""
        penalised = np.diag([0.0] + [1.0] * (self.X.shape[1] - 1))
        return (self.X.T @ self.X + self.ridge * penalised) / len(self.y)

    def curvature(self) -> tuple[float, float]:
        """How curved J is in its flattest and in its steepest direction: (λmin, λmax) of ∇²J.

        Directions that are flat altogether do not count: the gradient has no part in them, so
        descent never moves that way.
        """
        eigenvalues, _ = eigendecomposition(self.hessian())
        steepest = eigenvalues[-1]
        return float(eigenvalues[eigenvalues > 1e-12 * steepest][0]), float(steepest)

    def solve(self) -> Array:
        """Solve ∇J = 0, the normal equation (XᵀX + ridge · diag(0, 1 … 1)) θ = Xᵀy. -> (1 + F,)

        By least squares, not by an inverse, so that features which repeat each other do no harm:
        of all solutions this is the shortest. Raises LabsError for the lasso, which has none.
        """
        if self.lasso:
            raise LabsError(
                "The lasso has no normal equation",
                "|w| has no slope at 0",
                "Choose a descent: method=batch_gd or method=momentum.",
            )
        theta: Array = np.linalg.lstsq(
            self.hessian(), self.X.T @ self.y / len(self.y), rcond=1e-14
        )[0]
        return theta


def standardise(features: Array, mean: Array, std: Array) -> Array:
    """z = (x − mean) / std with a column of ones before it. (n, F) -> (n, 1 + F)

    `mean` and `std` (F,) are those of the training rows, whatever rows these are: what we know of
    the test rows must not reach the model.
    """
    z = (features - mean) / std
    return np.column_stack([np.ones(len(z)), z])


def in_original_units(theta: Array, mean: Array, std: Array) -> Array:
    """The same line for features that are not standardised. (1 + F,) -> (1 + F,)

    b + Σ w (x − mean)/std  =  (b − Σ w·mean/std)  +  Σ (w/std) x
    """
    w = theta[1:] / std
    return np.concatenate([[theta[0] - w @ mean], w])


def r2_score(y: Array, prediction: Array) -> float:
    """R² = 1 − Σ(y − ŷ)² / Σ(y − ȳ)², the share of the target's variance that is explained."""
    return float(1 - ((y - prediction) ** 2).sum() / ((y - y.mean()) ** 2).sum())
