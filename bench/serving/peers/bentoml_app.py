"""BentoML: a service as its guide has one, and one that batches in a process a core."""

import bentoml
import PIL.Image
import torch

from bench.serving.peers.network import Answer, Classifier


@bentoml.service
class Pictures:
    def __init__(self) -> None:
        self.classifier = Classifier()

    @bentoml.api
    def predict(self, picture: PIL.Image.Image, /) -> Answer:
        return self.classifier(picture)


@bentoml.service(workers="cpu_count")
class Batches:
    def __init__(self) -> None:
        self.classifier = Classifier()

    @bentoml.api(batchable=True, max_batch_size=16)
    def predict(self, pictures: list[PIL.Image.Image]) -> list[Answer]:
        return self.classifier.classify(torch.stack([self.classifier.pixels(p) for p in pictures]))
