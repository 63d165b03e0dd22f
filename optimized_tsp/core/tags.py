"""Tags: labels of the caller's own, string to string."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

__all__ = ["MAX_TAGS", "Tags", "storable"]

MAX_TAGS = 20


def storable(text: str) -> str:
    """The text itself, refused with a NUL, which Postgres cannot hold."""
    if "\0" in text:
        raise PydanticCustomError("nul_character", "must not contain the character NUL (U+0000)")
    return text


def _storable_tags(tags: dict[str, str]) -> dict[str, str]:
    return {storable(key): storable(value) for key, value in tags.items()}


Tags = Annotated[
    dict[
        Annotated[str, StringConstraints(min_length=1, max_length=64)],
        Annotated[str, StringConstraints(max_length=256)],
    ],
    Field(max_length=MAX_TAGS),
    AfterValidator(_storable_tags),
]
"""At most `MAX_TAGS` of them; keys of 1 to 64 characters, values of at most 256."""
