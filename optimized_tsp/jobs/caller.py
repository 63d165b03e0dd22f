"""Who calls: the tenant of the presented API key, or the one tenant while no keys are required."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import monotonic
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request
from starlette.requests import HTTPConnection

from optimized_tsp.core.api_keys import KeyOwner, find_owner
from optimized_tsp.core.config import Auth, Settings
from optimized_tsp.core.database import Database
from optimized_tsp.core.errors import Unauthorized
from optimized_tsp.core.ids import DEFAULT_TENANT_ID

__all__ = ["Authenticator", "TenantDep", "bearer_key", "tenant"]

_REMEMBERED_S = 20.0
_REMEMBERED_KEYS = 10_000


@dataclass(slots=True)
class Authenticator:
    """Checks keys, remembering good ones for a while: a revoked key works 20 s longer at most."""

    settings: Settings
    database: Database
    _good: dict[str, tuple[float, KeyOwner]] = field(default_factory=dict)

    @property
    def required(self) -> bool:
        """Whether callers need a key at all."""
        return self.settings.auth is Auth.REQUIRED

    async def tenant_of(self, presented: str | None) -> UUID:
        """The tenant of a key; raises `Unauthorized`."""
        if not self.required:
            return DEFAULT_TENANT_ID
        if presented is None:
            raise Unauthorized("Send your API key as 'Authorization: Bearer <key>'.")
        remembered = self._good.get(presented)
        if remembered is not None and remembered[0] > monotonic():
            return remembered[1].tenant_id
        async with self.database.read() as session:
            owner = await find_owner(session, presented)
        if owner is None:
            self._good.pop(presented, None)
            raise Unauthorized("This API key is not valid (any more); ask for a new one.")
        if len(self._good) >= _REMEMBERED_KEYS:
            self._good.clear()
        self._good[presented] = (monotonic() + _REMEMBERED_S, owner)
        return owner.tenant_id


def bearer_key(connection: HTTPConnection) -> str | None:
    """The key in the Authorization header, None when there is none."""
    scheme, _, key = connection.headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" and key.strip() else None


async def tenant(request: Request) -> UUID:
    """The calling tenant; raises `Unauthorized`."""
    authenticator: Authenticator = request.app.state.services.authenticator
    return await authenticator.tenant_of(bearer_key(request))


TenantDep = Annotated[UUID, Depends(tenant)]
"""The calling tenant; answers 401 without a valid key where keys are required."""
