"""API keys: long random strings, of which the service knows the hashes only.

`python -m serving.keys new NAME >> FILE` shows a new key once and adds its line to the file:

    name sha256-of-the-key [requests a second]
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import math
import re
import secrets
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from labs_core.errors import LabsError
from serving.errors import RefusedError
from serving.metrics import Meters

log = logging.getLogger(__name__)

NAME = re.compile(r"[\w.-]{1,64}", re.ASCII)  # it goes into logs
HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)
FORM = "A line is: name sha256-of-the-key [requests a second]. Make one with python -m serving.keys"
LONGEST_KEY = 256
CHECK_S = 1.0  # how often the file is looked at, while requests come

# What everybody may see: whether the service is well, and the pages with what they are made of.
OPEN = re.compile(
    r"""
    /(healthz | readyz | ping | health | v2/health/(live|ready) | docs | static/.*)
    | (/models/[\w.-]+ (/versions/[\w.-]+)?)? /? (samples/\d+\.png)?
    """,
    re.VERBOSE | re.ASCII,
)
# How a client may send its key, in OpenAPI's words.
SCHEMES = {
    "Bearer": {"type": "http", "scheme": "bearer"},
    "X-API-Key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}


class Key(NamedTuple):
    """Whose key it is, and how many requests a second it may make, where the file says so."""

    name: str
    rate: float | None


class Keys:
    """The keys of a file and of a setting. The file is read again when it has changed.

    Args:
        file: lines, with comments after `#`; None is no file.
        lines: more of them, separated by commas.

    Raises:
        LabsError: a line is wrong, or there is no key.
    """

    def __init__(self, file: Path | None, lines: str) -> None:
        self._file, self._lines = file, lines
        self._checked = time.monotonic()
        self._state = self._look()
        self._keys = self._read()

    def find(self, secret: bytes) -> Key | None:
        """Whose key this is; None is nobody's.

        The hash is looked up as a whole. How long that takes says nothing of a key: nobody can
        choose a key by what its hash begins with.
        """
        if time.monotonic() - self._checked > CHECK_S:
            self._read_again()
        return self._keys.get(hashlib.sha256(secret).digest())

    def _look(self) -> tuple[int, ...] | None:
        if self._file is None:
            return None
        try:
            found = self._file.stat()
        except OSError:  # `_read` says why
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _read(self) -> dict[bytes, Key]:
        keys: dict[bytes, Key] = {}
        names: set[str] = set()
        sources: list[tuple[str, Iterable[str]]] = [("The setting", self._lines.split(","))]
        if self._file:
            sources.append((str(self._file), _lines_of(self._file)))
        for source, lines in sources:
            for number, line in enumerate(lines, 1):
                if not (words := line.partition("#")[0].split()):
                    continue
                key, digest = _parse(words, f"{source}, line {number}")
                if key.name in names or digest in keys:
                    raise LabsError(
                        f"{source}, line {number}, repeats a name or a key", "", "Name each once."
                    )
                names.add(key.name)
                keys[digest] = key
        if not keys:
            raise LabsError(f"{self._file or 'The setting'} holds no key", "", f"{FORM} new NAME.")
        return keys

    def _read_again(self) -> None:
        self._checked = time.monotonic()
        if (state := self._look()) == self._state:
            return
        self._state = state
        try:
            self._keys = self._read()
        except LabsError as error:
            log.warning("The keys stay as they were: %s", str(error).rstrip("."))
        else:
            log.info("The file of keys has changed: %d keys", len(self._keys))


def _lines_of(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise LabsError(
            f"Cannot read the keys in {file}", why or "", "Check the path, and who may read it."
        ) from None


def _parse(words: list[str], where: str) -> tuple[Key, bytes]:
    name, digest, rate, *more = [*words, "", ""]
    problem = ""
    if not NAME.fullmatch(name):
        problem = "the name may hold letters, digits, '-', '_' and '.'"
    elif not HASH.fullmatch(digest.lower()):
        problem = "the second word is not the SHA-256 of a key, in 64 hexadecimal digits"
    elif rate and not _is_rate(rate):
        problem = "the third word is not a number of requests a second"
    elif any(more):
        problem = "there are more than three words"
    if problem:
        raise LabsError(f"{where}, is not a key", problem, f"{FORM} new NAME.")
    return Key(name, float(rate) if rate else None), bytes.fromhex(digest)


def _is_rate(text: str) -> bool:
    try:
        return 0 < float(text) < math.inf
    except ValueError:
        return False


def is_open(scope: Scope) -> bool:
    """Whether a request asks the model nothing: health checks, pages, sample pictures."""
    return scope["method"] in ("GET", "HEAD") and OPEN.fullmatch(scope["path"]) is not None


class KeyCheck:
    """Refuses questions without a key; names the key in the request's state."""

    def __init__(self, app: ASGIApp, keys: Keys, meters: Meters) -> None:
        self.app, self.keys, self.meters = app, keys, meters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 401."""
        if is_open(scope):
            return await self.app(scope, receive, send)
        secret = _presented(scope)
        key = self.keys.find(secret) if secret else None
        if key:
            scope["state"]["key"], scope["state"]["rate"] = key
            return await self.app(scope, receive, send)
        self.meters.refusal("key")
        problem = "the API key is not known" if secret else "an API key is needed"
        refused = RefusedError(
            401, problem, "Authorization", "Send the header Authorization: Bearer KEY."
        )
        response = refused.response()
        response.headers["WWW-Authenticate"] = (
            'Bearer realm="labs", error="invalid_token"' if secret else 'Bearer realm="labs"'
        )
        await response(scope, receive, send)


def document(app: FastAPI) -> None:
    """Say in the documentation of `app` which operations need a key."""
    whole = app.openapi

    def with_keys() -> dict[str, Any]:
        described = whole()
        described.setdefault("components", {})["securitySchemes"] = SCHEMES
        for path, operations in described["paths"].items():
            for method, operation in operations.items():
                if not is_open({"method": method.upper(), "path": path}):
                    operation["security"] = [{name: []} for name in SCHEMES]
                    operation["responses"]["401"] = {"description": "No key, or an unknown one"}
        return described

    app.openapi = with_keys  # type: ignore[method-assign]


def _presented(scope: Scope) -> bytes:
    """The key that comes with a request; empty where none does."""
    secret = b""
    for name, value in scope["headers"]:
        if name == b"x-api-key":
            secret = value
            break
        if name == b"authorization" and value[:7].lower() == b"bearer ":
            secret = value[7:]
    secret = secret.strip()
    return secret if len(secret) <= LONGEST_KEY else b"-"


def new(name: str, rate: float | None) -> tuple[str, str]:
    """A new key, and its line for the file."""
    key = f"labs_{secrets.token_urlsafe(32)}"
    words = [name, hashlib.sha256(key.encode()).hexdigest()]
    if rate:
        words.append(f"{rate:g}")
    return key, " ".join(words)


def main() -> None:
    """Make a key: its line goes to standard output, the key itself to standard error."""
    parser = argparse.ArgumentParser(prog="python -m serving.keys", description=main.__doc__)
    commands = parser.add_subparsers(required=True)
    making = commands.add_parser("new", help="make a key")
    making.add_argument("name", help="whose it is; logs show it")
    making.add_argument("--rate", type=float, help="requests a second, instead of the service's")
    options = parser.parse_args()
    if not NAME.fullmatch(options.name):
        parser.error("a name may hold letters, digits, '-', '_' and '.', at most 64")
    if options.rate is not None and not _is_rate(str(options.rate)):
        parser.error("a rate is a number of requests a second, above 0")
    key, line = new(options.name, options.rate)
    print(line, flush=True)
    print(f"The key, which nothing can show again: {key}", file=sys.stderr)


if __name__ == "__main__":
    main()
