"""From the bytes of a request to a submission known to be right, before any work is done."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, fields, replace
from typing import Any, cast

import orjson
from pydantic import ValidationError

from optimized_tsp.core.config import Settings
from optimized_tsp.core.errors import InputProblem, InvalidInput
from optimized_tsp.core.problems import problems_of
from optimized_tsp.jobs.schemas import submission_type
from optimized_tsp.solvers.contract import (
    Announcing,
    Diagnosing,
    Diagnosis,
    Formatting,
    InstanceSize,
    InvalidInstance,
    InvalidParameters,
    Notice,
    ParameterChecking,
    Problem,
)
from optimized_tsp.solvers.registry import AnySolver
from optimized_tsp.webhooks.address import AddressPolicy, RefusedAddress, check_url

__all__ = ["JSON", "Body", "ParsedSubmission", "media_types", "parse_submission"]

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Body:
    """What was sent. Other media types than JSON hold an instance alone, so the rest of a
    submission comes `beside` it: `name`, `tags` and `optimization_parameters`, ..., as JSON has
    them, and so do the fields of the `instance` that the format has no word for. `places` are the
    pointers to such values in a JSON body, and where they were really said."""

    content: bytes
    media_type: str = JSON
    beside: dict[str, Any] = field(default_factory=dict)
    instance: dict[str, Any] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ParsedSubmission:
    """A valid submission. `payload` is the instance as canonical JSON, `digest` its SHA-256.

    `notices` say what is legal but probably not meant; `diagnosis` is made only when asked for.
    """

    solver: str
    version: str
    name: str | None
    tags: dict[str, str]
    parameters: dict[str, Any]
    timeout_s: float
    size: InstanceSize
    payload: bytes
    digest: bytes
    webhook_url: str | None = None
    notices: list[Notice] = field(default_factory=list)
    diagnosis: Diagnosis | None = None

    def fingerprint(self) -> bytes:
        """SHA-256 of what is asked for, however it was written: as JSON or CSV, by REST or feed."""
        asked = {
            member.name: getattr(self, member.name)
            for member in fields(self)
            if member.name not in _FOLLOWS_FROM_THE_REST
        }
        options = orjson.OPT_SORT_KEYS
        return hashlib.sha256(orjson.dumps(asked, default=bytes.hex, option=options)).digest()


_FOLLOWS_FROM_THE_REST = frozenset({"size", "payload", "notices", "diagnosis"})


def parse_submission(
    solver: AnySolver, body: Body | bytes, settings: Settings, *, diagnose: bool = False
) -> ParsedSubmission:
    """Parse and check everything; raises `InvalidInput` with a pointer to each problem."""
    if isinstance(body, bytes):
        body = Body(body)
    content = _as_json(solver, body)
    try:
        return _parse(solver, content, settings, diagnose=diagnose)
    except InvalidInput as error:
        raise InvalidInput(
            error.detail, [_placed(p, body.places) for p in error.problems]
        ) from None


def _parse(
    solver: AnySolver, content: bytes, settings: Settings, *, diagnose: bool
) -> ParsedSubmission:
    try:
        raw = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise InvalidInput(
            "The body is not JSON.",
            [
                InputProblem(
                    "", "not_json", f"{error.msg} at line {error.lineno} column {error.colno}"
                )
            ],
        ) from None
    try:
        submission = submission_type(solver).model_validate_json(content)
    except ValidationError as error:
        raise InvalidInput("The submission is not valid.", problems_of(error)) from None
    instance = getattr(submission, solver.instance_field)
    parameters = submission.optimization_parameters  # type: ignore[attr-defined]
    problems = []
    if (announcing := _announcing(solver)) is not None:
        size = announcing.announced_size(instance)
        problems = _over_limits(solver, size, parameters.timeout, settings)
    if not problems:
        size = solver.size(instance)
        problems = _over_limits(solver, size, parameters.timeout, settings)
    if not problems:
        problems = _invalid_together(solver, instance, parameters)
    problems += _refused_webhook(submission.webhook_url, settings)
    if problems:
        raise InvalidInput("The submission is not valid.", problems)
    diagnosing = _diagnosing(solver)
    payload = orjson.dumps(raw[solver.instance_field], option=orjson.OPT_SORT_KEYS)
    return ParsedSubmission(
        solver=solver.name,
        version=solver.version,
        name=submission.name,
        tags=submission.tags,
        parameters=parameters.model_dump(mode="json"),
        timeout_s=parameters.timeout,
        size=size,
        payload=payload,
        webhook_url=submission.webhook_url,
        digest=hashlib.sha256(solver.name.encode() + b"\0" + payload).digest(),
        notices=diagnosing.notices(instance) if diagnosing else [],
        diagnosis=diagnosing.diagnose(instance) if diagnosing and diagnose else None,
    )


def _diagnosing(solver: AnySolver) -> Diagnosing | None:
    """The solver, if it is one that diagnoses; a tenth of the time that `isinstance` takes."""
    return cast("Diagnosing", solver) if hasattr(solver, "diagnose") else None


def _checking(solver: AnySolver) -> ParameterChecking | None:
    return cast("ParameterChecking", solver) if hasattr(solver, "validate_parameters") else None


def _announcing(solver: AnySolver) -> Announcing | None:
    return cast("Announcing", solver) if hasattr(solver, "announced_size") else None


def _formatting(solver: AnySolver) -> Formatting | None:
    return cast("Formatting", solver) if hasattr(solver, "readers") else None


def media_types(solver: AnySolver) -> tuple[str, ...]:
    """The types of body a solver reads."""
    formatting = _formatting(solver)
    return (JSON,) if formatting is None else (JSON, *formatting.readers)


def _as_json(solver: AnySolver, body: Body) -> bytes:
    if body.media_type == JSON:
        return body.content
    formatting = _formatting(solver)
    if formatting is None:
        raise InvalidInput(f"{body.media_type} is not read here.")
    try:
        instance = formatting.readers[body.media_type](body.content)
    except InvalidInstance as error:
        problems = [InputProblem(p.pointer, p.code, p.message) for p in error.problems]
        raise InvalidInput(f"The {body.media_type} body is not valid.", problems) from None
    return orjson.dumps({solver.instance_field: instance | body.instance, **body.beside})


def _placed(problem: InputProblem, places: dict[str, str]) -> InputProblem:
    for pointer, place in places.items():
        if problem.pointer == pointer or problem.pointer.startswith(f"{pointer}/"):
            return replace(problem, pointer=place)
    return problem


def _over_limits(
    solver: AnySolver, size: InstanceSize, timeout_s: float, settings: Settings
) -> list[InputProblem]:
    problems = []
    if timeout_s > settings.max_timeout_s:
        problems.append(
            InputProblem(
                "/optimization_parameters/timeout",
                "timeout_too_large",
                f"must be at most {settings.max_timeout_s:g} seconds",
            )
        )
    if size.num_nodes > settings.max_nodes:
        problems.append(
            InputProblem(
                f"/{solver.instance_field}",
                "too_many_nodes",
                f"has {size.num_nodes} {size.counts}; at most {settings.max_nodes} are accepted",
            )
        )
    if size.num_edges is not None and size.num_edges > settings.max_edges:
        problems.append(
            InputProblem(
                f"/{solver.instance_field}",
                "too_many_edges",
                f"has {size.num_edges} edges; at most {settings.max_edges} are accepted",
            )
        )
    return problems


def _invalid_together(solver: AnySolver, instance: Any, parameters: Any) -> list[InputProblem]:
    """What the schemas cannot express; the parameters are looked at beside a valid instance."""
    try:
        solver.validate(instance)
        checking = _checking(solver)
        if checking is not None:
            checking.validate_parameters(instance, parameters)
    except InvalidInstance as error:
        return _below(f"/{solver.instance_field}", error.problems)
    except InvalidParameters as error:
        return _below("/optimization_parameters", error.problems)
    return []


def _below(place: str, problems: list[Problem]) -> list[InputProblem]:
    return [InputProblem(place + p.pointer, p.code, p.message) for p in problems]


def _refused_webhook(url: str | None, settings: Settings) -> list[InputProblem]:
    if url is None:
        return []
    if settings.webhook_key is None:
        message = (
            "webhooks are not set up here (OPTIMIZED_TSP_WEBHOOK_KEY); leave webhook_url out and "
            "follow the job on the websocket /live or with GET"
        )
        return [InputProblem("/webhook_url", "webhooks_unavailable", message)]
    try:
        check_url(url, AddressPolicy.from_settings(settings))
    except RefusedAddress as error:
        return [InputProblem("/webhook_url", "refused_url", str(error))]
    return []
