"""Solving right here: the answer, its formats, and every way it can end."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import PLUGINS, TRIANGLE, Cli


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """The command, with no service anywhere, that knows the odd solvers."""
    env = {"PYTHONPATH": str(PLUGINS), "OPTIMIZED_TSP_DATA_DIR": str(tmp_path / "nothing")}
    return Cli(tmp_path, env)


def test_json_has_all_there_is_to_know(cli: Cli) -> None:
    ended = cli.run("solve", cli.file("t.json", TRIANGLE), "--json")

    assert ended.code == 0
    answer = ended.json
    assert (answer["cost"], answer["lower_bound"], answer["gap"]) == (6, 6, 0)
    assert (answer["solution_status"], answer["stop_reason"]) == ("optimal", "proven")
    assert sorted(answer["node_order"]) == [0, 1, 2]
    assert answer["wall_s"] >= 0


def test_the_tour_can_be_written_too(cli: Cli, tmp_path: Path) -> None:
    tour = tmp_path / "t.tour"

    ended = cli.run("solve", cli.file("t.json", TRIANGLE), "--tour", str(tour))

    assert ended.code == 0
    assert "cost         6" in ended.out
    assert "TOUR_SECTION" in tour.read_text()


TSPLIB = """NAME : square
TYPE : TSP
DIMENSION : 4
EDGE_WEIGHT_TYPE : EUC_2D
FIXED_EDGES_SECTION
1 3
-1
NODE_COORD_SECTION
1 0 0
2 0 10
3 10 10
4 10 0
"""


@pytest.mark.parametrize("ending", ["tsp", "atsp"])
def test_tsplib_files_are_solved(cli: Cli, ending: str) -> None:
    ended = cli.run("solve", cli.file(f"square.{ending}", TSPLIB), "--json")

    assert ended.code == 0
    assert ended.json["cost"] == ended.json["lower_bound"] == 48
    assert ended.json["node_order"].index(2) in {1, 3}  # beside node 0


LINE = "name,x,y\nA,0,0\nB,30,0\nC,10,0\nD,20,0\n"


@pytest.mark.parametrize(
    ("options", "order", "cost"),
    [
        (["--start", "2"], [2, 3, 1, 0], 60),
        (["--open", "--start", "0"], [0, 2, 3, 1], 30),
        (["--open", "--end", "0"], [1, 3, 2, 0], 30),
        (["--open", "--start", "1", "--end", "0"], [1, 3, 2, 0], 30),
    ],
)
def test_where_a_tour_begins_and_ends(
    cli: Cli, options: list[str], order: list[int], cost: int
) -> None:
    ended = cli.run("solve", cli.file("line.csv", LINE), "--json", *options)

    assert ended.code == 0
    assert ended.json["cost"] == ended.json["lower_bound"] == cost
    if "--open" in options:
        assert ended.json["node_order"] == order
    assert ended.json["node_order"][0] == order[0]


def test_an_open_path_is_written_as_one(cli: Cli, tmp_path: Path) -> None:
    tour = tmp_path / "line.tour"

    ended = cli.run("solve", cli.file("line.csv", LINE), "--open", "--tour", str(tour))

    assert ended.code == 0
    assert "Open path" in tour.read_text()


def test_a_tour_is_drawn(cli: Cli, tmp_path: Path) -> None:
    picture = tmp_path / "line.svg"

    ended = cli.run("solve", cli.file("line.csv", LINE), "--open", "--plot", str(picture))

    assert ended.code == 0
    assert "<polyline" in picture.read_text()


def test_what_has_no_points_is_not_drawn_but_answered(cli: Cli, tmp_path: Path) -> None:
    picture = tmp_path / "t.svg"

    ended = cli.run("solve", cli.file("t.json", TRIANGLE), "--plot", str(picture))

    assert ended.code == 1
    assert "only points can be drawn" in ended.err
    assert "cost         6" in ended.out
    assert not picture.exists()


@pytest.mark.parametrize("option", ["--open", "--round-trip"])
def test_options_go_before_what_the_file_says(cli: Cli, option: str) -> None:
    file = cli.file("t.json", {"tsp_instance": TRIANGLE | {"round_trip": option != "--open"}})

    ended = cli.run("solve", file, option, "--json")

    assert ended.json["cost"] == (3 if option == "--open" else 6)


def test_what_is_wrong_in_a_tsplib_file_is_said_with_its_line(cli: Cli) -> None:
    ended = cli.run("solve", cli.file("square.tsp", TSPLIB.replace("2 0 10", "2 0 ten")))

    assert ended.code == 2
    assert "/tsp_instance/tsplib: line 10: A number is expected here, not 'ten'." in ended.err


def test_a_tour_that_cannot_be_written_does_not_lose_the_answer(cli: Cli, tmp_path: Path) -> None:
    tour = tmp_path / "no" / "where.tour"

    ended = cli.run("solve", cli.file("t.json", TRIANGLE), "--tour", str(tour), "--json")

    assert ended.code == 1
    assert "cannot write" in ended.err
    assert ended.json["cost"] == 6


@pytest.mark.parametrize(
    ("content", "options", "code", "words"),
    [
        ({"num_nodes": 3, "edges": []}, [], 3, "No edge leads out of"),
        ({"matrix": [[0, 1]]}, [], 2, "/tsp_instance/matrix"),
        ("{", [], 2, "is not JSON"),
        (TRIANGLE, ["--solver", "chess/v1"], 2, "there is no solver 'chess/v1'"),
        (TRIANGLE, ["--time-limit", "-1"], 2, "--time-limit"),
        (TRIANGLE, ["--start", "3"], 2, "/tsp_instance/start: Node 3 does not exist"),
        (TRIANGLE, ["--end", "1"], 2, "/tsp_instance/end: A round trip ends where it began"),
    ],
)
def test_what_cannot_be_solved_is_explained(
    cli: Cli, content: object, options: list[str], code: int, words: str
) -> None:
    ended = cli.run("solve", cli.file("problem.json", content), *options)

    assert ended.code == code
    assert words in ended.out + ended.err


@pytest.mark.parametrize(("behaviour", "code"), [("find_nothing", 3), ("fail", 1)])
def test_the_exit_code_says_how_it_ended(cli: Cli, behaviour: str, code: int) -> None:
    file = cli.odd(behaviour, timeout=0.5)

    assert cli.run("solve", file, "--solver", "odd/v1").code == code


@pytest.mark.parametrize("columns", [80, 120])
def test_ctrl_c_stops_and_keeps_the_best_solution(cli: Cli, columns: int) -> None:
    command = ["solve", cli.odd("polite"), "--solver", "odd/v1"]

    with cli.on_terminal(columns, command) as terminal:
        # Both rows: what is read may end in the middle of a redraw.
        screen = terminal.until(
            lambda screen: "cost 7  bound 2" in "".join(screen.lines) and len(screen.lines) == 2
        )
        terminal.type("\x03")
        assert terminal.ended() == 130

    assert "status       feasible (cancelled)" in screen.lines
    assert "cost         7" in screen.lines
    assert screen.cursor_visible


def test_a_tour_of_before_is_where_the_next_solve_begins(cli: Cli, tmp_path: Path) -> None:
    tour, problem = tmp_path / "t.tour", cli.file("square.tsp", TSPLIB)
    cli.run("solve", problem, "--tour", str(tour))

    ended = cli.run(
        *("solve", problem, "--initial-tour", str(tour), "--engine", "cp_sat", "--json"),
        *("--threads", "1", "--gap-limit", "0", "--deterministic"),
    )
    assert ended.code == 0
    assert ended.json["cost"] == 48
    assert ended.json["statistics"]["reproducible"] is True

    other = cli.run("solve", cli.file("t.json", TRIANGLE), "--initial-tour", str(tour))
    assert other.code == 2
    assert "initial_tour" in other.err


@pytest.mark.parametrize(
    ("name", "content"), [("t.tour", "TYPE : TSP"), ("t.json", "[0, 1"), ("t.json", '{"cost": 1}')]
)
def test_a_file_without_a_tour_is_no_initial_tour(cli: Cli, name: str, content: str) -> None:
    initial = cli.file(name, content)
    problem = cli.file("square.tsp", TSPLIB)
    assert cli.run("solve", problem, "--initial-tour", initial).code == 2
