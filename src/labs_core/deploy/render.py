"""Templates to files: everything under templates/TARGET/."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from labs_core.deploy.plan import Plan

TEMPLATES = Path(__file__).with_name("templates")
ENDING = ".j2"  # of a file that is filled in; all others are copied as they are

_environment = Environment(
    loader=FileSystemLoader(TEMPLATES),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
_environment.filters["json"] = json.dumps  # Jinja's own is for pages: it writes ' as \u0027


def render(target: str, plan: Plan, **more: Any) -> None:
    """Write the files of templates/TARGET/ into the plan's folder, with `\\n` at the ends of lines.

    A template, FILE.j2, becomes FILE; it sees the plan's fields, `target` and `more`, fails where
    it names another, and may include what lies in templates/parts/. One that comes out empty is
    left out.
    """
    values = {**asdict(plan), "target": target, **more}
    for file in sorted(path for path in (TEMPLATES / target).rglob("*") if path.is_file()):
        name = file.relative_to(TEMPLATES).as_posix()
        text = file.read_text(encoding="utf-8")
        if name.endswith(ENDING):
            text = _environment.get_template(name).render(values)
        if not text:
            continue
        place = plan.folder / name.removeprefix(f"{target}/").removesuffix(ENDING)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8", newline="\n")
