"""What a tenant does with its webhooks; each call is a whole transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, select

from optimized_tsp.core.config import Settings
from optimized_tsp.core.database import Database, WriteSession
from optimized_tsp.core.errors import InputProblem, InvalidInput, StateConflict
from optimized_tsp.core.ids import new_id
from optimized_tsp.events.bus import Bus
from optimized_tsp.solvers.registry import all_solvers
from optimized_tsp.webhooks import repository, secrets
from optimized_tsp.webhooks.address import AddressPolicy, RefusedAddress, check_url
from optimized_tsp.webhooks.models import WebhookDelivery, WebhookEndpoint
from optimized_tsp.webhooks.outbox import owe_test
from optimized_tsp.webhooks.schemas import (
    EndpointChange,
    EndpointRegistration,
    RegisteredEndpoint,
    SecretView,
    endpoint_view,
)
from optimized_tsp.webhooks.secrets import SecretBox

__all__ = ["Webhooks", "ensure_job_secret"]

_DISABLED_BY_CALLER = "Disabled by its owner."


@dataclass(frozen=True, slots=True)
class Webhooks:
    """Kept in `app.state.webhooks`."""

    settings: Settings
    database: Database
    bus: Bus

    async def register(
        self, tenant_id: UUID, registration: EndpointRegistration
    ) -> RegisteredEndpoint:
        """Store an endpoint; the answer is the only one with its secret."""
        self._check_url(registration.url)
        endpoint = WebhookEndpoint(
            id=new_id(), tenant_id=tenant_id, listed=True, **registration.model_dump()
        )
        _check_version(endpoint)
        async with self.database.write() as session:
            await repository.lock_tenant(session, tenant_id)
            registered = await repository.count_listed(session, tenant_id)
            if registered >= self.settings.webhook_max_endpoints:
                raise StateConflict(
                    f"You have {registered} webhook endpoints, the most there may be; delete one, "
                    "or give one more event types and wider filters."
                )
            session.add(endpoint)
            secret = secrets.make_secret(
                session, self._box(), tenant_id=tenant_id, owner_id=endpoint.id
            )
            await session.flush()
            await session.refresh(endpoint)
        return RegisteredEndpoint(**endpoint_view(endpoint).model_dump(), secret=secret)

    async def find(self, tenant_id: UUID, endpoint_id: UUID) -> WebhookEndpoint:
        """One endpoint; raises `NotFound`."""
        async with self.database.read() as session:
            return await repository.find_endpoint(session, tenant_id, endpoint_id)

    async def change(
        self, tenant_id: UUID, endpoint_id: UUID, change: EndpointChange
    ) -> WebhookEndpoint:
        """Take over the members that were given, null included."""
        given = change.model_dump(include=change.model_fields_set)
        if "url" in given:
            self._check_url(change.url)
        async with self.database.write() as session:
            endpoint = await _lock_registered(session, tenant_id, endpoint_id)
            if "solver" in given and "version" not in given:
                endpoint.version = None  # it was one of the solver before
            if given.get("url", endpoint.url) != endpoint.url:
                _set(endpoint, repository.UNTRIED)  # how the old address failed says nothing
            _set(endpoint, given)
            _check_version(endpoint)
            await session.flush()
            await session.refresh(endpoint)
        return endpoint

    async def rotate(self, tenant_id: UUID, endpoint_id: UUID, *, overlap: timedelta) -> SecretView:
        """A new secret; the present one signs beside it for as long as `overlap`."""
        async with self.database.write() as session:
            endpoint = await _lock_registered(session, tenant_id, endpoint_id)
            return await self._rotate(session, tenant_id, endpoint.id, overlap)

    async def job_secret(self, tenant_id: UUID) -> SecretView:
        """The secret of all the tenant's `webhook_url`s, made when first asked for."""
        async with self.database.write() as session:
            secret = await ensure_job_secret(session, self._box(), tenant_id)
            until = await secrets.replaced_until(session, tenant_id)
            return SecretView(secret=secret, previous_valid_until=until)

    async def rotate_job_secret(self, tenant_id: UUID, *, overlap: timedelta) -> SecretView:
        """A new one; the present one signs beside it for as long as `overlap`."""
        async with self.database.write() as session:
            await repository.lock_tenant(session, tenant_id)
            return await self._rotate(session, tenant_id, tenant_id, overlap)

    async def disable(self, tenant_id: UUID, endpoint_id: UUID) -> WebhookEndpoint:
        """Send it nothing more; safe to repeat."""
        async with self.database.write() as session:
            endpoint = await repository.lock_endpoint(session, tenant_id, endpoint_id)
            if endpoint.disabled_at is None:
                await repository.disable(session, endpoint, _DISABLED_BY_CALLER)
                await session.refresh(endpoint)
        return endpoint

    async def enable(self, tenant_id: UUID, endpoint_id: UUID) -> WebhookEndpoint:
        """Send it what happens from now on, at once and whatever failed before; safe to repeat."""
        async with self.database.write() as session:
            endpoint = await repository.lock_endpoint(session, tenant_id, endpoint_id)
            _set(endpoint, repository.ENABLED)
        return endpoint

    async def remove(self, tenant_id: UUID, endpoint_id: UUID) -> None:
        """Forget it; what was under way to it ends."""
        async with self.database.write() as session:
            endpoint = await repository.lock_endpoint(session, tenant_id, endpoint_id)
            await repository.remove(session, endpoint)

    async def test(self, tenant_id: UUID, endpoint_id: UUID) -> WebhookDelivery:
        """Owe it a test event."""
        async with self.database.write() as session:
            endpoint = await _lock_to_send(session, tenant_id, endpoint_id)
            delivery = owe_test(session, endpoint)
            await session.flush()
            await session.refresh(delivery)
        self.bus.announce(endpoint_id)
        return delivery

    async def redeliver(
        self, tenant_id: UUID, endpoint_id: UUID, delivery_id: UUID
    ) -> WebhookDelivery:
        """Attempt a delivery again, whatever became of it."""
        async with self.database.write() as session:
            endpoint = await _lock_to_send(session, tenant_id, endpoint_id)
            delivery = await repository.find_delivery(session, endpoint.id, delivery_id, lock=True)
            repository.redeliver(delivery)
            await session.flush()
            await session.refresh(delivery)
        self.bus.announce(endpoint_id)
        return delivery

    async def redeliver_failed(
        self, tenant_id: UUID, endpoint_id: UUID, made: repository.Period
    ) -> int:
        """Attempt all again that was `made` in a period and has failed by now; says how many."""
        async with self.database.read() as session:
            now = (await session.execute(select(func.now()))).scalar_one()
        total = 0
        while True:
            async with self.database.write() as session:
                endpoint = await _lock_to_send(session, tenant_id, endpoint_id)
                again = await repository.redeliver_failed(
                    session, endpoint.id, failed_before=now, made=made
                )
            self.bus.announce(endpoint_id)
            total += again
            if again < repository.REDELIVERED_AT_ONCE:
                return total

    def _check_url(self, url: str) -> None:
        try:
            check_url(url, AddressPolicy.from_settings(self.settings))
        except RefusedAddress as error:
            raise InvalidInput(
                "The webhook's URL is not accepted.",
                [InputProblem("/url", "refused_url", str(error))],
            ) from None

    def _box(self) -> SecretBox:
        return SecretBox.from_settings(self.settings)

    async def _rotate(
        self, session: WriteSession, tenant_id: UUID, owner_id: UUID, overlap: timedelta
    ) -> SecretView:
        secret = await secrets.rotate_secret(
            session, self._box(), tenant_id=tenant_id, owner_id=owner_id, overlap=overlap
        )
        until = await secrets.replaced_until(session, owner_id)
        return SecretView(secret=secret, previous_valid_until=until)


async def ensure_job_secret(session: WriteSession, box: SecretBox, tenant_id: UUID) -> str:
    """The secret that signs for the tenant's `webhook_url`s, made if there is none yet."""
    secret = await secrets.current_secret(session, box, tenant_id)
    if secret is None:
        await repository.lock_tenant(session, tenant_id)
        secret = await secrets.current_secret(session, box, tenant_id)
    if secret is None:
        secret = secrets.make_secret(session, box, tenant_id=tenant_id, owner_id=tenant_id)
    return secret


async def _lock_registered(
    session: WriteSession, tenant_id: UUID, endpoint_id: UUID
) -> WebhookEndpoint:
    endpoint = await repository.lock_endpoint(session, tenant_id, endpoint_id)
    if not endpoint.listed:
        raise StateConflict(
            "This endpoint stands for the webhook_url of jobs: its URL and events are theirs, its "
            "secret is at /webhooks/job-secret."
        )
    return endpoint


async def _lock_to_send(
    session: WriteSession, tenant_id: UUID, endpoint_id: UUID
) -> WebhookEndpoint:
    """An enabled endpoint, whose pause ends: its owner asks for an attempt now."""
    endpoint = await repository.lock_endpoint(session, tenant_id, endpoint_id)
    if endpoint.disabled_at is not None:
        raise StateConflict("The endpoint is disabled; enable it first.")
    endpoint.paused_until = None
    endpoint.next_look_at = func.now()
    return endpoint


def _set(endpoint: WebhookEndpoint, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        setattr(endpoint, name, value)


def _check_version(endpoint: WebhookEndpoint) -> None:
    versions = sorted(version for name, version in all_solvers() if name == endpoint.solver)
    if endpoint.version is None or endpoint.version in versions:
        return
    message = (
        "needs a solver beside it"
        if endpoint.solver is None
        else f"is no version of {endpoint.solver}; there are {', '.join(versions)}"
    )
    raise InvalidInput(
        "The webhook endpoint is not valid.",
        [InputProblem("/version", "unknown_version", message)],
    )
