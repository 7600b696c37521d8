"""Week 5's network under plain torch, as the other servers load it: the same weights."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn

from labs.week05_cnn import networks
from labs_core.tasks.image_classification import to_pixels

Answer = dict[str, Any]


class Network(nn.Module):
    """(B, C, H, W) uint8 -> probabilities (B, K)."""

    def __init__(self, settings: dict[str, Any], params: dict[str, Any]) -> None:
        super().__init__()
        make = getattr(networks, settings.pop("_target_").rpartition(".")[2])
        settings.pop("_partial_")
        shape = (1, params["channels"], 1, 1)
        self.register_buffer("mean", torch.empty(shape))
        self.register_buffer("std", torch.empty(shape))
        self.network = make(
            num_classes=len(params["labels"]),
            channels=params["channels"],
            image_size=tuple(params["size"]),
            **settings,
        )

    def forward(self, pixels: Tensor) -> Tensor:
        pixels = pixels.to(torch.float32, memory_format=torch.channels_last)
        return self.network((pixels / 255 - self.mean) / self.std).softmax(1)


class Classifier:
    """Pictures in, answers out. BENCH_RUN names the run's folder.

    With BENCH_SCRIPTED=1 the network is frozen TorchScript, which is faster than the module as it
    is.
    """

    def __init__(self) -> None:
        run = Path(os.environ["BENCH_RUN"])
        self.params = json.loads((run / "bundle" / "bundle.json").read_bytes())["params"]
        settings = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))["model"]
        network = Network(settings, self.params)
        weights = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
        weights = {name.removeprefix("normalize."): value for name, value in weights.items()}
        network.load_state_dict({name: weights[name] for name in network.state_dict()})
        self.network: Any = network.to(memory_format=torch.channels_last).eval()
        if os.environ.get("BENCH_SCRIPTED") == "1":
            example = torch.zeros(2, self.params["channels"], *self.params["size"]).byte()
            self.network = torch.jit.freeze(torch.jit.trace(self.network, example))

    def pixels(self, picture: Any) -> Tensor:
        """A picture, as `to_pixels` takes it -> (C, H, W) uint8."""
        pixels = to_pixels(picture, tuple(self.params["size"]), self.params["channels"])
        return torch.from_numpy(pixels).permute(2, 0, 1)

    def classify(self, batch: Tensor) -> list[Answer]:
        """(B, C, H, W) uint8 -> B answers."""
        with torch.inference_mode():
            rows = self.network(batch).tolist()
        labels = self.params["labels"]
        answers = []
        for row in rows:
            probabilities = dict(zip(labels, row, strict=True))
            label = max(probabilities, key=probabilities.__getitem__)
            answers.append({"label": label, "probabilities": probabilities})
        return answers

    def __call__(self, picture: Any) -> Answer:
        return self.classify(self.pixels(picture)[None])[0]
