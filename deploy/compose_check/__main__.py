"""`python3 -m deploy.compose_check [--keep]`: every check, one line each, with its time."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from deploy.compose_check import containers, data, jobs
from deploy.compose_check.stack import ROOT, CheckFailed, Stack
from deploy.compose_check.trial import Trial

_PROJECT = "optimized-tsp-check"
_LOG_LINES = "60"

_CHECKS: tuple[Callable[[Trial], str], ...] = (
    containers.needs_passwords,
    containers.builds,
    containers.starts,
    containers.runs_without_privileges,
    containers.listens_on_loopback_only,
    jobs.refuses_strangers,
    jobs.solves,
    jobs.feeds,
    jobs.uses_every_worker,
    jobs.gives_back_when_stopped,
    jobs.survives_a_killed_worker,
    containers.crashed_worker_is_restarted,
    jobs.keeps_solving_while_servers_restart,
    jobs.takes_jobs_without_redis,
    jobs.upgrades,
    data.reports,
    data.backs_up_and_restores,
    containers.stops_in_time,
)


def main() -> int:
    """Run the checks in order; exit status 0 when all hold, else 1 after the first that fails."""
    parser = argparse.ArgumentParser(prog="python3 -m deploy.compose_check", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the containers as they are")
    keep = parser.parse_args().keep
    with tempfile.TemporaryDirectory(prefix="compose-check-") as folder:
        stack = Stack(_PROJECT, _make_passwords(Path(folder)))
        try:
            _run_all(Trial(stack))
        except CheckFailed as failure:
            _tell(f"FAILED: {failure}")
            _tell_logs(stack)
            return 1
        finally:
            if not keep:
                stack.try_compose("down", "--volumes", "--remove-orphans", "--timeout", "10")
    _tell("All checks passed.")
    return 0


def _make_passwords(folder: Path) -> Path:
    file = folder / "test.env"
    subprocess.run(["/bin/sh", str(ROOT / "deploy" / "make-env.sh"), str(file)], check=True)
    return file


def _run_all(trial: Trial) -> None:
    versions = (
        "version",
        "--format",
        "Docker {{.Server.Version}}, {{.Server.Os}}/{{.Server.Arch}}",
    )
    _tell(trial.stack.docker(*versions).strip())
    _tell("Compose " + trial.stack.compose("version", "--short").strip())
    started = time.monotonic()
    for check in _CHECKS:
        since = time.monotonic()
        detail = check(trial)
        title = (check.__doc__ or check.__name__).splitlines()[0]
        _tell(f"ok {time.monotonic() - since:6.1f} s  {title}{f' ({detail})' if detail else ''}")
    _tell(f"   {time.monotonic() - started:6.1f} s  in all")


def _tell(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _tell_logs(stack: Stack) -> None:
    for command in (("ps", "--all"), ("logs", "--no-color", "--tail", _LOG_LINES)):
        # Compose sends escape sequences even so.
        _tell(re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", stack.try_compose(*command).stdout))


if __name__ == "__main__":
    sys.exit(main())
