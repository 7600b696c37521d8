"""What scikit-learn finds on the same rows: the answer that every descent is compared with."""

from __future__ import annotations

import numpy as np

from labs.week01_linear_regression.regression import Array, LeastSquares


def fit(problem: LeastSquares) -> Array:
    """The optimum θ = (b, w) by scikit-learn, for the same features and penalty. -> (1 + F,)

    Its solvers stop early by default, so where they iterate they are asked for more digits.
    """
    from sklearn.linear_model import ElasticNet, Lasso, LinearRegression, Ridge

    n, ridge, lasso = len(problem.y), problem.ridge, problem.lasso
    exact = {"tol": 1e-12, "max_iter": 1_000_000}
    if ridge and lasso:
        total = lasso + ridge / n
        estimator = ElasticNet(alpha=total, l1_ratio=lasso / total, **exact)
    elif lasso:
        estimator = Lasso(alpha=lasso, **exact)
    elif ridge:
        estimator = Ridge(alpha=ridge)
    else:
        estimator = LinearRegression()
    estimator.fit(problem.X[:, 1:], problem.y)
    return np.concatenate([[estimator.intercept_], estimator.coef_])


def largest_difference(coefficients: Array, reference: Array) -> float:
    """max |θ − θ'| / |θ'| over the coefficients; where θ' is 0, relative to the largest of them."""
    scale = np.where(reference != 0, np.abs(reference), np.abs(reference).max())
    return float((np.abs(coefficients - reference) / scale).max())
