"""`optimized-tsp solve FILE`: solve a problem right here, in a child process, without a server."""

from __future__ import annotations

import asyncio
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console

from optimized_tsp.cli.exit_codes import CommandError, ExitCode
from optimized_tsp.cli.problem_file import Route, read_submission
from optimized_tsp.cli.progress import SolveProgress, shown_live
from optimized_tsp.core.config import Settings
from optimized_tsp.core.errors import InvalidInput
from optimized_tsp.jobs.submission import ParsedSubmission, parse_submission
from optimized_tsp.solvers.contract import SolutionStatus, StopReason
from optimized_tsp.solvers.process import (
    Progress,
    SolverCrashed,
    SolveReport,
    SolveRequest,
    SolverFault,
    SolverProcess,
)
from optimized_tsp.solvers.registry import AnySolver, find_solver
from optimized_tsp.solvers.tsp.tsplib_tour import write_tour

__all__ = ["run_solve"]


def run_solve(
    settings: Settings,
    file: Path,
    *,
    solver_name: str,
    parameters: dict[str, Any],
    route: Route,
    tour_file: Path | None,
    plot_file: Path | None,
    as_json: bool,
) -> ExitCode:
    """Solve `file` and print the answer on stdout, progress on stderr; returns the exit code."""
    solver = _solver(solver_name)
    content = read_submission(
        file,
        solver.instance_field,
        parameters=parameters,
        instance=asdict(route),
    )
    try:
        submission = parse_submission(solver, content, settings)
        report = asyncio.run(_solve(submission, settings, title=file.name, quiet=as_json))
    except InvalidInput as error:
        lines = [f"{p.pointer or '(the whole file)'}: {p.message}" for p in error.problems]
        raise CommandError(f"{file}: {error.detail}", ExitCode.USAGE, lines) from None
    except (SolverCrashed, SolverFault) as error:
        raise CommandError(str(error), ExitCode.ERROR) from None
    sys.stdout.write(_as_json(report) if as_json else _as_text(report))
    if tour_file is not None and report.solution is not None:
        _write_tour(tour_file, file.stem, submission, report)
    if plot_file is not None and report.solution is not None:
        _write_plot(plot_file, submission, report)
    return _exit_code(report)


def _solver(name: str) -> AnySolver:
    solver = find_solver(*name.partition("/")[::2])
    if solver is None:
        raise CommandError(
            f"there is no solver {name!r}; use for instance --solver tsp/v1", ExitCode.USAGE
        )
    return solver


async def _solve(
    submission: ParsedSubmission, settings: Settings, *, title: str, quiet: bool
) -> SolveReport:
    most = settings.solver_threads
    request = SolveRequest(
        solver=submission.solver,
        version=submission.version,
        instance=submission.payload,
        time_limit_s=submission.timeout_s,
        threads=min(submission.parameters["threads"] or most, most),
        parameters=submission.parameters,
    )
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)
    console = Console(stderr=True, quiet=quiet)
    progress = SolveProgress(title, time_limit_s=submission.timeout_s)

    def log(seen: Progress) -> None:
        console.print(progress.line(seen))

    async with SolverProcess() as runner:
        await runner.ready()
        show = progress.update if console.is_terminal else log
        with shown_live(progress, console):
            return await runner.solve(request, stop=stop, on_progress=show)


def _exit_code(report: SolveReport) -> ExitCode:
    if report.stop_reason is StopReason.CANCELLED:
        return ExitCode.INTERRUPTED
    return ExitCode.OK if report.solution is not None else ExitCode.NO_SOLUTION


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


def _write_tour(path: Path, name: str, submission: ParsedSubmission, report: SolveReport) -> None:
    """The tour as a TSPLIB file."""
    round_trip = orjson.loads(submission.payload).get("round_trip", True)
    node_order = (report.solution or {}).get("node_order", [])
    if not node_order or report.cost is None:
        raise CommandError(f"{path} is not written: there is no tour", ExitCode.ERROR)
    _write(path, write_tour(name, report.cost, node_order, round_trip=round_trip))


def _write_plot(path: Path, submission: ParsedSubmission, report: SolveReport) -> None:
    """The tour as a picture; the solution stays printed where there are no points to draw."""
    from optimized_tsp.solvers.tsp.formats import plane_of
    from optimized_tsp.solvers.tsp.schemas import TspInstance
    from optimized_tsp.solvers.tsp.tour_svg import write_tour_svg

    points = None
    if submission.solver == "tsp":
        instance = TspInstance.model_validate_json(submission.payload)
        points = plane_of(instance)
    if points is None:
        raise CommandError(f"{path} is not written: only points can be drawn", ExitCode.ERROR)
    text = write_tour_svg(
        (report.solution or {})["node_order"],
        points.coordinates,
        round_trip=instance.round_trip,
        latitude_first=points.latitude_first,
    )
    _write(path, text)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"cannot write {path}: {error.strerror}", ExitCode.ERROR) from None
