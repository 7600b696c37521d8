"""What every target needs beside the bundle: the code that answers, and its pinned requirements."""

from __future__ import annotations

import json
import shutil

from labs_core.bundle.load import load
from labs_core.deploy import code, requirements
from labs_core.deploy.plan import Plan
from labs_core.paths import ROOT

SERVICE = ("serving.__main__",)


def write(plan: Plan) -> None:
    """Write the packages, requirements.txt, an example and the licence into the plan's folder.

    `python -m serving --bundle bundle` then runs there with those requirements alone.
    """
    found = code.trace(SERVICE, plan.task)
    code.copy(found, plan.folder)
    shutil.copyfile(ROOT / "LICENSE", plan.folder / "LICENSE")
    _write_text(plan, "requirements.txt", requirements.pinned(requirements.roots(found)))
    _write_text(plan, "example.json", _example(plan) + "\n")


def _example(plan: Plan) -> str:
    """The body of a `POST /predict`: of the golden batch, the item that is the shortest in JSON."""
    bundle = load(plan.folder / "bundle")
    field = bundle.task.field
    items = (
        json.dumps(item if field is None else {field: item}, ensure_ascii=False)
        for item in bundle.examples(len(bundle.golden.items))
    )
    return '{"items": [%s]}' % min(items, key=len)  # noqa: UP031 - of braces, not of values


def _write_text(plan: Plan, name: str, text: str) -> None:
    (plan.folder / name).write_text(text, encoding="utf-8", newline="\n")
