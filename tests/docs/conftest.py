"""The example package, built and installed into a folder of its own as its reader would do it."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack import RunningStack, TestDatabase, stack_env

REPOSITORY = Path(__file__).parents[2]
LARGEST_FIRST = REPOSITORY / "docs" / "examples" / "largest_first"


PAGE = (REPOSITORY / "docs" / "add-a-solver.md").read_text()


def blocks(language: str) -> list[str]:
    """The fenced blocks of the page in one language."""
    found: list[str] = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    return found


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the example in it, installed by the page's own command, without network."""
    folder = tmp_path_factory.mktemp("largest-first")
    python, *command = shlex.split(blocks("sh")[0].splitlines()[0])
    assert python == ".venv/bin/python"
    done = subprocess.run(
        [sys.executable, *command, "--target", str(folder)],
        cwd=REPOSITORY,
        env=os.environ | {"PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture
def stack_with_example(
    installed: Path, database: TestDatabase, redis_url: str, tmp_path: Path
) -> Iterator[RunningStack]:
    """One API and one worker in whose environment the example package is installed."""
    env = stack_env(database, redis_url, data_dir=str(tmp_path / "data"))
    stack = RunningStack(tmp_path, env | {"PYTHONPATH": str(installed)})
    try:
        stack.start_worker()
        stack.start_api()
        yield stack
    finally:
        stack.stop()
