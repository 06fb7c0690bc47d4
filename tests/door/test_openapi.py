"""Our own description of the API holds: schemathesis asks the real process what it says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

# Not `unsupported_method`, which wants 405 for every method that is not described: the door comes
# before the router, and tells a QUERY or a PUT without JSON of its content type first.
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
)


@pytest.mark.parametrize("seed", [1])
def test_the_process_answers_as_it_says(begin, tmp_path, seed):
    pytest.importorskip("schemathesis", reason="it comes with the dev group")
    sidecar = begin()
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        "run",
        f"http://127.0.0.1:{sidecar.port}/openapi.json",
        f"--checks={','.join(CHECKS)}",
        "--phases=coverage,fuzzing",
        f"--seed={seed}",
        "--max-examples=25",
        "--generation-database=none",
        "--no-color",
    ]
    told = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, timeout=250, check=False
    )
    assert told.returncode == 0, told.stdout[-8000:] + told.stderr[-2000:]
    assert "Tested: 11" in told.stdout or "Tested: 10" in told.stdout
    assert sidecar.events("internal_error") == []
