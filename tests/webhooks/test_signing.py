"""What a receiver verifies, with the library that receivers use."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import orjson
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from optimized_tsp.webhooks.signing import message_body, signed_headers

OLD, NEW, OTHER = (f"whsec_{letter * 43}=" for letter in "ABC")
PAYLOAD = {
    "type": "job.completed",
    "task_id": "0195",
    "seq": 4,
    "at": "2026-11-22T06:00:00.000000Z",
    "data": {"cost": 8, "gap": 0.0, "lower_bound": None, "name": "Zürich"},
}


def test_the_body_is_compact_json_with_the_event_as_an_object() -> None:
    body = message_body(PAYLOAD)

    assert orjson.loads(body) == {
        "type": "job.completed",
        "timestamp": "2026-11-22T06:00:00.000000Z",
        "data": PAYLOAD,
    }
    assert b'"data":{"type":"job.completed"' in body
    assert body.startswith(b'{"type":"job.completed","timestamp":')
    assert message_body(PAYLOAD) == body


def test_during_a_rotation_the_old_and_the_new_secret_verify_and_no_other() -> None:
    body = message_body(PAYLOAD)
    headers = signed_headers("msg_1", body, secrets=[NEW, OLD], at=datetime.now(UTC))

    assert headers["webhook-id"] == "msg_1"
    assert [part[:3] for part in headers["webhook-signature"].split(" ")] == ["v1,", "v1,"]
    for secret in (NEW, OLD):
        assert Webhook(secret).verify(body, headers)["data"] == PAYLOAD
    with pytest.raises(WebhookVerificationError):
        Webhook(OTHER).verify(body, headers)


def test_an_attempt_of_yesterday_cannot_be_replayed() -> None:
    body = message_body(PAYLOAD)
    at = datetime.now(UTC) - timedelta(days=1)
    headers = signed_headers("msg_1", body, secrets=[NEW], at=at)

    assert headers["webhook-timestamp"] == str(int(at.timestamp()))
    with pytest.raises(WebhookVerificationError, match="too old"):
        Webhook(NEW).verify(body, headers)


def test_a_changed_body_or_id_does_not_verify() -> None:
    body = message_body(PAYLOAD)
    headers = signed_headers("msg_1", body, secrets=[NEW], at=datetime.now(UTC))

    for changed, data in ((headers, body + b" "), (headers | {"webhook-id": "msg_2"}, body)):
        with pytest.raises(WebhookVerificationError):
            Webhook(NEW).verify(data, changed)
