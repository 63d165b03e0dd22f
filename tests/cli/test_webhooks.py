"""Endpoints of webhooks from the command line; nothing is delivered here, so all of it waits."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
import typer
from rich.cells import cell_len

from optimized_tsp.cli.webhook_commands import DeliveryState, webhooks_app
from optimized_tsp.webhooks.repository import DeliveryStatus
from tests.cli.conftest import TRIANGLE, Cli, Service, running_service
from tests.stack import Servers

PAGE = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text(encoding="utf-8")
ADDRESS = "https://hooks.example.org/tours"
UNKNOWN = "01a20144-4dc3-72f3-940e-c603eed72385"


@pytest.fixture(scope="module")
def service(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """An API without workers."""
    folder, redis_url = tmp_path_factory.mktemp("webhooks"), servers.identity.redis_url
    with (
        servers.database() as database,
        running_service(folder, database, redis_url, workers=0) as service,
    ):
        yield service


@pytest.fixture
def endpoint(cli: Cli) -> Iterator[str]:
    """The id of a new endpoint."""
    webhook_id: str = cli.run("webhooks", "create", ADDRESS, "--json").json["id"]
    yield webhook_id
    assert cli.run("webhooks", "delete", webhook_id).code == 0


def test_a_new_endpoint_has_the_filters_given_and_a_secret_for_scripts(cli: Cli) -> None:
    made = cli.run(
        *("webhooks", "create", ADDRESS, "--event", "job.completed", "--event", "job.started"),
        *("--solver", "tsp/v1", "--tag", "team=north", "--description", "the north"),
    )

    assert made.code == 0
    assert re.fullmatch(r"whsec_\S+\n", made.out)
    (webhook_id,) = re.findall(r"endpoint (\S+) is registered", made.err)
    found = cli.run("webhooks", "show", webhook_id, "--json").json
    assert (found["url"], found["solver"], found["version"]) == (ADDRESS, "tsp", "v1")
    assert set(found["event_types"]) == {"job.started", "job.completed"}
    assert (found["tags"], found["description"]) == ({"team": "north"}, "the north")
    shown = cli.run("webhooks", "show", webhook_id).out
    assert "jobs         tsp/v1, team=north\n" in shown
    assert "state        active\n" in shown
    assert "whsec_" not in shown

    # And it goes as it came
    removed = cli.run("webhooks", "delete", webhook_id, "--json")
    assert removed.json == {"id": webhook_id, "deleted": True}
    assert cli.run("webhooks", "show", webhook_id).code == 4


def test_what_is_changed_is_changed_and_the_rest_stays(cli: Cli, endpoint: str) -> None:
    limited = cli.run(
        *("webhooks", "change", endpoint, "--event", "job.failed", "--solver", "tsp/v1"),
        *("--tag", "team=north", "--description", "the north"),
    )
    elsewhere = cli.run(
        *("webhooks", "change", endpoint, "--address", f"{ADDRESS}/2", "--solver", "knapsack"),
        *("--clear", "tags", "--clear", "description", "--json"),
    ).json
    everything = cli.run("webhooks", "change", endpoint, "--clear", "solver", "--json").json

    assert limited.code == 0
    assert "events       job.failed\n" in limited.out
    assert "jobs         tsp/v1, team=north\n" in limited.out
    assert (elsewhere["url"], elsewhere["event_types"]) == (f"{ADDRESS}/2", ["job.failed"])
    assert (elsewhere["solver"], elsewhere["version"]) == ("knapsack", None)
    assert (elsewhere["tags"], elsewhere["description"]) == (None, None)
    assert everything == elsewhere | {"solver": None}


@pytest.mark.parametrize("options", [[], ["--solver", "tsp", "--clear", "solver"]])
def test_a_change_says_what_is_to_be_different(cli: Cli, endpoint: str, options: list[str]) -> None:
    refused = cli.run("webhooks", "change", endpoint, *options)

    assert refused.code == 2
    assert "name what is to be different, and each once" in refused.err


def test_a_rotated_secret_is_another_one(cli: Cli, endpoint: str) -> None:
    first = cli.run("webhooks", "rotate", endpoint)
    second = cli.run("webhooks", "rotate", endpoint, "--json")

    assert first.out.startswith("whsec_")
    assert "signs beside it until" in first.err
    assert second.json["secret"] != first.out.strip()
    leaked = cli.run("webhooks", "rotate", endpoint, "--overlap", "0")
    assert leaked.err.endswith("the one before signs no more\n")


def test_the_secret_of_jobs_is_shown_and_rotated(cli: Cli) -> None:
    first = cli.run("webhooks", "job-secret")
    second = cli.run("webhooks", "rotate", "job-secret", "--overlap", "0", "--json")

    assert first.out.startswith("whsec_")
    assert second.json["secret"] != first.out.strip()
    assert cli.run("webhooks", "job-secret", "--json").json == second.json
    assert cli.run("webhooks", "rotate", "of-jobs").code == 2


def test_a_test_event_waits_fails_with_its_endpoint_and_is_sent_again(
    cli: Cli, endpoint: str
) -> None:
    # Given a test event that nobody delivers
    sent = cli.run("webhooks", "test", endpoint)
    message = sent.out.strip()
    assert f"`optimized-tsp webhooks deliveries {endpoint}`" in sent.err
    (waiting,) = cli.run("webhooks", "deliveries", endpoint, "--status", "pending", "--json").json
    assert (waiting["id"], waiting["event_type"]) == (message, "webhook.test")

    # When its endpoint is disabled, it has failed
    disabled = cli.run("webhooks", "disable", endpoint)
    assert (disabled.code, disabled.out) == (0, "disabled\n")
    (heading, row) = cli.run("webhooks", "deliveries", endpoint).out.splitlines()
    assert heading.split()[:3] == ["DELIVERY", "STATUS", "EVENT"]
    assert row.split()[:3] == [message, "failed", "webhook.test"]
    refused = cli.run("webhooks", "redeliver", endpoint, message)
    assert refused.code == 4

    # Then once it is enabled all that failed, or one alone, goes out again
    assert cli.run("webhooks", "enable", endpoint).out == "active\n"
    long_ago = ("--created-before", "2026-01-01T00:00:00Z")
    assert cli.run("webhooks", "redeliver", endpoint, *long_ago).out == "0\n"
    assert cli.run("webhooks", "redeliver", endpoint, message, *long_ago).code == 2
    assert cli.run("webhooks", "redeliver", endpoint).out == "1\n"
    assert cli.run("webhooks", "redeliver", endpoint, "--json").json == {"redelivered": 0}
    assert cli.run("webhooks", "redeliver", endpoint, message).out == "1\n"
    failed = cli.run("webhooks", "deliveries", endpoint, "--status", "failed")
    assert (failed.out, failed.err) == ("", "optimized-tsp: no deliveries match\n")


def test_lists_fit_a_terminal_and_say_when_they_are_cut(cli: Cli, endpoint: str) -> None:
    long = f"{ADDRESS}/{'a' * 90}"
    other = cli.run("webhooks", "create", long, "--json").json["id"]
    for _ in range(2):
        cli.run("webhooks", "test", other)

    for command in (["list"], ["deliveries", other]):
        with cli.on_terminal(80, ["webhooks", *command]) as terminal:
            assert terminal.ended() == 0
        assert len(terminal.screen.lines) == 3
        assert max(map(cell_len, terminal.screen.lines)) <= 80
    rows = cli.run("webhooks", "list").out.splitlines()[1:]
    assert [row.split()[0] for row in rows] == [other, endpoint]
    assert long in rows[0]
    short = cli.run("webhooks", "deliveries", other, "--limit", "1", "--json")
    assert len(short.json) == 1
    assert "these are the newest 1" in short.err
    assert cli.run("webhooks", "delete", other).err.endswith("is removed\n")


def test_the_address_of_a_job_is_listed_apart(cli: Cli) -> None:
    body = {"tsp_instance": TRIANGLE, "webhook_url": ADDRESS}
    job = cli.submit(cli.file("with_url.json", body), solver="tsp/v1")
    assert cli.run("cancel", job).code == 0

    (one,) = cli.run("webhooks", "list", "--of-jobs", "--json").json
    (owed,) = cli.run("webhooks", "deliveries", one["id"], "--job", job, "--json").json

    assert (owed["task_id"], owed["event_type"]) == (job, "job.cancelled")
    assert cli.run("webhooks", "list").err.startswith("optimized-tsp: no endpoints yet")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["create", "http://hooks.example.org/"], 4, "/url: "),
        (["create", ADDRESS, "--event", "job.eaten"], 4, "/event_types/0: "),
        (["create", ADDRESS, "--solver", "sudoku"], 4, "/solver: "),
        (["create", ADDRESS, "--tag", "north"], 2, "has to have the form key=value"),
        (["show", UNKNOWN], 4, "`optimized-tsp webhooks list` lists the endpoints there are."),
        (["delete", UNKNOWN], 4, "`optimized-tsp webhooks list` lists the endpoints there are."),
        (["deliveries", UNKNOWN], 4, "`optimized-tsp webhooks list` lists"),
        (["redeliver", UNKNOWN, "seven"], 4, "/path/delivery_id: "),
        (["show", "seven"], 2, "Invalid value"),
        (["deliveries", UNKNOWN, "--status", "lost"], 2, "lost"),
    ],
)
def test_what_is_wrong_is_said_with_the_exit_code(
    cli: Cli, arguments: list[str], code: int, words: str
) -> None:
    ended = cli.run("webhooks", *arguments)

    assert (ended.code, ended.out) == (code, "")
    assert words in ended.err


def test_every_command_and_state_is_known_to_the_page_and_the_service() -> None:
    for command in typer.main.get_group(webhooks_app).commands:
        assert f"optimized-tsp webhooks {command} " in PAGE
    assert set(get_args(DeliveryState)) == {status.value for status in DeliveryStatus}
