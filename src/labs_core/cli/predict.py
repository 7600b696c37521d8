"""`labs predict`: a model's answers without a server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from labs_core.cli.complete import labs
from labs_core.cli.model import HELP, locate
from labs_core.errors import LabsError

if TYPE_CHECKING:
    from rich.console import RenderableType

SHOWN_CLASSES = 5
BAR = 30  # characters of a probability of 1


def predict(
    model: Annotated[str, typer.Argument(help=HELP, autocompletion=labs)],
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="INPUT",
            help="Picture files; a CSV or JSON file of rows; a row as JSON; or - to read one.",
        ),
    ] = None,
    example: Annotated[
        bool, typer.Option("--example", help="The examples that the bundle carries, as input.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """One prediction or a few, without a server."""
    from labs_core.bundle.load import load
    from labs_core.cli import inputs as reading
    from labs_core.tasks import InvalidInput

    if bool(inputs) == example:
        raise LabsError("Say what to predict", "", "Name INPUT, or give --example instead.")
    path, version = locate(model)
    bundle = load(path)
    if example:
        items = [(f"example {n}", item) for n, item in enumerate(bundle.golden.items, start=1)]
    else:
        items = reading.read(bundle.manifest.task, inputs or [])
    try:
        answers = bundle.predict([item for _, item in items])
    except InvalidInput as error:
        place = items[error.index or 0][0]
        field = f", '{error.field}'" if error.field else ""
        raise LabsError(f"{place}{field}", error.reason, error.remedy) from None

    if as_json:
        origin = {"name": bundle.name, "version": version, "run_id": bundle.lineage.get("run_id")}
        print(json.dumps({"answers": answers, "model": origin}, indent=2, ensure_ascii=False))
        return

    from rich.console import Console

    names = [name for name, _ in items]
    show = _bars if "probabilities" in answers[0] else _numbers
    Console().print(show(names, answers, bundle.params))


def _numbers(names: list[str], answers: list[Any], params: Any) -> RenderableType:
    """A regression's answers as a table."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("input")
    table.add_column(Text(f"prediction of {params['target']['name']}"), justify="right")
    for name, answer in zip(names, answers, strict=True):
        table.add_row(Text(name), f"{answer['prediction']:.6g}")
    return table


def _bars(names: list[str], answers: list[Any], params: Any) -> RenderableType:
    """A classifier's answers: under each input its likeliest classes as bars."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for name, answer in zip(names, answers, strict=True):
        table.add_row(Text(name, "bold"))
        likeliest = sorted(answer["probabilities"].items(), key=lambda pair: -pair[1])
        for place, (label, share) in enumerate(likeliest[:SHOWN_CLASSES]):
            style = "bold green" if place == 0 else "dim"
            bar = "█" * round(share * BAR)
            table.add_row(Text(f"  {label}", style), Text(f"{share:6.1%}", style), Text(bar, style))
        if len(likeliest) > SHOWN_CLASSES:
            table.add_row(Text(f"  and {len(likeliest) - SHOWN_CLASSES} more classes", "dim"))
    return table
