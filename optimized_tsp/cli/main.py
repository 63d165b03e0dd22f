"""The `optimized-tsp` command. Each command imports what it needs when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from optimized_tsp.cli.client_commands import PROBLEM_FILE, End, RoundTrip, Start, client_app
from optimized_tsp.cli.exit_codes import finish
from optimized_tsp.cli.keys import keys_app
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
from optimized_tsp.cli.settings import load_settings
from optimized_tsp.cli.webhook_commands import webhooks_app

__all__ = ["app", "main"]

app = typer.Typer(
    name="optimized-tsp",
    help="Post a problem, watch it being solved live, find every past job in SQL.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(client_app)
app.add_typer(keys_app, name="keys")
app.add_typer(webhooks_app, name="webhooks")


def main() -> None:
    """Entry point of the command."""
    app()


@app.command()
def up(
    *,
    demo: Annotated[
        bool, typer.Option(help="Solve the bundled example once everything runs.")
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(min=1, max=256, help="Worker processes  [default: OPTIMIZED_TSP_WORKERS]"),
    ] = None,
    parent: Annotated[
        int | None, typer.Option(hidden=True, help="Stop when this process, the parent, ends.")
    ] = None,
) -> None:
    """Run everything: Postgres, Valkey, migrations, API and workers, in one process tree."""
    from optimized_tsp.cli.up import run_up

    settings = load_settings()
    if workers is not None:
        settings = settings.model_copy(update={"workers": workers})
    raise typer.Exit(run_up(settings, demo=demo, parent=parent))


@app.command()
def serve() -> None:
    """Run the API alone, on your own Postgres and Redis."""
    from optimized_tsp.api.server import run

    run(load_settings())


@app.command()
def worker() -> None:
    """Run one worker alone, on your own Postgres and Redis."""
    from optimized_tsp.worker.main import run

    run(load_settings())


@app.command()
def migrate() -> None:
    """Bring the database to the present schema, then exit."""
    from optimized_tsp.cli.migrate import run_migrate

    raise typer.Exit(run_migrate(load_settings()))


@app.command()
def solve(
    file: Annotated[Path, typer.Argument(help=PROBLEM_FILE)],
    *,
    solver: Annotated[str, typer.Option(help="Which solver, as name/version.")] = "tsp/v1",
    time_limit: Annotated[
        float | None, typer.Option(min=0.001, help="Seconds; default: the file's, else 60.")
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
    tour: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Also write the tour as a TSPLIB file.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Also draw the tour, as SVG (points only).")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object instead of text.")
    ] = False,
) -> None:
    """Solve a file right here, without a server; Ctrl-C stops and keeps the best solution."""
    from optimized_tsp.cli.problem_file import Route
    from optimized_tsp.cli.solve import run_solve

    finish(
        lambda: run_solve(
            load_settings(),
            file,
            solver_name=solver,
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
            tour_file=tour,
            plot_file=plot,
            as_json=as_json,
        )
    )


@app.command()
def config(
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object, secrets shown.")
    ] = False,
) -> None:
    """Show every setting, its value and where it came from."""
    from optimized_tsp.cli.config import show_config

    show_config(load_settings(), as_json=as_json)


@app.command()
def openapi(
    *,
    as_json: Annotated[  # noqa: ARG001 - it never is anything else
        bool, typer.Option("--json", help="What it prints anyway.")
    ] = False,
) -> None:
    """Print the OpenAPI schema; needs no running service."""
    from optimized_tsp.cli.schema import run_openapi

    finish(lambda: run_openapi(load_settings()))


if __name__ == "__main__":
    main()
