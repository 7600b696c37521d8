"""A certificate of two real runs; whatever is changed in it is found out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labs_core.errors import LabsError
from labs_core.learn import certificate, pages
from labs_core.learn.progress import progress

WEEK1 = certificate.Level("Foundations", range(1, 2))


@pytest.fixture
def week1_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Foundations stands for week 1 alone, so that a test has time for it."""
    monkeypatch.setitem(certificate.LEVELS, "foundations", WEEK1)


def state_of(lab: str) -> Any:
    return next(state for state in progress() if state.lab.name == lab)


@pytest.mark.slow
def test_from_start_to_certificate(
    labs_cli: Callable[..., Any],
    solved_files: Path,
    home: Path,
    week1_only: None,
    tmp_path: Path,
) -> None:
    assert state_of("week1").next_step.startswith("labs check week1")
    assert labs_cli("check", "week1").code == 0
    assert state_of("week1").next_step == "labs run week1 --mine"
    with pytest.raises(LabsError, match="Foundations needs week1"):
        certificate.issue("foundations", "Ada Lovelace")
    code, _, err = labs_cli("run", "week1", "--mine")
    assert code == 0, err
    assert state_of("week1").complete

    evidence = certificate.issue("foundations", " Ada   Lovelace ")
    assert evidence["learner"] == "Ada Lovelace"
    page, pdf = pages.write_certificate(evidence, tmp_path / "certificates")
    assert certificate.verify(page) == []
    assert certificate.verify(pdf) == []
    assert pages.evidence_in(pdf.read_bytes()) == pages.evidence_in(page.read_bytes()) == evidence

    # The words, the evidence, the document's bytes.
    forged = tmp_path / "forged.html"
    forged.write_text(page.read_text("utf-8").replace("Lovelace", "Byron"), "utf-8")
    assert certificate.verify(forged)
    better = json.loads(json.dumps(evidence))
    better["labs"][0]["metrics"]["test/r2"] = 0.99
    better["id"] = certificate._identity({k: v for k, v in better.items() if k != "id"})
    forged.write_bytes(pages.certificate_page(better))
    assert any("test/r2" in fault for fault in certificate.verify(forged))
    damaged = tmp_path / "damaged.pdf"
    damaged.write_bytes(pdf.read_bytes()[:-40] + b" " * 40)
    assert certificate.verify(damaged)

    # The bundle, the code, the run.
    run = home / evidence["labs"][0]["run"]
    model = run / "bundle" / "model.onnx"
    original = model.read_bytes()
    model.write_bytes(original[:-1] + b"x")
    assert any("changed" in fault for fault in certificate.verify(page))
    model.write_bytes(original)
    code_file = run / "mine" / "gradients.py"
    text = code_file.read_text("utf-8")
    code_file.write_text(text + "# touched\n", "utf-8")
    assert any("other code" in fault for fault in certificate.verify(page))
    code_file.write_text(text, "utf-8")
    assert certificate.verify(page) == []
    run.rename(home / "elsewhere")
    assert any("not on this machine" in fault for fault in certificate.verify(page))


def test_an_unknown_level_gets_the_nearest_one(home: Path, workspace: Path) -> None:
    with pytest.raises(LabsError) as caught:
        certificate.issue("foundation", "Ada")
    assert "foundations" in caught.value.remedy


@pytest.mark.parametrize("content", [b"", b"<html></html>", b"%PDF-1.4 nothing", b"\xff" * 99])
def test_another_file_is_no_certificate(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    with pytest.raises(LabsError, match="no certificate"):
        certificate.verify(file)


def test_evidence_that_leads_elsewhere_is_refused(tmp_path: Path, home: Path) -> None:
    lab = {"lab": "week1", "run": "../../etc", "exercises": {}, "metrics": {}}
    evidence = {"certificate": "Foundations", "labs": [lab], "id": ""}
    file = tmp_path / "certificate.html"
    text = json.dumps(evidence)
    file.write_text(f'<script type="application/json" id="evidence">{text}</script>', "utf-8")
    with pytest.raises(LabsError):
        certificate.verify(file)
