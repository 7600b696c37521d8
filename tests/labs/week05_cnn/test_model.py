"""The two-phase classifier under a real Trainer: what changes when, what is exported."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import partial
from typing import Any

import onnxruntime
import pytest
import pytorch_lightning as pl
import torch
from torch.nn.functional import cross_entropy

from labs.week05_cnn import figures
from labs.week05_cnn.data import SourceThenTarget
from labs.week05_cnn.model import TransferClassifier
from labs.week05_cnn.networks import lenet, mobilenet_v2, resnet10, vit
from labs_core.bundle.export import to_onnx
from labs_core.data.images import ImageArrays
from labs_core.data.store import ensure
from labs_core.train.schedule import constant, cosine
from tests.labs.trainer import quiet_trainer

small = partial(resnet10, stem="small", width=4)


@pytest.fixture(scope="module")
def data() -> SourceThenTarget:
    ensure("textures")
    target = ImageArrays("textures", 32, part="target", labels_per_class=4, seed=0)
    source = ImageArrays("textures", 64, part="source", limit=128, seed=0)
    both = SourceThenTarget(target, source, source_share=0.5, epochs=2)
    both.setup()
    for part in (target, source):  # a few pictures are enough here
        for split in ("val", "test"):
            part.splits[split] = tuple(tensor[::20] for tensor in part.splits[split])
    return both


def classifier(data: SourceThenTarget, **changes: Any) -> TransferClassifier:
    arguments: dict[str, Any] = {
        "network": small,
        "weights": None,
        "strategy": "fine_tuning",
        "backbone_lr": 0.1,
        "optimizer": partial(torch.optim.AdamW, lr=0.01),
        "scheduler": partial(cosine, warmup=0.1),
        "label_smoothing": 0.0,
    }
    torch.manual_seed(0)
    spec = replace(data.spec, source_epochs=changes.pop("pretrain_epochs", 1))
    return TransferClassifier(spec, **{**arguments, **changes})


class Watch(pl.Callback):
    """Keeps the weights and the learning rates as they are when each epoch begins."""

    def __init__(self) -> None:
        self.weights: list[dict[str, torch.Tensor]] = []
        self.rates: list[list[float]] = []

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.weights.append(copy.deepcopy(pl_module.network.state_dict()))
        self.rates.append([group["lr"] for group in trainer.optimizers[0].param_groups])


def fit(module: TransferClassifier, data: SourceThenTarget, epochs: int) -> Watch:
    watch = Watch()
    trainer = quiet_trainer(epochs, callbacks=[watch])
    trainer.fit(module, datamodule=data)
    watch.weights.append(copy.deepcopy(module.network.state_dict()))
    module.logged = dict(trainer.callback_metrics)
    return watch


def changed(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    return {name for name in before if not torch.equal(before[name], after[name])}


def test_each_phase_trains_its_own_head_and_the_backbone_in_common(data: SourceThenTarget) -> None:
    module = classifier(data, scheduler=constant)  # a warm-up's first step is of length 0
    start, between, end = fit(module, data, epochs=2).weights
    assert not {"fc.weight", "fc.bias"} & changed(start, between)
    assert "conv1.weight" in changed(start, between)
    assert {"fc.weight", "conv1.weight"} <= changed(between, end)
    assert {"pretrain/loss", "pretrain/val_acc", "train/loss", "val/acc"} <= set(module.logged)


def test_feature_extraction_changes_nothing_but_the_head(data: SourceThenTarget) -> None:
    module = classifier(data, strategy="feature_extraction", backbone_lr=0.0)
    _, between, *_, end = fit(module, data, epochs=4).weights
    assert changed(between, end) == {"fc.weight", "fc.bias"}


def test_the_backbone_learns_slower_in_the_second_phase_only(data: SourceThenTarget) -> None:
    watch = fit(classifier(data, scheduler=constant), data, epochs=3)
    assert watch.rates[0] == pytest.approx([0.01, 0.01])
    assert watch.rates[1] == pytest.approx([0.001, 0.01])
    assert watch.rates[2] == pytest.approx([0.001, 0.01])


def test_the_source_head_is_a_linear_layer_on_the_same_features(data: SourceThenTarget) -> None:
    module = classifier(data).eval()
    pixels = data.source.splits["test"][0][:5]
    features = module.network.features(module.normalize(pixels)).mean(dim=(2, 3))
    torch.testing.assert_close(module.source_logits(pixels), module.source_head(features))


def test_the_loss_is_torchs_cross_entropy(data: SourceThenTarget) -> None:
    module = classifier(data, pretrain_epochs=0).eval()
    pixels, labels = data.target.splits["test"]
    loss, accuracy = module._evaluate((pixels, labels), label_smoothing=0.1)
    logits = module(pixels)
    torch.testing.assert_close(loss, cross_entropy(logits, labels, label_smoothing=0.1))
    assert accuracy == (logits.argmax(1) == labels).float().mean()


@pytest.mark.parametrize("network", [small, partial(vit, dim=16, depth=2, heads=2, mlp_dim=16)])
def test_the_exported_graph_answers_as_predict_step(data: SourceThenTarget, network: Any) -> None:
    module = classifier(data, network=network).eval()
    pixels, labels = data.target.splits["test"]
    with torch.no_grad():
        expected = module.predict_step((pixels, labels), 0)
    export = module.export()
    graph = onnxruntime.InferenceSession(to_onnx(export.graphs["model"]))
    outputs = graph.run(None, {"pixels": pixels.numpy()})
    names = [output.name for output in graph.get_outputs()]
    assert names == list(expected)
    for name, output in zip(names, outputs, strict=True):
        torch.testing.assert_close(torch.from_numpy(output), expected[name], atol=1e-4, rtol=1e-3)
    assert export.params["labels"] == list(data.spec.classes)


@pytest.mark.parametrize("network", [small, lenet, partial(mobilenet_v2, width=0.25), vit])
def test_every_kind_of_network_can_be_drawn(data: SourceThenTarget, network: Any) -> None:
    module = classifier(data, network=network, pretrain_epochs=0)
    drawn = dict(figures.draw(module, data))
    assert set(drawn) == {
        "confusion_matrix",
        "predictions",
        "filters",
        "feature_maps",
        "few_labels",
    }
    # The picture itself and at least one stage's channels; a transformer has no feature maps.
    shown = sum(bool(axes.images) for axes in drawn["feature_maps"].axes)
    assert shown > 1 or network is vit


def test_drawing_draws_no_random_numbers_of_the_run(data: SourceThenTarget) -> None:
    module = classifier(data, pretrain_epochs=0)
    state = torch.get_rng_state()
    list(figures.draw(module, data))
    assert torch.equal(torch.get_rng_state(), state)
