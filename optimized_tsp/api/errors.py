"""Every error as an RFC 9457 problem document; nothing leaves as a bare 500 page."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import orjson
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from optimized_tsp.api.openapi import methods_of
from optimized_tsp.core.errors import InputProblem, InvalidInput, ServiceError, ServiceUnavailable
from optimized_tsp.core.logging import log_once
from optimized_tsp.core.outages import is_outage

__all__ = ["PROBLEM_JSON", "add_error_handlers", "defect_response", "problem_response"]

PROBLEM_JSON = "application/problem+json"

logger = structlog.get_logger(__name__)


def problem_response(error: ServiceError, instance: str) -> Response:
    """The problem document of a business error."""
    return _response(
        error.status,
        code=error.code,
        title=error.title,
        detail=error.detail,
        instance=instance,
        problems=error.problems,
        extensions=error.extensions(),
        headers=error.headers(),
    )


def add_error_handlers(app: FastAPI) -> None:
    """Render business errors, framework errors and lost servers.

    Defects of ours get their answer from `api.observed`, which logs them, and here where they look
    like the database's.
    """
    app.add_exception_handler(ServiceError, _service_error)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(ClientDisconnect, _nobody_listens)
    # A server that nobody can reach is an OSError; what a server says is SQLAlchemy's, always.
    for error in (SQLAlchemyError, OSError):
        app.add_exception_handler(error, _database_error)


async def _service_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceError)  # noqa: S101 - narrows the type for mypy
    return problem_response(error, request.url.path)


async def _invalid_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    problems = [
        InputProblem("".join(f"/{part}" for part in detail["loc"]), detail["type"], detail["msg"])
        for detail in error.errors()
    ]
    invalid = InvalidInput("A path or query parameter is not valid.", problems)
    return problem_response(invalid, request.url.path)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    detail = str(error.detail)
    if error.status_code == HTTPStatus.NOT_FOUND:
        detail = (
            f"Nothing is served at {request.method} {request.url.path}; "
            "/docs lists every call and /openapi.json every solver and version."
        )
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(methods_of(request.app, request.url.path))
        detail = f"{request.method} is not possible here, only {headers['Allow']}."
    status = HTTPStatus(error.status_code)
    return _response(
        status,
        code=status.phrase.lower().replace(" ", "-"),
        title=status.phrase,
        detail=detail,
        instance=request.url.path,
        headers=headers,
    )


async def _nobody_listens(request: Request, error: Exception) -> Response:
    """The caller left while sending; no defect, and nobody reads the answer."""
    logger.info("client_disconnected", path=request.url.path, error=repr(error))
    return Response(status_code=HTTPStatus.BAD_REQUEST)


async def _database_error(request: Request, error: Exception) -> Response:
    if not is_outage(error):
        log_once(logger, error, path=request.url.path)
        return defect_response(request.url.path)
    logger.warning("database_unavailable", path=request.url.path, error=repr(error))
    # Nothing is said about what was stored: a commit may have come through without its answer.
    answer = ServiceUnavailable(
        "The database does not answer. Try again; "
        "a submission repeated with its Idempotency-Key makes no second job."
    )
    return problem_response(answer, request.url.path)


def defect_response(path: str) -> Response:
    """What is said where nobody knows what went wrong."""
    return problem_response(ServiceError("This is a defect of ours; it was logged."), path)


def _response(
    status: int,
    *,
    code: str,
    title: str,
    detail: str,
    instance: str,
    problems: list[InputProblem] | None = None,
    extensions: dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    document: dict[str, Any] = {
        "type": f"urn:optimized-tsp:problem:{code}",
        "title": title,
        "status": int(status),
        "detail": detail,
        "instance": instance,
        **(extensions or {}),
    }
    if problems:
        document["errors"] = [
            {"pointer": p.pointer, "code": p.code, "message": p.message} for p in problems
        ]
    return Response(
        orjson.dumps(document), status_code=status, media_type=PROBLEM_JSON, headers=headers
    )
