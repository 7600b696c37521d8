"""The module in a real Trainer on the real data: results, resumption, errors, export."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch
from sklearn.linear_model import Lasso, Ridge
from sklearn.linear_model import LinearRegression as SklearnRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from labs.week01_linear_regression.descent import (
    GradientDescent,
    NormalEquation,
    StochasticDescent,
    VarianceReducedDescent,
)
from labs.week01_linear_regression.model import LinearRegression
from labs_core.bundle.export import to_onnx
from labs_core.data.tables import Table
from labs_core.errors import LabsError
from labs_core.tasks import get_task
from tests.labs.trainer import quiet_trainer


def make_module(data, method=None, ridge=0.0, lasso=0.0):
    method = method or GradientDescent(lr=None, momentum=None, steps=200)
    return LinearRegression(data.spec, method, ridge, lasso)


def arrays(data, split):
    x, y = data.splits[split]
    return x.numpy(), y.numpy()


@pytest.mark.parametrize(
    ("penalty", "estimator"),
    [
        ({}, SklearnRegression()),
        ({"ridge": 10.0}, Ridge(alpha=10.0)),
        ({"lasso": 1.0}, Lasso(alpha=1.0, tol=1e-12, max_iter=1_000_000)),
    ],
)
def test_every_coefficient_and_r2_are_scikit_learns(diabetes, penalty, estimator):
    module, trainer = make_module(diabetes, **penalty), quiet_trainer(5)
    trainer.fit(module, datamodule=diabetes)
    [metrics] = trainer.test(module, diabetes.test_dataloader(), verbose=False)

    pipeline = make_pipeline(StandardScaler(), estimator).fit(*arrays(diabetes, "train"))
    w = estimator.coef_ / pipeline[0].scale_
    expected = [estimator.intercept_ - w @ pipeline[0].mean_, *w]
    np.testing.assert_allclose(module.coefficients, expected, rtol=1e-6)
    assert metrics["test/r2"] == pytest.approx(pipeline.score(*arrays(diabetes, "test")), rel=1e-6)
    assert metrics["test/coef_error"] < 1e-6
    assert metrics["test/r2_gap"] < 1e-6


def test_a_descent_that_has_not_arrived_says_so(diabetes):
    module = make_module(diabetes, GradientDescent(lr=None, momentum=0.0, steps=5))
    trainer = quiet_trainer(1)
    trainer.fit(module, datamodule=diabetes)
    [metrics] = trainer.test(module, diabetes.test_dataloader(), verbose=False)
    assert metrics["test/coef_error"] > 0.1
    assert trainer.global_step == 1, "Lightning counts the steps"


@pytest.mark.parametrize(
    "method",
    [
        GradientDescent(lr=None, momentum=None, steps=7),
        StochasticDescent(batch_size=16, lr=None, steps=30),
        VarianceReducedDescent(batch_size=16, lr=None, steps=30),
        NormalEquation(),
    ],
    ids=str,
)
def test_a_resumed_run_ends_bit_for_bit_as_one_never_stopped(diabetes, method, tmp_path):
    straight = make_module(diabetes, method)
    quiet_trainer(4).fit(straight, datamodule=diabetes)

    stopped, trainer = make_module(diabetes, method), quiet_trainer(2)
    trainer.fit(stopped, datamodule=diabetes)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    resumed = make_module(diabetes, method)
    quiet_trainer(4).fit(resumed, datamodule=diabetes, ckpt_path=tmp_path / "last.ckpt")

    expected = straight.state_dict()
    assert resumed.state_dict().keys() == expected.keys()
    for name, value in resumed.state_dict().items():
        assert torch.equal(value, expected[name]), name


def test_the_state_dict_holds_all_that_descent_moves_in_float64(diabetes):
    module = make_module(diabetes)
    quiet_trainer(1).fit(module, datamodule=diabetes)
    state = {name: value.clone() for name, value in module.state_dict().items()}
    assert set(state) == {"theta", "velocity", "optimum"}
    assert {value.dtype for value in state.values()} == {torch.float64}

    other = make_module(diabetes)
    other.load_state_dict(state)
    np.testing.assert_array_equal(other.coefficients, module.coefficients)
    quiet_trainer(1).fit(other, datamodule=diabetes)  # NumPy still moves what torch has loaded
    assert not torch.equal(other.theta, state["theta"])


def test_the_order_of_stochastic_descent_is_the_seeds(diabetes):
    def theta(seed):
        data = Table("diabetes", seed=seed)
        data.setup()
        module = make_module(data, StochasticDescent(batch_size=1, lr=None, steps=50))
        quiet_trainer(2).fit(module, datamodule=data)
        return module.theta

    assert torch.equal(theta(0), theta(0))
    assert not torch.equal(theta(0), theta(1))


@pytest.mark.parametrize(
    "method",
    [
        GradientDescent(lr=0.6, momentum=0.0, steps=50),
        GradientDescent(lr=1e3, momentum=0.0, steps=2000),  # all the way to infinity
        GradientDescent(lr=5.0, momentum=0.9, steps=50),
        StochasticDescent(batch_size=1, lr=2.0, steps=100),
        VarianceReducedDescent(batch_size=1, lr=2.0, steps=100),
    ],
    ids=str,
)
def test_a_step_too_large_ends_in_one_error_that_names_the_bound(diabetes, method):
    module = make_module(diabetes, method)
    with pytest.raises(LabsError, match="diverged") as caught:
        quiet_trainer(5).fit(module, datamodule=diabetes)
    limit = float(caught.value.remedy.split("below ")[1].split(",")[0])
    x, _ = arrays(diabetes, "train")
    correlations = np.corrcoef(x, rowvar=False)
    assert 0 < limit <= 2 / np.linalg.norm(correlations, 2) * 1.001
    assert limit < method.lr


def test_a_training_split_in_pieces_is_refused(diabetes):
    data = Table("diabetes", batch_size=32)
    data.setup()
    with pytest.raises(LabsError, match="10 batches") as caught:
        quiet_trainer(1).fit(make_module(data), datamodule=data)
    assert "data.batch_size=null" in caught.value.remedy


def test_a_negative_penalty_is_refused(diabetes):
    with pytest.raises(LabsError, match="penalty"):
        make_module(diabetes, ridge=-1.0)


def test_the_bundles_graph_answers_as_the_module_does_on_raw_features(diabetes):
    module = make_module(diabetes)
    quiet_trainer(3).fit(module, datamodule=diabetes)
    export = module.export()
    get_task(export.task).check_params(export.params)
    features = get_task(export.task).preprocess(
        diabetes.raw("test", range(len(diabetes.splits["test"][0]))), export.params
    )
    session = onnxruntime.InferenceSession(to_onnx(export.graphs["model"]))
    [prediction] = session.run(["prediction"], features)

    x, _ = arrays(diabetes, "test")
    b, *w = module.coefficients
    assert prediction.dtype == np.float32
    np.testing.assert_allclose(prediction, b + x @ w, rtol=1e-5)
    expected = module.predict_step(next(iter(diabetes.test_dataloader())), 0)["prediction"]
    np.testing.assert_allclose(prediction, expected, rtol=1e-5)


@pytest.mark.parametrize("method", [None, NormalEquation()], ids=["momentum", "normal equation"])
def test_every_figure_can_be_drawn(diabetes, tmp_path, method):
    module = make_module(diabetes, method, ridge=1.0)
    quiet_trainer(2).fit(module, datamodule=diabetes)
    names = []
    for name, figure in module.figures(diabetes):
        figure.savefig(tmp_path / f"{name}.png")
        assert all(axes.get_xlabel() for axes in figure.axes), name
        names.append(name)
    assert names == ["cost_convergence", "coefficients", "residuals", "conditioning"]
