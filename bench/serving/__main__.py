"""Week 5's model under load: our service against plain FastAPI, LitServe, MLflow and BentoML.

    python -m bench.serving [--rounds 3] [--seconds 5] [--servers ours fastapi …] [--json FILE]

All serve the same weights behind the same preprocessing, take a picture's bytes and give its label
and probabilities. In each round every server in turn is started, checked against the bundle's
answers, warmed up, loaded by wrk and stopped. Two scenarios: pictures of the data set (32 × 32 PNG)
from 1, 16 and 64 clients, and a photograph (640 × 480 JPEG) from 16.

The peers' packages go into an environment of their own, which is made at the first time. The
answers a second say nothing on a machine that does something else as well.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.serving import environment, report
from bench.serving.load import find_wrk
from bench.serving.processes import BrokenServerError
from bench.serving.samples import samples
from bench.serving.servers import ROOT, SERVERS
from bench.serving.turn import Bench, Turn


def main() -> None:
    """Measure in turns, print the table, write the file."""
    options = read_options()
    find_wrk()
    packages = {SERVERS[name].package for name in options.servers} - {""}
    peers = options.peers.absolute()
    missing = environment.install(peers, packages) if packages else {}
    machine = report.machine()
    machine["peers"] = environment.versions(peers, packages) if packages else {}
    names = [name for name in options.servers if SERVERS[name].package not in missing]

    turns: dict[str, list[Turn]] = {name: [] for name in names}
    with trained(options.run) as run, tempfile.TemporaryDirectory() as works:
        pictures = samples(run / "bundle", tuple(options.clients))
        bench = Bench(run, pictures, peers, options.seconds)
        for number in range(options.rounds):
            for name in list(turns):
                print(f"round {number + 1} of {options.rounds}: {name}", file=sys.stderr)
                work = Path(works) / f"{name}-{number}"
                work.mkdir()
                try:
                    turns[name].append(bench.measure(SERVERS[name], work))
                except BrokenServerError as error:
                    print(f"{name}: {error}", file=sys.stderr)
                    del turns[name]
                    missing[name] = str(error)
    if not turns:
        sys.exit(f"No server could be measured: {missing}")

    found = {
        "machine": machine,
        "rounds": options.rounds,
        "seconds": options.seconds,
        "missing": missing,
        **report.summary(turns),
    }
    print(report.show(found))
    if options.json:
        text = json.dumps({**found, "turns": report.as_json(turns)}, indent=1)
        options.json.write_text(text + "\n", encoding="utf-8")


@contextlib.contextmanager
def trained(run: Path | None) -> Iterator[Path]:
    """The folder `run`, or one of a run of week 5 that is made now and not kept."""
    if run is not None:
        yield run.resolve()
        return
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            [sys.executable, "-m", "labs", "run", "week5", "tracking=off", "--json"],
            cwd=ROOT,
            env={**os.environ, "LABS_RUNS": home},
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )
        if done.returncode:
            sys.exit("Week 5 could not be trained.")
        yield Path(json.loads(done.stdout)["bundle"]).parent


def read_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.serving",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each load, and to warm up")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument(
        "--servers",
        nargs="+",
        choices=[*SERVERS],
        default=[*SERVERS],
        metavar="NAME",
        help=f"all of {', '.join(SERVERS)}, where nothing else is said",
    )
    parser.add_argument("--run", type=Path, help="a folder that `labs run week5` has made")
    parser.add_argument(
        "--peers",
        type=Path,
        default=ROOT / ".venv" / "bench-serving",
        help="the peers' environment; made where it is not",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="all figures of all rounds")
    return parser.parse_args()


if __name__ == "__main__":
    main()
