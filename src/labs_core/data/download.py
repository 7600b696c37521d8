"""One file over HTTP: goes on where an interrupted download stopped, tries again after a fault."""

from __future__ import annotations

import os
import time
from pathlib import Path

import requests

from labs_core.data.progress import ByteBar

TIMEOUT = (10, 60)  # seconds to connect, and between two pieces
FAULTS = 4  # that many in a row without a single new byte and we give up
PAUSE = 0.5  # seconds after the first fault; doubled each time
PIECE = 1 << 16  # bytes


class ResumableDownload:
    """A downloader for pooch. The unfinished file waits beside the target as `NAME.part`.

    Attributes:
        resumed: whether the file came in more than one answer. Where its hash is then wrong, the
            file may have changed on the server in between.
    """

    def __init__(self, target: Path) -> None:
        self.part = target.with_name(target.name + ".part")
        self.resumed = False

    def __call__(self, url: str, output_file: str | Path, pooch: object) -> None:
        """Download `url` to `output_file`.

        Raises requests.RequestException where the server cannot be reached or answers with an
        error, OSError where the file cannot be written; then nothing half-written is left.
        """
        faults, before = 0, self._size()
        while True:
            try:
                self._attempt(url)
                os.replace(self.part, output_file)
                return
            except requests.RequestException as error:  # is an OSError, so it comes first
                faults = faults + 1 if self._size() <= before else 1
                before = self._size()
                if faults == FAULTS or not _may_pass(error):
                    raise
                time.sleep(PAUSE * 2 ** (faults - 1))
            except OSError:
                self.part.unlink(missing_ok=True)
                raise

    def _size(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _attempt(self, url: str) -> None:
        start = self._size()
        headers = {"Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
            if start and not _continues(answer, start):
                self.part.unlink()
                if answer.status_code != requests.codes.ok:
                    return self._attempt(url)  # from the beginning
                start = 0  # a server that knows no ranges sends the whole file
            answer.raise_for_status()
            self.resumed = start > 0
            total = start + int(answer.headers.get("Content-Length", 0))
            with self.part.open("ab") as file, ByteBar(Path(url).name, start, total) as bar:
                for piece in answer.iter_content(PIECE):
                    file.write(piece)
                    bar.advance(len(piece))


def _continues(answer: requests.Response, start: int) -> bool:
    """Whether this is the rest of the file, or an error that has nothing to do with ranges."""
    if answer.status_code == requests.codes.partial_content:
        return answer.headers.get("Content-Range", "").startswith(f"bytes {start}-")
    return answer.status_code >= 400 and answer.status_code != 416  # range not satisfiable


def _may_pass(error: requests.RequestException) -> bool:
    """Whether to try again: the line was cut, or the server has too much to do."""
    if error.response is not None:
        return error.response.status_code in (408, 429) or error.response.status_code >= 500
    cut = requests.ConnectionError | requests.Timeout | requests.exceptions.ChunkedEncodingError
    return isinstance(error, cut)
