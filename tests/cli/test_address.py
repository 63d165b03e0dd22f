"""Where commands look for the service, and the key they show it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from optimized_tsp.embedded.identity import HOST, free_port
from tests.cli.conftest import TRIANGLE, Cli, Service, running_service
from tests.stack import Servers, public_folder
from tests.up import Up


@pytest.fixture(scope="module")
def guarded(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that requires keys."""
    folder, redis_url = tmp_path_factory.mktemp("guarded"), servers.identity.redis_url
    with (
        servers.database() as database,
        running_service(folder, database, redis_url, workers=1, auth="required") as service,
    ):
        yield service


@pytest.fixture
def key(guarded: Service) -> str:
    """A key, made by the command."""
    urls = {"database_url": guarded.database.owner_url, "redis_url": "redis://localhost/0"}
    made = guarded.cli.having(**urls).run("keys", "create", "test", "--json")
    assert made.code == 0, made.err
    return str(made.json["key"])


def test_commands_find_what_up_runs_here(tmp_path: Path) -> None:
    with public_folder() as folder:
        up = Up(folder / "data", tmp_path / "output")
        try:
            up.start()
            file = tmp_path / "t.json"
            file.write_text(json.dumps(TRIANGLE))
            submitted = up.run("submit", str(file), "--wait", "30")
            assert submitted.returncode == 0, submitted.stderr
            assert "proven" in submitted.stdout
            assert up.run("report", "jobs", "--format", "csv").stdout.count("\n") == 2
        finally:
            up.end()


def test_the_option_goes_before_the_environment(cli: Cli, service: Service) -> None:
    elsewhere = cli.having(url=f"http://{HOST}:{free_port()}")

    assert elsewhere.run("jobs").code == 5
    assert elsewhere.run("jobs", "--url", service.stack.base_url).code == 0
    assert elsewhere.run("jobs", "--url", service.stack.base_url + "/").code == 0


def test_without_any_address_host_and_port_are_tried(cli: Cli, service: Service) -> None:
    nowhere = cli.having(url="")

    assert nowhere.having(port=str(service.stack.port)).run("jobs").code == 0
    everywhere = {"host": "0.0.0.0", "auth": "required"}  # noqa: S104 - as the service's setting
    assert nowhere.having(port=str(service.stack.port), **everywhere).run("jobs").code == 0


def test_a_proxy_is_not_asked_for_what_is_here(cli: Cli) -> None:
    proxy = f"http://{HOST}:{free_port()}"
    proxied = Cli(cli.folder, cli.env | {"HTTP_PROXY": proxy, "http_proxy": proxy})

    ended = proxied.run("submit", cli.file("t.json", TRIANGLE), "--wait", "30")

    assert ended.code == 0, ended.err


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"url": "ftp://example.org"}, "is no address of a service"),
        ({"url": "http://"}, "is no address of a service"),
        ({"url": "", "port": "many"}, "OPTIMIZED_TSP_PORT: "),
        ({"api_key": "two words"}, "OPTIMIZED_TSP_API_KEY is no API key"),
        ({"api_key": "schlüssel"}, "OPTIMIZED_TSP_API_KEY is no API key"),
    ],
)
def test_a_wrong_setting_is_a_usage_error(cli: Cli, settings: dict[str, str], words: str) -> None:
    ended = cli.having(**settings).run("jobs")

    assert ended.code == 2
    assert words in ended.err


def test_a_web_server_that_is_no_service_is_recognised(servers: Servers, cli: Cli) -> None:
    redis = httpx.URL(servers.identity.redis_url)

    ended = cli.run("jobs", "--url", f"http://{redis.host}:{redis.port}")

    assert ended.code == 5
    assert "no answer from" in ended.err


def test_a_key_opens_every_command(guarded: Service, key: str) -> None:
    cli = guarded.cli.having(api_key=key)
    file = cli.file("t.json", TRIANGLE)

    watched = cli.run("submit", file, "--watch")
    job = watched.out.split()[1]

    assert watched.code == 0, watched.err
    assert [cli.run(name, job).code for name in ("show", "watch", "result", "cancel")] == [0] * 4
    assert job in cli.run("jobs").out
    assert key not in watched.out + watched.err


@pytest.mark.parametrize("wrong", ["", "otsp_00000000_no_such_key"])
def test_without_a_good_key_every_command_is_refused_with_advice(
    guarded: Service, wrong: str
) -> None:
    cli = guarded.cli.having(api_key=wrong)
    job = "01a20144-4dc3-72f3-940e-c603eed72385"
    calls = [["jobs"], ["submit", cli.file("t.json", TRIANGLE)]]
    calls += [[name, job] for name in ("show", "watch", "result", "cancel")]

    for call in calls:
        ended = cli.run(*call)
        assert ended.code == 4, call
        assert "refused (401)" in ended.err
        assert "The key is taken from OPTIMIZED_TSP_API_KEY" in ended.err
