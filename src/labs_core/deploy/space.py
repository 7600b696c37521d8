"""A demo space: a Gradio app in the layout that hosts of such spaces read."""

from __future__ import annotations

import json
import shutil
from importlib import metadata

from packaging.utils import canonicalize_name

from labs_core.bundle.format import ANSWERS
from labs_core.bundle.load import load
from labs_core.deploy import code
from labs_core.deploy.plan import Plan
from labs_core.deploy.render import render
from labs_core.deploy.requirements import PYTHON
from labs_core.errors import LabsError
from labs_core.paths import ROOT

# A space runs in an environment of its own, for gradio allows no Pillow 13. The bundle is held
# against its golden answers when it starts there, so another decoder changes none of them unseen.
PINS = {"gradio": "6.31.0", "pillow": "12.3.0"}
PORT = 7860  # gradio's own, in README.md
HOURS = 1  # that a visitor's picture is kept

# Task -> what the page imports of ours; templates/space/TASK.py is the page.
MODULES = {
    "image-classification": ("labs_core.bundle.load", "labs_core.tasks.heat_map"),
    "tabular": ("labs_core.bundle.load",),
    "translation": ("labs_core.bundle.load",),
}


def write(plan: Plan) -> None:
    """Add the page, the code that answers, requirements.txt, and a README.md for the host.

    Raises:
        LabsError: there is no page for the bundle's task.
    """
    if plan.task not in MODULES:
        what, why = f"{plan.name} cannot be a demo space", f"there is no page for {plan.task}"
        raise LabsError(what, why, f"There is one for {' and '.join(MODULES)}.")
    found = code.trace(MODULES[plan.task], plan.task)
    code.copy(found, plan.folder)
    shutil.copyfile(ROOT / "LICENSE", plan.folder / "LICENSE")
    render(
        "space",
        plan,
        about=f"The model {plan.lab}, to try"[:60],
        example=_example(plan),
        gradio=PINS["gradio"],
        hours=HOURS,
        page=plan.task.replace("-", "_"),
        port=PORT,
        python=PYTHON,
        requirements=_pins(found),
    )


def _example(plan: Plan) -> str:
    """Of the golden batch: the file of the first picture or of the rows, or a text in JSON."""
    bundle = load(plan.folder / "bundle")
    golden = sorted(name for name in bundle.manifest.files if name.startswith("golden/"))
    if plan.task == "translation":
        return json.dumps(bundle.examples(1)[0], ensure_ascii=False)
    return next(f"bundle/{name}" for name in golden if name != ANSWERS)


def _pins(found: code.Code) -> dict[str, str]:
    """The distributions that the app imports, each with its version.

    Not what these require in turn: a host installs packages of its own beside them, and must be
    free in its choice of what both need.
    """
    known = metadata.packages_distributions()
    imported = {canonicalize_name(n) for package in found.packages for n in known.get(package, ())}
    return dict(sorted(({str(n): metadata.version(n) for n in imported} | PINS).items()))
