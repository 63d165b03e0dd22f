"""Checks of what stays: reports in SQL, backup and restore."""

from __future__ import annotations

from deploy.compose_check.service import JOBS
from deploy.compose_check.stack import require
from deploy.compose_check.trial import Trial

__all__ = ["backs_up_and_restores", "reports"]

_COUNTS = """
    SELECT (SELECT count(*) FROM jobs), (SELECT count(*) FROM events),
           (SELECT sum(cost) FROM solutions), (SELECT count(*) FROM api_keys)
"""


def reports(trial: Trial) -> str:
    """The reporting role reads the views, and can neither write nor see the tables below."""
    stack = trial.stack
    rows = stack.report("SELECT status, count(*) FROM jobs GROUP BY status ORDER BY status")
    require(rows.returncode == 0 and "Completed|" in rows.stdout, f"{rows.stdout}{rows.stderr}")
    for query, refusal in (
        ("CREATE TABLE mine (n int)", "read-only transaction"),
        ("SET default_transaction_read_only = off; CREATE TABLE mine (n int)", "permission denied"),
        ("SELECT * FROM public.api_keys", "permission denied"),
    ):
        refused = stack.report(query)
        require(refused.returncode != 0 and refusal in refused.stderr, f"{query}: {refused.stderr}")
    return ", ".join(rows.stdout.split()).replace("|", " ")


def backs_up_and_restores(trial: Trial) -> str:
    """A backup while everything runs; restored, it is what it was, and keys still work."""
    stack = trial.stack
    dump = stack.env_file.with_name("backup.dump")
    before = stack.sql(_COUNTS)
    with dump.open("wb") as file:
        stack.pipe("pg_dump", "-U", "postgres", "-Fc", "optimized_tsp", stdout=file)
    trial.create_key("after-the-backup")
    require(stack.sql(_COUNTS) != before, "the new key is not counted")
    stack.compose("stop", "api", "worker")
    restore = (
        "pg_restore",
        "-U",
        "postgres",
        "-d",
        "postgres",
        "--clean",
        "--if-exists",
        "--create",
    )
    with dump.open("rb") as file:
        stack.pipe(*restore, "--exit-on-error", stdin=file)
    restored = stack.sql(_COUNTS)
    require(restored == before, f"there was {before}, now there is {restored}")
    trial.bring_back()
    answer = trial.service.call("GET", JOBS)
    require(answer.status == 200 and answer.body, f"the jobs were answered with {answer}")
    refused = stack.report("SELECT * FROM public.api_keys")
    require("permission denied" in refused.stderr, f"{refused}")
    return f"{dump.stat().st_size / 1024:.0f} KiB"
