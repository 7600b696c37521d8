"""Two real bundles, exported from torch modules: a table model and a network with BatchNorm."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from labs_core.bundle.bundle import Bundle
from labs_core.bundle.export import Graph, to_onnx
from labs_core.bundle.write import write


class Linear(nn.Module):
    """Standardises the features and takes their weighted sum."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.tensor([48.0, 26.0, 94.0]))
        self.register_buffer("scale", torch.tensor([13.0, 4.4, 13.8]))
        self.linear = nn.Linear(3, 1)

    def forward(self, features):
        return 150 + 40 * self.linear((features - self.mean) / self.scale)[:, 0]


class ConvNet(nn.Module):
    """Two convolutions, BatchNorm, a class activation map from the last features."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 16, 3, stride=2, padding=1),
            nn.ReLU(),
        )
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Linear(16, 4)

    def forward(self, pixels):
        features = self.features(pixels.float() / 255)  # (B, 16, 8, 8)
        cam = torch.einsum("bchw,kc->bkhw", features, self.head.weight)
        logits = self.head(self.dropout(features.mean((2, 3))))
        return torch.softmax(20 * logits, dim=1), cam


@dataclass
class Exported:
    """A module, what it was exported to, and raw items for it."""

    module: nn.Module
    graph: Graph
    onnx: bytes
    bundle: Bundle
    items: list
    arguments: dict  # of `write`, but for the folder

    def copy(self, folder: Path) -> Path:
        return Path(shutil.copytree(self.bundle.path, folder))


def export(folder, module, graph, items, **arguments):
    onnx = to_onnx(graph)
    arguments |= {"graphs": {"model": onnx}, "golden_items": items[:5]}
    return Exported(module, graph, onnx, write(folder, **arguments), items, arguments)


@pytest.fixture(scope="session")
def table(tmp_path_factory):
    torch.manual_seed(0)
    module = Linear().eval()
    rows = np.random.default_rng(0).normal([48, 26, 94], [13, 4.4, 13.8], (20, 3))
    names = ("age", "bmi", "bp")
    features = [{"name": n, "mean": 0.0, "min": 0.0, "max": 200.0} for n in names]
    return export(
        tmp_path_factory.mktemp("table") / "bundle",
        module,
        Graph(module, {"features": torch.zeros(1, 3)}, ("prediction",)),
        [dict(zip(names, row, strict=True)) for row in rows.tolist()],
        name="labs-week1",
        task="tabular",
        params={"features": features, "target": {"name": "progression"}, "labels": None},
        lineage={"lab": "week1", "seed": 0},
        metrics={"test/r2": 0.5},
    )


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    torch.manual_seed(0)
    module = ConvNet()
    rng = np.random.default_rng(0)
    colours, noise = rng.integers(0, 226, (80, 1, 1, 3)), rng.integers(0, 30, (80, 16, 16, 3))
    items = list((colours + noise).astype(np.uint8))
    pixels = torch.from_numpy(np.stack(items)).permute(0, 3, 1, 2)
    with torch.no_grad():
        module(pixels)  # so that BatchNorm's running statistics are not the initial ones
        log_probs = module.eval()(pixels)[0].log()
        module.head.bias -= log_probs.mean(0) / 20  # so that each label is the likeliest somewhere
    example = torch.zeros(1, 3, 16, 16, dtype=torch.uint8)
    return export(
        tmp_path_factory.mktemp("pictures") / "bundle",
        module,
        Graph(module, {"pixels": example}, ("probabilities", "cam")),
        items,
        name="labs-week5",
        task="image-classification",
        params={"labels": ["bark", "brick", "grass", "sand"], "size": [16, 16], "channels": 3},
        lineage={"lab": "week5"},
        metrics={"test/acc": 0.25},
    )


@pytest.fixture(params=["table", "pictures"])
def exported(request):
    """Either of the two."""
    return request.getfixturevalue(request.param)
