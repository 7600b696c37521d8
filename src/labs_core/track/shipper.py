"""Delivery: a thread that sends a journal while its run goes on; what earlier runs left behind."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from filelock import FileLock, Timeout

from labs_core.track.journal import Journal, last_opening, read
from labs_core.track.mlflow_setup import local_uri, reason
from labs_core.track.outbox import JOURNAL, Outbox, Progress

SHIP_EVERY = 10.0  # seconds: what waits meanwhile goes in one batch, beside the training
MAX_PAUSE = 30.0  # seconds between two attempts at a store that is away
PLACES = ("*", "sweeps/*", "sweeps/*/trials/*")  # where a journal can lie in the folder of runs
LAST_ATTEMPTS = 2  # failures in a row after which the end of a run waits no longer

# What a folder can do that was deleted meanwhile, is someone else's, or lies where no lock works.
UNUSABLE = (OSError, NotImplementedError)

log = logging.getLogger(__name__)


class Shipper(threading.Thread):
    """Sends what the journal holds until it is told to end: at first at once, then by and by."""

    def __init__(self, folder: Path, outbox: Outbox) -> None:
        super().__init__(name=f"tracking {folder.name}", daemon=True)
        self._folder, self._outbox = folder, outbox
        self._wake = threading.Event()
        self._ending = threading.Event()  # the journal is complete: send it and stop
        self._abandoned = threading.Event()  # nobody waits any more: stop
        self._failures = 0  # in a row

    def wake(self) -> None:
        """There is something new in the journal."""
        self._wake.set()

    def end(self, timeout: float) -> None:
        """Send what is left and stop; waits while the store answers, at most `timeout` seconds."""
        self._ending.set()
        self._wake.set()
        deadline = time.monotonic() + timeout
        while self.is_alive() and time.monotonic() < deadline:
            self.join(0.1)  # in short turns, so that Ctrl-C gets through on Windows, too
        self._abandoned.set()
        self._wake.set()

    def run(self) -> None:
        """Ship until the end; a failure is told once, then tried again after growing pauses."""
        try:
            with delivery_lock(self._folder):
                self._outbox.refresh()
                self._ship()
        except UNUSABLE as error:
            log.warning("%s cannot be delivered (%s). The run goes on", self._folder, reason(error))

    def _ship(self) -> None:
        while not self._abandoned.is_set():
            self._wake.clear()
            ending = self._ending.is_set()  # asked before sending: nothing comes after it
            try:
                while self._outbox.send_next() and not self._abandoned.is_set():
                    self._succeeded()
            except Exception as error:
                self._failed(error)
                if self._ending.is_set() and self._failures >= LAST_ATTEMPTS:
                    return
                self._pause()
            else:
                if ending:
                    return
                self._wake.wait()
                self._ending.wait(SHIP_EVERY)

    def _pause(self) -> None:
        if self._ending.is_set():
            self._abandoned.wait(0.5)
        else:
            self._ending.wait(min(2.0**self._failures / 2, MAX_PAUSE))

    def _succeeded(self) -> None:
        if self._failures:
            log.warning("%s answers again: what was kept is being sent", self._outbox)
        self._failures = 0

    def _failed(self, error: Exception) -> None:
        self._failures += 1
        if self._failures == 1:
            log.warning(
                "%s cannot be reached (%s). The run goes on; its record waits in %s",
                self._outbox,
                reason(error),
                self._folder,
            )


def deliver_pending(runs: Path, journals: Iterable[Path] | None = None) -> int:
    """Send what earlier runs could not; returns how many events are still waiting.

    Those with these journals, or all: runs, sweeps and the trials of sweeps.

    Runs that are in progress are left alone. One that was killed without a word is marked KILLED. A
    store that does not answer is asked once, not once a run. A folder that cannot be used is
    skipped with a warning.
    """
    waiting = 0
    away: set[str] = set()
    if journals is None:
        journals = [path for place in PLACES for path in runs.glob(f"{place}/{JOURNAL}")]
    for path in sorted(journals):
        try:
            waiting += _deliver_late(path.parent, runs, away)
        except UNUSABLE as error:
            log.warning("%s cannot be delivered (%s)", path.parent, reason(error))
    return waiting


def deliver_pending_in_background(runs: Path) -> threading.Thread:
    """`deliver_pending` in a daemon thread, for commands that cannot wait for it."""
    thread = threading.Thread(
        target=deliver_pending, args=(runs,), name="late deliveries", daemon=True
    )
    thread.start()
    return thread


def run_lock(folder: Path) -> FileLock:
    """Held while a process works on the run and writes its journal.

    Not reentrant, so that a background delivery in the run's own process leaves it alone, too.
    """
    return FileLock(folder / "run.lock", timeout=0, thread_local=False)


def delivery_lock(folder: Path) -> FileLock:
    """Held by the thread that sends the journal, of the run itself or of a later command."""
    return FileLock(folder / "delivery.lock", thread_local=False)


def _deliver_late(folder: Path, runs: Path, away: set[str]) -> int:
    """Send what waits in one folder, unless its store is `away`; returns how much waits then."""
    if _is_delivered(folder, runs) or (opened := last_opening(folder / JOURNAL)) is None:
        return 0
    outbox = Outbox(folder, runs, opened["uri"])
    if outbox.complete():
        return 0
    try:
        with run_lock(folder):
            _mark_killed(folder / JOURNAL)
    except Timeout:
        return 0  # in progress: its own thread delivers
    if str(outbox) not in away and not _deliver(folder, outbox):
        away.add(str(outbox))
    return outbox.pending()


def _is_delivered(folder: Path, runs: Path) -> bool:
    """Whether nothing can be left to send, seen without opening the journal, however long it is."""
    progress = Progress.read(folder)
    if progress is None or not progress.complete(folder):
        return False
    # A local store elsewhere: the folder was moved here, and the store here does not know the run.
    return progress.uri == local_uri(runs) or progress.uri.startswith("http")


def _mark_killed(path: Path) -> None:
    journal = Journal(path)  # cuts off a torn last line
    events = [line.event for line in read(path)]
    if events and events[-1]["event"] != "finish":
        journal.append("finish", status="KILLED", time=events[-1].get("time"))
    journal.close()


def _deliver(folder: Path, outbox: Outbox) -> bool:
    """Send all of one journal; False where the store does not answer."""
    try:
        lock = delivery_lock(folder).acquire(timeout=0)
    except Timeout:
        return True  # another process is at it
    with lock:
        try:
            outbox.refresh()
            while outbox.send_next():
                pass
        except Exception as error:
            log.warning(
                "%s cannot be reached (%s); the record of %s waits on disk",
                outbox,
                reason(error),
                folder.name,
            )
            return False
    return True
