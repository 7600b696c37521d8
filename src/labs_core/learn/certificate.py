"""Certificates: what a learner has done, with the evidence to check it.

A certificate is a JSON object, the evidence, and two drawings of it: a page and a PDF. Each
carries the evidence, and is nothing but its drawing; so whoever changes a word of it is found out
by drawing it again, and whoever changes the evidence by the runs and bundles that it names.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labs_core import catalog
from labs_core.errors import LabsError, did_you_mean
from labs_core.learn.check import check
from labs_core.learn.exercise import exercises
from labs_core.learn.progress import LabState, progress
from labs_core.learn.workspace import digest
from labs_core.paths import runs_dir
from labs_core.train.folder import RunFolder

FORMAT = 1


@dataclass(frozen=True)
class Level:
    """A certificate's name and the weeks that it stands for."""

    name: str
    weeks: range

    @property
    def labs(self) -> tuple[str, ...]:
        """The labs of its weeks."""
        return tuple(f"week{week}" for week in self.weeks)


LEVELS = {
    "foundations": Level("Foundations", range(1, 5)),
    "practitioner": Level("Practitioner", range(5, 13)),
    "specialist": Level("Specialist", range(13, 21)),
    "researcher": Level("Researcher", range(21, 22)),
}


def issue(level: str, learner: str) -> dict[str, Any]:
    """The evidence for a level, where every lab of it is complete.

    Raises:
        LabsError: no such level, or labs that are missing, with what to do first.
    """
    if level not in LEVELS:
        hint = did_you_mean(level, LEVELS)
        raise LabsError(f"There is no certificate '{level}'", remedy=hint)
    wanted = LEVELS[level]
    not_here = [name for name in wanted.labs if name not in catalog.labs()]
    if not_here:
        raise LabsError(
            f"{wanted.name} cannot be had yet", f"this checkout has no {', '.join(not_here)}"
        )
    states = {state.lab.name: state for state in progress()}
    chosen = [states[name] for name in wanted.labs]
    for state in chosen:
        if not state.complete:
            open_ones = ", ".join(each.lab.name for each in chosen if not each.complete)
            raise LabsError(
                f"{wanted.name} needs {open_ones} as well", remedy=f"Go on: {state.next_step}"
            )
    if not learner.strip():
        raise LabsError("A certificate needs a name", remedy="Give it with --name.")
    evidence = {
        "format": FORMAT,
        "certificate": wanted.name,
        "learner": " ".join(learner.split()),
        "issued": time.strftime("%Y-%m-%d", time.gmtime()),
        "labs": [_evidence(state) for state in chosen],
    }
    return {**evidence, "id": _identity(evidence)}


def verify(file: Path) -> list[str]:
    """What is wrong with a certificate's file; empty where it is what the runs say.

    Raises:
        LabsError: the file is no certificate.
    """
    from labs_core.learn.pages import certificate_page, certificate_pdf, evidence_in

    content = _read(file)
    evidence = evidence_in(content)
    draw = certificate_pdf if content.startswith(b"%PDF") else certificate_page
    try:
        faults = [] if draw(evidence) == content else ["the document is not that of its evidence"]
        claimed = dict(evidence)
        if _identity({k: v for k, v in claimed.items() if k != "id"}) != claimed.get("id"):
            faults.append("the evidence is not that of its id")
        weeks = LEVELS[str(claimed["certificate"]).lower()].labs
        if [lab["lab"] for lab in claimed["labs"]] != list(weeks):
            faults.append(f"{claimed['certificate']} is for {', '.join(weeks)}")
        for lab in claimed["labs"]:
            faults += _faults_of(lab)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise LabsError(f"{file} is no certificate of labs", f"{error!r}") from None
    return faults


def _evidence(state: LabState) -> dict[str, Any]:
    """What was done in one lab."""
    record = state.passed
    assert record is not None, "the lab is complete"
    report = record["report"]
    return {
        "lab": state.lab.name,
        "title": state.lab.title,
        "exercises": {
            each.exercise.name: {
                "code": _code(report["run"], each.exercise.name),
                "gave_up": each.gave_up,
            }
            for each in state.exercises
        },
        "run": report["run"],
        "run_id": report["run_id"],
        "targets": report["targets"],
        "metrics": {k: v for k, v in report["metrics"].items() if k.startswith("test/")},
        "data": report["data"],
        "commit": _lineage(report["run"]).get("git_commit"),
        "bundle": _bundle_hash(report["run"]),
    }


def _faults_of(claim: dict[str, Any]) -> list[str]:
    """What of a lab's claim the runs and bundles on this machine do not bear out."""
    lab, folder = claim["lab"], RunFolder(runs_dir() / _plain_name(claim["run"]))
    record = folder.read()
    if not record.get("report"):
        return [f"{lab}: the run {claim['run']} is not on this machine"]
    report = record["report"]
    found = []
    for key in ("run_id", "targets", "data"):
        if report[key] != claim[key]:
            found.append(f"{lab}: {key} is {report[key]}, not {claim[key]}")
    for name, value in claim["metrics"].items():
        if report["metrics"].get(name) != value:
            found.append(f"{lab}: {name} is {report['metrics'].get(name)}, not {value}")
    for target in catalog.get_lab(lab).targets_on(claim["data"]["name"]):
        value = claim["metrics"].get(target.metric)
        if value is None or not target.met(value):
            found.append(f"{lab}: the target {target} is not met")
    if _bundle_hash(claim["run"]) != claim["bundle"]:
        found.append(f"{lab}: the bundle is another")
    else:
        found += _bundle_faults(lab, folder)
    known = exercises(lab)
    if set(known) != set(claim["exercises"]):
        found.append(f"{lab}: its exercises are {', '.join(known)}")
    for name, exercise in known.items():
        if _code(claim["run"], name) != claim["exercises"].get(name, {}).get("code"):
            found.append(f"{lab}: the run was made with other code of {name}")
        elif not check(exercise, folder.mine / f"{name}.py").solved:
            found.append(f"{lab}: the code of {name} does not pass its check")
    return found


def _code(run: str, exercise: str) -> str:
    """SHA-256 of the learner's code that a run was made with; empty where there is none."""
    file = RunFolder(runs_dir() / _plain_name(run)).mine / f"{exercise}.py"
    return digest(file.read_text(encoding="utf-8")) if file.is_file() else ""


def _bundle_faults(lab: str, folder: RunFolder) -> list[str]:
    """Load the bundle: every file against its hash, the golden batch against its answers."""
    from labs_core.bundle.load import load

    try:
        load(folder.bundle)
    except LabsError as error:
        return [f"{lab}: {error}"]
    return []


def _bundle_hash(run: str) -> str:
    """SHA-256 of bundle.json, which holds the hashes of all files of the bundle."""
    file = RunFolder(runs_dir() / _plain_name(run)).bundle / "bundle.json"
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""


def _lineage(run: str) -> dict[str, Any]:
    file = RunFolder(runs_dir() / _plain_name(run)).bundle / "bundle.json"
    if not file.is_file():
        return {}
    return dict(json.loads(file.read_text(encoding="utf-8")).get("lineage", {}))


def _plain_name(run: str) -> str:
    """The name of a run's folder and nothing else: a certificate may come from anybody."""
    if not re.fullmatch(r"[\w.-]+", run) or set(run) <= {"."}:
        raise ValueError(f"{run!r} is no run")
    return run


def _identity(evidence: dict[str, Any]) -> str:
    text = json.dumps(evidence, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise LabsError(f"{file} cannot be read", error.strerror or "") from None
