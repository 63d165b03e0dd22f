"""The running service keeps its own OpenAPI document: every check, stateful, a thousand cases."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import StartStack

ROOT = Path(__file__).parents[2]
CASES = 1000


@pytest.mark.timeout(300)
def test_a_thousand_generated_calls_keep_the_document(start_stack: StartStack) -> None:
    stack = start_stack(workers=1)

    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run"),
            f"{stack.base_url}/openapi.json",
            *("--checks", "all", "--max-examples", "40", "--seed", "1", "--no-color"),
            *("--request-timeout", "20", "--generation-database", "none"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout
    cases = re.search(r"(\d+) generated", done.stdout)
    assert cases is not None, done.stdout
    assert int(cases[1]) >= CASES
    assert "unexpected_error" not in stack.logs()
