"""Where a run starts from: the registered model's settings, its result, its weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
import pytorch_lightning as pl
import torch
from onnx import numpy_helper
from torch import nn

from labs.week03_frameworks.networks import Cnn
from labs.week04_optimization import weights
from labs.week04_optimization.start import prepare
from labs_core.bundle.export import Graph, to_onnx
from labs_core.bundle.load import load
from labs_core.config.compose import compose
from labs_core.errors import LabsError
from labs_core.tasks import get_task
from labs_core.train.build import build_data, build_module


def prepared(*overrides: str, profile: str = "starter") -> Any:
    return prepare(compose("week4", overrides, profile))


def test_without_a_registered_model_it_ends_with_what_to_do(labs_cli):
    code, out, err = labs_cli("run", "week4")
    assert code == 2
    assert out == ""
    assert "'week3' has no registered model" in err
    assert "labs run week3" in err
    assert "start=scratch" in err
    assert "Traceback" not in err


def test_without_a_champion_it_says_what_there_is(week3):
    with pytest.raises(LabsError, match="no model 'week3@best'") as caught:
        prepared("start.model=week3@best")
    assert week3.report.run in caught.value.remedy
    assert "start=scratch" in caught.value.remedy


def test_what_is_not_said_is_as_in_the_run_of_week_3(week3):
    config = prepared("start=champion", "scheduler=step")
    assert config.model.width == 4
    assert config.data.batch_size == 64
    assert config.data.limit == 192
    assert list(config.data.augment) == ["flip"]
    assert config.trainer.max_epochs == 2
    theirs = compose("week3", profile="starter").config
    assert prepared("optimizer.lr=null").optimizer == theirs.optimizer
    assert config.optimizer == {**theirs.optimizer, "lr": 0.01}
    assert "step_decay" in config.scheduler._target_, "what is said stays"
    assert prepared("scheduler=week3").scheduler == theirs.scheduler


def test_the_result_to_beat_is_that_of_the_run(week3):
    found = prepared().start.found
    assert found.acc == week3.report.metrics["test/acc"]
    assert found.run_id == week3.report.run_id
    assert (found.run, found.version, found.epochs) == (week3.report.run, 1, 2)
    assert found.comparable


@pytest.mark.parametrize(
    "change", ["data.limit=100", "trainer.max_epochs=3", "data.batch_size=16", "start=weights"]
)
def test_a_run_that_has_it_easier_or_harder_is_not_compared(week3, change):
    config = prepared(change)
    assert not config.start.found.comparable
    key, _, value = change.partition("=")
    if key != "start":
        room, _, name = key.partition(".")
        assert str(config[room][name]) == value


def test_other_data_are_refused_with_the_way_out(week3):
    with pytest.raises(LabsError, match="learnt from textures") as caught:
        prepared("data=cifar10_subset")
    assert "data=textures" in caught.value.remedy


@pytest.mark.parametrize("choice", ["model=mlp", "loss=focal"])
def test_what_is_week_3s_is_chosen_there(week3, choice):
    with pytest.raises(LabsError, match="is week 3's") as caught:
        prepared(choice)
    assert f"labs run week3 {choice}" in caught.value.remedy


def test_a_model_of_another_lab_is_refused(week3):
    with pytest.raises(LabsError, match="no model of week3"):
        prepared("start.model=week5@champion")


def test_from_scratch_it_is_week_3_by_default(home):
    config = prepared("start=scratch", "data.limit=50")
    theirs = compose("week3", ["data.limit=50"], "starter").config
    for room in ("model", "loss", "data", "datamodule"):
        assert config[room] == theirs[room], room
    assert config.trainer.max_epochs == theirs.trainer.max_epochs
    assert "found" not in config.start
    assert not home.exists(), "no store was asked or made"


# Weights


@pytest.fixture
def trained() -> nn.Module:
    """A network whose batch norms have seen something, in evaluation mode."""
    torch.manual_seed(0)
    network = Cnn(classes=5, channels=3, size=(16, 16), width=4)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, -1.5, 1.5)  # a scale may be negative
            nn.init.normal_(module.bias)
    network.train()
    for _ in range(20):
        network(2 * torch.randn(32, 3, 16, 16) + 0.5)
    return network.eval()


def initialisers(network: nn.Module, tmp_path: Any) -> dict[str, torch.Tensor]:
    """As they are in an exported file."""
    graph = Graph(nn.Sequential(network), {"x": torch.randn(2, 3, 16, 16)}, ("logits",))
    model = onnx.load_from_string(to_onnx(graph))
    assert not [n for n in model.graph.node if n.op_type == "BatchNormalization"], "folded"
    return {
        each.name: torch.from_numpy(numpy_helper.to_array(each).copy())
        for each in model.graph.initializer
    }


def test_unfolded_batch_norms_answer_as_the_network_did(trained, tmp_path):
    pixels = 2 * torch.randn(64, 3, 16, 16) + 0.5
    other = Cnn(classes=5, channels=3, size=(16, 16), width=4)
    weights.adopt(other, initialisers(trained, tmp_path), pixels)
    fresh = torch.randn(40, 3, 16, 16)
    torch.testing.assert_close(other.eval()(fresh), trained(fresh), rtol=1e-4, atol=1e-4)


def test_unfolded_batch_norms_have_the_statistics_of_the_data(trained, tmp_path):
    pixels = 2 * torch.randn(64, 3, 16, 16) + 0.5
    other = Cnn(classes=5, channels=3, size=(16, 16), width=4)
    weights.adopt(other, initialisers(trained, tmp_path), pixels)
    expected = other.eval()(pixels)
    # So the same pictures as a batch of training get the same answers.
    torch.testing.assert_close(other.train()(pixels), expected, rtol=1e-2, atol=1e-2)


def test_weights_of_another_network_are_refused(trained, tmp_path):
    other = Cnn(classes=5, channels=3, size=(16, 16), width=8)
    with pytest.raises(LabsError, match="do not fit"):
        weights.adopt(other, initialisers(trained, tmp_path), torch.randn(4, 3, 16, 16))


def test_a_run_with_week_3s_weights_begins_as_the_bundle_answers(week3):
    config = prepared("start=weights")
    data = build_data(config)
    module = build_module(config, data)
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    module.trainer, trainer.datamodule = trainer, data
    module.setup("fit")

    bundle = load(week3.report.bundle)
    pictures = data.raw("test", range(50))
    pixels = get_task("image-classification").preprocess(pictures, bundle.params)["pixels"]
    answers = bundle.run({"pixels": pixels})["probabilities"]
    with torch.no_grad():
        ours = module.eval()(torch.from_numpy(pixels)).softmax(1)
    np.testing.assert_allclose(ours, answers, atol=1e-4)

    exported = to_onnx(module.export().graphs["model"])
    theirs = weights.read(bundle.path)
    for each in onnx.load_from_string(exported).graph.initializer:
        value = numpy_helper.to_array(each)
        np.testing.assert_allclose(
            value, theirs[each.name], rtol=1e-4, atol=1e-5, err_msg=each.name
        )
