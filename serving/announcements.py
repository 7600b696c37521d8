"""New versions of models while the service answers: announced on a stream, one JSON line each."""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Callable, Iterable

import fastapi.dependencies.models
from pydantic import Field

from labs_core.errors import LabsError
from serving.app import App
from serving.models import Announcement, load_model, shown

log = logging.getLogger(__name__)


class Move(Announcement):
    """Another version for one of the models.

    Attributes:
        place: which one, in the order in which they were named, from 0.
    """

    place: int = Field(ge=0)


def follow(lines: Iterable[bytes], app: App, end: Callable[[], None]) -> threading.Thread:
    """Serve what is announced, from a thread.

    A version that cannot be served is refused in one line of the log; the one before it goes on.
    Requests never wait for a version to load.

    Args:
        lines: one `Move` each, as JSON.
        app: whose models move.
        end: called when there are no more lines: whoever announces has gone.
    """

    def work() -> None:
        for line in lines:
            _move(line, app)
        end()

    thread = threading.Thread(target=work, name="announcements", daemon=True)
    thread.start()
    return thread


def _move(line: bytes, app: App) -> None:
    name, what = "", "an announcement"
    try:
        move = Move.parse(line.decode())
        models = list(app.models)
        if move.place >= len(models):
            raise LabsError(f"there is no model at place {move.place}")
        name = models[move.place].name
        what = shown(move.name or name, move.version)
        _forget_the_last()
        models[move.place] = load_model(move)
        app.show(models)
    except Exception as error:  # whatever is wrong with one version, the service goes on
        why = str(error) if isinstance(error, LabsError) else f"{type(error).__name__}: {error}"
        app.service.meters.reload(name, "refused")
        log.warning("Refused %s, the one before goes on: %s", what, " ".join(why.split()))
    else:
        app.service.meters.reload(name, "done")
        log.info("Now serving %s", what)


def _forget_the_last() -> None:
    """Free the version before the present one, lest three are held at once.

    FastAPI remembers every function that ever was a route, and with it the model; a model and its
    routes refer to each other, so that it takes a collection to free them.
    """
    for remembered in vars(fastapi.dependencies.models).values():
        if hasattr(remembered, "cache_clear"):
            remembered.cache_clear()
    gc.collect()
