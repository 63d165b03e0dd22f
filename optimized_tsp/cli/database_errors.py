"""What a database has against a command, in its own words."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError

__all__ = ["is_refusal", "reason_of"]


def is_refusal(error: DBAPIError) -> bool:
    """Whether the database let nobody in, for whatever reason: it was not asked anything yet."""
    return error.statement is None


def reason_of(error: Exception) -> str:
    """The sentence of the server or the driver, without what libraries put around it."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        error = error.driver_exception
    return str(error) or type(error).__name__
