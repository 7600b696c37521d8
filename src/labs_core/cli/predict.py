"""`labs predict`: a model's answers without a server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from labs_core.cli.complete import labs
from labs_core.cli.model import HELP, locate
from labs_core.cli.options import AsJson, Tracking
from labs_core.errors import LabsError

if TYPE_CHECKING:
    from rich.console import Console

SHOWN_CLASSES = 5
BAR = 30  # characters of a probability of 1
LONGEST_NAME = 200  # characters of a text that is shown beside its translation


def predict(
    model: Annotated[str, typer.Argument(help=HELP, autocompletion=labs)],
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="INPUT",
            help="Picture files; a CSV or JSON file of rows; a row as JSON; a text in quotes, or "
            "a .txt file of them; or - to read one.",
        ),
    ] = None,
    example: Annotated[
        bool, typer.Option("--example", help="The examples that the bundle carries, as input.")
    ] = False,
    tracking: Tracking = "local",
    as_json: AsJson = False,
) -> None:
    """One prediction or a few, without a server."""
    from labs_core.bundle.load import load
    from labs_core.cli import inputs as reading
    from labs_core.tasks import InvalidInput

    if bool(inputs) == example:
        raise LabsError("Say what to predict", "", "Name INPUT, or give --example instead.")
    path, registered = locate(model, tracking)
    bundle = load(path)
    if example:
        items = [(f"example {n}", item) for n, item in enumerate(bundle.golden.items, start=1)]
    else:
        items = reading.read(bundle.manifest.task, bundle.params, inputs or [])
    try:
        answers = bundle.predict([item for _, item in items])
    except InvalidInput as error:
        place = shortened(items[error.index or 0][0])
        field = f", '{error.field}'" if error.field else ""
        raise LabsError(f"{place}{field}", error.reason, error.remedy) from None

    if as_json:
        origin = {
            "name": bundle.name,
            "version": str(registered.version) if registered else None,
            "run_id": registered.run_id if registered else bundle.lineage.get("run_id"),
        }
        print(json.dumps({"answers": answers, "model": origin}, indent=2, ensure_ascii=False))
        return

    from rich.console import Console

    console = Console(highlight=False)
    names = [name for name, _ in items]
    if "probabilities" in answers[0]:
        _print_classes(console, names, answers)
    elif "translation" in answers[0]:
        _print_translations(console, [item for _, item in items], answers)
    else:
        _print_numbers(console, names, answers, bundle.params["target"]["name"])


def _print_numbers(console: Console, names: list[str], answers: list[Any], target: str) -> None:
    """A regression's answers as a table."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("input", overflow="fold")
    table.add_column(Text(f"prediction of {target}"), justify="right", no_wrap=True)
    for name, answer in zip(names, answers, strict=True):
        table.add_row(Text(name), f"{answer['prediction']:.6g}")
    console.print(table)


def _print_translations(console: Console, items: list[Any], answers: list[Any]) -> None:
    """Under each text its translation, with the score."""
    from rich.text import Text

    for item, answer in zip(items, answers, strict=True):
        text = item if isinstance(item, str) else item["text"]
        console.print(Text(shortened(text), "bold"))
        said = Text(f"  {answer['translation'] or '(nothing)'}", "green")
        console.print(said.append(f"  score {answer['score']:.3f}", "dim"))


def shortened(name: str) -> str:
    """An input's name, which may be a long text, or one that is not to be printed."""
    line = " ".join(name[: LONGEST_NAME + 1].split())
    line = "".join(c if c.isprintable() else "?" for c in line)
    return line if len(line) <= LONGEST_NAME else f"{line[: LONGEST_NAME - 1]}…"


def _print_classes(console: Console, names: list[str], answers: list[Any]) -> None:
    """A classifier's answers: under each input its likeliest classes as bars."""
    from rich.table import Table
    from rich.text import Text

    for name, answer in zip(names, answers, strict=True):
        console.print(Text(name, "bold"), soft_wrap=True)  # a file's path stays in one piece
        likeliest = sorted(answer["probabilities"].items(), key=lambda pair: -pair[1])
        table = Table.grid(padding=(0, 2))
        for place, (label, share) in enumerate(likeliest[:SHOWN_CLASSES]):
            style = "bold green" if place == 0 else ""
            bar = "█" * round(share * BAR)
            table.add_row(Text(f"  {label}", style), f"{share:6.1%}", Text(bar, style))
        console.print(table)
        if len(likeliest) > SHOWN_CLASSES:
            console.print(f"  [dim]and {len(likeliest) - SHOWN_CLASSES} less likely[/]")
