"""What can be shown to others: the page of one's progress, a certificate as a page and as a PDF."""

from __future__ import annotations

import base64
import importlib.resources
import importlib.util
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2

from labs_core.errors import LabsError
from labs_core.learn.progress import LabState

EMBEDDED = re.compile(rb'<script type="application/json" id="evidence">(.*?)</script>', re.DOTALL)
ATTACHED = re.compile(rb"labs-evidence:([A-Za-z0-9+/=]+)")
MARGIN, WIDTH = 20, 170  # mm, of an A4 page


def write_progress(states: list[LabState], page: Path) -> Path:
    """The page of one's progress; returns its whole path."""
    return _write(page, _render("progress.html", states=states).encode())


def write_certificate(evidence: dict[str, Any], folder: Path) -> tuple[Path, Path]:
    """The certificate as a page and as a PDF in `folder`; returns both paths."""
    name = f"certificate-{evidence['certificate'].lower()}"
    page = _write(folder / f"{name}.html", certificate_page(evidence))
    return page, _write(folder / f"{name}.pdf", certificate_pdf(evidence))


def certificate_page(evidence: dict[str, Any]) -> bytes:
    """The certificate as one HTML file that needs nothing else."""
    text = json.dumps(evidence, ensure_ascii=True, sort_keys=True).replace("<", "\\u003c")
    return _render("certificate.html", evidence=evidence, json=text).encode()


def certificate_pdf(evidence: dict[str, Any]) -> bytes:
    """The certificate as a PDF of one page or a few, the same bytes for the same evidence."""
    from fpdf import FPDF

    pdf = FPDF(format="A4")
    fonts = _fonts()
    pdf.add_font("text", "", fonts / "DejaVuSans.ttf")
    pdf.add_font("text", "B", fonts / "DejaVuSans-Bold.ttf")
    packed = base64.b64encode(json.dumps(evidence, sort_keys=True).encode()).decode()
    pdf.set_creation_date(datetime.strptime(evidence["issued"], "%Y-%m-%d").replace(tzinfo=UTC))
    pdf.set_title(f"{evidence['certificate']}: {evidence['learner']}")
    pdf.set_subject(f"labs-evidence:{packed}")
    pdf.set_margin(MARGIN)
    pdf.add_page()

    def line(text: str, size: float, style: str = "", height: float = 0, after: float = 0) -> None:
        pdf.set_font("text", style, size)
        pdf.multi_cell(WIDTH, height or size * 0.5, text, new_x="LMARGIN", new_y="NEXT")
        pdf.ln(after)

    line("labs", 12, "B", after=18)
    line(evidence["certificate"], 30, "B", after=6)
    line(evidence["learner"], 20, after=4)
    weeks = ", ".join(lab["lab"] for lab in evidence["labs"])
    line(f"has completed {weeks}. Issued {evidence['issued']}.", 11, after=8)
    for lab in evidence["labs"]:
        line(f"{lab['lab']}  {lab['title']}", 12, "B", after=1)
        for row in described(lab):
            line(row, 8.5, after=0.5)
        pdf.ln(4)
    line(f"Certificate {evidence['id']}. To check it: labs certificate verify FILE", 8.5)
    return bytes(pdf.output())


def described(lab: dict[str, Any]) -> list[str]:
    """The evidence of one lab in lines."""
    count, gave_up = len(lab["exercises"]), sum(e["gave_up"] for e in lab["exercises"].values())
    shown = f", {gave_up} after looking at the solution" if gave_up else ""
    targets = "; ".join(
        f"{t['metric']} {t['actual']:.4g} ({t['op']} {t['value']:g})" for t in lab["targets"]
    )
    return [
        f"{count} exercises solved{shown}",
        f"{targets} on {lab['data']['name']}",
        f"MLflow run {lab['run_id']}, commit {str(lab['commit'])[:12]}",
        f"data {lab['data']['hash'][:16]}, bundle {lab['bundle'][:16]}",
    ]


def evidence_in(content: bytes) -> dict[str, Any]:
    """The evidence that a certificate carries; raises LabsError where it carries none."""
    from_pdf = content.startswith(b"%PDF")
    found = ATTACHED.search(_subject(content)) if from_pdf else EMBEDDED.search(content)
    try:
        assert found
        text = base64.b64decode(found[1]) if from_pdf else found[1]
        evidence = json.loads(text)
        assert isinstance(evidence, dict)
    except (AssertionError, ValueError):
        raise LabsError("This is no certificate of labs", "it carries no evidence") from None
    return evidence


def _subject(pdf: bytes) -> bytes:
    """The text of a PDF's subject: in UTF-16, which doubles each letter of ours by a zero."""
    return pdf.replace(b"\x00", b"")


def _fonts() -> Path:
    """DejaVu, which knows ≥ and most people's names; matplotlib brings it."""
    spec = importlib.util.find_spec("matplotlib")
    assert spec, "matplotlib is a dependency of training"
    assert spec.origin
    return Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf"


def _render(template: str, **context: Any) -> str:
    folder = importlib.resources.files("labs_core.learn").joinpath("templates")
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["described"] = described
    text = folder.joinpath(template).read_text(encoding="utf-8")
    return environment.from_string(text).render(**context)


def _write(path: Path, content: bytes) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise LabsError(f"{path} cannot be written", error.strerror or "") from None
    return path.resolve()
