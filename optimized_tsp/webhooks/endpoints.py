"""The REST calls on webhooks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Annotated, Any, TypeVar
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, ValidationError

from optimized_tsp.core.errors import InvalidInput
from optimized_tsp.core.moments import Moment
from optimized_tsp.core.pagination import CURSOR_PATTERN, decode_cursor, encode_cursor
from optimized_tsp.core.problems import problems_of
from optimized_tsp.solvers.registry import all_solvers
from optimized_tsp.webhooks import repository
from optimized_tsp.webhooks.repository import DeliveryStatus, Period
from optimized_tsp.webhooks.schemas import (
    DELIVERY_PATTERN,
    DeliveryView,
    EndpointChange,
    EndpointRegistration,
    EndpointView,
    Kind,
    Redelivered,
    RegisteredEndpoint,
    SecretView,
    delivery_view,
    endpoint_view,
)
from optimized_tsp.webhooks.secrets import LONGEST_OVERLAP, ROTATION_OVERLAP
from optimized_tsp.webhooks.service import Webhooks

__all__ = ["ReadBody", "build_webhooks_router"]

ReadBody = Callable[[Request, int, tuple[str, ...]], Awaitable[bytes]]
"""Reads a body of at most so many bytes, of one of these media types."""

_JSON = "application/json"
_MAX_BODY_BYTES = 64 * 1024

ModelT = TypeVar("ModelT", bound=BaseModel)


async def _webhooks(request: Request) -> Webhooks:
    webhooks: Webhooks = request.app.state.webhooks
    return webhooks


WebhooksDep = Annotated[Webhooks, Depends(_webhooks)]
DeliveryId = Annotated[str, Path(pattern=DELIVERY_PATTERN, description="A `webhook-id`.")]
Limit = Annotated[int, Query(ge=1, le=200)]
Overlap = Annotated[
    float,
    Query(
        ge=0,
        le=LONGEST_OVERLAP.total_seconds(),
        allow_inf_nan=False,
        description="Seconds for which the secrets before it sign beside the new one, at most 7"
        " days; 0: not at all, as when one is in the wrong hands.",
    ),
]
_OVERLAP = ROTATION_OVERLAP.total_seconds()
After = Annotated[Moment | None, Query(description="Only those made after it; RFC 3339.")]
Before = Annotated[Moment | None, Query(description="Only those made before it; RFC 3339.")]
Cursor = Annotated[str | None, Query(description="From the Link header.", pattern=CURSOR_PATTERN)]


def build_webhooks_router(*, tenant: Any, read_body: ReadBody) -> APIRouter:
    """The router; `tenant` is the dependency that gives the calling tenant or answers 401."""
    router = APIRouter(prefix="/webhooks", tags=["webhooks"])
    _add_collection(router, tenant, read_body)
    _add_job_secret(router, tenant)
    _add_endpoint(router, tenant, read_body)
    _add_actions(router, tenant)
    _add_deliveries(router, tenant)
    _add_redelivery(router, tenant)
    return router


def _add_collection(router: APIRouter, tenant: Any, read_body: ReadBody) -> None:
    @router.post(
        "",
        status_code=201,
        summary="Register an endpoint",
        response_model=RegisteredEndpoint,
        openapi_extra=_body_of(EndpointRegistration),
    )
    async def register(
        request: Request, response: Response, webhooks: WebhooksDep, tenant_id: UUID = tenant
    ) -> RegisteredEndpoint:
        """The answer has the secret, this once. Without `event_types` it is told how jobs end."""
        body = await read_body(request, _MAX_BODY_BYTES, (_JSON,))
        endpoint = await webhooks.register(tenant_id, _parsed(EndpointRegistration, body))
        response.headers["Location"] = f"/webhooks/{endpoint.id}"
        return endpoint

    @router.get("", summary="Endpoints, newest first", response_model=list[EndpointView])
    async def endpoints(
        response: Response,
        webhooks: WebhooksDep,
        tenant_id: UUID = tenant,
        kind: Annotated[Kind, Query(description="Those of jobs' `webhook_url`s, too.")] = (
            "registered"
        ),
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> list[EndpointView]:
        """One page; the next one is in the `Link` header (rel="next") while there is more."""
        before = decode_cursor(cursor) if cursor is not None else None
        async with webhooks.database.read() as session:
            page = await repository.list_endpoints(
                session, tenant_id, listed=kind == "registered", before=before, limit=limit + 1
            )
        if len(page) > limit:
            page = page[:limit]
            response.headers["Link"] = _next("/webhooks", page[-1].id, limit, kind=kind)
        return [endpoint_view(endpoint) for endpoint in page]


def _add_job_secret(router: APIRouter, tenant: Any) -> None:
    @router.get(
        "/job-secret", summary="The secret of all `webhook_url`s", response_model=SecretView
    )
    async def job_secret(
        response: Response, webhooks: WebhooksDep, tenant_id: UUID = tenant
    ) -> SecretView:
        """What verifies deliveries to the `webhook_url` of any of your jobs."""
        response.headers["Cache-Control"] = "no-store"
        return await webhooks.job_secret(tenant_id)

    @router.post("/job-secret/rotate", summary="Replace the secret of all `webhook_url`s")
    async def rotate_job_secret(
        webhooks: WebhooksDep, tenant_id: UUID = tenant, overlap: Overlap = _OVERLAP
    ) -> SecretView:
        """The present secret signs beside the new one, for 24 hours if nothing else is asked."""
        return await webhooks.rotate_job_secret(tenant_id, overlap=timedelta(seconds=overlap))


def _add_endpoint(router: APIRouter, tenant: Any, read_body: ReadBody) -> None:
    @router.get("/{webhook_id:uuid}", summary="An endpoint", response_model=EndpointView)
    async def endpoint(
        webhook_id: UUID, webhooks: WebhooksDep, tenant_id: UUID = tenant
    ) -> EndpointView:
        return endpoint_view(await webhooks.find(tenant_id, webhook_id))

    @router.patch(
        "/{webhook_id:uuid}",
        summary="Change an endpoint",
        response_model=EndpointView,
        openapi_extra=_body_of(EndpointChange),
    )
    async def change(
        request: Request, webhook_id: UUID, webhooks: WebhooksDep, tenant_id: UUID = tenant
    ) -> EndpointView:
        """What is not named stays; null takes a filter away."""
        body = await read_body(request, _MAX_BODY_BYTES, (_JSON, "application/merge-patch+json"))
        given = _parsed(EndpointChange, body)
        return endpoint_view(await webhooks.change(tenant_id, webhook_id, given))

    @router.delete("/{webhook_id:uuid}", status_code=204, summary="Remove an endpoint")
    async def remove(webhook_id: UUID, webhooks: WebhooksDep, tenant_id: UUID = tenant) -> None:
        """What waits to be sent to it is not sent any more."""
        await webhooks.remove(tenant_id, webhook_id)


def _add_actions(router: APIRouter, tenant: Any) -> None:
    @router.post("/{webhook_id:uuid}/rotate-secret", summary="Replace the secret")
    async def rotate_secret(
        webhook_id: UUID,
        webhooks: WebhooksDep,
        tenant_id: UUID = tenant,
        overlap: Overlap = _OVERLAP,
    ) -> SecretView:
        """The answer has the new one, this once; the old one signs beside it, for 24 hours if
        nothing else is asked."""
        return await webhooks.rotate(tenant_id, webhook_id, overlap=timedelta(seconds=overlap))

    @router.post("/{webhook_id:uuid}/disable", summary="Send nothing more")
    async def disable(
        webhook_id: UUID, webhooks: WebhooksDep, tenant_id: UUID = tenant
    ) -> EndpointView:
        """Safe to repeat. What waits to be sent has failed; events meanwhile are not kept."""
        return endpoint_view(await webhooks.disable(tenant_id, webhook_id))

    @router.post("/{webhook_id:uuid}/enable", summary="Send again")
    async def enable(
        webhook_id: UUID, webhooks: WebhooksDep, tenant_id: UUID = tenant
    ) -> EndpointView:
        """Safe to repeat. What failed before comes with `redeliver-failed`."""
        return endpoint_view(await webhooks.enable(tenant_id, webhook_id))

    @router.post("/{webhook_id:uuid}/test", status_code=202, summary="Send a test event")
    async def test(
        webhook_id: UUID, response: Response, webhooks: WebhooksDep, tenant_id: UUID = tenant
    ) -> DeliveryView:
        """A `webhook.test`, whatever the filters; follow it at `Location`."""
        view = delivery_view(await webhooks.test(tenant_id, webhook_id))
        response.headers["Location"] = f"/webhooks/{webhook_id}/deliveries/{view.id}"
        return view


def _add_deliveries(router: APIRouter, tenant: Any) -> None:
    @router.get("/{webhook_id:uuid}/deliveries", summary="Deliveries, newest first")
    async def deliveries(
        webhook_id: UUID,
        response: Response,
        webhooks: WebhooksDep,
        tenant_id: UUID = tenant,
        status: Annotated[DeliveryStatus | None, Query(description="Only these.")] = None,
        task_id: Annotated[UUID | None, Query(description="Only this job's.")] = None,
        created_after: After = None,
        created_before: Before = None,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> list[DeliveryView]:
        """One page; the next one is in the `Link` header (rel="next") while there is more."""
        before = decode_cursor(cursor) if cursor is not None else None
        async with webhooks.database.read() as session:
            endpoint = await repository.find_endpoint(session, tenant_id, webhook_id)
            page = await repository.list_deliveries(
                session,
                endpoint.id,
                status=status,
                task_id=task_id,
                made=Period(created_after, created_before),
                before=before,
                limit=limit + 1,
            )
        if len(page) > limit:
            page = page[:limit]
            path = f"/webhooks/{webhook_id}/deliveries"
            filters = {
                "status": status,
                "task_id": task_id,
                **_times(created_after, created_before),
            }
            response.headers["Link"] = _next(path, page[-1].id, limit, **filters)
        return [delivery_view(delivery) for delivery in page]

    @router.get("/{webhook_id:uuid}/deliveries/{delivery_id}", summary="A delivery")
    async def delivery(
        webhook_id: UUID, delivery_id: DeliveryId, webhooks: WebhooksDep, tenant_id: UUID = tenant
    ) -> DeliveryView:
        async with webhooks.database.read() as session:
            endpoint = await repository.find_endpoint(session, tenant_id, webhook_id)
            found = await repository.find_delivery(session, endpoint.id, _uuid(delivery_id))
        return delivery_view(found)


def _add_redelivery(router: APIRouter, tenant: Any) -> None:
    @router.post(
        "/{webhook_id:uuid}/deliveries/{delivery_id}/redeliver",
        status_code=202,
        summary="Send an event again",
    )
    async def redeliver(
        webhook_id: UUID, delivery_id: DeliveryId, webhooks: WebhooksDep, tenant_id: UUID = tenant
    ) -> DeliveryView:
        """At once, whatever became of it, and by the whole schedule; with the same `webhook-id`."""
        return delivery_view(await webhooks.redeliver(tenant_id, webhook_id, _uuid(delivery_id)))

    @router.post(
        "/{webhook_id:uuid}/redeliver-failed",
        status_code=202,
        summary="Send every failed event again",
    )
    async def redeliver_failed(
        webhook_id: UUID,
        webhooks: WebhooksDep,
        tenant_id: UUID = tenant,
        created_after: After = None,
        created_before: Before = None,
    ) -> Redelivered:
        """At once, and by the whole schedule; with their old `webhook-id`s."""
        made = Period(created_after, created_before)
        return Redelivered(redelivered=await webhooks.redeliver_failed(tenant_id, webhook_id, made))


def _parsed(model: type[ModelT], body: bytes) -> ModelT:
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise InvalidInput("The webhook endpoint is not valid.", problems_of(error)) from None


def _times(after: datetime | None, before: datetime | None) -> dict[str, str | None]:
    return {
        "created_after": None if after is None else after.isoformat(),
        "created_before": None if before is None else before.isoformat(),
    }


def _uuid(delivery_id: str) -> UUID:
    return UUID(delivery_id.removeprefix("msg_"))


def _next(path: str, last: UUID, limit: int, **filters: object) -> str:
    given = {name: str(value) for name, value in filters.items() if value is not None}
    query = urlencode({"cursor": encode_cursor(last), "limit": limit, **given})
    return f'<{path}?{query}>; rel="next"'


def _body_of(model: type[BaseModel]) -> dict[str, Any]:
    """The schema in place, as FastAPI does not know of bodies we read ourselves."""
    schema = model.model_json_schema()
    names = sorted({name for name, _ in all_solvers()})
    schema["properties"]["solver"]["anyOf"][0]["enum"] = names
    return {"requestBody": {"required": True, "content": {_JSON: {"schema": schema}}}}
