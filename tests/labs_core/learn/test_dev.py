"""Every exercise of every lab is fit for learners; and an unfit one is found out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from labs_core import catalog
from labs_core.learn import dev
from labs_core.learn.exercise import Exercise, exercises, get_exercise

ALL = [each for lab in catalog.labs() for each in exercises(lab).values()]
GRADIENTS = get_exercise("week1", "gradients")


@pytest.mark.parametrize("exercise", ALL, ids=lambda each: f"{each.lab}-{each.name}")
def test_it_is_fit_for_learners(exercise: Exercise) -> None:
    assert [finding.what for finding in dev.inspect(exercise)] == []


def test_a_thin_head_is_found_out() -> None:
    thin = replace(GRADIENTS, hints=("one",), reading=(), text="", difficulty=9)
    found = " ".join(finding.what for finding in dev.inspect(thin))
    for word in ("1 hints", "what to do", "to read", "difficulty"):
        assert word in found


def test_a_reference_that_fails_and_mistakes_that_pass_are_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = GRADIENTS.source.read_text(encoding="utf-8")
    broken = source.replace("return 2 * theta", "return theta")
    (tmp_path / "gradients.py").write_text(broken, encoding="utf-8")
    harmless = [dev.Mistake("a comment", GRADIENTS.solution + "# none\n")] * 5
    monkeypatch.setattr(dev, "mistakes", lambda exercise: harmless)
    unfit = _Moved(**{**vars(GRADIENTS), "source": tmp_path / "gradients.py"})
    found = [finding.what for finding in dev.inspect(unfit)]
    assert any("its reference fails" in what for what in found)
    assert sum("not caught: a comment" in what for what in found) == 5


class _Moved(Exercise):
    """An exercise whose source was moved; its module and its check stay where they are."""

    module = GRADIENTS.module
    check_module = GRADIENTS.check_module
