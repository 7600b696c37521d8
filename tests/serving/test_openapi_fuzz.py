"""schemathesis asks the services whatever their OpenAPI documents allow, and much that they forbid.

LABS_TEST_FUZZ_CASES says how many cases, 500 otherwise; the same ones each time.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import onnx
import pytest

from labs_core.bundle.load import load
from labs_core.bundle.write import write

Start = Callable[..., AbstractContextManager[Any]]

SERVICES = {
    "pictures": ["colour_bundle"],
    "rows": ["passengers_bundle"],
    "both": ["price_bundle", "colour_bundle"],
    "texts": ["dictionary_bundle"],
    "with keys": ["price_bundle"],
}
KEY = "a-key-of-the-tests-0123456789abcdef"
CASES = int(os.environ.get("LABS_TEST_FUZZ_CASES", "500")) // len(SERVICES) + 1  # of a service

# No schema can say which bytes are a picture, and which numbers are too many for 32 bits: 422 is an
# honest answer to what a schema allows, and 400 where a protocol knows no 422. A made-up X-API-Key
# beside the right Authorization gets 401. 503 is the one server error that is documented.
RULES = """
[checks.not_a_server_error]
expected-statuses = ["2xx", "4xx", 503]
[checks.positive_data_acceptance]
expected-statuses = ["2xx", 401, 422, 503]
[[operations]]
include-path-regex = "^/v2/|/invocations$"
[operations.checks.positive_data_acceptance]
expected-statuses = ["2xx", 400, 401, 503]
"""


def fuzz(url: str, folder: Path, cases: int) -> dict[str, Any]:
    """What schemathesis reports of some `cases`, with all that it said as `output`."""
    (folder / "rules.toml").write_text(RULES, encoding="utf-8")
    authorization = {"Authorization": f"Bearer {KEY}"}
    document = httpx.get(f"{url}/openapi.json", headers=authorization).json()
    posts = [path for path, operations in document["paths"].items() if "post" in operations]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", "rules.toml"),
            *("run", f"{url}/openapi.json", "--no-color", "--continue-on-failure"),
            *(part for header in authorization.items() for part in ("--header", ": ".join(header))),
            *("--max-examples", str(-(-cases // len(posts)))),  # of each operation
            *("--seed", "1", "--generation-deterministic"),
            *("--report", "json", "--report-json-path", "report.json"),
        ],
        cwd=folder,
        env={**os.environ, "PYTHONUTF8": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
    )
    output = done.stdout + done.stderr
    report = folder / "report.json"
    assert report.exists(), output
    result: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    return {**result, "output": output}


@pytest.mark.slow
@pytest.mark.parametrize("name", SERVICES)
def test_nothing_breaks_the_service_or_its_documentation(
    start: Start, name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    bundles = [request.getfixturevalue(bundle) for bundle in SERVICES[name]]
    options = [option for bundle in bundles for option in ("--bundle", str(bundle))]
    if name == "with keys":
        keys = tmp_path / "keys"
        keys.write_text(f"fuzz {hashlib.sha256(KEY.encode()).hexdigest()}\n", encoding="utf-8")
        options += ["--api-keys", str(keys)]
    with start(*options) as service:
        report = fuzz(service.url, tmp_path, CASES)
        assert httpx.get(f"{service.url}/readyz").status_code == 200
        service.process.terminate()
        _, complaints = service.process.communicate(timeout=30)
    assert report["exit_code"] == 0, report["output"]
    print(f"{report['test_cases']['generated']} cases, {report['operations']['tested']} operations")
    assert report["operations"]["tested"] == report["operations"]["total"]
    assert {"examples", "coverage", "fuzzing"} <= {
        phase for phase, found in report["phases"].items() if found["status"] == "success"
    }
    assert report["test_cases"]["generated"] >= CASES
    assert not report["test_cases"]["errored"]
    assert not complaints


def test_a_service_that_fails_is_found_out(
    start: Start, price_bundle: Path, tmp_path: Path
) -> None:
    bundle = load(price_bundle)
    model = onnx.load(price_bundle / "model.onnx")
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1  # two rows are a fault
    graphs, lineage = {"model": model.SerializeToString()}, {}
    items = bundle.golden.items[:1]
    write(tmp_path / "narrow", "narrow", "tabular", graphs, bundle.params, lineage, {}, items)
    with start("--bundle", str(tmp_path / "narrow")) as service:
        report = fuzz(service.url, tmp_path, 1)
    assert report["exit_code"] == 1
    assert "[500] Internal Server Error" in report["output"]
