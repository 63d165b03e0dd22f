"""The text of a TSPLIB file as an instance: solved, checked and refused like the other forms."""

from __future__ import annotations

import json
import threading
from itertools import permutations
from random import Random

import pytest
from pydantic import ValidationError

from optimized_tsp.solvers.contract import (
    Incumbent,
    InstanceSize,
    InvalidInstance,
    InvalidSolution,
    Outcome,
    SolutionStatus,
)
from optimized_tsp.solvers.tsp import TspInstance, TspParameters, TspSolution, TspSolver
from optimized_tsp.solvers.tsp.check_tsplib import TsplibReading
from optimized_tsp.solvers.tsp.formats import WRITERS
from optimized_tsp.solvers.tsp.graph import DENSE_LIMIT
from optimized_tsp.solvers.tsp.spatial_metrics import SPATIAL_METRICS
from tests.solvers.tsp.tsplib_texts import WORD_ORDER, explicit, lines, located

SOLVER = TspSolver()
SQUARE = located([(0, 0), (0, 10), (10, 10), (10, 0)], "EUC_2D")
DIAGONAL = SQUARE.replace("EOF", "FIXED_EDGES_SECTION\n3 1\n-1\nEOF")
GRAPH = lines(
    "TYPE: HCP",
    "DIMENSION: 5",
    "EDGE_DATA_FORMAT: EDGE_LIST",
    "EDGE_DATA_SECTION",
    "1 2\n2 3\n3 4\n4 5\n5 1\n1 3\n-1",
)


def solve(
    text: str,
    *,
    reports: list[Incumbent[TspSolution]] | None = None,
    start: TspSolution | None = None,
    timeout: float = 30.0,
) -> Outcome[TspSolution]:
    """The outcome; every report holds, and so does the solution."""
    instance = TspInstance(tsplib=text)
    reports = [] if reports is None else reports
    outcome = SOLVER.solve(
        instance,
        TspParameters(timeout=timeout),
        seed=1,
        stop=threading.Event(),
        on_incumbent=reports.append,
        start=start,
    )
    found: list[Incumbent[TspSolution] | Outcome[TspSolution]] = [*reports, outcome]
    for report in found:
        if report.solution is not None:
            assert report.solution.cost == report.cost
            SOLVER.check(instance, report.solution)
        if report.lower_bound is not None and outcome.cost is not None:
            assert report.lower_bound <= outcome.cost
    return outcome


def cheapest(text: str) -> int | None:
    """By trying everything, with the check's own reading of the text."""
    reading = TsplibReading(text)
    best = None
    for rest in permutations(range(1, reading.num_nodes)):
        order = [0, *rest]
        steps = list(zip(order, [*rest, 0], strict=True))
        taken = {*steps, *(() if reading.directed else ((b, a) for a, b in steps))}
        costs = [reading.cost(step) for step in steps]
        if all(edge in taken for edge in reading.fixed_edges) and None not in costs:
            cost = sum(cost for cost in costs if cost is not None)
            best = cost if best is None else min(best, cost)
    return best


def drawn_text(random: Random) -> str:
    """A file of a type and format drawn at random, sometimes with fixed edges."""
    n = random.randint(3, 6)
    kind = random.choice(["weights", "ATSP", "plane", "space"])
    if kind == "ATSP":
        text = explicit([[random.randint(0, 50) for _ in range(n)] for _ in range(n)], kind="ATSP")
    elif kind == "weights":
        matrix = [[0] * n for _ in range(n)]
        for i in range(n):
            for j in range(i):
                matrix[i][j] = matrix[j][i] = random.randint(0, 50)
        text = explicit(matrix, random.choice(sorted(WORD_ORDER)))
    else:
        metrics = ["EUC_2D", "CEIL_2D", "MAN_2D", "MAX_2D", "ATT", "GEO"]
        metric = random.choice(metrics if kind == "plane" else list(SPATIAL_METRICS))
        axes = 2 if kind == "plane" else 3
        points = [[round(random.uniform(-80, 80), 2) for _ in range(axes)] for _ in range(n)]
        text = located(points, metric)
    if random.random() < 0.6:
        pairs = random.choices(list(permutations(range(1, n + 1), 2)), k=random.randint(1, 3))
        listed = "\n".join(f"{a} {b}" for a, b in pairs)
        text = text.replace("EOF", f"FIXED_EDGES_SECTION\n{listed}\n-1\nEOF")
    return text


@pytest.mark.parametrize("seed", range(10))
def test_small_files_equal_brute_force(seed: int) -> None:
    random = Random(seed)
    for _ in range(30):
        text = drawn_text(random)
        wanted, outcome = cheapest(text), solve(text)
        assert outcome.cost == wanted, text
        status = SolutionStatus.INFEASIBLE if wanted is None else SolutionStatus.OPTIMAL
        assert outcome.solution_status is status, text
        if wanted is None:
            assert outcome.infeasibility is not None
            diagnosis = SOLVER.diagnose(TspInstance(tsplib=text))
            assert diagnosis.infeasibility == outcome.infeasibility


def test_one_and_two_nodes() -> None:
    assert solve(explicit([[0]])).cost == 0
    assert solve(located([(0, 0), (3, 4)], "EUC_2D")).cost == 10
    fixed = "FIXED_EDGES_SECTION\n2 1\n-1\nEOF"
    assert solve(located([(0, 0), (3, 4)], "EUC_2D").replace("EOF", fixed)).cost == 10


def test_a_hamiltonian_cycle() -> None:
    outcome = solve(GRAPH)
    assert (outcome.cost, outcome.lower_bound) == (0, 0)
    assert outcome.solution_status is SolutionStatus.OPTIMAL
    assert solve(GRAPH.replace("5 1", "5 3")).solution_status is SolutionStatus.INFEASIBLE


def test_a_tour_with_a_fixed_edge_costs_more() -> None:
    assert solve(SQUARE).cost == 40
    reports: list[Incumbent[TspSolution]] = []
    outcome = solve(DIAGONAL, reports=reports)
    assert outcome.cost == outcome.lower_bound == 48
    assert reports[-1].cost == 48


def test_fixed_edges_that_no_tour_has() -> None:
    text = SQUARE.replace("EOF", "FIXED_EDGES_SECTION\n1 2\n2 3\n3 1\n-1\nEOF")
    certificate = solve(text).infeasibility
    assert certificate is not None
    assert certificate.kind == "fixed_edges"
    assert sorted(certificate.nodes) == [0, 1, 2]


def test_a_start_with_fixed_edges_is_kept() -> None:
    random = Random(3)
    points = [(random.randint(0, 999), random.randint(0, 999)) for _ in range(40)]
    fixed = "FIXED_EDGES_SECTION\n1 20\n20 7\n33 34\n40 2\n-1\nEOF"
    text = located(points, "EUC_2D").replace("EOF", fixed)
    best = solve(text).solution
    again = solve(text, start=best, timeout=0.001)
    assert best is not None
    assert again.cost == best.cost


def test_the_check_misses_no_fixed_edge() -> None:
    tour = TspSolution(node_order=[0, 1, 2, 3], cost=40)
    SOLVER.check(TspInstance(tsplib=SQUARE), tour)
    with pytest.raises(InvalidSolution, match="fixed edge from node 2 to 0"):
        SOLVER.check(TspInstance(tsplib=DIAGONAL), tour)


def test_the_check_knows_directions_of_fixed_edges() -> None:
    text = explicit([[0, 1, 1], [1, 0, 1], [1, 1, 0]], kind="ATSP")
    text = text.replace("EOF", "FIXED_EDGES_SECTION\n1 3\n-1")
    SOLVER.check(TspInstance(tsplib=text), TspSolution(node_order=[0, 2, 1], cost=3))
    with pytest.raises(InvalidSolution, match="fixed edge from node 0 to 2"):
        SOLVER.check(TspInstance(tsplib=text), TspSolution(node_order=[0, 1, 2], cost=3))


def test_the_check_adds_up() -> None:
    with pytest.raises(InvalidSolution, match="costs 40, not 41"):
        SOLVER.check(TspInstance(tsplib=SQUARE), TspSolution(node_order=[0, 1, 2, 3], cost=41))
    with pytest.raises(InvalidSolution, match="no edge from node 0 to node 3"):
        SOLVER.check(TspInstance(tsplib=GRAPH), TspSolution(node_order=[0, 3, 2, 1, 4], cost=0))


@pytest.mark.parametrize(
    ("text", "size"),
    [
        (SQUARE, InstanceSize(4, None)),
        (explicit([[0, 1], [1, 0]], "UPPER_ROW"), InstanceSize(2, 2)),
        (GRAPH, InstanceSize(5, 12)),
        ("nonsense", InstanceSize(0, None)),
    ],
)
def test_sizes(text: str, size: InstanceSize) -> None:
    assert SOLVER.size(TspInstance(tsplib=text)) == size


def test_what_is_wrong_is_said_with_its_line() -> None:
    with pytest.raises(InvalidInstance) as refused:
        SOLVER.validate(TspInstance(tsplib=SQUARE.replace("3 10 10", "3 10 ten")))
    (problem,) = refused.value.problems
    assert (problem.pointer, problem.code) == ("/tsplib", "not_a_number")
    assert problem.message == "line 8: A number is expected here, not 'ten'."


def test_fixed_edges_among_too_many_nodes_are_refused() -> None:
    points = [(node, 0) for node in range(DENSE_LIMIT + 1)]
    text = located(points, "EUC_2D").replace("EOF", "FIXED_EDGES_SECTION\n1 2\n-1\nEOF")
    with pytest.raises(InvalidInstance, match=f"line {DENSE_LIMIT + 7}: FIXED_EDGES_SECTION"):
        SOLVER.validate(TspInstance(tsplib=text))


def test_large_files_in_space_get_a_tour() -> None:
    random = Random(1)
    points = [tuple(random.randint(0, 10**4) for _ in range(3)) for _ in range(DENSE_LIMIT + 1)]
    outcome = solve(located(points, "EUC_3D"), timeout=3.0)
    assert outcome.solution_status is SolutionStatus.FEASIBLE


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ({"tsplib": ""}, "string_too_short"),
        ({"tsplib": 7}, "string_type"),
        ({"tsplib": SQUARE, "matrix": [[0]]}, "several_forms"),
        ({"tsplib": SQUARE, "num_nodes": 4}, "several_forms"),
        ({"tsplib": SQUARE, "metric": "EUC_2D"}, "several_forms"),
        ({"tsplib": SQUARE, "scale": 2.0}, "scale_without_coordinates"),
    ],
)
def test_the_form_stands_alone(value: dict[str, object], code: str) -> None:
    with pytest.raises(ValidationError) as refused:
        TspInstance.model_validate_json(json.dumps(value))
    assert [error["type"] for error in refused.value.errors()] == [code]


def test_what_has_been_read_is_no_part_of_the_instance() -> None:
    instance = TspInstance(tsplib=SQUARE)
    SOLVER.validate(instance)
    assert instance.model_dump(exclude_none=True, exclude_defaults=True) == {"tsplib": SQUARE}
    assert instance == TspInstance(tsplib=SQUARE)


def test_tours_of_files_in_other_formats() -> None:
    instance, tour = TspInstance(tsplib=SQUARE), TspSolution(node_order=[0, 1, 2, 3], cost=40)
    text = WRITERS["application/x-tsplib-tour"](instance, tour)
    assert text.startswith("NAME : small\nCOMMENT : Length = 40\n")
    table = WRITERS["text/csv"](instance, tour)
    assert table.splitlines()[:2] == ["position,node,x,y", "0,0,0.0,0.0"]
    with pytest.raises(InvalidInstance):
        WRITERS["application/geo+json"](instance, tour)
