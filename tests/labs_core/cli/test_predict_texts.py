"""`labs predict` with a translation."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from labs_core.bundle.load import load

Run = Callable[..., Any]


def test_a_text_is_translated(labs_cli: Run, dictionary_bundle: Path) -> None:
    texts = ("the small\nhouse", "the red door")
    code, out, err = labs_cli("predict", str(dictionary_bundle), *texts)
    assert (code, err) == (0, "")
    first, translation, second, other = out.splitlines()
    assert (first, second) == ("the small house", "the red door")
    assert translation.split("  ")[1:] == ["la petite maison", "score -0.484"]
    assert other.split("  ")[1] == "la rouge porte"


def test_a_file_has_a_text_a_line(labs_cli: Run, dictionary_bundle: Path, tmp_path: Path) -> None:
    file = tmp_path / "phrases.txt"
    file.write_text("\ufeffthe house\n\n the door \r\n", encoding="utf-8")
    code, out, _ = labs_cli("predict", str(dictionary_bundle), str(file), "--json")
    assert code == 0
    expected = load(dictionary_bundle).predict(["the house", "the door"])
    assert json.loads(out)["answers"] == expected


def test_texts_may_come_on_standard_input(dictionary_bundle: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "labs", "predict", str(dictionary_bundle), "-", "--json"],
        env={**os.environ, "PYTHONUTF8": "1"},
        input="the house\nthe door\n",
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert len(json.loads(done.stdout)["answers"]) == 2


def test_a_bad_text_is_named_with_its_line(
    labs_cli: Run, dictionary_bundle: Path, tmp_path: Path
) -> None:
    file = tmp_path / "phrases.txt"
    file.write_text("the house\nдом\n", encoding="utf-8")
    code, out, err = labs_cli("predict", str(dictionary_bundle), str(file))
    assert (code, out) == (2, "")
    assert "phrases.txt, line 2: most of the text is unknown to the model: д о м" in err


def test_a_long_text_is_not_repeated(labs_cli: Run, dictionary_bundle: Path) -> None:
    code, _, err = labs_cli("predict", str(dictionary_bundle), "word " * 10_000)
    assert code == 2
    assert "50,000 characters, and the model takes 31 tokens" in err
    assert len(err) < 600


def test_its_own_examples_need_no_input(labs_cli: Run, dictionary_bundle: Path) -> None:
    code, out, _ = labs_cli("predict", str(dictionary_bundle), "--example")
    assert code == 0
    assert out.splitlines()[0] == "the small house"
