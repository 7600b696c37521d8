"""Plain FastAPI + torch."""

from typing import Annotated, Any

from fastapi import Body, FastAPI, Request

from bench.serving.peers.network import Classifier

app = FastAPI()
classifier = Classifier()


@app.post("/predict")
def predict(picture: Annotated[bytes, Body(media_type="image/png")]) -> dict[str, Any]:
    """In FastAPI's pool of threads."""
    return classifier(picture)


@app.post("/inline")
async def inline(request: Request) -> dict[str, Any]:
    """In the event loop, past the pool of threads: for a process that has one core."""
    return classifier(await request.body())
