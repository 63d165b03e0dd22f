"""The OpenAPI document: what FastAPI finds, plus the schemas of bodies we parse ourselves."""

from __future__ import annotations

import re
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from optimized_tsp.jobs.schemas import solution_type, submission_type
from optimized_tsp.solvers.registry import all_solvers

__all__ = ["build_openapi", "methods_of"]

_PARAMETER = re.compile(r"\\\{\w+\\\}")  # as re.escape writes {name}

_PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "RFC 9457 problem details.",
    "required": ["type", "title", "status", "detail", "instance"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "errors": {
            "type": "array",
            "maxItems": 100,
            "items": {
                "type": "object",
                "required": ["pointer", "code", "message"],
                "properties": {
                    "pointer": {"type": "string", "description": "RFC 6901 JSON pointer."},
                    "code": {"type": "string"},
                    "message": {"type": "string"},
                },
            },
        },
    },
}


def build_openapi(app: FastAPI) -> dict[str, Any]:
    """The document of all routes; made once."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            routes=app.routes,
        )
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas.update(_submission_schemas())
        schemas["Problem"] = _PROBLEM_SCHEMA
        schemas.pop("HTTPValidationError", None)
        schemas.pop("ValidationError", None)
        for path in document["paths"].values():
            for operation in path.values():
                _problem_answers(operation)
        _link(document["paths"], "task_id", status="202", field="task_id")
        _link(document["paths"], "webhook_id", status="201", field="id")
        app.openapi_schema = document
    return app.openapi_schema


def methods_of(app: FastAPI, path: str) -> list[str]:
    """The methods of a path, over all routes (each route alone only knows its own)."""
    paths = app.openapi()["paths"]
    for template, operations in sorted(paths.items()):  # a fixed name sorts before a {parameter}
        if re.fullmatch(_PARAMETER.sub("[^/]+", re.escape(template)), path):
            methods = {method.upper() for method in operations}
            return sorted(methods | {"HEAD"} if "GET" in methods else methods)
    return ["GET", "HEAD"]


def _submission_schemas() -> dict[str, Any]:
    """What can be submitted, for all solvers together.

    So two solvers may each have, say, an `Item` of their own: pydantic gives longer names to both.
    Solutions take part in that, as their classes are in the document too.
    """
    solvers = all_solvers().values()
    models: list[tuple[type[BaseModel], JsonSchemaMode]] = [
        *((submission_type(solver), "validation") for solver in solvers),
        *((solution_type(solver), "serialization") for solver in solvers),
    ]
    _, document = models_json_schema(models, ref_template="#/components/schemas/{model}")
    definitions: dict[str, Any] = document["$defs"]
    return definitions


def _link(paths: dict[str, Any], parameter: str, *, status: str, field: str) -> None:
    """Say that a field of the answer to a POST is what the calls below its path ask for."""
    for path, operations in paths.items():
        collection, found, _ = path.partition(f"/{{{parameter}}}")
        if not found:
            continue
        links = paths[collection]["post"]["responses"][status].setdefault("links", {})
        for operation in operations.values():
            links[operation["operationId"]] = {
                "operationId": operation["operationId"],
                "parameters": {parameter: f"$response.body#/{field}"},
            }


def _problem_answers(operation: dict[str, Any]) -> None:
    answer = {
        "description": "A problem document (RFC 9457).",
        "content": {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
        },
    }
    operation["responses"].pop("422", None)
    operation["responses"]["default"] = answer
