"""Opaque cursors for lists that are ordered by a time-ordered id, newest first."""

from __future__ import annotations

import base64
import binascii
from uuid import UUID

from optimized_tsp.core.errors import InputProblem, InvalidInput

__all__ = ["CURSOR_PATTERN", "decode_cursor", "encode_cursor"]

CURSOR_PATTERN = r"^[A-Za-z0-9_-]{21}[AQgw]$"
"""What a cursor looks like, for schemas: 16 bytes, base64url without padding."""


def encode_cursor(last_id: UUID) -> str:
    """The cursor of the page after the one that ended with `last_id`."""
    return base64.urlsafe_b64encode(last_id.bytes).decode().rstrip("=")


def decode_cursor(cursor: str) -> UUID:
    """The id a page starts after; `InvalidInput` for anything `encode_cursor` did not make."""
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        last_id = UUID(bytes=raw)
    except (ValueError, binascii.Error):
        last_id = None
    if last_id is None or encode_cursor(last_id) != cursor:
        raise InvalidInput(
            "The cursor is malformed; take it unchanged from the Link header of the page before.",
            [InputProblem("/cursor", "malformed_cursor", "not a cursor of this service")],
        )
    return last_id
