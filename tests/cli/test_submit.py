"""Submitting: from a file to a job, once, and staying until it has ended."""

from __future__ import annotations

import json
import select
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from optimized_tsp.cli import client
from optimized_tsp.cli.address import Address
from optimized_tsp.embedded.identity import HOST, free_port
from tests.cli.conftest import TRIANGLE, Cli, Service

SQUARE_TSP = """NAME : square
TYPE : TSP
DIMENSION : 4
EDGE_WEIGHT_TYPE : EUC_2D
NODE_COORD_SECTION
1 0 0
2 10 0
3 10 10
4 0 10
EOF
"""
FILES = {
    "instance.json": TRIANGLE,
    "submission.json": {"tsp_instance": TRIANGLE},
    "points.csv": "x,y\n0,0\n3,0\n0,3\n",
    "points.geojson": {"type": "MultiPoint", "coordinates": [[2.35, 48.86], [13.4, 52.52]]},
    "SQUARE.TSP": SQUARE_TSP,
}


@contextmanager
def losing_answers(port: int, *, lost: int) -> Iterator[str]:
    """A way to the service on which the first answers to a POST get lost; its address."""
    left = [lost]

    def carry(client: socket.socket) -> None:
        posting = False
        with client, socket.create_connection((HOST, port)) as service:
            while True:
                ready, _, _ = select.select([client, service], [], [])
                source = ready[0]
                data = source.recv(2**20)
                posting = posting or data.startswith(b"POST")
                if source is service and posting and left[0] > 0:
                    left[0] -= 1
                    return
                if not data:
                    return
                (service if source is client else client).sendall(data)

    def serve(server: socket.socket) -> None:
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                return  # closed
            threading.Thread(target=carry, args=(client,), daemon=True).start()

    with socket.create_server((HOST, 0)) as server:
        thread = threading.Thread(target=serve, args=(server,))
        thread.start()
        try:
            yield f"http://{HOST}:{server.getsockname()[1]}"
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.parametrize("name", FILES)
def test_every_kind_of_file_is_solved(cli: Cli, name: str) -> None:
    ended = cli.run("submit", cli.file(name, FILES[name]), "--wait", "30", "--json")

    assert ended.code == 0, ended.err
    assert ended.json["solution_status"] == "optimal"


def test_the_id_is_alone_on_stdout_and_the_options_reach_the_job(cli: Cli) -> None:
    options = ["--name", "Zürich 東京", "--tag", "team=nord", "--tag", "kind=a=b"]

    ended = cli.run("submit", cli.file("t.json", TRIANGLE), *options, "--time-limit", "7.5")

    assert ended.code == 0
    assert f"Watch it with: optimized-tsp watch {ended.id}" in ended.err
    job = cli.run("show", ended.id, "--json").json
    assert (job["name"], job["timeout"]) == ("Zürich 東京", 7.5)
    assert job["tags"] == {"team": "nord", "kind": "a=b"}


def test_with_json_the_status_is_printed(cli: Cli) -> None:
    ended = cli.run("submit", cli.file("t.json", TRIANGLE), "--json")

    assert ended.json["name"] is None
    assert ended.err == ""


def test_watching_shows_progress_on_stderr_and_the_result_on_stdout(cli: Cli, gate: Path) -> None:
    file = cli.odd("prove", gate=gate)

    with cli.started("submit", file, "--solver", "odd/v1", "--watch") as running:
        running.said("cost 5  bound 3")
        gate.touch()
        lines = running.out.read().splitlines()
        assert running.code() == 0

    assert lines[1:3] == ["status       Completed (optimal, proven)", "cost         5"]


def test_waiting_says_nothing_but_the_result(cli: Cli) -> None:
    ended = cli.run("submit", cli.odd("prove"), "--solver", "odd/v1", "--wait", "30")

    assert ended.code == 0
    assert ended.err.startswith("optimized-tsp: submitted as ")
    assert len(ended.err.splitlines()) == 1
    assert "cost         5" in ended.out


@pytest.mark.parametrize(("behaviour", "code"), [("infeasible", 3), ("fail", 6)])
def test_the_exit_code_says_how_the_job_ended(cli: Cli, behaviour: str, code: int) -> None:
    ended = cli.run("submit", cli.odd(behaviour), "--solver", "odd/v1", "--wait", "30", "--json")

    assert ended.code == code
    assert ended.json["status"] in {"Completed", "Failed"}


def test_an_infeasible_problem_is_explained(cli: Cli) -> None:
    no_way = {"num_nodes": 3, "edges": []}

    ended = cli.run("submit", cli.file("no_way.json", no_way), "--wait", "30")

    assert ended.code == 3
    assert "why          No edge leads out of" in ended.out


def test_a_wait_that_is_over_prints_the_status_so_far(cli: Cli) -> None:
    options = ["--solver", "odd/v1", "--wait", "0.5", "--json"]

    ended = cli.run("submit", cli.odd("polite"), *options)

    assert ended.code == 8
    assert ended.json["status"] in {"Submitted", "Running"}
    cli.run("cancel", ended.json["task_id"])


def test_ctrl_c_detaches_and_a_cancel_from_elsewhere_is_noticed(cli: Cli) -> None:
    with cli.started("submit", cli.odd("polite"), "--solver", "odd/v1", "--watch") as running:
        job = running.said("submitted as").split()[-1]
        running.said("cost 7")
        running.process.send_signal(signal.SIGINT)
        assert running.code() == 130
    assert cli.run("show", job, "--json").json["status"] == "Running"

    with cli.started("watch", job) as running:
        running.said("cost 7")
        cli.run("cancel", job)
        assert running.code() == 7


def test_the_same_key_gives_the_same_job_and_no_other(cli: Cli) -> None:
    file, key = cli.file("t.json", TRIANGLE), ["--idempotency-key", "tuesday"]

    first, second = cli.run("submit", file, *key), cli.run("submit", file, *key)
    other = cli.run("submit", cli.file("u.json", {"matrix": [[0, 1], [1, 0]]}), *key)

    assert first.id == second.id
    assert other.code == 4
    assert "was used with another body" in other.err


def test_an_answer_that_gets_lost_does_not_double_the_job(cli: Cli, service: Service) -> None:
    file = cli.file("t.json", TRIANGLE)

    with losing_answers(service.stack.port, lost=2) as url:
        ended = cli.run("submit", file, "--name", "once", "--url", url)

    assert ended.code == 0, ended.err
    assert "no answer" in ended.err
    assert [job["task_id"] for job in cli.run("jobs", "--name", "once", "--json").json] == [
        ended.id
    ]


def test_where_no_answer_ever_comes_the_key_to_ask_again_is_told(service: Service) -> None:
    with losing_answers(service.stack.port, lost=1000) as url:
        body = json.dumps({"tsp_instance": TRIANGLE}).encode()
        with (
            client.Service(Address(url), patience_s=0.2) as patient,
            pytest.raises(client.Unreachable) as failure,
        ):
            patient.submit("/tsp_solver/v1/jobs", body, key="seven")

    assert failure.value.code == 5
    assert failure.value.details == ["Try again with --idempotency-key seven: it may be stored."]


def test_what_is_probably_not_meant_is_told(cli: Cli) -> None:
    close = "x,y\n0,0\n0.1,0\n0.2,0\n"

    ended = cli.run("submit", cli.file("close.csv", close))

    assert ended.code == 0
    assert "warning: About 100% of the distances between distinct points" in ended.err
    assert "warning      About 100%" in cli.run("show", ended.id).out


def test_what_the_server_refuses_is_listed_place_by_place(cli: Cli) -> None:
    bad = {"num_nodes": 2, "edges": [{"source": 0, "target": 5, "cost": 1}]}

    ended = cli.run("submit", cli.file("bad.json", bad))

    assert ended.code == 4
    assert "refused (422): The submission is not valid." in ended.err
    assert "/tsp_instance/edges/0/target: " in ended.err


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("broken.json", '{"matrix": [[0, 1],\n [1, 0]', "is not JSON"),
        ("list.json", [1, 2], "holds no JSON object"),
        ("broken.csv", "x,y\n1,2\n3,zwei\n", "line 3, column y"),
        ("broken.geojson", {"type": "Polygon"}, "is expected"),
        ("missing.json", None, "cannot read"),
    ],
)
def test_a_file_that_cannot_be_used_is_a_usage_error(
    cli: Cli, name: str, content: object, words: str
) -> None:
    file = "nowhere.json" if content is None else cli.file(name, content)

    ended = cli.run("submit", file)

    assert ended.code == 2
    assert words in ended.err
    assert ended.out == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--solver", "chess/v1"], "the service has no solver 'chess/v1'; it has: "),
        (["--tag", "nord"], "has to have the form key=value"),
        (["--url", "127.0.0.1:8000"], "one looks like http://127.0.0.1:8000"),
    ],
)
def test_a_wrong_option_is_a_usage_error(cli: Cli, arguments: list[str], words: str) -> None:
    ended = cli.run("submit", cli.file("t.json", TRIANGLE), *arguments)

    assert ended.code == 2
    assert words in ended.err


def test_where_nothing_runs_it_says_what_to_start(cli: Cli) -> None:
    url = f"http://{HOST}:{free_port()}"

    ended = cli.run("submit", cli.file("t.json", TRIANGLE), "--url", url)

    assert ended.code == 5
    assert f"cannot reach a service at {url}" in ended.err
    assert "Start one with `optimized-tsp up`" in ended.err


def test_a_large_body_is_refused_with_the_limit(cli: Cli) -> None:
    large = {"tsp_instance": TRIANGLE, "name": "x" * (33 * 2**20)}

    ended = cli.run("submit", cli.file("large.json", large))

    assert ended.code == 4
    assert "A body may have at most 33554432 bytes" in ended.err
