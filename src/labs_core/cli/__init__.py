"""The command line: `python -m labs` and `labs`. One module per command; heavy imports stay inside
the commands that need them, so that `labs --help` answers at once."""

from __future__ import annotations

import gc
import os
import sys
import traceback
from typing import Annotated

import typer

from labs_core.cli.certificate import certificate
from labs_core.cli.check import check
from labs_core.cli.compare import compare
from labs_core.cli.config import config
from labs_core.cli.data import app as data_app
from labs_core.cli.deploy import deploy
from labs_core.cli.dev import app as dev_app
from labs_core.cli.doctor import doctor
from labs_core.cli.hint import hint, solution
from labs_core.cli.info import info
from labs_core.cli.list import list_labs
from labs_core.cli.predict import predict
from labs_core.cli.progress import progress
from labs_core.cli.run import run
from labs_core.cli.serve import serve
from labs_core.cli.start import start
from labs_core.cli.sweep import sweep
from labs_core.cli.ui import ui
from labs_core.errors import LabsError

app = typer.Typer(
    name="labs",
    help="Run, track, grade and deploy the projects of an AI roadmap.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("list")(list_labs)
app.command()(info)
app.command()(run)
app.command()(sweep)
app.command()(config)
app.command()(compare)
app.command()(ui)
app.add_typer(data_app, name="data", help="Data sets: list, fetch, verify, status.")
app.command()(predict)
app.command(context_settings={"ignore_unknown_options": True})(serve)  # they are the service's
app.command()(deploy)
app.command()(start)
app.command()(check)
app.command()(hint)
app.command()(solution)
app.command()(progress)
app.command()(certificate)
app.command()(doctor)
app.add_typer(dev_app, name="dev", help="For those who write labs: check.")


@app.callback()
def options(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error (works anywhere).")
    ] = False,
) -> None:
    """Run, track, grade and deploy the projects of an AI roadmap."""


def main() -> None:
    """Run one command. Exit codes: 0 success, 2 a mistake that the user can mend, 1 anything else,
    130 stopped by Ctrl-C."""
    # How long a thread of torch's spins before it sleeps when it waits for another. By default
    # until doomsday: two runs at once on the same cores then take three times as long as one. So
    # short costs an idle machine about 1 % and makes that two times. Read when torch is loaded.
    os.environ.setdefault("GOMP_SPINCOUNT", "3000")
    debug = "--debug" in sys.argv or bool(os.environ.get("LABS_DEBUG"))
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    try:
        app(arguments, prog_name="labs")
    except LabsError as error:
        if debug:
            traceback.print_exc()
        _say(error)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if debug:
            raise
        print(
            f"Unexpected {type(error).__name__}: {error}\n"
            "This is a fault of labs or of the lab's code: --debug shows where.",
            file=sys.stderr,
        )
        sys.exit(1)
    finally:
        # Otherwise Python spends two seconds at the end on looking for garbage in all of torch.
        gc.freeze()


def _say(error: LabsError) -> None:
    print(f"Error: {str(error).rstrip('.')}.", file=sys.stderr)
    if error.remedy:
        print(error.remedy, file=sys.stderr)
