"""Generated calls against a running service: does it keep its own OpenAPI document?

`make fuzz` (`python -m tests.api.contract --cases 20000`) starts a service on servers of its own
and calls it in rounds, each with a seed of its own, until so many cases were made. A failure is
printed with the call that repeats it. `schemathesis.toml` says what is expected beyond the
document.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from optimized_tsp.embedded.folder import DataFolder
from tests.conftest import pytest_configure
from tests.stack import RunningStack, Servers, public_folder, stack_env

__all__ = ["Calls", "call_service"]

ROOT = Path(__file__).parents[2]
_EXAMPLES_A_ROUND = 60


@dataclass(frozen=True)
class Calls:
    """What came of one round: how many cases were made, whether all passed, and the report."""

    cases: int
    passed: bool
    report: str


def call_service(base_url: str, *, examples: int, seed: int) -> Calls:
    """All checks, every phase (examples, coverage, fuzzing, stateful), `examples` per operation."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{base_url}/openapi.json"),
            *("--checks", "all", "--max-examples", str(examples), "--seed", str(seed)),
            *("--request-timeout", "20", "--generation-database", "none", "--no-color"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    report = done.stdout + done.stderr
    generated = re.search(r"(\d+) generated", report)
    return Calls(int(generated[1]) if generated else 0, done.returncode == 0, report)


def main() -> int:
    """Call until enough cases were made; 0 when all passed and nothing unexpected was logged."""
    parser = argparse.ArgumentParser(description="Generated calls against a running service.")
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=random.randrange(2**31))
    given = parser.parse_args()
    pytest_configure()
    with public_folder() as path, DataFolder(path / "data") as folder:
        servers = Servers(folder)
        try:
            servers.start()
            return _call_all(servers, path, given.cases, given.seed)
        finally:
            servers.stop()


def _call_all(servers: Servers, folder: Path, cases: int, seed: int) -> int:
    with servers.database() as database:
        env = stack_env(database, servers.identity.redis_url, data_dir=str(folder / "stack"))
        stack = RunningStack(folder, env)
        try:
            stack.start_worker()
            stack.start_api()
            return _rounds(stack, cases, seed)
        finally:
            stack.stop()


def _rounds(stack: RunningStack, cases: int, seed: int) -> int:
    made, failed, started = 0, 0, monotonic()
    say = sys.stdout.write
    while made < cases:
        calls = call_service(stack.base_url, examples=_EXAMPLES_A_ROUND, seed=seed)
        made += calls.cases
        failed += not calls.passed
        if not calls.passed or not calls.cases:
            say(calls.report)
        say(
            f"seed {seed}: {calls.cases} cases, {'passed' if calls.passed else 'FAILED'}; "
            f"{made} of {cases} after {monotonic() - started:.0f} s\n"
        )
        sys.stdout.flush()
        if not calls.cases:
            return 1
        seed += 1
    defects = stack.logs().count("unexpected_error")
    say(f"{made} cases, {failed} failed rounds, {defects} unexpected errors in the logs\n")
    return 1 if failed or defects else 0


if __name__ == "__main__":
    os.nice(10)  # a long run leaves the machine to others
    sys.exit(main())
