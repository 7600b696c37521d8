"""`labs certificate`: what you have done, with the evidence to check it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def certificate(
    level: Annotated[
        str, typer.Argument(help="foundations, practitioner, specialist or researcher; or verify.")
    ],
    file: Annotated[Path | None, typer.Argument(help="With verify: the certificate.")] = None,
    name: Annotated[str, typer.Option(help="Yours, as it should stand there.")] = "",
    out: Annotated[Path | None, typer.Option(help="The folder to write to.")] = None,
) -> None:
    """Write a certificate, or verify one. Exit codes of verify: 0 true, 1 not."""
    from labs_core.errors import LabsError
    from labs_core.learn import certificate as certificates
    from labs_core.learn.pages import write_certificate
    from labs_core.learn.workspace import workspace_dir

    if level == "verify":
        if file is None:
            raise LabsError("There is no file to verify", remedy="labs certificate verify FILE")
        faults = certificates.verify(file)
        for fault in faults:
            print(fault)
        if faults:
            raise typer.Exit(1)
        print(f"{file} is what the runs and bundles on this machine say.")
        return
    evidence = certificates.issue(level, name)
    for path in write_certificate(evidence, out or workspace_dir()):
        print(path)
