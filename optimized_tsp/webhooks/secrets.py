"""The secrets that sign webhooks: made, encrypted at rest, rotated.

A secret is `whsec_` and base64 of 32 random bytes (Standard Webhooks 1.0, which wants 24 to 64).
In the database it is encrypted (AES-256-GCM) under a key derived from the setting `webhook_key` and
bound to its owner, so that neither a dump nor a swapped row is worth anything. In clear it exists
in the answer that shows it and while something is signed.
"""

from __future__ import annotations

import base64
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import ClassVar, Protocol
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy import ColumnElement, delete, func, or_, select, update

from optimized_tsp.core.config import Settings
from optimized_tsp.core.database import ReadSession, WriteSession
from optimized_tsp.core.errors import ServiceError
from optimized_tsp.core.ids import new_id
from optimized_tsp.webhooks.models import WebhookSecret

__all__ = [
    "LONGEST_OVERLAP",
    "ROTATION_OVERLAP",
    "NoWebhookKey",
    "SecretBox",
    "Signed",
    "current_secret",
    "make_secret",
    "owner",
    "replaced_until",
    "rotate_secret",
    "signing_secrets",
]

ROTATION_OVERLAP = timedelta(hours=24)
"""How long a replaced secret signs beside the new one when nobody asks for another time."""
LONGEST_OVERLAP = timedelta(days=7)

_OLD_ONES_KEPT = 2
_SECRET_BYTES = 32
_NONCE_BYTES = 12
_PURPOSE = b"optimized-tsp webhook secrets"
_NO_KEY = "Whoever runs this service has to set OPTIMIZED_TSP_WEBHOOK_KEY for webhooks."
_OTHER_KEY = (
    "The secret was encrypted with another key than those in OPTIMIZED_TSP_WEBHOOK_KEY. Whoever"
    " runs this service has to add that one, with a comma; where it is lost, rotate the secret."
)


class NoWebhookKey(ServiceError):
    """Secrets cannot be written or read: there is no key, or not the one they were written with."""

    status: ClassVar[int] = 503
    code: ClassVar[str] = "webhooks-unavailable"
    title: ClassVar[str] = "This service is not set up for webhooks."


class Signed(Protocol):
    """What of an endpoint says whose secret signs."""

    @property
    def id(self) -> UUID: ...
    @property
    def tenant_id(self) -> UUID: ...
    @property
    def listed(self) -> bool: ...


class SecretBox:
    """Encrypts with the first key, decrypts with any of them. Never shows one."""

    def __init__(self, keys: tuple[str, ...]) -> None:
        self._ciphers = [AESGCM(_derived(key)) for key in keys]

    @staticmethod
    def from_settings(settings: Settings) -> SecretBox:
        """The box of this installation; without a key it can be made, but neither seal nor open."""
        keys = settings.webhook_key
        if keys is None:
            return SecretBox(())
        return SecretBox(tuple(key.strip() for key in keys.get_secret_value().split(",")))

    def seal(self, secret: str, owner_id: UUID) -> bytes:
        """Nonce and ciphertext; raises `NoWebhookKey`."""
        if not self._ciphers:
            raise NoWebhookKey(_NO_KEY)
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._ciphers[0].encrypt(nonce, secret.encode(), owner_id.bytes)

    def open(self, sealed: bytes, owner_id: UUID) -> str:
        """What was sealed for this owner; raises `NoWebhookKey`."""
        nonce, ciphertext = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        for cipher in self._ciphers:
            try:
                return cipher.decrypt(nonce, ciphertext, owner_id.bytes).decode()
            except InvalidTag:
                continue
        raise NoWebhookKey(_OTHER_KEY if self._ciphers else _NO_KEY)

    def open_signing(self, sealed: Sequence[bytes], owner_id: UUID) -> list[str]:
        """Of the current secret, and those before it that still sign; raises `NoWebhookKey`.

        One before it that cannot be read signs no more: so rotation mends what a lost key broke.
        """
        current, *before = sealed
        secrets = [self.open(current, owner_id)]
        for one in before:
            with suppress(NoWebhookKey):
                secrets.append(self.open(one, owner_id))
        return secrets


def make_secret(session: WriteSession, box: SecretBox, *, tenant_id: UUID, owner_id: UUID) -> str:
    """A new current secret of an owner that has none; raises `NoWebhookKey`."""
    secret = "whsec_" + base64.b64encode(os.urandom(_SECRET_BYTES)).decode()
    session.add(
        WebhookSecret(
            id=new_id(),
            tenant_id=tenant_id,
            owner_id=owner_id,
            sealed=box.seal(secret, owner_id),
        )
    )
    return secret


async def rotate_secret(
    session: WriteSession, box: SecretBox, *, tenant_id: UUID, owner_id: UUID, overlap: timedelta
) -> str:
    """A new secret; all before it sign for `overlap` at most. Raises `NoWebhookKey`.

    However often this is repeated, a delivery carries three signatures at most.
    """
    until = func.now() + overlap
    await session.execute(
        update(WebhookSecret)
        .where(WebhookSecret.owner_id == owner_id)
        .values(valid_until=func.least(WebhookSecret.valid_until, until))
    )
    kept = (
        select(WebhookSecret.id)
        .where(WebhookSecret.owner_id == owner_id, WebhookSecret.valid_until > func.now())
        .order_by(WebhookSecret.id.desc())
        .limit(_OLD_ONES_KEPT)
    )
    await session.execute(
        delete(WebhookSecret).where(
            WebhookSecret.owner_id == owner_id, WebhookSecret.id.not_in(kept)
        )
    )
    return make_secret(session, box, tenant_id=tenant_id, owner_id=owner_id)


async def current_secret(
    session: ReadSession | WriteSession, box: SecretBox, owner_id: UUID
) -> str | None:
    """The newest secret of an owner, None before the first; raises `NoWebhookKey`."""
    sealed = await session.scalar(
        select(WebhookSecret.sealed).where(
            WebhookSecret.owner_id == owner_id, WebhookSecret.valid_until.is_(None)
        )
    )
    return None if sealed is None else box.open(sealed, owner_id)


async def signing_secrets(
    session: ReadSession | WriteSession, endpoints: Iterable[Signed]
) -> dict[UUID, list[bytes]]:
    """For each endpoint every secret that signs for it now, sealed, newest first.

    A listed endpoint has its own, those of `webhook_url`s have their tenant's (`owner`).
    """
    owners = {endpoint.id: owner(endpoint) for endpoint in endpoints}
    rows = await session.execute(
        select(WebhookSecret.owner_id, WebhookSecret.sealed)
        .where(WebhookSecret.owner_id.in_(set(owners.values())), _valid())
        .order_by(WebhookSecret.valid_until.desc().nulls_first())
    )
    sealed: dict[UUID, list[bytes]] = defaultdict(list)
    for owner_id, one in rows:
        sealed[owner_id].append(one)
    return {endpoint_id: sealed[owner_id] for endpoint_id, owner_id in owners.items()}


def owner(endpoint: Signed) -> UUID:
    """To whom the secrets of an endpoint belong, and for whom they are sealed."""
    return endpoint.id if endpoint.listed else endpoint.tenant_id


async def replaced_until(session: ReadSession | WriteSession, owner_id: UUID) -> datetime | None:
    """Until when a secret that was replaced still signs; None when none does."""
    until = func.max(WebhookSecret.valid_until)
    return await session.scalar(select(until).where(WebhookSecret.owner_id == owner_id, _valid()))


def _valid() -> ColumnElement[bool]:
    return or_(WebhookSecret.valid_until.is_(None), WebhookSecret.valid_until > func.now())


def _derived(key: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(key.encode())
