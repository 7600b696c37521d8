"""`labs data`: the data sets, where they come from and whether they are here unchanged."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from labs_core import catalog
from labs_core.cli.options import AsJson
from labs_core.errors import LabsError

app = typer.Typer(no_args_is_help=True)


def complete_name(start: str) -> list[str]:
    """Names of data sets, for the shell's tab key."""
    return [
        name for name, card in catalog.data_sets().items() if card.splits and name.startswith(start)
    ]


Names = Annotated[list[str], typer.Argument(autocompletion=complete_name, help="Data sets.")]


@app.command("list")
def list_data(as_json: AsJson = False) -> None:
    """All data sets: what they are, their licence, size and splits."""
    rows = [_card(card) for card in catalog.data_sets().values()]
    if as_json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    _table(
        ("name", "title", "licence", "MB", "train / val / test", "from"),
        [
            (
                row["name"],
                row["title"],
                row["licence"],
                f"{row['size_mb']:g}",
                _splits(row["splits"]),
                row["source"],
            )
            for row in rows
        ],
    )


@app.command()
def fetch(
    names: Names,
    force: Annotated[
        bool, typer.Option("--force", help="Bring it anew even where it is here already.")
    ] = False,
    from_source: Annotated[
        bool,
        typer.Option(
            "--from-source",
            help="Make it from its official files, whatever dvc.lock says (DVC's stages do this).",
        ),
    ] = False,
) -> None:
    """Bring data sets here: from DVC's cache or remote, the mirror, or the official place.

    LABS_DATA_MIRROR=FOLDER_OR_URL stands for the https:// of every official URL; hashes are checked
    all the same. LABS_DATA=FOLDER puts the data elsewhere.
    """
    from labs_core.data import store

    for name in names:
        catalog.get_data_set(name)  # a misspelt name stops here, before anything is fetched
    for name in names:
        again = force or from_source
        folder = store.replace(name, from_source) if again else store.ensure(name)
        print(f"{name}  {store.digest(folder)}  {folder}")


@app.command()
def verify(
    names: Annotated[
        list[str] | None, typer.Argument(autocompletion=complete_name, help="Default: all here.")
    ] = None,
) -> None:
    """Hash every file of data sets again and compare with dvc.lock."""
    from labs_core.data import store

    faults: list[LabsError] = []
    for name in names or store.present():
        try:
            print(f"{name}  {store.verify(name)}  right")
        except LabsError as error:
            print(f"{name}  {error}")
            faults.append(error)
    if faults:
        raise faults[0]


@app.command()
def status(names: Names = [], as_json: AsJson = False) -> None:  # noqa: B006 - Typer reads it once
    """Where data sets are now: here, in DVC's cache, in a library, the mirror, or only online."""
    from labs_core.data import dvc_cache, store

    chosen = [catalog.get_data_set(name) for name in names] or [
        card for card in catalog.data_sets().values() if card.splits
    ]
    rows = [
        {**_card(card), "where": store.where(card.name), "hash": dvc_cache.pinned(card.name)}
        for card in chosen
    ]
    if as_json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    _table(
        ("name", "title", "licence", "MB", "train / val / test", "where", "hash"),
        [
            (
                row["name"],
                row["title"],
                row["licence"],
                f"{row['size_mb']:g}",
                _splits(row["splits"]),
                row["where"],
                row["hash"][:8] or "not pinned",
            )
            for row in rows
        ],
    )


def _card(card: catalog.DataSet) -> dict[str, Any]:
    return {
        "name": card.name,
        "title": card.title,
        "licence": card.licence,
        "homepage": card.homepage,
        "size_mb": card.size_mb,
        "splits": card.splits,
        "source": card.shipped_by or ("official files" if card.files else "you"),
    }


def _splits(splits: dict[str, int]) -> str:
    return " / ".join(f"{count:,}" for count in splits.values())


def _table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        right = column == "MB"
        table.add_column(column, justify="right" if right else "left", no_wrap=column == "name")
    for row in rows:
        table.add_row(*row)
    Console().print(table)
