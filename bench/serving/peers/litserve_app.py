"""LitServe: a process takes requests, another one answers them, in batches where asked to."""

import argparse
from typing import Annotated

import litserve
import torch
from fastapi import Body

from bench.serving.peers.network import Answer, Classifier


class Pictures(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.classifier = Classifier()

    def decode_request(
        self, request: Annotated[bytes, Body(media_type="image/png")]
    ) -> torch.Tensor:
        return self.classifier.pixels(request)

    def predict(self, pixels: torch.Tensor) -> Answer | list[Answer]:
        if self.max_batch_size == 1:
            return self.classifier.classify(pixels[None])[0]
        return self.classifier.classify(pixels)

    def encode_response(self, output: Answer) -> Answer:
        return output


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--wait", type=float, default=0.0, help="for a batch to fill, seconds")
    options = parser.parse_args()
    server = litserve.LitServer(
        Pictures(max_batch_size=options.batch, batch_timeout=options.wait), accelerator="cpu"
    )
    server.run(host="127.0.0.1", port=options.port, log_level="warning", generate_client_file=False)
