"""What `optimized-tsp webhooks …` does: calls of a running service, shown to a person."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any
from urllib.parse import quote
from uuid import UUID

import httpx
import orjson

from optimized_tsp.cli.address import Address
from optimized_tsp.cli.client import Rejected, Service
from optimized_tsp.cli.exit_codes import ExitCode, complain
from optimized_tsp.cli.tables import Column, age, lay_out, moment, printable, terminal_width

__all__ = [
    "run_change",
    "run_create",
    "run_delete",
    "run_deliveries",
    "run_job_secret",
    "run_list",
    "run_redeliver",
    "run_rotate",
    "run_show",
    "run_switch",
    "run_test",
]

Entry = dict[str, Any]
"""An endpoint or a delivery as the service answers it."""

_PAGE = 200
_ENDPOINTS = (
    Column("WEBHOOK"),
    Column("STATE"),
    Column("URL", least=24),
    Column("AGE", right=True, droppable=True),
    Column("JOBS", droppable=True),
)
_DELIVERIES = (
    Column("DELIVERY"),
    Column("STATUS"),
    Column("EVENT", least=8),
    Column("ANSWER", right=True),
    Column("TRIES", right=True),
    Column("AGE", right=True),
    Column("JOB", droppable=True),
    Column("ERROR", droppable=True),
)


class _Webhooks(Service):
    """The calls on webhooks; unknown endpoints and deliveries are refused with advice."""

    def call(self, method: str, path: str, **request: Any) -> Entry:
        """One call below `/webhooks` that answers an object."""
        try:
            return self._object(self._send(method, f"/webhooks{path}", **request))
        except Rejected as error:
            raise self._advised(error) from None

    def delete(self, webhook_id: UUID) -> None:
        try:
            self._checked(self._send("DELETE", f"/webhooks/{webhook_id}"))
        except Rejected as error:
            raise self._advised(error) from None

    def newest(
        self, path: str, filters: Sequence[tuple[str, str]], limit: int | None
    ) -> list[Entry]:
        """The newest entries below `/webhooks`, page after page; None gives all."""
        page = _PAGE if limit is None else min(limit + 1, _PAGE)
        entries = self.jobs(f"/webhooks{path}", [*filters, ("limit", str(page))])
        try:
            found = list(islice(entries, None if limit is None else limit + 1))
        except Rejected as error:
            raise self._advised(error) from None
        if limit is not None and len(found) > limit:
            found.pop()
            complain(f"these are the newest {limit}; see more with --limit N or --all")
        return found

    def _advised(self, error: Rejected) -> Rejected:
        if error.status == httpx.codes.NOT_FOUND:
            command = self.address.command("webhooks list")
            error.details = [*error.details, f"`{command}` lists the endpoints there are."]
        return error


def run_create(address: Address, members: dict[str, Any], *, as_json: bool) -> ExitCode:
    """Register an endpoint."""
    with _Webhooks(address) as service:
        made = service.call("POST", "", json=members)
    if as_json:
        return _print_json(made)
    complain(f"endpoint {made['id']} is registered; its secret is shown only now")
    return _print(made["secret"])


def run_list(address: Address, *, of_jobs: bool, limit: int | None, as_json: bool) -> ExitCode:
    """Print endpoints, newest first, as a table or one JSON array; `limit` None prints all."""
    with _Webhooks(address) as service:
        kind = "job_url" if of_jobs else "registered"
        found = service.newest("", [("kind", kind)], limit)
    if as_json:
        return _print_json(found)
    if not found:
        complain("no endpoints yet; make one with `webhooks create ADDRESS`")
        return ExitCode.OK
    now = datetime.now(UTC)
    return _print_table(_ENDPOINTS, [_endpoint_row(one, now) for one in found])


def run_show(address: Address, webhook_id: UUID, *, as_json: bool) -> ExitCode:
    """Print what is known about an endpoint."""
    with _Webhooks(address) as service:
        found = service.call("GET", f"/{webhook_id}")
    return _print_json(found) if as_json else _print("\n".join(_facts(found)))


def run_change(
    address: Address, webhook_id: UUID, members: dict[str, Any], *, as_json: bool
) -> ExitCode:
    """Change these members of an endpoint (None takes one away) and print what is known then."""
    with _Webhooks(address) as service:
        changed = service.call("PATCH", f"/{webhook_id}", json=members)
    return _print_json(changed) if as_json else _print("\n".join(_facts(changed)))


def run_test(address: Address, webhook_id: UUID, *, as_json: bool) -> ExitCode:
    """Have a test event sent."""
    with _Webhooks(address) as service:
        made = service.call("POST", f"/{webhook_id}/test")
        following = service.address.command(f"webhooks deliveries {webhook_id}")
    if as_json:
        return _print_json(made)
    complain(f"what becomes of it: `{following}`")
    return _print(made["id"])


def run_job_secret(address: Address, *, as_json: bool) -> ExitCode:
    """Print the secret of all `webhook_url`s."""
    with _Webhooks(address) as service:
        found = service.call("GET", "/job-secret")
    return _print_json(found) if as_json else _print(found["secret"])


def run_rotate(address: Address, path: str, *, overlap: float | None, as_json: bool) -> ExitCode:
    """Replace a secret; the one before signs on for `overlap` seconds."""
    chosen = {} if overlap is None else {"overlap": overlap}
    with _Webhooks(address) as service:
        made = service.call("POST", f"/{path}", params=chosen)
    if as_json:
        return _print_json(made)
    until = made["previous_valid_until"]
    before = "signs no more" if until is None else f"signs beside it until {moment(until)}"
    complain(f"the new secret is shown only now; the one before {before}")
    return _print(made["secret"])


def run_switch(address: Address, webhook_id: UUID, action: str, *, as_json: bool) -> ExitCode:
    """`enable` or `disable` an endpoint; safe to repeat."""
    with _Webhooks(address) as service:
        changed = service.call("POST", f"/{webhook_id}/{action}")
    return _print_json(changed) if as_json else _print(_state(changed, datetime.now(UTC)))


def run_delete(address: Address, webhook_id: UUID, *, as_json: bool) -> ExitCode:
    """Remove an endpoint."""
    with _Webhooks(address) as service:
        service.delete(webhook_id)
    if as_json:
        return _print_json({"id": str(webhook_id), "deleted": True})
    complain(f"endpoint {webhook_id} is removed")
    return ExitCode.OK


def run_deliveries(
    address: Address,
    webhook_id: UUID,
    *,
    filters: list[tuple[str, str]],
    limit: int | None,
    as_json: bool,
) -> ExitCode:
    """Print an endpoint's deliveries, newest first; `limit` None prints all."""
    with _Webhooks(address) as service:
        found = service.newest(f"/{webhook_id}/deliveries", filters, limit)
    if as_json:
        return _print_json(found)
    if not found:
        complain("no deliveries" + (" match" if filters else " yet"))
        return ExitCode.OK
    now = datetime.now(UTC)
    return _print_table(_DELIVERIES, [_delivery_row(one, now) for one in found])


def run_redeliver(
    address: Address,
    webhook_id: UUID,
    delivery: str | None,
    *,
    made: dict[str, str],
    as_json: bool,
) -> ExitCode:
    """Send one event again, or all that failed and were `made` then."""
    with _Webhooks(address) as service:
        if delivery is None:
            answer = service.call("POST", f"/{webhook_id}/redeliver-failed", params=made)
        else:
            place = f"/{webhook_id}/deliveries/{quote(delivery, safe='')}"
            answer = service.call("POST", f"{place}/redeliver")
    if as_json:
        return _print_json(answer)
    return _print("1" if delivery is not None else str(answer["redelivered"]))


def _state(endpoint: Entry, now: datetime) -> str:
    if endpoint["disabled_at"] is not None:
        return "disabled"
    paused = endpoint["paused_until"]
    if paused is not None and datetime.fromisoformat(paused) > now:
        return "paused"
    return "active" if endpoint["failing_since"] is None else "failing"


def _wanted(endpoint: Entry) -> str:
    """Which jobs an endpoint is told of; empty for all."""
    solver = "/".join(part for part in (endpoint["solver"], endpoint["version"]) if part)
    tags = [f"{key}={value}" for key, value in (endpoint["tags"] or {}).items()]
    return ", ".join([solver, *tags] if solver else tags)


def _endpoint_row(endpoint: Entry, now: datetime) -> list[str]:
    return [
        endpoint["id"],
        _state(endpoint, now),
        endpoint["url"],
        age(endpoint["created_at"], now),
        _wanted(endpoint) or "all",
    ]


def _delivery_row(delivery: Entry, now: datetime) -> list[str]:
    return [
        delivery["id"],
        delivery["status"],
        delivery["event_type"],
        "" if delivery["last_status"] is None else str(delivery["last_status"]),
        str(delivery["attempts"]),
        age(delivery["created_at"], now),
        delivery["task_id"] or "",
        delivery["last_error"] or "",
    ]


def _facts(endpoint: Entry) -> Iterator[str]:
    """What is known about an endpoint, a line each."""
    known = {
        "webhook": endpoint["id"],
        "url": endpoint["url"],
        "kind": "of jobs" if endpoint["kind"] == "job_url" else None,
        "note": endpoint["description"],
        "state": _state(endpoint, datetime.now(UTC)),
        "why": endpoint["disabled_reason"],
        "events": ", ".join(endpoint["event_types"]),
        "jobs": _wanted(endpoint) or "all",
        "failures": endpoint["consecutive_failures"] or None,
        "since": moment(endpoint["failing_since"]),
        "paused until": moment(endpoint["paused_until"]),
        "disabled": moment(endpoint["disabled_at"]),
        "created": moment(endpoint["created_at"]),
    }
    for label, value in known.items():
        if value is not None:
            yield f"{label:<12} {printable(str(value))}"


def _print(text: str) -> ExitCode:
    sys.stdout.write(f"{text}\n")
    return ExitCode.OK


def _print_table(columns: Sequence[Column], rows: list[list[str]]) -> ExitCode:
    return _print("\n".join(lay_out(columns, rows, terminal_width())))


def _print_json(value: Any) -> ExitCode:
    return _print(orjson.dumps(value).decode())
