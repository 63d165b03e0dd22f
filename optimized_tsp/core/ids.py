"""Identifiers: UUIDs of version 7 (RFC 9562), made here so that any Postgres will do."""

from __future__ import annotations

from uuid import UUID

from uuid_utils.compat import uuid7

__all__ = ["DEFAULT_TENANT_ID", "new_id"]

DEFAULT_TENANT_ID = UUID("00000000-0000-7000-8000-000000000001")
"""The one tenant there is while no API keys are required."""


def new_id() -> UUID:
    """A new time-ordered identifier."""
    return uuid7()
