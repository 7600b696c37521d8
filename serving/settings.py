"""How a service behaves, from the command line or, where that says nothing, the environment.

Every option is a field of `Settings`; `--max-batch 64` and LABS_SERVING_MAX_BATCH=64 are the same.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from labs_core.errors import LabsError

PREFIX = "LABS_SERVING_"
ORIGIN = re.compile(r"https?://[^/\s?#@,]+", re.ASCII | re.IGNORECASE)


class Settings(BaseModel):
    """Limits and manners. Times are in seconds."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    max_body_mb: int = Field(16, gt=0, description="the largest body of a request")
    max_held_mb: int = Field(256, gt=0, description="the bodies of all requests together")
    max_batch: int = Field(256, gt=0, description="the most items of a request")
    max_seconds: float = Field(30, gt=0, description="the longest a request may take")
    max_connections: int = Field(
        10_000, gt=0, description="open at once; beyond, idle ones are closed"
    )
    max_silence: float = Field(
        10, gt=0, description="seconds without the rest of a request, or without reading an answer"
    )
    keep_alive: float = Field(60, gt=0, description="seconds until an idle connection is closed")
    api_keys: Path | None = Field(
        None, description="a file of keys' hashes; then every question needs a key"
    )
    key_hashes: str = Field("", description="the lines of such a file, with commas between them")
    rate: float | None = Field(
        None, gt=0, description="requests a second of one key, or of one address without keys"
    )
    cors: str = Field(
        "", description="pages of others that may ask: https://a.example,https://b.example, or *"
    )
    log: Literal["json", "text", "off"] = Field(
        "json", description="requests on standard error: json, text or off"
    )
    predictions: Path | None = Field(None, description="an SQLite file that logs predictions")
    predictions_share: float = Field(
        1, gt=0, le=1, description="the share of the requests that is logged there"
    )
    predictions_rows: int = Field(
        100_000, gt=0, description="the most rows there; the oldest go first"
    )

    @field_validator("cors")
    @classmethod
    def _are_origins(cls, value: str) -> str:
        for origin in value.split(",") if value else ():
            if origin.strip() != "*" and not ORIGIN.fullmatch(origin.strip()):
                raise ValueError("an origin is a scheme and a host, and a port: http://host:8080")
        return value

    @property
    def origins(self) -> list[str]:
        """The pages of others that may ask."""
        return [origin.strip() for origin in self.cors.split(",") if origin]

    @property
    def keyed(self) -> bool:
        """Whether every question needs a key."""
        return bool(self.api_keys or self.key_hashes)

    @property
    def max_body_bytes(self) -> int:
        """The largest body of a request, bytes."""
        return self.max_body_mb * 1024**2


def add_options(parser: argparse.ArgumentParser) -> None:
    """One option for each field of Settings."""
    for name, field in Settings.model_fields.items():
        default = "" if field.default in (None, "") else f" (default {field.default})"
        parser.add_argument(
            _option(name), metavar=_kind(field.annotation), help=f"{field.description}{default}"
        )


def settings_from(
    options: Mapping[str, str | None], environment: Mapping[str, str] = os.environ
) -> Settings:
    """Settings of the options that were given, then of the environment, then as they are.

    Raises:
        LabsError: a value that its option does not take; names the option or the variable.
    """
    given = {name: options[name] for name in Settings.model_fields if options.get(name) is not None}
    variables = {name: environment.get(PREFIX + name.upper()) for name in Settings.model_fields}
    try:
        return Settings.model_validate({k: v for k, v in variables.items() if v} | given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = str(first["loc"][0])
        source = _option(name) if name in given else PREFIX + name.upper()
        about = Settings.model_fields[name].description or ""
        raise LabsError(
            f"{source} cannot be '{first['input']}'", first["msg"], f"It is {about}."
        ) from None


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _kind(annotation: object) -> str:
    """int -> INT, Path | None -> PATH, Literal -> its words."""
    kind = next(k for k in (*get_args(annotation), annotation) if k is not type(None))
    return kind.__name__.upper() if isinstance(kind, type) else "WORD"
