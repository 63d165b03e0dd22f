"""Parameters of a solve as options of commands; what is not given is left to the file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypeAlias

import orjson
import typer

from optimized_tsp.cli.exit_codes import CommandError, ExitCode

__all__ = [
    "Deterministic",
    "Engine",
    "GapLimit",
    "InitialTour",
    "NoImprovement",
    "Seed",
    "Threads",
    "read_initial_tour",
    "tour_parameters",
]

Seed: TypeAlias = Annotated[
    int | None,
    typer.Option(min=0, help="Seed of every random choice; default: 0."),
]
Threads: TypeAlias = Annotated[
    int | None, typer.Option(min=1, help="Cores; default and at most OPTIMIZED_TSP_SOLVER_THREADS.")
]
Engine: TypeAlias = Annotated[
    str | None, typer.Option(help="What proves the tour: auto, branch_and_cut or cp_sat.")
]
GapLimit: TypeAlias = Annotated[
    float | None, typer.Option(metavar="FRACTION", help="Stop at this gap: 0.01 is 1 %.")
]
NoImprovement: TypeAlias = Annotated[
    float | None,
    typer.Option(metavar="S", help="Stop when no shorter tour was found for so many seconds."),
]
InitialTour: TypeAlias = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="A tour to start from: a TSPLIB .tour file, or JSON."),
]
Deterministic: TypeAlias = Annotated[
    bool, typer.Option("--deterministic", help="The same tour every time, on one core.")
]


def tour_parameters(
    *,
    seed: int | None,
    threads: int | None,
    engine: str | None,
    gap_limit: float | None,
    no_improvement: float | None,
    initial_tour: Path | None,
    deterministic: bool,
) -> dict[str, Any]:
    """The parameters by their names in a submission; None where nothing was said."""
    return {
        "seed": seed,
        "threads": threads,
        "engine": engine,
        "gap_limit": gap_limit,
        "no_improvement_timeout": no_improvement,
        "initial_tour": None if initial_tour is None else read_initial_tour(initial_tour),
        "deterministic": deterministic or None,
    }


def read_initial_tour(file: Path) -> Any:
    """The nodes of a tour, counted from 0: of a TSPLIB file, a JSON list, or a JSON solution.

    Raises `CommandError`; whether it is a tour of the instance is for others to say.
    """
    from optimized_tsp.solvers.tsp.tsplib_text import TsplibError, decode_tsplib
    from optimized_tsp.solvers.tsp.tsplib_tour import read_tour

    try:
        content = file.read_bytes()
        if file.suffix.lower() != ".json":
            return read_tour(decode_tsplib(content))
        tour = orjson.loads(content)
    except OSError as error:
        raise CommandError(f"cannot read {file}: {error.strerror}", ExitCode.USAGE) from None
    except orjson.JSONDecodeError as error:
        raise CommandError(f"{file} is not JSON: {error.msg}", ExitCode.USAGE) from None
    except TsplibError as error:
        raise CommandError(f"{file} is no tour: {error}", ExitCode.USAGE) from None
    nodes = tour.get("node_order") if isinstance(tour, dict) else tour
    if not isinstance(nodes, list):
        raise CommandError(f"{file} holds no list of nodes and no solution", ExitCode.USAGE)
    return nodes
