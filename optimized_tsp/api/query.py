"""Refuses query parameters a call does not have: a typing error must not change what is asked."""

from __future__ import annotations

from typing import Any

from starlette.requests import HTTPConnection

from optimized_tsp.core.errors import InputProblem, InvalidInput

__all__ = ["check_query"]


async def check_query(connection: HTTPConnection) -> None:
    """A dependency of every call; raises `InvalidInput` and names the parameters there are.

    A parameter that is no list may be given once: it would not be clear which one counts. The
    feed's websockets are passed over; they take no parameters at all and say so themselves.
    """
    known = _parameters(connection) if connection.query_params else None
    if known is None:
        return
    problems = [
        InputProblem(f"/query/{_escaped(name)}", code, message)
        for name in connection.query_params
        for code, message in _wrong_with(name, connection, known)
    ]
    if problems:
        raise InvalidInput("A query parameter is not valid.", problems)


def _wrong_with(
    name: str, connection: HTTPConnection, known: dict[str, bool]
) -> list[tuple[str, str]]:
    if name not in known:
        there_are = f"there are {', '.join(sorted(known))}" if known else "there are none"
        return [("unknown_parameter", f"is no parameter of this call; {there_are}")]
    if not known[name] and len(connection.query_params.getlist(name)) > 1:
        return [("repeated_parameter", "may be given only once")]
    return []


def _parameters(connection: HTTPConnection) -> dict[str, bool] | None:
    """Names of the query parameters and whether each may be repeated; None for undocumented calls.

    The OpenAPI document is the list, so what is refused here and what is promised there agree.
    """
    if connection.scope["type"] != "http":
        return None
    path = connection.app.openapi()["paths"].get(connection.scope["route"].path_format, {})
    operation: dict[str, Any] | None = path.get(connection.scope["method"].lower())
    if operation is None:
        return None
    return {
        parameter["name"]: _is_list(parameter["schema"])
        for parameter in operation.get("parameters", ())
        if parameter["in"] == "query"
    }


def _is_list(schema: dict[str, Any]) -> bool:
    return any(option.get("type") == "array" for option in schema.get("anyOf", [schema]))


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
