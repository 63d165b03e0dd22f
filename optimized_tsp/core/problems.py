"""Pydantic's errors as the places, codes and sentences of a problem document."""

from __future__ import annotations

from pydantic import ValidationError

from optimized_tsp.core.errors import MAX_PROBLEMS, InputProblem

__all__ = ["problems_of"]


def problems_of(error: ValidationError) -> list[InputProblem]:
    """Every error with a JSON pointer (RFC 6901), at most `MAX_PROBLEMS`; inputs are not shown."""
    details = error.errors(include_url=False, include_context=False, include_input=False)
    return [
        InputProblem(_pointer(detail["loc"]), detail["type"], detail["msg"])
        for detail in details[:MAX_PROBLEMS]
    ]


def _pointer(location: tuple[int | str, ...]) -> str:
    parts = (str(part).replace("~", "~0").replace("/", "~1") for part in location)
    return "".join(f"/{part}" for part in parts)
