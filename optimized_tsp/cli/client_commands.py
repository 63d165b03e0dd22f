"""The commands for a running service; each imports what it needs when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias
from uuid import UUID

import typer

from optimized_tsp.cli.exit_codes import CommandError, ExitCode, finish
from optimized_tsp.cli.formats import ReportFormat, ResultFormat
from optimized_tsp.cli.parameters import (
    Deterministic,
    Engine,
    GapLimit,
    InitialTour,
    NoImprovement,
    Seed,
    Threads,
    tour_parameters,
)
from optimized_tsp.jobs.states import JobStatus

__all__ = [
    "PROBLEM_FILE",
    "AsJson",
    "End",
    "RoundTrip",
    "Start",
    "Tags",
    "Url",
    "client_app",
    "parse_tags",
]

PROBLEM_FILE = "A .json submission or instance, .tsp, .atsp, .csv or .geojson."

client_app = typer.Typer()

TaskId: TypeAlias = Annotated[UUID, typer.Argument(help="The job's id, as submit printed it.")]
Url: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Address of the service; default: OPTIMIZED_TSP_URL, else what runs here.",
    ),
]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="One JSON document.")]
Tags: TypeAlias = Annotated[
    list[str] | None, typer.Option("--tag", metavar="KEY=VALUE", help="May be repeated.")
]
SolverName: TypeAlias = Annotated[str, typer.Option(help="Which solver, as name/version.")]
Start: TypeAlias = Annotated[
    int | None, typer.Option(min=0, metavar="NODE", help="Where the tour begins (from 0).")
]
End: TypeAlias = Annotated[
    int | None, typer.Option(min=0, metavar="NODE", help="Where an open path ends; with --open.")
]
RoundTrip: TypeAlias = Annotated[
    bool | None,
    typer.Option("--round-trip/--open", help="Come back, or an open path; default: the file's."),
]
Wait: TypeAlias = Annotated[
    float | None,
    typer.Option(min=0, metavar="S", help="At most so many seconds; then exit code 8."),
]


@client_app.command()
def submit(
    file: Annotated[Path, typer.Argument(help=PROBLEM_FILE)],
    *,
    name: Annotated[str | None, typer.Option(help="A name of your own.")] = None,
    tag: Tags = None,
    time_limit: Annotated[
        float | None, typer.Option(metavar="S", help="Seconds; default: the file's, else 60.")
    ] = None,
    seed: Seed = None,
    threads: Threads = None,
    engine: Engine = None,
    gap_limit: GapLimit = None,
    no_improvement: NoImprovement = None,
    initial_tour: InitialTour = None,
    deterministic: Deterministic = False,
    start: Start = None,
    end: End = None,
    round_trip: RoundTrip = None,
    watch: Annotated[bool, typer.Option("--watch", help="Show it live to its end.")] = False,
    wait: Wait = None,
    idempotency_key: Annotated[
        str | None, typer.Option(metavar="KEY", help="The same key and file give the same job.")
    ] = None,
    solver: SolverName = "tsp/v1",
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Submit a problem and print the job's id; with --watch or --wait stay until it has ended.

    Ctrl-C only detaches: the job goes on.
    """
    from optimized_tsp.cli.address import find_service
    from optimized_tsp.cli.problem_file import Route
    from optimized_tsp.cli.submit import Order, run_submit

    def work() -> ExitCode:
        order = Order(
            file=file,
            solver=solver,
            name=name,
            tags=dict(parse_tags(tag)),
            parameters={
                "timeout": time_limit,
                **tour_parameters(
                    seed=seed,
                    threads=threads,
                    engine=engine,
                    gap_limit=gap_limit,
                    no_improvement=no_improvement,
                    initial_tour=initial_tour,
                    deterministic=deterministic,
                ),
            },
            route=Route(start, end, round_trip),
            idempotency_key=idempotency_key,
            stay=watch or wait is not None,
            wait_s=wait,
            quiet=not watch,
        )
        return run_submit(find_service(url), order, as_json=as_json)

    finish(work)


@client_app.command()
def jobs(
    *,
    status: Annotated[
        list[JobStatus] | None,
        typer.Option(case_sensitive=False, help="Only these; may be repeated."),
    ] = None,
    tag: Tags = None,
    name: Annotated[str | None, typer.Option(help="Only jobs with exactly this name.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 50,
    everything: Annotated[bool, typer.Option("--all", help="Every job there is.")] = False,
    solver: SolverName = "tsp/v1",
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """List jobs, newest first."""
    from optimized_tsp.cli.address import find_service
    from optimized_tsp.cli.jobs import run_jobs

    def work() -> ExitCode:
        filters = [("status", one.value) for one in status or []]
        filters += [("tag", f"{key}:{value}") for key, value in parse_tags(tag)]
        filters += [] if name is None else [("name", name)]
        return run_jobs(
            find_service(url),
            solver=solver,
            filters=filters,
            limit=None if everything else limit,
            as_json=as_json,
        )

    finish(work)


@client_app.command()
def show(task_id: TaskId, *, url: Url = None, as_json: AsJson = False) -> None:
    """Show a job's status."""
    from optimized_tsp.cli.address import find_service
    from optimized_tsp.cli.jobs import run_show

    finish(lambda: run_show(find_service(url), task_id, as_json=as_json))


@client_app.command()
def watch(
    task_id: TaskId,
    *,
    wait: Wait = None,
    url: Url = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line per event.")] = False,
) -> None:
    """Follow a job live to its end; Ctrl-C only detaches, the job goes on.

    Exit codes: 0 solved, 3 infeasible, 6 failed, 7 cancelled, 8 the wait is over.
    """
    from optimized_tsp.cli.address import find_service
    from optimized_tsp.cli.watch import run_watch

    finish(lambda: run_watch(find_service(url), task_id, wait_s=wait, as_json=as_json))


@client_app.command()
def log(
    task_id: TaskId,
    *,
    after: Annotated[
        int, typer.Option(min=0, max=2**31 - 1, metavar="LINE", help="Only lines after this one.")
    ] = 0,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the job has ended.")
    ] = False,
    wait: Wait = None,
    url: Url = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON document; with --follow one a line.")
    ] = False,
) -> None:
    """Print what a job's solver said; its lines count from 1.

    With --follow it ends with the job, and with the exit codes of `watch`; Ctrl-C only detaches.
    """
    from optimized_tsp.cli.address import find_service
    from optimized_tsp.cli.log import run_follow_log, run_log

    def work() -> ExitCode:
        service = find_service(url)
        if follow:
            return run_follow_log(service, task_id, after=after, wait_s=wait, as_json=as_json)
        if wait is not None:
            raise CommandError("--wait needs --follow", ExitCode.USAGE)
        return run_log(service, task_id, after=after, as_json=as_json)

    finish(work)


@client_app.command()
def cancel(task_id: TaskId, *, url: Url = None, as_json: AsJson = False) -> None:
    """Stop a job and keep its best solution."""
    from optimized_tsp.cli.address import find_service
    from optimized_tsp.cli.jobs import run_cancel

    finish(lambda: run_cancel(find_service(url), task_id, as_json=as_json))


@client_app.command()
def result(
    task_id: TaskId,
    *,
    form: Annotated[
        ResultFormat | None, typer.Option("--format", help="Default: json; tour is TSPLIB's.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", dir_okay=False, help="Write it to this file.")
    ] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Print the best solution so far."""
    from optimized_tsp.cli.address import find_service
    from optimized_tsp.cli.jobs import run_result

    def work() -> ExitCode:
        _check_formats(form, as_json=as_json)
        chosen = form or ResultFormat.JSON
        return run_result(find_service(url), task_id, form=chosen, output=output)

    finish(work)


@client_app.command()
def report(
    name: Annotated[str, typer.Argument(help="A view of the schema reporting, such as jobs.")],
    *,
    form: Annotated[ReportFormat | None, typer.Option("--format", help="Default: table.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many rows.")] = 1000,
    everything: Annotated[bool, typer.Option("--all", help="Every row there is.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print a report on past jobs, read from the database (OPTIMIZED_TSP_REPORTING_URL)."""
    from optimized_tsp.cli.report import run_report

    def work() -> ExitCode:
        _check_formats(form, as_json=as_json)
        chosen = ReportFormat.JSON if as_json else form or ReportFormat.TABLE
        return run_report(name, form=chosen, limit=None if everything else limit)

    finish(work)


def parse_tags(texts: list[str] | None) -> list[tuple[str, str]]:
    """Keys and values of `--tag key=value`; raises `CommandError`."""
    pairs = []
    for text in texts or []:
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise CommandError(f"the tag {text!r} has to have the form key=value", ExitCode.USAGE)
        pairs.append((key, value))
    return pairs


def _check_formats(form: ResultFormat | ReportFormat | None, *, as_json: bool) -> None:
    if as_json and form is not None and form.value != "json":
        raise CommandError(f"--json and --format {form} exclude each other", ExitCode.USAGE)
