"""`optimized-tsp webhooks …`: endpoints of a running service; what runs is in `webhooks.py`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal, TypeAlias
from uuid import UUID

import typer

from optimized_tsp.cli.client_commands import AsJson, Tags, Url, parse_tags
from optimized_tsp.cli.exit_codes import ExitCode, finish

__all__ = ["DeliveryState", "webhooks_app"]

webhooks_app = typer.Typer(help="Webhooks: endpoints that are told what happens to jobs.")


class Cleared(StrEnum):
    """What an endpoint can do without."""

    SOLVER = "solver"
    TAGS = "tags"
    DESCRIPTION = "description"


DeliveryState: TypeAlias = Literal["pending", "delivered", "failed"]
WebhookId: TypeAlias = Annotated[
    UUID, typer.Argument(metavar="ID", help="The endpoint's id, as list shows it.")
]
Limit: TypeAlias = Annotated[int, typer.Option(min=1, help="How many, newest first.")]
All: TypeAlias = Annotated[bool, typer.Option("--all", help="Every one there is.")]
OfSolver: TypeAlias = Annotated[
    str | None, typer.Option(metavar="NAME[/VERSION]", help="Only its jobs, as tsp or tsp/v1.")
]
Description: TypeAlias = Annotated[str | None, typer.Option(help="A note of your own.")]


@webhooks_app.command()
def create(
    address: Annotated[
        str, typer.Argument(metavar="ADDRESS", help="Where events are posted: https, public.")
    ],
    *,
    event: Annotated[
        list[str] | None,
        typer.Option(metavar="TYPE", help="As job.completed; may be repeated. Default: the ends."),
    ] = None,
    solver: OfSolver = None,
    tag: Tags = None,
    description: Description = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Register an endpoint and print its secret, this once."""
    from optimized_tsp.cli.address import find_service
    from optimized_tsp.cli.webhooks import run_create

    def work() -> ExitCode:
        members = _members(address, event, solver, tag, description)
        return run_create(find_service(url), members, as_json=as_json)

    finish(work)


@webhooks_app.command()
def change(
    webhook_id: WebhookId,
    *,
    address: Annotated[
        str | None, typer.Option(help="Where events are posted from now on: https, public.")
    ] = None,
    event: Annotated[
        list[str] | None,
        typer.Option(metavar="TYPE", help="These instead of those before; may be repeated."),
    ] = None,
    solver: OfSolver = None,
    tag: Tags = None,
    description: Description = None,
    clear: Annotated[
        list[Cleared] | None,
        typer.Option(metavar="|".join(Cleared), help="Take this away; may be repeated."),
    ] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Change an endpoint and show it; what is not named stays, the secret too."""
    from optimized_tsp.cli.address import find_service
    from optimized_tsp.cli.webhooks import run_change

    def work() -> ExitCode:
        members = _members(address, event, solver, tag, description)
        cleared = _cleared(clear or [])
        if not (members or cleared) or members.keys() & cleared:
            raise typer.BadParameter("name what is to be different, and each once")
        return run_change(find_service(url), webhook_id, members | cleared, as_json=as_json)

    finish(work)


def _members(
    address: str | None,
    event: list[str] | None,
    solver: str | None,
    tag: list[str] | None,
    description: str | None,
) -> dict[str, Any]:
    """The members of an endpoint that were given; a solver means its version, too, or all."""
    given: dict[str, Any] = {
        "url": address,
        "event_types": event or None,
        "tags": dict(parse_tags(tag)) or None,
        "description": description,
    }
    members = {name: value for name, value in given.items() if value is not None}
    if solver is not None:
        name, _, version = solver.partition("/")
        members |= {"solver": name, "version": version or None}
    return members


def _cleared(what: list[Cleared]) -> dict[str, None]:
    members = [one.value for one in what]
    if Cleared.SOLVER in what:
        members.append("version")
    return dict.fromkeys(members)


@webhooks_app.command("list")
def list_all(
    *,
    of_jobs: Annotated[
        bool, typer.Option("--of-jobs", help="Those of jobs' webhook_url instead.")
    ] = False,
    limit: Limit = 50,
    everything: All = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """List endpoints, newest first."""
    from optimized_tsp.cli.address import find_service
    from optimized_tsp.cli.webhooks import run_list

    most = None if everything else limit
    finish(lambda: run_list(find_service(url), of_jobs=of_jobs, limit=most, as_json=as_json))


@webhooks_app.command()
def show(webhook_id: WebhookId, *, url: Url = None, as_json: AsJson = False) -> None:
    """Show an endpoint: what it wants, and how it does."""
    from optimized_tsp.cli.address import find_service
    from optimized_tsp.cli.webhooks import run_show

    finish(lambda: run_show(find_service(url), webhook_id, as_json=as_json))


@webhooks_app.command("test")
def send_test(webhook_id: WebhookId, *, url: Url = None, as_json: AsJson = False) -> None:
    """Send a webhook.test at once and print its delivery's id."""
    from optimized_tsp.cli.address import find_service
    from optimized_tsp.cli.webhooks import run_test

    finish(lambda: run_test(find_service(url), webhook_id, as_json=as_json))


@webhooks_app.command("job-secret")
def job_secret(*, url: Url = None, as_json: AsJson = False) -> None:
    """Print the secret of all jobs' webhook_url; rotate job-secret replaces it."""
    from optimized_tsp.cli.address import find_service
    from optimized_tsp.cli.webhooks import run_job_secret

    finish(lambda: run_job_secret(find_service(url), as_json=as_json))


def _secret_owner(given: str) -> str:
    """As the service's path has it."""
    if given == "job-secret":
        return "job-secret/rotate"
    try:
        return f"{UUID(given)}/rotate-secret"
    except ValueError:
        raise typer.BadParameter(f"{given!r} is neither an id nor job-secret") from None


@webhooks_app.command()
def rotate(
    owner: Annotated[
        str,
        typer.Argument(
            metavar="ID", help="The endpoint's id, or job-secret for that of jobs' webhook_url."
        ),
    ],
    *,
    overlap: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="For how long the old one signs along: a day by default, 7 at most, 0 for one that"
            " is in the wrong hands.",
        ),
    ] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Replace the secret and print the new one, this once."""
    from optimized_tsp.cli.address import find_service
    from optimized_tsp.cli.webhooks import run_rotate

    path = _secret_owner(owner)
    finish(lambda: run_rotate(find_service(url), path, overlap=overlap, as_json=as_json))


@webhooks_app.command()
def disable(webhook_id: WebhookId, *, url: Url = None, as_json: AsJson = False) -> None:
    """Send nothing more; what waits to be sent has failed."""
    from optimized_tsp.cli.address import find_service
    from optimized_tsp.cli.webhooks import run_switch

    finish(lambda: run_switch(find_service(url), webhook_id, "disable", as_json=as_json))


@webhooks_app.command()
def enable(webhook_id: WebhookId, *, url: Url = None, as_json: AsJson = False) -> None:
    """Send again, from now on."""
    from optimized_tsp.cli.address import find_service
    from optimized_tsp.cli.webhooks import run_switch

    finish(lambda: run_switch(find_service(url), webhook_id, "enable", as_json=as_json))


@webhooks_app.command()
def delete(webhook_id: WebhookId, *, url: Url = None, as_json: AsJson = False) -> None:
    """Remove an endpoint; what waits to be sent to it is not sent."""
    from optimized_tsp.cli.address import find_service
    from optimized_tsp.cli.webhooks import run_delete

    finish(lambda: run_delete(find_service(url), webhook_id, as_json=as_json))


@webhooks_app.command()
def deliveries(
    webhook_id: WebhookId,
    *,
    status: Annotated[DeliveryState | None, typer.Option(help="Only these.")] = None,
    job: Annotated[UUID | None, typer.Option(metavar="ID", help="Only this job's.")] = None,
    limit: Limit = 50,
    everything: All = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """List what was and will be sent to an endpoint, newest first."""
    from optimized_tsp.cli.address import find_service
    from optimized_tsp.cli.webhooks import run_deliveries

    def work() -> ExitCode:
        filters = [] if status is None else [("status", str(status))]
        filters += [] if job is None else [("task_id", str(job))]
        most = None if everything else limit
        return run_deliveries(
            find_service(url), webhook_id, filters=filters, limit=most, as_json=as_json
        )

    finish(work)


@webhooks_app.command()
def redeliver(
    webhook_id: WebhookId,
    delivery: Annotated[
        str | None, typer.Argument(help="Only this one (msg_…), whatever became of it.")
    ] = None,
    *,
    created_after: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only those made after it (RFC 3339).")
    ] = None,
    created_before: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only those made before it.")
    ] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Send an event again, or all that failed; print how many."""
    from optimized_tsp.cli.address import find_service
    from optimized_tsp.cli.webhooks import run_redeliver

    made = {"created_after": created_after, "created_before": created_before}
    given = {name: time for name, time in made.items() if time is not None}
    if delivery is not None and given:
        raise typer.BadParameter("times choose among those that failed; leave them or DELIVERY out")
    finish(
        lambda: run_redeliver(find_service(url), webhook_id, delivery, made=given, as_json=as_json)
    )
