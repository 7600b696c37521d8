"""Templates to files: everything under templates/TARGET/."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from labs_core.deploy.plan import Plan

TEMPLATES = Path(__file__).with_name("templates")
ENDING = ".j2"  # of a file that is filled in; all others are copied as they are


def render(target: str, plan: Plan, **more: Any) -> None:
    """Write the files of templates/TARGET/ into the plan's folder, with `\\n` at the ends of lines.

    A template, FILE.j2, becomes FILE; it sees the plan's fields and `more`, and fails where it
    names another. A file whose text is empty is left out.
    """
    source = TEMPLATES / target
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    values = {**asdict(plan), **more}
    for file in sorted(path for path in source.rglob("*") if path.is_file()):
        text = file.read_text(encoding="utf-8")
        if file.name.endswith(ENDING):
            text = environment.from_string(text).render(values)
        if text:
            place = plan.folder / file.relative_to(source).as_posix().removesuffix(ENDING)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, encoding="utf-8", newline="\n")
