from __future__ import annotations

import ast
from pathlib import Path

import pytest

from labs_core import catalog
from labs_core.errors import LabsError
from labs_core.learn.exercise import exercises, get_exercise, starter_of

ALL = [each for lab in catalog.labs() for each in exercises(lab).values()]
SOURCE = '''"""Doubling

Twice as much.
---
minutes: 5
"""

import math


def double(x):
    """2x."""
    # solution: the long way
    y = x
    return y + x
    # end of solution


def half(x):
    # solution
    return x / 2
    # end of solution
'''


def test_a_starter_has_all_but_the_solutions_and_the_metadata() -> None:
    starter = starter_of(SOURCE, Path("double.py"))
    assert starter.startswith('"""Doubling\n\nTwice as much.\n"""\n')
    assert '"""2x."""' in starter
    assert "import math" in starter
    assert "return" not in starter
    assert "minutes" not in starter
    assert starter.count("raise NotImplementedError") == 2
    assert "half: this is yours to write" in starter


@pytest.mark.parametrize(
    "source",
    [
        '"""A title"""\nx = 1\n',
        '"""A title"""\n# solution\nx = 1\n',
    ],
    ids=["no region", "a region without an end"],
)
def test_a_source_without_a_region_is_refused(source: str) -> None:
    with pytest.raises(LabsError, match="no region"):
        starter_of(source, Path("x.py"))


@pytest.mark.parametrize("exercise", ALL, ids=lambda each: f"{each.lab}-{each.name}")
def test_starters_and_solutions_are_python(exercise) -> None:
    for text in (exercise.starter, exercise.solution):
        module = ast.parse(text)
        assert (ast.get_docstring(module) or "").startswith(exercise.title)
    assert "solution" not in exercise.starter.partition('"""')[2].partition('"""')[2]


@pytest.mark.parametrize("exercise", ALL, ids=lambda each: f"{each.lab}-{each.name}")
def test_the_lab_itself_uses_the_exercise_or_says_why_not(exercise) -> None:
    folder = exercise.source.parents[1]
    sources = [*folder.glob("*.py"), *folder.glob("networks/*.py")]
    used = any(exercise.module in path.read_text(encoding="utf-8") for path in sources)
    guide = (folder / "README.md").read_text(encoding="utf-8")
    assert used or exercise.name in guide


def test_an_unknown_exercise_gets_the_nearest_one() -> None:
    with pytest.raises(LabsError) as caught:
        get_exercise("week1", "gradient")
    assert "gradients" in caught.value.remedy
