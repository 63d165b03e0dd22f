"""Problems in files: read into the body of a submission, whatever the format.

.json                a whole submission, or an instance alone
.tsp, .atsp, .hcp    TSPLIB 95
.csv, .tsv           a table of points (columns x and y, or lon and lat)
.geojson             points
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from optimized_tsp.cli.exit_codes import CommandError, ExitCode
from optimized_tsp.solvers.contract import InvalidInstance

__all__ = ["Route", "read_submission"]

_PARAMETERS = "optimization_parameters"


@dataclass(frozen=True, slots=True)
class Route:
    """Where a tour begins and ends, as members of an instance; None leaves it to the file."""

    start: int | None = None
    end: int | None = None
    round_trip: bool | None = None


def read_submission(
    file: Path,
    instance_field: str,
    *,
    parameters: dict[str, Any] | None = None,
    instance: dict[str, Any] | None = None,
    **members: Any,
) -> bytes:
    """The submission in `file`, as JSON.

    `parameters` (of the solver), members of the `instance` and other members of the submission
    override those of the file unless they are None.
    Raises `CommandError`; what the file says is checked by whoever takes the submission.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise CommandError(f"cannot read {file}: {error.strerror}", ExitCode.USAGE) from None
    try:
        body = _reader(file)(content)
    except orjson.JSONDecodeError as error:
        place = f"line {error.lineno} column {error.colno}"
        raise CommandError(
            f"{file} is not JSON: {error.msg} at {place} (files of other formats end with "
            f"{', '.join(_READERS)})",
            ExitCode.USAGE,
        ) from None
    except InvalidInstance as error:
        lines = [f"{problem.pointer} {problem.message}".strip() for problem in error.problems]
        raise CommandError(f"{file} is not valid", ExitCode.USAGE, lines) from None
    if not isinstance(body, dict):
        raise CommandError(f"{file} holds no JSON object", ExitCode.USAGE)
    if instance_field not in body:
        body = {instance_field: body}
    _override(body, _PARAMETERS, parameters or {})
    _override(body, instance_field, instance or {})
    chosen = {name: value for name, value in members.items() if value is not None}
    return orjson.dumps(body | chosen)


def _override(body: dict[str, Any], field: str, values: dict[str, Any]) -> None:
    """What is given goes before what the file says; what is no object is left to be refused."""
    given = {name: value for name, value in values.items() if value is not None}
    if given and isinstance(body.setdefault(field, {}), dict):
        body[field] |= given


def _reader(file: Path) -> Callable[[bytes], Any]:
    return _READERS.get(file.suffix.lower(), orjson.loads)


def _tsplib(content: bytes) -> dict[str, Any]:
    from optimized_tsp.solvers.tsp.tsplib_text import decode_tsplib

    return {"tsplib": decode_tsplib(content)}


def _table(content: bytes) -> dict[str, Any]:
    from optimized_tsp.solvers.tsp.points_csv import read_points_csv

    return read_points_csv(content).instance()


def _map(content: bytes) -> dict[str, Any]:
    from optimized_tsp.solvers.tsp.points_geojson import read_points_geojson

    return read_points_geojson(content).instance()


_READERS: dict[str, Callable[[bytes], dict[str, Any]]] = {
    ".tsp": _tsplib,
    ".atsp": _tsplib,
    ".hcp": _tsplib,
    ".csv": _table,
    ".tsv": _table,
    ".geojson": _map,
}
