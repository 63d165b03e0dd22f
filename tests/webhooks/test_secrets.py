"""Secrets are worth nothing without the key, under another owner, or after a change of one bit."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text
from standardwebhooks import Webhook

from optimized_tsp.core.config import Settings
from optimized_tsp.core.database import Database
from optimized_tsp.core.ids import DEFAULT_TENANT_ID, new_id
from optimized_tsp.webhooks.models import WebhookEndpoint, WebhookSecret
from optimized_tsp.webhooks.schemas import SecretView
from optimized_tsp.webhooks.secrets import (
    ROTATION_OVERLAP,
    NoWebhookKey,
    SecretBox,
    make_secret,
    replaced_until,
    rotate_secret,
)
from tests.webhooks.conftest import secrets_that_sign

OLD, NEW = "an old key of at least 32 characters", "a new key of at least 32 characters"
OWNER = new_id()


def test_what_is_sealed_opens_for_its_owner_only() -> None:
    box = SecretBox((OLD,))
    sealed = box.seal("whsec_secret", OWNER)
    assert box.open(sealed, OWNER) == "whsec_secret"
    assert b"secret" not in sealed
    assert box.seal("whsec_secret", OWNER) != sealed
    for key, owner, changed in (
        (OLD, new_id(), sealed),
        (NEW, OWNER, sealed),
        (OLD, OWNER, sealed[:-1] + bytes([sealed[-1] ^ 1])),
        (OLD, OWNER, sealed[:20]),
    ):
        with pytest.raises(NoWebhookKey, match="another key"):
            SecretBox((key,)).open(changed, owner)


def test_a_new_key_beside_the_old_one_opens_both() -> None:
    sealed = SecretBox((OLD,)).seal("whsec_1", OWNER)
    both = SecretBox.from_settings(Settings(webhook_key=f"{NEW}, {OLD}\n"))
    assert both.open(sealed, OWNER) == "whsec_1"
    assert SecretBox((NEW,)).open(both.seal("whsec_2", OWNER), OWNER) == "whsec_2"


def test_an_answer_with_a_secret_does_not_show_it_when_it_is_printed() -> None:
    view = SecretView.model_validate({"secret": "whsec_canary", "previous_valid_until": None})
    assert "canary" not in repr(view)


def test_without_a_key_nothing_is_sealed_or_opened() -> None:
    box = SecretBox.from_settings(Settings())
    for use in (lambda: box.seal("whsec_", OWNER), lambda: box.open(bytes(40), OWNER)):
        with pytest.raises(NoWebhookKey, match="OPTIMIZED_TSP_WEBHOOK_KEY"):
            use()


def test_a_key_is_not_short_and_shown_nowhere() -> None:
    with pytest.raises(ValueError, match="at least 32 characters") as refused:
        Settings(webhook_key=f"{NEW},short-canary")
    assert "canary" not in str(refused.value)
    settings = Settings(webhook_key=NEW)
    assert NEW not in f"{settings!r} {SecretBox.from_settings(settings)!r}"


async def test_the_old_secret_signs_until_its_time_is_over(db: Database) -> None:
    box = SecretBox((OLD,))
    endpoint = WebhookEndpoint(id=OWNER, tenant_id=DEFAULT_TENANT_ID, listed=True)
    owner = {"tenant_id": DEFAULT_TENANT_ID, "owner_id": OWNER}
    async with db.write() as session:
        first = make_secret(session, box, **owner)
    async with db.write() as session:
        second = await rotate_secret(session, box, **owner, overlap=ROTATION_OVERLAP)

    async with db.write() as session:
        assert await secrets_that_sign(session, endpoint, box) == [second, first]
        await session.execute(
            text("UPDATE webhook_secrets SET valid_until = now() WHERE valid_until IS NOT NULL")
        )
        assert await secrets_that_sign(session, endpoint, box) == [second]
    for secret in (first, second):
        Webhook(secret)  # the library takes it as it is
        assert 24 <= len(base64.b64decode(secret.removeprefix("whsec_"))) <= 64


async def test_after_a_rotation_without_overlap_nothing_older_signs(db: Database) -> None:
    box = SecretBox((OLD,))
    endpoint = WebhookEndpoint(id=OWNER, tenant_id=DEFAULT_TENANT_ID, listed=True)
    owner = {"tenant_id": DEFAULT_TENANT_ID, "owner_id": OWNER}
    for hours, expected in ((24, 2), (1, 3), (0, 1)):
        async with db.write() as session:
            if hours == 24:
                make_secret(session, box, **owner)
                await session.flush()
            await rotate_secret(session, box, **owner, overlap=timedelta(hours=hours))
        async with db.read() as session:
            assert len(await secrets_that_sign(session, endpoint, box)) == expected
            until = await replaced_until(session, OWNER)
        # The one of a day ago does not outlive the one of an hour
        if hours == 1:
            assert until is not None
            assert until - datetime.now(UTC) < timedelta(hours=1.1)


async def test_rotation_mends_what_a_lost_key_broke() -> None:
    lost, box = SecretBox((OLD,)), SecretBox((NEW,))
    unreadable = lost.seal("whsec_1", OWNER)
    with pytest.raises(NoWebhookKey, match=r"add that one, with a comma; .* rotate the secret"):
        box.open_signing([unreadable], OWNER)
    assert box.open_signing([box.seal("whsec_2", OWNER), unreadable], OWNER) == ["whsec_2"]
    with pytest.raises(NoWebhookKey):  # what signs alone is not what the receiver expects
        box.open_signing([unreadable, box.seal("whsec_2", OWNER)], OWNER)


async def test_a_secret_is_in_no_repr(db: Database) -> None:
    async with db.write() as session:
        secret = make_secret(
            session, SecretBox((OLD,)), tenant_id=DEFAULT_TENANT_ID, owner_id=OWNER
        )
    async with db.read() as session:
        row = await session.scalar(select(WebhookSecret))
        assert row is not None
    assert secret not in repr(row)
    assert secret.encode() not in row.sealed
