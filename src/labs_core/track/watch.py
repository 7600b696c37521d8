"""What names of models mean, asked again and again: a champion moves, a version is added."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from labs_core.errors import LabsError
from labs_core.paths import runs_dir
from labs_core.track.mlflow_setup import reason
from labs_core.track.registry import Registered, find, resolve

# A file's time is no finer than some milliseconds: what was written this lately may be followed by
# something else that bears the same one.
RECENT_NS = 2 * 10**9

Stamp = tuple[tuple[int, int, int], ...]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Move:
    """A name that means another version now.

    Attributes:
        place: of the name among those that are watched, from 0.
        version: what it means now.
        bundle: that version's folder.
    """

    place: int
    version: Registered
    bundle: Path


class Watch:
    """Names of models, and what they meant when last asked.

    Args:
        names: as people type them.
        meanings: the version that each means; None for the folder of a bundle.
        uri: the tracking URI; None is the local store.
    """

    def __init__(
        self, names: Sequence[str], meanings: Sequence[Registered | None], uri: str | None
    ) -> None:
        self._uri = uri
        self._known = {
            place: (name, meaning)
            for place, (name, meaning) in enumerate(zip(names, meanings, strict=True))
            if meaning and not is_pinned(name)
        }
        self._stamp: Stamp | None = None
        self._troubled: set[int] = set()  # places whose trouble is told and not over

    def poll(self) -> list[Move]:
        """What has moved since the last time; with it, the bundle lies on this disk.

        A store that does not answer, or a bundle that cannot be had, is told once in the log; it is
        asked for again the next time. An idle local store is not even opened.
        """
        stamp = _stamp(runs_dir()) if self._uri is None else None
        if stamp is not None and stamp == self._stamp:
            return []
        moves = [move for place in self._known if (move := self._move(place))]
        self._stamp = None if self._troubled else stamp
        return moves

    def _move(self, place: int) -> Move | None:
        name, known = self._known[place]
        try:
            now = find(name, self._uri)
            if (now.version, now.run_id) == (known.version, known.run_id):
                move = None
            else:  # by version, lest the name moves between the two questions
                bundle = resolve(f"{now.lab}/{now.version}", self._uri)
                move = Move(place, now, bundle)
                self._known[place] = name, now
        except Exception as error:  # MLflow's own, too, where the store goes away half-way
            self._tell(place, error)
            return None
        if place in self._troubled:
            self._troubled.remove(place)
            log.warning("%s can be watched again", name)
        return move

    def _tell(self, place: int, error: Exception) -> None:
        if place in self._troubled:
            return
        self._troubled.add(place)
        name, known = self._known[place]
        why = str(error) if isinstance(error, LabsError) else reason(error)
        log.warning("%s: version %s goes on, for %s", name, known.version, why)


def is_pinned(name: str) -> bool:
    """Whether a name always means the same: a version, a run or a folder."""
    return "/" in name or "\\" in name


def _stamp(runs: Path) -> Stamp | None:
    """What changes when something is written to the local store; None while that cannot be told."""
    try:
        files = [(runs / f"mlflow.db{part}") for part in ("", "-wal")]
        states = [file.stat() for file in files if file.exists()]
    except OSError:
        return None
    if any(time.time_ns() - state.st_mtime_ns < RECENT_NS for state in states):
        return None
    return tuple((state.st_ino, state.st_size, state.st_mtime_ns) for state in states)
