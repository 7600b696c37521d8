"""What every target needs beside the bundle: the code that answers, and its pinned requirements."""

from __future__ import annotations

from collections.abc import Sequence

from labs_core.deploy import code, requirements
from labs_core.deploy.plan import Plan

SERVICE = ("serving.__main__",)


def write(plan: Plan, modules: Sequence[str] = SERVICE, also: Sequence[str] = ()) -> None:
    """Write the packages and requirements.txt into the plan's folder.

    `python -m serving --bundle bundle` then runs there with those requirements alone.

    Args:
        plan: what to write.
        modules: what is started or imported; all that they reach of ours is copied.
        also: distributions that are needed beside what those import, such as gradio. They must be
            installed or in constraints.txt.
    """
    found = code.trace(modules, plan.task)
    code.copy(found, plan.folder)
    text = requirements.pinned({*requirements.roots(found), *also})
    (plan.folder / "requirements.txt").write_text(text, encoding="utf-8", newline="\n")
