"""An exercise, read from its one source: the reference implementation.

`labs/weekNN_…/exercises/NAME.py` begins with a docstring: the title, what to do and why, and below
a line of three dashes, as YAML, how long it takes, how hard it is, three hints and what to read:

    \"\"\"Matrix multiplication

    What every layer of a network does …
    ---
    minutes: 15
    difficulty: 1
    hints: [a nudge, the way, almost the answer]
    reading: [a book]
    \"\"\"

What the learner writes stands between the markers `# solution` and `# end of solution`. Beside
the source, `checks/NAME.py` holds the check.
"""

from __future__ import annotations

import ast
import functools
import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from labs_core import catalog
from labs_core.errors import LabsError, did_you_mean
from labs_core.paths import ROOT

BEGIN, END = "# solution", "# end of solution"
MISSING = 'raise NotImplementedError("{name}: this is yours to write")'
RULE = "---"
HINTS = 3


@dataclass(frozen=True)
class Exercise:
    """One exercise of a lab."""

    lab: str
    name: str
    title: str
    text: str  # what to do and why
    minutes: int
    difficulty: int  # 1 to 3
    hints: tuple[str, ...]
    reading: tuple[str, ...]
    source: Path  # the reference implementation

    @property
    def module(self) -> str:
        """The module that the lab imports."""
        return ".".join(self.source.relative_to(ROOT).with_suffix("").parts)

    @property
    def check_module(self) -> str:
        """The module with the check."""
        package, _, name = self.module.rpartition(".")
        return f"{package}.checks.{name}"

    @property
    def starter(self) -> str:
        """The file as the learner gets it: everything but the solutions and the metadata."""
        return starter_of(self.source.read_text(encoding="utf-8"), self.source)

    @property
    def solution(self) -> str:
        """The reference implementation, as the learner's file would be."""
        return _without_metadata(self.source.read_text(encoding="utf-8"), self.source)


@functools.cache
def exercises(lab: str) -> dict[str, Exercise]:
    """The exercises of a lab by name, in the order in which they build on each other.

    Raises:
        LabsError: there is no such lab, or a source is not of the form above.
    """
    entry = catalog.get_lab(lab)
    folder = ROOT / "labs" / entry.folder / "exercises"
    return {name: _read(lab, folder / f"{name}.py") for name in entry.exercises}


def get_exercise(lab: str, name: str) -> Exercise:
    """One exercise; raises LabsError with the nearest name where there is none."""
    known = exercises(lab)
    if not known:
        raise LabsError(f"The lab '{lab}' has no exercises", remedy="See: labs list")
    if name not in known:
        hint = did_you_mean(name, known)
        raise LabsError(f"There is no exercise '{name}' in {lab}", remedy=hint)
    return known[name]


def starter_of(source: str, path: Path) -> str:
    """A reference implementation with its solutions cut out; raises LabsError where it has none."""
    lines: list[str] = []
    cutting = cut = False
    function = ""
    for line in _without_metadata(source, path).splitlines():
        if found := re.match(r"\s*(?:def|class) (\w+)", line):
            function = found[1]
        mark = line.strip()
        if not cutting and mark.split(":")[0] == BEGIN:
            indent = line[: len(line) - len(line.lstrip())]
            lines.append(indent + MISSING.format(name=function))
            cutting = cut = True
        elif cutting and mark == END:
            cutting = False
        elif not cutting:
            lines.append(line)
    if cutting or not cut:
        raise LabsError(f"{path} has no region from '{BEGIN}' to '{END}'")
    return "\n".join(lines) + "\n"


def _read(lab: str, path: Path) -> Exercise:
    if not path.is_file():
        raise LabsError(f"The exercise {path} is missing", f"configs/labs/{lab} lists it")
    head = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    text, _, block = head.partition(f"\n{RULE}\n")
    title, _, body = text.partition("\n")
    try:
        about = yaml.safe_load(block)
        return Exercise(
            lab=lab,
            name=path.stem,
            title=title.strip().rstrip("."),
            text=body.strip(),
            minutes=int(about["minutes"]),
            difficulty=int(about["difficulty"]),
            hints=tuple(map(str, about["hints"])),
            reading=tuple(map(str, about.get("reading", ()))),
            source=path,
        )
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        what = f"The head of {path} is not that of an exercise"
        raise LabsError(what, str(error), "It needs minutes, difficulty and hints.") from None


def _without_metadata(source: str, path: Path) -> str:
    """The source with a docstring that ends at the rule."""
    first = ast.parse(source).body[0]
    if not (isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)):
        raise LabsError(f"{path} has no docstring")
    lines = source.splitlines()
    for number in range(first.end_lineno or 0):
        if lines[number] == RULE:
            head = "\n".join(lines[:number]).rstrip()
            return "\n".join([head, '"""', *lines[first.end_lineno :]]) + "\n"
    return source
