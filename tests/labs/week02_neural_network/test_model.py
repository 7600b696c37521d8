"""The module in a real Trainer on real digits: resumption, errors, export, figures."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from labs.week02_neural_network.exercises.activations import relu, relu_slope
from labs.week02_neural_network.exercises.initialisation import he
from labs.week02_neural_network.methods import Adam, Momentum, RmsProp, Sgd
from labs.week02_neural_network.model import DigitReader, Twin
from labs.week02_neural_network.network import Activation
from labs_core.bundle.export import to_onnx
from labs_core.data.images import ImageArrays
from labs_core.errors import LabsError
from labs_core.tasks import get_task
from labs_core.train.schedule import constant
from tests.labs.trainer import quiet_trainer

METHODS = {
    "sgd": Sgd(lr=0.1),
    "momentum": Momentum(lr=0.02, beta=0.9),
    "rmsprop": RmsProp(lr=2e-3, rho=0.99, eps=1e-8),
    "adam": Adam(lr=5e-3, beta1=0.9, beta2=0.999, eps=1e-8),
}
RELU = Activation("relu", relu, relu_slope)
NUMBER = 8  # bytes: Lightning's log copies its numbers, one at a time
ROOT = Path(__file__).resolve().parents[3]

# A training on 200 examples of 3 classes; prints the first loss and the last.
WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None  # whoever imports it gets an ImportError
import numpy as np
from labs.week02_neural_network.exercises import activations
from labs.week02_neural_network.exercises.initialisation import he
from labs.week02_neural_network.methods import Adam
from labs.week02_neural_network.network import Activation, Network, standardise
from labs.week02_neural_network.training import Recipe

rng = np.random.default_rng(0)
labels = rng.integers(0, 3, 200)
pixels = (80 * labels[:, None, None, None] + rng.integers(0, 60, (200, 1, 4, 4))).astype(np.uint8)
network = Network([16, 8, 3], Activation("relu", activations.relu, activations.relu_slope))
method = Adam(lr=0.01, beta1=0.9, beta2=0.999, eps=1e-8)
recipe = Recipe(network, method, lambda progress: 1.0, lambda p: standardise(p, [0.4], [0.3]),
                batch_size=20, shift=1, seed=0)
theta = network.initial(he, rng)
memory, losses = method.memory(theta), []
for number in range(10):
    theta, memory, seen = recipe.one_pass(theta, memory, pixels, labels, number, 10)
    losses += seen.losses
print(losses[0], losses[-1])
"""


def make_module(data, method="momentum", seed=0, kind=DigitReader, **changes):
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
    return kind(data.spec, **{**settings, **changes})


def fit(data, epochs=2, **settings):
    module, trainer = make_module(data, **settings), quiet_trainer(epochs)
    trainer.fit(module, datamodule=data)
    return module, trainer


@pytest.mark.parametrize("method", METHODS)
def test_every_method_learns(digits, method):
    module, trainer = fit(digits, epochs=8, method=method)
    first, last = module.history[0], module.history[-1]
    assert last["train/loss"] < 0.7 * first["train/loss"]
    assert last["val/acc"] > 0.5, "guessing gets 0.1"
    assert trainer.global_step == 8, "Lightning counts the steps"
    assert trainer.callback_metrics["val/acc"].item() == last["val/acc"]


@pytest.mark.parametrize("method", METHODS)
def test_a_resumed_run_ends_bit_for_bit_as_one_never_stopped(digits, method, tmp_path):
    straight, _ = fit(digits, epochs=4, method=method)

    stopped = make_module(digits, method)
    trainer = quiet_trainer(2)
    trainer.fit(stopped, datamodule=digits)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    resumed = make_module(digits, method)
    quiet_trainer(4).fit(resumed, datamodule=digits, ckpt_path=tmp_path / "last.ckpt")

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
    quiet_trainer(1).fit(other, datamodule=digits)  # NumPy still moves what torch has loaded
    assert not torch.equal(other.theta, state["theta"])
    assert other.state_dict()["steps"].item() == 30


class Operators(TorchDispatchMode):
    """Notes which operators torch is asked for, and how many numbers the largest tensor has."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        tensors = [each for each in tree_leaves((args, out)) if isinstance(each, torch.Tensor)]
        self.seen.append((str(func), max((each.numel() for each in tensors), default=0)))
        return out


class Watched(DigitReader):
    """Notes what its training steps ask torch for."""

    def training_step(self, batch, batch_idx):
        with Operators() as operators:
            super().training_step(batch, batch_idx)
        self.operators = operators.seen


@pytest.mark.parametrize("method", METHODS)
def test_torch_computes_nothing_in_a_training_step(digits, method):
    module = make_module(digits, method, kind=Watched)
    quiet_trainer(1).fit(module, datamodule=digits)
    assert not torch.equal(module.theta, torch.from_numpy(module.first_theta())), "it did train"
    asked = {name for name, size in module.operators if size > NUMBER}
    assert asked <= {"aten.detach.default"}, "that is how NumPy is shown a tensor's memory"

    with Operators() as operators:  # and it does see a network that torch computes
        Twin(module.layers, "relu", digits.spec.mean, digits.spec.std)(torch.zeros(3, 1, 28, 28))
    assert "aten.addmm.default" in {name for name, _ in operators.seen}


def test_the_training_path_works_where_there_is_no_torch():
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH], capture_output=True, encoding="utf-8", cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    first, last = map(float, done.stdout.split())
    assert last < 0.5 * first


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
        quiet_trainer(30).fit(module, datamodule=digits)
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


@pytest.mark.parametrize(
    ("name", "hidden"), [("relu", []), ("relu", [16]), ("sigmoid", [16]), ("tanh", [16, 12])]
)
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
