"""`optimized-tsp submit FILE`."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson

from optimized_tsp.cli.address import Address
from optimized_tsp.cli.client import Job, Service, job_path
from optimized_tsp.cli.exit_codes import ExitCode, complain
from optimized_tsp.cli.follow import WaitTimedOut
from optimized_tsp.cli.problem_file import Route, read_submission
from optimized_tsp.cli.watch import detached, end_code, summary, watch_to_end

__all__ = ["Order", "run_submit"]


@dataclass(frozen=True, slots=True)
class Order:
    """What to submit, and how long to stay; `wait_s` None with `stay` is to the end."""

    file: Path
    solver: str
    name: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    route: Route = field(default_factory=Route)
    idempotency_key: str | None = None
    stay: bool = False
    wait_s: float | None = None
    quiet: bool = False


def run_submit(address: Address, order: Order, *, as_json: bool) -> ExitCode:
    """Submit and, where asked for, stay until the job has ended; prints id, result or status."""
    key = order.idempotency_key or str(uuid4())
    with Service(address) as service:
        try:
            job = _submit(service, order, key)
        except KeyboardInterrupt:
            complain(
                "interrupted, the job may be stored already. Asking again is safe with: "
                f"--idempotency-key {key}"
            )
            return ExitCode.INTERRUPTED
        for warning in job.get("warnings", []):
            complain(f"warning: {warning['message']}")
        if order.stay:
            return _stay(service, job, order, as_json=as_json)
    if as_json:
        _print_json(job)
        return ExitCode.OK
    sys.stdout.write(f"{job['task_id']}\n")
    complain(f"submitted. Watch it with: {address.command('watch ' + job['task_id'])}")
    return ExitCode.OK


def _submit(service: Service, order: Order, key: str) -> Job:
    solver = service.solver(order.solver)
    body = read_submission(
        order.file,
        solver["instance_field"],
        parameters=order.parameters,
        instance=asdict(order.route),
        name=order.name,
        tags=order.tags or None,
    )
    return service.submit(solver["jobs"], body, key=key)


def _stay(service: Service, job: Job, order: Order, *, as_json: bool) -> ExitCode:
    complain(f"submitted as {job['task_id']}")
    quiet = order.quiet or as_json
    try:
        end = watch_to_end(service, job, wait_s=order.wait_s, quiet=quiet)
    except KeyboardInterrupt:
        return detached(service.address.command(f"watch {job['task_id']}"))
    except WaitTimedOut:
        if as_json:
            _print_json(service.job(job_path(job)))
        raise
    if as_json:
        _print_json(service.job(job_path(job)))
    else:
        sys.stdout.write("\n".join(summary(service, end)) + "\n")
    return end_code(end)


def _print_json(job: Job) -> None:
    sys.stdout.write(orjson.dumps(job).decode() + "\n")
