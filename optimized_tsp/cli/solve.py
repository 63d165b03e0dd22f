"""`optimized-tsp solve FILE`: solve a problem right here, in a child process, without a server."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import Any

import orjson
import typer
from rich.console import Console
from rich.live import Live

from optimized_tsp.cli.progress import SolveProgress
from optimized_tsp.core.config import Settings
from optimized_tsp.core.errors import InvalidInput
from optimized_tsp.jobs.submission import ParsedSubmission, parse_submission
from optimized_tsp.solvers.contract import SolutionStatus, StopReason
from optimized_tsp.solvers.process import (
    SolverCrashed,
    SolveReport,
    SolveRequest,
    SolverFault,
    SolverProcess,
)
from optimized_tsp.solvers.registry import AnySolver, find_solver
from optimized_tsp.solvers.tsp.tsplib_tour import write_tour

__all__ = ["run_solve"]

EXIT_ERROR, EXIT_USAGE, EXIT_NO_SOLUTION, EXIT_INTERRUPTED = 1, 2, 3, 130

_HEARTBEAT_S = 0.1


def run_solve(
    settings: Settings,
    file: Path,
    *,
    solver_name: str,
    time_limit_s: float | None,
    seed: int | None,
    tour_file: Path | None,
    as_json: bool,
) -> int:
    """Solve `file` and print the answer on stdout, progress on stderr; returns the exit code."""
    solver = _solver(solver_name)
    try:
        submission = _read(solver, file, settings, time_limit_s=time_limit_s, seed=seed)
        report = asyncio.run(_solve(submission, settings, title=file.name, quiet=as_json))
    except InvalidInput as error:
        _complain(f"{file}: {error.detail}")
        for problem in error.problems:
            _complain(f"  {problem.pointer or '(the whole file)'}: {problem.message}")
        return EXIT_USAGE
    except (SolverCrashed, SolverFault) as error:
        _complain(str(error))
        return EXIT_ERROR
    if tour_file is not None and not _write_tour(tour_file, file.stem, report):
        return EXIT_ERROR
    sys.stdout.write(_as_json(report) if as_json else _as_text(report))
    return _exit_code(report)


def _solver(name: str) -> AnySolver:
    solver = find_solver(*name.partition("/")[::2])
    if solver is None:
        _complain(f"there is no solver {name!r}; use for instance --solver tsp/v1")
        raise typer.Exit(EXIT_USAGE)
    return solver


def _read(
    solver: AnySolver,
    file: Path,
    settings: Settings,
    *,
    time_limit_s: float | None,
    seed: int | None,
) -> ParsedSubmission:
    """The submission in `file`: the body of a POST, or a bare instance."""
    try:
        content = file.read_bytes()
    except OSError as error:
        _complain(f"cannot read {file}: {error.strerror}")
        raise typer.Exit(EXIT_USAGE) from None
    try:
        body: Any = orjson.loads(content)
    except orjson.JSONDecodeError:
        body = None  # parse_submission says where it goes wrong
    if isinstance(body, dict):
        if solver.instance_field not in body:
            body = {solver.instance_field: body}
        given = {"timeout": time_limit_s, "seed": seed}
        parameters = body.get("optimization_parameters", {})
        if isinstance(parameters, dict):
            chosen = {key: value for key, value in given.items() if value is not None}
            body["optimization_parameters"] = parameters | chosen
        content = orjson.dumps(body)
    return parse_submission(solver, content, settings)


async def _solve(
    submission: ParsedSubmission, settings: Settings, *, title: str, quiet: bool
) -> SolveReport:
    request = SolveRequest(
        solver=submission.solver,
        version=submission.version,
        instance=submission.payload,
        time_limit_s=submission.timeout_s,
        threads=settings.solver_threads,
        parameters=submission.parameters,
    )
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)
    console = Console(stderr=True, quiet=quiet)
    progress = SolveProgress(title, time_limit_s=submission.timeout_s)
    async with SolverProcess() as runner:
        await runner.ready()
        if not console.is_terminal:
            return await runner.solve(
                request, stop=stop, on_progress=lambda seen: console.print(progress.line(seen))
            )
        with Live(progress, console=console, refresh_per_second=1 / _HEARTBEAT_S, transient=True):
            return await runner.solve(request, stop=stop, on_progress=progress.update)


def _exit_code(report: SolveReport) -> int:
    if report.stop_reason is StopReason.CANCELLED:
        return EXIT_INTERRUPTED
    return 0 if report.solution is not None else EXIT_NO_SOLUTION


def _as_json(report: SolveReport) -> str:
    answer = {
        "solution_status": report.solution_status,
        "stop_reason": report.stop_reason,
        "cost": report.cost,
        "lower_bound": report.lower_bound,
        "gap": report.gap,
        "node_order": None,
        **(report.solution or {}),
        "infeasibility": report.infeasibility,
        "wall_s": round(report.elapsed_s, 3),
        "statistics": report.statistics,
        "warnings": report.warnings,
    }
    return orjson.dumps(answer).decode() + "\n"


def _as_text(report: SolveReport) -> str:
    lines = [f"status       {report.solution_status} ({report.stop_reason})"]
    if report.infeasibility is not None:
        lines.append(f"why          {report.infeasibility['message']}")
    if report.cost is not None:
        lines.append(f"cost         {report.cost}")
    if report.lower_bound is not None and report.solution_status is not SolutionStatus.INFEASIBLE:
        lines.append(f"lower bound  {report.lower_bound}")
    if report.gap is not None:
        lines.append(f"gap          {report.gap:.4%}")
    lines.append(f"time         {report.elapsed_s:.2f} s")
    for key, value in (report.solution or {}).items():
        if key != "cost":
            lines.append(f"{key:<12} {' '.join(map(str, value)) if _is_list(value) else value}")
    return "\n".join(lines) + "\n"


def _is_list(value: object) -> bool:
    return isinstance(value, list)


def _write_tour(path: Path, name: str, report: SolveReport) -> bool:
    """The tour as a TSPLIB file; False when there is none or it cannot be written."""
    node_order = (report.solution or {}).get("node_order", [])
    if not node_order or report.cost is None:
        _complain(f"{path} is not written: there is no tour")
        return report.solution is None  # without a solution the exit code says so already
    try:
        path.write_text(write_tour(name, report.cost, node_order), encoding="utf-8")
    except OSError as error:
        _complain(f"cannot write {path}: {error.strerror}")
        return False
    return True


def _complain(message: str) -> None:
    sys.stderr.write(f"optimized-tsp: {message}\n")
