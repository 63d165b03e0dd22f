"""The `optimized-tsp` command. Each command imports what it needs when it runs."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from pydantic import ValidationError

from optimized_tsp.core.config import Settings

__all__ = ["app", "main"]

EXIT_ERROR = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130

app = typer.Typer(
    name="optimized-tsp",
    help="Post a problem, watch it being solved live, find every past job in SQL.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Entry point of the command."""
    app()


def load_settings() -> Settings:
    """The settings from the environment; ends with one line per wrong one."""
    try:
        return Settings()
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_context=False):
            name = "".join(f"OPTIMIZED_TSP_{part}: ".upper() for part in problem["loc"])
            sys.stderr.write(f"optimized-tsp: {name}{problem['msg']}\n")
        raise typer.Exit(EXIT_USAGE) from None


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
    with_parent: Annotated[
        bool, typer.Option("--with-parent", hidden=True, help="Stop when the caller dies.")
    ] = False,
) -> None:
    """Run everything: Postgres, Valkey, migrations, API and workers, in one process tree."""
    from optimized_tsp.cli.up import run_up

    settings = load_settings()
    if workers is not None:
        settings = settings.model_copy(update={"workers": workers})
    raise typer.Exit(run_up(settings, demo=demo, with_parent=with_parent))


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
def config(
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object, secrets shown.")
    ] = False,
) -> None:
    """Show every setting, its value and where it came from."""
    from optimized_tsp.cli.config import show_config

    show_config(load_settings(), as_json=as_json)


if __name__ == "__main__":
    main()
