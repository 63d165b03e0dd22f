"""The public shapes of webhooks: what is posted, what is answered."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Field, JsonValue, WithJsonSchema
from pydantic_core import PydanticCustomError

from optimized_tsp.core.tags import Tags, storable
from optimized_tsp.events.types import EventType
from optimized_tsp.solvers.contract import StrictModel
from optimized_tsp.solvers.registry import all_solvers
from optimized_tsp.webhooks.address import MAX_URL_LENGTH
from optimized_tsp.webhooks.models import WebhookDelivery, WebhookEndpoint
from optimized_tsp.webhooks.outbox import message_id
from optimized_tsp.webhooks.repository import DEFAULT_EVENT_TYPES, DeliveryStatus

__all__ = [
    "DELIVERY_PATTERN",
    "DeliveryView",
    "EndpointChange",
    "EndpointRegistration",
    "EndpointView",
    "Kind",
    "Redelivered",
    "RegisteredEndpoint",
    "SecretView",
    "delivery_view",
    "endpoint_view",
]

DELIVERY_PATTERN = r"^msg_[0-9a-f]{32}$"

_EVENT_NAMES = [kind.value for kind in EventType]


def _in_order(kinds: list[EventType]) -> list[EventType]:
    return [kind for kind in EventType if kind in kinds]


def _known(solver: str | None) -> str | None:
    names = sorted({name for name, _ in all_solvers()})
    if solver is not None and solver not in names:
        raise PydanticCustomError(
            "unknown_solver", "is no solver here; there are {names}", {"names": ", ".join(names)}
        )
    return solver


Kind = Literal["registered", "job_url"]


Url = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MAX_URL_LENGTH,
        description="Where events are posted: https, to a public address.",
    ),
]
EventTypes = Annotated[
    list[Annotated[EventType, WithJsonSchema({"type": "string", "enum": _EVENT_NAMES})]],
    Field(min_length=1, max_length=100, description="Which events are sent."),
    AfterValidator(_in_order),
]
SolverName = Annotated[
    str | None, AfterValidator(_known), Field(description="Only jobs of this solver, as `tsp`.")
]
Version = Annotated[str | None, Field(description="Only of this version of it, as `v1`.")]
TagFilter = Annotated[Tags | None, Field(description="Only jobs that have all of these tags.")]
Description = Annotated[
    Annotated[str, Field(max_length=500), AfterValidator(storable)] | None,
    Field(description="A note of your own."),
]


class _Filters(StrictModel):
    """What both a registration and a change may say."""

    solver: SolverName = None
    version: Version = None
    tags: TagFilter = None
    description: Description = None


class EndpointRegistration(_Filters):
    """An address that wants events."""

    url: Url
    event_types: EventTypes = Field(
        default_factory=lambda: [EventType(name) for name in DEFAULT_EVENT_TYPES],
        json_schema_extra={"default": list[JsonValue](DEFAULT_EVENT_TYPES)},
    )


class EndpointChange(_Filters):
    """What is to be different; null takes a filter away (JSON Merge Patch, RFC 7396)."""

    url: Url = Field(default_factory=str)
    event_types: EventTypes = Field(default_factory=list)


class EndpointView(BaseModel):
    """An endpoint, without its secret. Times are RFC 3339, UTC."""

    id: UUID
    kind: Kind = Field(description="`job_url`: stands for the `webhook_url` of jobs.")
    url: str
    description: str | None
    event_types: list[str]
    solver: str | None
    version: str | None
    tags: dict[str, str] | None
    created_at: datetime
    disabled_at: datetime | None = Field(description="Since when nothing is sent.")
    disabled_reason: str | None
    failing_since: datetime | None = Field(description="First of the failures in a row.")
    consecutive_failures: int
    paused_until: datetime | None = Field(
        description="After failures in a row nothing is tried before this time."
    )


class RegisteredEndpoint(EndpointView):
    """A new endpoint with its secret, shown this once."""

    secret: str = Field(description="`whsec_` and base64; verifies what arrives.", repr=False)


class SecretView(BaseModel):
    """A secret that signs."""

    secret: str = Field(description="`whsec_` and base64; verifies what arrives.", repr=False)
    previous_valid_until: datetime | None = Field(
        description="Until then the secret before it signs too; null when it does not."
    )


class DeliveryView(BaseModel):
    """An event and what became of it on the way to one endpoint."""

    id: str = Field(description="The `webhook-id`, the same at every attempt.")
    webhook_id: UUID
    status: DeliveryStatus
    event_type: str
    task_id: UUID | None = Field(description="null in a test.")
    seq: int | None
    payload: dict[str, Any] = Field(description="What is sent as `data`.")
    created_at: datetime
    attempts: int = Field(description="Since it was last asked for.")
    next_attempt_at: datetime | None = Field(description="While it is pending.")
    delivered_at: datetime | None
    failed_at: datetime | None
    last_attempt_at: datetime | None
    last_status: int | None = Field(description="HTTP status of the last answer.")
    last_error: str | None
    last_duration_s: float | None


class Redelivered(BaseModel):
    """How many deliveries are due again."""

    redelivered: int = Field(ge=0)


def endpoint_view(endpoint: WebhookEndpoint) -> EndpointView:
    """An endpoint as callers see it."""
    return EndpointView(
        kind="registered" if endpoint.listed else "job_url",
        **{name: getattr(endpoint, name) for name in EndpointView.model_fields if name != "kind"},
    )


def delivery_view(delivery: WebhookDelivery) -> DeliveryView:
    """A delivery as callers see it."""
    if delivery.delivered_at is not None:
        status = DeliveryStatus.DELIVERED
    elif delivery.failed_at is not None:
        status = DeliveryStatus.FAILED
    else:
        status = DeliveryStatus.PENDING
    return DeliveryView(
        id=message_id(delivery.id),
        webhook_id=delivery.endpoint_id,
        status=status,
        event_type=delivery.event_type,
        task_id=delivery.job_id,
        seq=delivery.seq,
        payload=delivery.payload,
        created_at=delivery.created_at,
        attempts=delivery.attempts,
        next_attempt_at=(delivery.next_attempt_at if status is DeliveryStatus.PENDING else None),
        delivered_at=delivery.delivered_at,
        failed_at=delivery.failed_at,
        last_attempt_at=delivery.last_attempt_at,
        last_status=delivery.last_status,
        last_error=delivery.last_error,
        last_duration_s=delivery.last_duration_s,
    )
