"""API keys: which tenant a caller is. A key is shown once; only a hash of its secret is stored.

A key reads `otsp_<id>_<secret>_<checksum>`: eight characters that find it, 256 random bits that
prove it, and a CRC-32 that tells a typing error (or a scanner of leaked keys) without a database.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import zlib
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import LargeBinary, Text, func, select
from sqlalchemy.orm import Mapped, mapped_column

from optimized_tsp.core.database import Base, ReadSession, WriteSession
from optimized_tsp.core.ids import new_id

__all__ = ["ApiKey", "KeyOwner", "create_key", "find_owner", "list_keys", "revoke_key"]

_FORM = re.compile(r"otsp_([0-9a-f]{8})_([A-Za-z0-9_-]{43})_([0-9a-f]{8})")


class ApiKey(Base):
    """One key of one tenant. `prefix` finds it, `secret_hash` (SHA-256) proves it."""

    __tablename__ = "api_keys"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID]
    name: Mapped[str] = mapped_column(Text)
    prefix: Mapped[str] = mapped_column(Text, unique=True)
    secret_hash: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    revoked_at: Mapped[datetime | None]


@dataclass(frozen=True, slots=True)
class KeyOwner:
    """Who presented a valid key."""

    key_id: UUID
    tenant_id: UUID


def create_key(session: WriteSession, *, name: str, tenant_id: UUID) -> tuple[ApiKey, str]:
    """A new key of a tenant, and its text, which cannot be shown again."""
    prefix, secret = secrets.token_hex(4), secrets.token_urlsafe(32)
    key = ApiKey(
        id=new_id(),
        tenant_id=tenant_id,
        name=name,
        prefix=prefix,
        secret_hash=_hash(secret),
    )
    session.add(key)
    text = f"otsp_{prefix}_{secret}"
    return key, f"{text}_{_checksum(text)}"


async def find_owner(session: ReadSession, presented: str) -> KeyOwner | None:
    """Whose key this is, or None for one that is malformed, unknown, wrong or revoked."""
    match = _FORM.fullmatch(presented)
    if match is None or not hmac.compare_digest(_checksum(presented[:-9]), match[3]):
        return None
    key = await session.scalar(select(ApiKey).where(ApiKey.prefix == match[1]))
    if key is None or key.revoked_at is not None:
        return None
    if not hmac.compare_digest(key.secret_hash, _hash(match[2])):
        return None
    return KeyOwner(key_id=key.id, tenant_id=key.tenant_id)


async def list_keys(session: ReadSession) -> list[ApiKey]:
    """Every key, oldest first; no secrets are in them."""
    return list(await session.scalars(select(ApiKey).order_by(ApiKey.id)))


async def revoke_key(session: WriteSession, prefix: str) -> bool:
    """Make a key worthless for good; False when there is none with this prefix. Repeatable."""
    key = await session.scalar(select(ApiKey).where(ApiKey.prefix == prefix).with_for_update())
    if key is None:
        return False
    if key.revoked_at is None:
        key.revoked_at = func.now()
    return True


def _hash(secret: str) -> bytes:
    # A fast hash is right for 256 random bits; slow ones are for passwords people choose.
    return hashlib.sha256(secret.encode()).digest()


def _checksum(text: str) -> str:
    return f"{zlib.crc32(text.encode()):08x}"
