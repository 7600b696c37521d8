"""Plain FastAPI + torch: a function, which FastAPI runs in its pool of threads."""

from typing import Annotated, Any

from fastapi import Body, FastAPI

from bench.serving.peers.network import Classifier

app = FastAPI()
classifier = Classifier()


@app.post("/predict")
def predict(picture: Annotated[bytes, Body(media_type="image/png")]) -> dict[str, Any]:
    return classifier(picture)
