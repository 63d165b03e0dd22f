"""What is said in the query beside a body that is no JSON, and so holds an instance alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Annotated, Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from optimized_tsp.core.errors import InputProblem, InvalidInput
from optimized_tsp.core.problems import problems_of
from optimized_tsp.core.tags import MAX_TAGS
from optimized_tsp.jobs.endpoints.scope import NO_NUL, TagText, parse_tag
from optimized_tsp.jobs.submission import JSON, Body
from optimized_tsp.solvers.contract import Formatting
from optimized_tsp.solvers.registry import AnySolver, UnfitSolver, all_solvers
from optimized_tsp.webhooks.address import MAX_URL_LENGTH

__all__ = ["body_with_query", "query_parameters"]

ModelT = TypeVar("ModelT", bound=BaseModel)

_BESIDE = "For bodies of other types than JSON."
_MEMBERS = {
    "name": "/name",
    "timeout": "/optimization_parameters/timeout",
    "tag": "/tags",
    "webhook_url": "/webhook_url",
}
"""The parameters of every solver, and what each stands for in a JSON body."""


class _Members(BaseModel):
    """Their rules."""

    name: str | None = Field(
        None, description=f"The job's name. {_BESIDE}", max_length=200, pattern=NO_NUL
    )
    timeout: float | None = Field(
        None, description=f"Seconds. {_BESIDE}", gt=0, allow_inf_nan=False
    )
    tag: list[TagText] | None = Field(
        None, description=f"key:value, repeatable. {_BESIDE}", max_length=MAX_TAGS
    )
    webhook_url: str | None = Field(
        None, description=f"Where its end is posted to. {_BESIDE}", max_length=MAX_URL_LENGTH
    )

    def submission(self) -> dict[str, Any]:
        """What they stand for, as a JSON body has it."""
        beside: dict[str, Any] = {"name": self.name, "webhook_url": self.webhook_url}
        if self.timeout is not None:
            beside["optimization_parameters"] = {"timeout": self.timeout}
        if self.tag:
            beside["tags"] = dict(parse_tag(text) for text in self.tag)
        return {name: value for name, value in beside.items() if value is not None}


def query_parameters(solver: AnySolver) -> list[dict[str, Any]]:
    """The OpenAPI parameters for what may come beside a body.

    FastAPI is not asked to look for them: for the bodies that nearly all have, which are JSON, that
    took longer than everything else it does.
    """
    members = _Members.model_json_schema()["properties"]
    for schema in members.values():
        del schema["default"]  # null, which cannot be said in a query
    instance = {name: _explained(solver, name, one) for name, one in _schemas(solver).items()}
    return [
        {
            "name": name,
            "in": "query",
            "required": False,
            "description": schema["description"],
            "schema": schema,
        }
        for name, schema in (members | instance).items()
    ]


def body_with_query(request: Request, solver: AnySolver, content: bytes, media_type: str) -> Body:
    """The body and what is said beside it; raises `InvalidInput` where that does not go with it."""
    if media_type == JSON and not request.query_params:
        return Body(content)
    given: dict[str, Any] = {name: request.query_params.get(name) for name in request.query_params}
    if "tag" in given:
        given["tag"] = request.query_params.getlist("tag")
    members = _checked(_Members.model_validate, given)
    rules = _fields_type(solver.name, solver.version)
    instance = _checked(rules.model_validate_strings, given)
    if media_type == JSON:
        _refuse_beside_json(request, solver)
        return Body(content)
    fields = instance.model_dump(mode="json", include=set(given))
    _refuse_foreign(solver, media_type, fields)
    places = {pointer: f"/query/{name}" for name, pointer in _MEMBERS.items()}
    places |= {
        f"/{solver.instance_field}/{name}": f"/query/{name}" for name in type(instance).model_fields
    }
    return Body(content, media_type, members.submission(), fields, places)


def _checked(validate: Callable[[dict[str, Any]], ModelT], given: dict[str, Any]) -> ModelT:
    """The query's parameters by these rules, which pass over those that they are not for."""
    try:
        return validate(given)
    except ValidationError as error:
        problems = [
            InputProblem(f"/query{problem.pointer}", problem.code, problem.message)
            for problem in problems_of(error)
        ]
        raise InvalidInput("A query parameter is not valid.", problems) from None


def _refuse_beside_json(request: Request, solver: AnySolver) -> None:
    fields = _fields_type(solver.name, solver.version).model_fields
    found = [name for name in (*_MEMBERS, *fields) if name in request.query_params]
    if found:
        raise InvalidInput(
            f"{' and '.join(found)}: what is in a JSON body belongs into it, not into the query.",
            [
                InputProblem(f"/query/{name}", "belongs_into_body", "give this in the JSON body")
                for name in found
            ],
        )


def _refuse_foreign(solver: AnySolver, media_type: str, instance: dict[str, Any]) -> None:
    """Not every format leaves the same fields unsaid."""
    possible = solver.beside.get(media_type, ()) if isinstance(solver, Formatting) else ()
    problems = [
        InputProblem(
            f"/query/{name}", "not_for_this_type", f"does not go with a body of type {media_type}"
        )
        for name in instance
        if name not in possible
    ]
    if problems:
        raise InvalidInput("A query parameter is not valid.", problems)


def _explained(solver: AnySolver, name: str, schema: dict[str, Any]) -> dict[str, Any]:
    assert isinstance(solver, Formatting)  # noqa: S101 - no others have such fields
    kinds = ", ".join(kind for kind, names in solver.beside.items() if name in names)
    sentence = f"{schema.pop('description', name).rstrip('.')}. For bodies of type {kinds}."
    return schema | {"description": sentence}


def _schemas(solver: AnySolver) -> dict[str, dict[str, Any]]:
    found = _fields_type(solver.name, solver.version).model_json_schema().get("properties", {})
    return {name: _plain(solver, name, schema) for name, schema in found.items()}


def _plain(solver: AnySolver, name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a value in a query, where null cannot be said."""
    options = [one for one in schema.pop("anyOf", [{}]) if one.get("type") != "null"]
    plain: dict[str, Any] = schema | (options[0] if len(options) == 1 else {"anyOf": options})
    if plain.get("default", 0) is None:
        del plain["default"]
    if plain.get("type") not in {"integer", "number", "string", "boolean"}:
        raise _unfit(solver, f"the field {name} cannot come beside a body: it is no single value")
    return plain


@cache
def _fields_type(name: str, version: str) -> type[BaseModel]:
    """Those fields of an instance that may come beside some body, with their rules."""
    solver = all_solvers()[name, version]
    known = solver.instance_type.model_fields
    fields: dict[str, Any] = {}
    readers = solver.readers if isinstance(solver, Formatting) else {}
    for media_type, names in solver.beside.items() if isinstance(solver, Formatting) else ():
        for field in names:
            if media_type not in readers or field not in known or field in _MEMBERS:
                raise _unfit(solver, f"the field {field} cannot come beside {media_type}")
            rule = known[field]
            default = None if rule.is_required() else rule.get_default(call_default_factory=True)
            fields[field] = (Annotated[rule.annotation, rule], default)
    infinite = solver.instance_type.model_config.get("allow_inf_nan", True)
    rules = ConfigDict(allow_inf_nan=infinite)
    return create_model("BesideBody", __config__=rules, **fields)


def _unfit(solver: AnySolver, reason: str) -> UnfitSolver:
    return UnfitSolver(f"The solver {solver.name} {solver.version} cannot be served: {reason}.")
