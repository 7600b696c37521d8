"""The module in a real Trainer on real digits: resumption, errors, export, figures."""

from __future__ import annotations

import copy

import numpy as np
import onnxruntime
import pytest
import pytorch_lightning as pl
import torch

from labs.week02_neural_network.exercises.activations import relu, relu_slope
from labs.week02_neural_network.exercises.initialisation import he
from labs.week02_neural_network.methods import Adam, Momentum, RmsProp, Sgd
from labs.week02_neural_network.model import DigitReader
from labs.week02_neural_network.network import Activation
from labs_core.bundle.export import to_onnx
from labs_core.data.images import ImageArrays
from labs_core.errors import LabsError
from labs_core.tasks import get_task
from labs_core.train.schedule import constant

METHODS = {
    "sgd": Sgd(lr=0.1),
    "momentum": Momentum(lr=0.02, beta=0.9),
    "rmsprop": RmsProp(lr=2e-3, rho=0.99, eps=1e-8),
    "adam": Adam(lr=5e-3, beta1=0.9, beta2=0.999, eps=1e-8),
}
RELU = Activation("relu", relu, relu_slope)


def make_trainer(epochs):
    return pl.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        reload_dataloaders_every_n_epochs=1,
    )


def make_module(data, method="momentum", seed=0, **changes):
    settings = {
        "hidden": [16],
        "activation": RELU,
        "init": he,
        "method": METHODS[method] if isinstance(method, str) else method,
        "scheduler": constant,
        "batch_size": 32,
        "updates": 10,
        "shift": 2,
        "comparison": {"methods": METHODS, "updates": 20},
        "seed": seed,
    }
    return DigitReader(data.spec, **{**settings, **changes})


def fit(data, epochs=2, **settings):
    module, trainer = make_module(data, **settings), make_trainer(epochs)
    trainer.fit(module, datamodule=data)
    return module, trainer


@pytest.mark.parametrize("method", METHODS)
def test_every_method_learns(digits, method):
    module, trainer = fit(digits, epochs=8, method=method)
    first, last = module.history[0], module.history[-1]
    assert last["train/loss"] < 0.6 * first["train/loss"]
    assert last["val/acc"] > 0.5, "guessing gets 0.1"
    assert trainer.global_step == 8, "Lightning counts the steps"
    assert trainer.callback_metrics["val/acc"].item() == last["val/acc"]


@pytest.mark.parametrize("method", METHODS)
def test_a_resumed_run_ends_bit_for_bit_as_one_never_stopped(digits, method, tmp_path):
    straight, _ = fit(digits, epochs=4, method=method)

    stopped = make_module(digits, method)
    trainer = make_trainer(2)
    trainer.fit(stopped, datamodule=digits)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    resumed = make_module(digits, method)
    make_trainer(4).fit(resumed, datamodule=digits, ckpt_path=tmp_path / "last.ckpt")

    expected = straight.state_dict()
    assert resumed.state_dict().keys() == expected.keys()
    for name, value in resumed.state_dict().items():
        assert torch.equal(value, expected[name]), name
    assert resumed.history == straight.history
    torch.load(tmp_path / "last.ckpt", weights_only=True)  # plain values only


def test_the_state_dict_holds_all_that_training_moves(digits):
    module, _ = fit(digits, method="adam")
    state = copy.deepcopy(module.state_dict())
    assert set(state) == {"theta", "mean", "square", "steps"}
    assert state["theta"].shape == (784 * 16 + 16 + 16 * 10 + 10,)
    assert state["steps"].item() == 20

    other = make_module(digits, "adam", seed=5)
    other.load_state_dict(state)
    W, _ = other.layers[0]
    np.testing.assert_array_equal(W, module.layers[0][0])
    make_trainer(1).fit(other, datamodule=digits)  # NumPy still moves what torch has loaded
    assert not torch.equal(other.theta, state["theta"])
    assert other.state_dict()["steps"].item() == 30


def test_numpy_and_torch_see_the_same_memory(digits):
    module = make_module(digits)
    module.theta.data.zero_()
    assert not module.layers[0][0].any()
    assert not any(p.requires_grad for p in module.parameters())


def test_the_seed_decides_and_nothing_else(digits):
    again, _ = fit(digits, seed=1)
    np.random.seed(7)
    torch.manual_seed(7)
    once, _ = fit(digits, seed=1)
    other, _ = fit(digits, seed=2)
    assert torch.equal(once.theta, again.theta)
    assert not torch.equal(once.theta, other.theta)


def test_an_epoch_is_whole_passes(digits):
    module = make_module(digits, batch_size=32)  # ten mini-batches of 300 digits
    assert [module.passes(300, updates) for updates in (1, 10, 11, 400)] == [1, 1, 2, 40]


def test_training_and_validation_never_read_the_test_split(digits):
    expected, _ = fit(digits)
    nothing_to_read = ImageArrays("mnist5k", batch_size=None, limit=300, seed=0)
    nothing_to_read.setup()
    del nothing_to_read.splits["test"]
    module, _ = fit(nothing_to_read)
    assert torch.equal(module.theta, expected.theta)


def test_steps_too_long_end_in_one_error_that_names_the_rate(digits):
    module = make_module(digits, method=Sgd(lr=1e6), updates=200)
    with pytest.raises(LabsError, match="diverged") as caught:
        make_trainer(30).fit(module, datamodule=digits)
    assert "method.lr below 1e+06" in caught.value.remedy


def test_a_training_split_in_pieces_is_refused(digits):
    data = ImageArrays("mnist5k", batch_size=100, limit=300)
    data.setup()
    with pytest.raises(LabsError, match="3 batches") as caught:
        fit(data)
    assert "data.batch_size=null" in caught.value.remedy


@pytest.mark.parametrize(
    ("setting", "value"), [("batch_size", 0), ("updates", 0), ("shift", -1), ("hidden", [16, 0])]
)
def test_settings_without_sense_are_refused_by_name(digits, setting, value):
    with pytest.raises(LabsError, match=f"module.{setting}"):
        make_module(digits, **{setting: value})


@pytest.mark.parametrize("name", ["relu", "sigmoid", "tanh"])
@pytest.mark.parametrize("hidden", [[], [16], [16, 12]], ids=str)
def test_the_bundles_graph_answers_as_the_module_does(digits, activation, name, hidden):
    module, _ = fit(digits, hidden=hidden, activation=activation(name))
    export = module.export()
    get_task(export.task).check_params(export.params)
    pictures = digits.raw("test", range(100))
    features = get_task(export.task).preprocess(pictures, export.params)
    session = onnxruntime.InferenceSession(to_onnx(export.graphs["model"]))
    [probabilities] = session.run(["probabilities"], features)

    batch = next(iter(digits.test_dataloader()))
    expected = module.predict_step(batch, 0)["probabilities"][:100]
    assert expected.dtype == torch.float32
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("hidden", [[16], []], ids=str)
def test_every_figure_can_be_drawn_and_changes_nothing(digits, tmp_path, hidden):
    module, _ = fit(digits, hidden=hidden)
    theta = module.theta.clone()
    drawn = dict(module.figures(digits))
    assert list(drawn) == [
        "learning_curves",
        "methods",
        "first_layer",
        "confusion_matrix",
        "mistakes",
    ]
    for name, figure in drawn.items():
        figure.savefig(tmp_path / f"{name}.png")
    labels = [line.get_label() for line in drawn["methods"].axes[1].lines]
    assert labels == ["SGD, lr 0.1", "momentum, lr 0.02", "RMSprop, lr 0.002", "Adam, lr 0.005"]
    assert torch.equal(module.theta, theta)
