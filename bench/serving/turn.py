"""One server in one round: started, checked, warmed up, loaded, weighed and stopped."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from bench.serving.load import Figures, load
from bench.serving.processes import BrokenServerError, Running, free_port, started
from bench.serving.samples import Sample
from bench.serving.servers import ROOT, Server

TOLERANCE = 1e-4  # of a probability: torch and onnxruntime add in another order
WARM_UP_CLIENTS = 16


@dataclass
class Turn:
    """What it has shown.

    Attributes:
        ready_s: from its start to its first right answer.
        memory_mb: of all its processes after the load, `rss` and `pss`.
        loads: by scenario.
        processor_ms: by scenario, what one answer costs of one core's time. Other work on the
            machine changes it little.
    """

    ready_s: float = 0.0
    memory_mb: dict[str, float] = field(default_factory=dict)
    loads: dict[str, Figures] = field(default_factory=dict)
    processor_ms: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Bench:
    """What all servers are measured with.

    Attributes:
        run: the folder of the run whose network they serve.
        samples: what is sent; the first one is for the start and for warming up.
        peers: the peers' environment.
        seconds: of each load.
    """

    run: Path
    samples: list[Sample]
    peers: Path
    seconds: float

    def measure(self, server: Server, work: Path) -> Turn:
        """One turn of a server, in the folder `work`.

        Raises:
            BrokenServerError: it does not start, or does not answer as the bundle does.
        """
        turn, port = Turn(), free_port()
        variables = self._variables(server)
        if server.prepare:
            _call(self._filled_in(server.prepare, work, port), variables, work)
        bodies = {sample.name: _bodies(server, sample, work) for sample in self.samples}
        first, question = self.samples[0], server.question
        command = self._filled_in(server.command, work, port)
        begun = time.perf_counter()
        with started(command, port, variables, work) as running:
            running.wait_for(lambda: check(running, server, first, most=1))
            turn.ready_s = time.perf_counter() - begun
            for sample in self.samples:
                check(running, server, sample)
            load(port, question, bodies[first.name], WARM_UP_CLIENTS, self.seconds)
            for sample in self.samples:
                for clients in sample.clients:
                    name = f"{sample.name}, {clients} client{'s' * (clients > 1)}"
                    before = running.processor_s()
                    figures = load(port, question, bodies[sample.name], clients, self.seconds)
                    turn.loads[name] = figures
                    used = running.processor_s() - before
                    turn.processor_ms[name] = 1000 * used / max(figures.answers, 1)
            turn.memory_mb = running.memory_mb()
            check(running, server, first)
        return turn

    def _filled_in(self, command: tuple[str, ...], work: Path, port: int) -> list[str]:
        places = {"port": port, "work": work, "bundle": self.run / "bundle"}
        return [part.format(bin=self.peers / "bin", **places) for part in command]

    def _variables(self, server: Server) -> dict[str, str]:
        variables = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])}
        if not server.ours:
            variables |= {
                "PATH": f"{self.peers / 'bin'}{os.pathsep}{os.environ['PATH']}",
                "BENCH_RUN": str(self.run),
                # With torch's own choice, a thread for each core, calls at the same time wait for
                # each other: measured, FastAPI was slower at 16 clients that way.
                "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
                "UVICORN_LOG_LEVEL": "warning",  # MLflow has no option for it
                "BENTOML_DO_NOT_TRACK": "True",
                "MLFLOW_DISABLE_TELEMETRY": "true",
            }
        return {**variables, **server.environment}


def check(running: Running, server: Server, sample: Sample, most: int | None = None) -> None:
    """Raises BrokenServerError where an answer to one of the pictures is not the bundle's."""
    question = server.question
    for picture, expected in list(zip(sample.pictures, sample.answers, strict=True))[:most]:
        content = running.ask(question.path, question.content_type, question.body(picture))
        found = question.answer(content)
        pairs = expected["probabilities"].items()
        far = max(abs(found["probabilities"][name] - right) for name, right in pairs)
        if found["label"] != expected["label"] or far > TOLERANCE:
            raise BrokenServerError(f"a wrong answer: {found} instead of {expected}")


def _bodies(server: Server, sample: Sample, work: Path) -> list[Path]:
    """Files with the requests' bodies."""
    files = []
    for number, picture in enumerate(sample.pictures):
        files.append(work / f"{sample.name}-{number}")
        files[-1].write_bytes(server.question.body(picture))
    return files


def _call(command: list[str], variables: dict[str, str], folder: Path) -> None:
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **variables}, capture_output=True, encoding="utf-8"
    )
    if done.returncode:
        raise BrokenServerError(f"{' '.join(command)} has failed:\n{done.stderr}")
