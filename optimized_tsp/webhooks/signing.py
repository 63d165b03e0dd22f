"""What is sent: the body, and the headers of Standard Webhooks 1.0 that sign it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson
from standardwebhooks import Webhook

__all__ = ["message_body", "signed_headers"]


def message_body(payload: Mapping[str, Any]) -> bytes:
    """`{"type", "timestamp", "data"}` of an event, compact JSON; the same bytes every time."""
    return orjson.dumps(
        {"type": payload["type"], "timestamp": payload["at"], "data": dict(payload)}
    )


def signed_headers(
    message_id: str, body: bytes, *, secrets: Sequence[str], at: datetime
) -> dict[str, str]:
    """The three headers; `at` (with a time zone) is when this attempt is made.

    Each secret signs, so that a receiver that knows only the old or only the new one of a rotation
    can verify.
    """
    text = body.decode()
    signatures = [Webhook(secret).sign(message_id, at, text) for secret in secrets]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
