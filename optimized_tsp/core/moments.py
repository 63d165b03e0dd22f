"""Points in time that callers give in a query."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BeforeValidator
from pydantic_core import PydanticCustomError

__all__ = ["Moment"]


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("must be within the years 1 to 9999 in UTC") from None


def _written_out(value: object) -> object:
    # Pydantic also takes a number, as seconds since 1970: that is a typing error here.
    if isinstance(value, str) and "T" not in value.upper():
        raise PydanticCustomError("not_rfc_3339", "must be a date and time as in RFC 3339")
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_written_out), AfterValidator(_in_utc)]
"""A time in UTC; one that has no year there is refused (the database could not compare it)."""
